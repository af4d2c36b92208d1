/** Bounds for gradients, between `backward` and an optimiser's step; computed on the device, in a fixed order. */
import { clampSets, clipFactor, clipSets, scaleSets, squareChunks, squareSums } from '../kernels/clipGradients.ts';
import { runSets } from './sets.ts';
import type { Tensor } from './tensor.ts';

/** What PyTorch's clip_grad_norm_ adds to the norm. */
const EPSILON = 1e-6;

function gradients(operation: string, parameters: readonly Tensor[], bound: number): Tensor[] {
  if (!(bound > 0)) throw new Error(`${operation}: the bound is ${bound}, expected a number above 0`);
  return parameters.flatMap(({ grad }) => grad ?? []);
}

/**
 * Scales the gradients of all parameters so that their joint norm is at most `maxNorm`, and returns the norm [1] that they had,
 * as torch.nn.utils.clip_grad_norm_ does. `divisor`: that of the step which follows, by which the gradients are still to be
 * divided; the norm is that of the gradients as they are.
 */
export function clipGradNorm(parameters: readonly Tensor[], maxNorm: number, divisor = 1): Tensor {
  const grads = gradients('clipGradNorm', parameters, maxNorm);
  const gpu = parameters[0]?.gpu;
  if (!gpu || grads.length === 0)
    throw new Error('clipGradNorm: no parameter has a gradient; call backward() on a loss that depends on them first');
  const total = grads.reduce((sum, { size }) => sum + squareChunks(size), 0);
  const partials = gpu.empty([total], 'f32', 'squares of gradients');
  const norm = gpu.empty([1], 'f32', 'norm of the gradients');
  const factor = gpu.empty([1], 'f32', 'factor of the gradients');
  addSquares(grads, partials);
  findClipFactor({ partials, norm, factor }, maxNorm, divisor);
  scaleGradients(grads, factor);
  partials.dispose();
  factor.dispose();
  return norm;
}

/** Bounds every element of the gradients by `maxValue`, as torch.nn.utils.clip_grad_value_ does; `divisor` as in `clipGradNorm`. */
export function clipGradValue(parameters: readonly Tensor[], maxValue: number, divisor = 1): void {
  clampGradients(gradients('clipGradValue', parameters, maxValue), maxValue, divisor);
}

/**
 * Writes the sums of the gradients' squares into `partials` from `start` on: for each gradient in turn, a number for every chunk
 * of CLIP_CHUNK values. Returns the end of what it has written.
 */
export function addSquares(grads: readonly Tensor[], partials: Tensor, start = 0): number {
  const most = clipSets(partials.gpu.device.limits.maxStorageBuffersPerShaderStage);
  for (let first = 0; first < grads.length; first += most) {
    const together = grads.slice(first, first + most);
    const sets = together.map((x) => ({ buffers: { x } }));
    runSets(sets, () => most, squareSums, { buffers: { partials }, uniforms: { start } });
    start += together.reduce((sum, { size }) => sum + squareChunks(size), 0);
  }
  return start;
}

/** From all of `addSquares`' sums to the `norm` [1] and to the `factor` [1] that scales it down to `maxNorm`. */
export function findClipFactor(
  { partials, norm, factor }: { partials: Tensor; norm: Tensor; factor: Tensor },
  maxNorm: number,
  divisor: number,
): void {
  const uniforms = { n: partials.size, bound: maxNorm * divisor, epsilon: EPSILON * divisor };
  partials.gpu.run(clipFactor, { partials, norm, factor }, uniforms);
}

/** Multiplies every gradient by `factor` [1]. */
export function scaleGradients(grads: readonly Tensor[], factor: Tensor): void {
  runSets(
    grads.map((x) => ({ buffers: { x } })),
    clipSets,
    scaleSets,
    { buffers: { factor } },
  );
}

/** Bounds every element by `maxValue` times the divisor of the step which follows. */
export function clampGradients(grads: readonly Tensor[], maxValue: number, divisor: number): void {
  runSets(
    grads.map((x) => ({ buffers: { x } })),
    clipSets,
    clampSets,
    { uniforms: { bound: maxValue * divisor } },
  );
}

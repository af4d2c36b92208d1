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
  const chunks = grads.map(({ size }) => squareChunks(size));
  const total = chunks.reduce((sum, count) => sum + count, 0);
  const partials = gpu.empty([total], 'f32', 'squares of gradients');
  const most = clipSets(gpu.device.limits.maxStorageBuffersPerShaderStage);
  let start = 0;
  for (let first = 0; first < grads.length; first += most) {
    const together = grads.slice(first, first + most);
    const sets = together.map((x) => ({ buffers: { x } }));
    runSets(sets, () => most, squareSums, { buffers: { partials }, uniforms: { start } });
    start += chunks.slice(first, first + most).reduce((sum, count) => sum + count, 0);
  }
  const norm = gpu.empty([1], 'f32', 'norm of the gradients');
  const factor = gpu.empty([1], 'f32', 'factor of the gradients');
  const bound = maxNorm * divisor;
  gpu.run(clipFactor, { partials, norm, factor }, { n: total, bound, epsilon: EPSILON * divisor });
  runSets(
    grads.map((x) => ({ buffers: { x } })),
    clipSets,
    scaleSets,
    { buffers: { factor } },
  );
  partials.dispose();
  factor.dispose();
  return norm;
}

/** Bounds every element of the gradients by `maxValue`, as torch.nn.utils.clip_grad_value_ does; `divisor` as in `clipGradNorm`. */
export function clipGradValue(parameters: readonly Tensor[], maxValue: number, divisor = 1): void {
  const grads = gradients('clipGradValue', parameters, maxValue);
  runSets(
    grads.map((x) => ({ buffers: { x } })),
    clipSets,
    clampSets,
    { uniforms: { bound: maxValue * divisor } },
  );
}

/**
 * Smooth L1 loss with the two weights of py-faster-rcnn's Caffe (smooth_L1_loss_layer.cu), elementwise over n numbers.
 *
 *   d = inside (pred - targets)            f(d) = sigma^2 d^2 / 2        where |d| < 1 / sigma^2
 *   loss = sum of outside f(d)                   |d| - 1 / (2 sigma^2)  elsewhere
 *   dpred = dloss outside inside f'(d)    f'(d) = sigma^2 d  or  sign(d)
 *
 * Inside weights select the coordinates that count (those of positives), outside weights normalise. Either may be left
 * out and is then 1. sigma^2 is PyTorch's 1/beta. A coordinate that is NaN makes the loss and its own gradient NaN, also
 * under a weight of 0. Targets get no gradient. (The plural, because WGSL reserves `target`.)
 * The partials are added by `sumFinal` of reduce.ts.
 */
import { elementwise4 } from './elementwise.ts';
import { IEEE_WGSL } from './ieee.ts';
import { kernel, linear, memoize, type BufferSpec, type Kernel } from './kernel.ts';
import { REDUCE_CHUNK, GROUP_SUM_WGSL } from './reduce.ts';

const inputs = (inside: boolean, outside: boolean): Record<string, BufferSpec> => ({
  pred: 'read',
  targets: 'read',
  ...(inside && { insideWeights: 'read' }),
  ...(outside && { outsideWeights: 'read' }),
});
const suffix = (inside: boolean, outside: boolean) => `${inside ? '_inside' : ''}${outside ? '_outside' : ''}`;
const insideAt = (inside: boolean) => (inside ? 'insideWeights[i]' : '1.0');
const outsideAt = (outside: boolean) => (outside ? 'outsideWeights[i]' : '1.0');

/** First stage; `insideWeights` and `outsideWeights` are buffers only of the variants that have them. */
export const smoothL1Partial = memoize((inside: boolean, outside: boolean): Kernel =>
  kernel<string, string>({
    name: `smooth_l1_partial${suffix(inside, outside)}`,
    buffers: { ...inputs(inside, outside), partials: 'write' },
    uniforms: { n: 'u32', sigma: 'f32' },
    grid: ({ n }) => linear(n!, REDUCE_CHUNK),
    functions: GROUP_SUM_WGSL,
    body: /* wgsl */ `
  let chunk = linear_index(group, groups, 0u, 1u);
  let start = chunk * ${REDUCE_CHUNK}u;
  if (start >= u.n && chunk > 0u) { return; }
  let square = u.sigma * u.sigma;
  var own = 0.0;
  for (var i = start + lane; i < min(start + ${REDUCE_CHUNK}u, u.n); i += 64u) {
    let d = abs(${insideAt(inside)} * (pred[i] - targets[i]));
    own += ${outsideAt(outside)} * select(d - 0.5 / square, 0.5 * square * d * d, d < 1.0 / square);
  }
  let total = group_sum(lane, own);
  if (lane == 0u) { partials[chunk] = total; }`,
  }),
);

export const smoothL1Backward = memoize((inside: boolean, outside: boolean): Kernel =>
  elementwise4<string, string>({
    name: `smooth_l1_backward${suffix(inside, outside)}`,
    buffers: {
      ...Object.fromEntries(Object.keys(inputs(inside, outside)).map((name) => [name, 'read vec4f'] as const)),
      dloss: 'read',
      dpred: 'write vec4f',
    },
    uniforms: { sigma: 'f32' },
    functions: IEEE_WGSL,
    body: /* wgsl */ `let weight = ${inside ? 'insideWeights[i]' : 'vec4f(1.0)'};
    let square = u.sigma * u.sigma;
    let d = weight * (pred[i] - targets[i]);
    let slope = select(sign(d), square * d, (abs(d) < vec4f(1.0 / square)) | is_nan4(d));
    dpred[i] = dloss[0] * ${outsideAt(outside)} * weight * slope;`,
  }),
);

export interface SmoothL1Inputs {
  pred: Float64Array;
  targets: Float64Array;
  insideWeights?: Float64Array;
  outsideWeights?: Float64Array;
  sigma: number;
}

/** The n terms; the loss is their sum. */
export function smoothL1Reference({
  pred,
  targets,
  insideWeights,
  outsideWeights,
  sigma,
}: SmoothL1Inputs): Float64Array {
  const square = sigma * sigma;
  return pred.map((value, i) => {
    const d = Math.abs((insideWeights?.[i] ?? 1) * (value - targets[i]!));
    return (outsideWeights?.[i] ?? 1) * (d < 1 / square ? 0.5 * square * d * d : d - 0.5 / square);
  });
}

export function smoothL1BackwardReference(inputs: SmoothL1Inputs, dloss: number): Float64Array {
  const { pred, targets, insideWeights, outsideWeights, sigma } = inputs;
  const square = sigma * sigma;
  return pred.map((value, i) => {
    const weight = insideWeights?.[i] ?? 1;
    const d = weight * (value - targets[i]!);
    const slope = Math.abs(d) < 1 / square ? square * d : Math.sign(d);
    return dloss * (outsideWeights?.[i] ?? 1) * weight * slope;
  });
}

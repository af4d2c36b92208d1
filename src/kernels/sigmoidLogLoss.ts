/**
 * Sigmoid and log loss in one: binary cross entropy of one logit for each position, the mean over the labels 0 and 1.
 *
 *   loss  = 1/max(1, count) sum over counted positions of softplus(x) - t x,  t the label
 *   dx    = dloss (sigmoid(x) - t) / max(1, count), 0 at ignored positions
 *
 * The classification loss of an RPN with one logit an anchor (torchvision, detectron2). Every other label is ignored, -1 among
 * them. If no position counts the loss is 0, as in softmaxLogLoss.ts, whose second stage ends this one too.
 */
import { IEEE_WGSL } from './ieee.ts';
import { kernel, linear } from './kernel.ts';
import { GROUP_SUM_WGSL, partialCount, REDUCE_CHUNK } from './reduce.ts';
import { lossesOfChunks } from './softmaxLogLoss.ts';

/** First stage: sums of losses and numbers of counted positions, one of each per chunk of positions (`partialCount`). */
export const sigmoidLogLossPartial = kernel({
  name: 'sigmoid_log_loss_partial',
  buffers: { x: 'read', labels: 'read i32', losses: 'write', counts: 'write i32' },
  uniforms: { n: 'u32' },
  grid: ({ n }) => linear(n, REDUCE_CHUNK),
  functions: /* wgsl */ `${IEEE_WGSL}${GROUP_SUM_WGSL}
fn logit_loss(logit: f32, label: f32) -> f32 {
  return max(logit, 0.0) - label * logit + nan_log(1.0 + nan_exp(-abs(logit)));
}
`,
  body: lossesOfChunks('u.n', 'label == 0 || label == 1', 'logit_loss(x[position], f32(label))'),
});

export const sigmoidLogLossBackward = kernel({
  name: 'sigmoid_log_loss_backward',
  buffers: { x: 'read', labels: 'read i32', count: 'read i32', dloss: 'read', dx: 'write' },
  uniforms: { n: 'u32' },
  each: 'n',
  functions: IEEE_WGSL,
  body: /* wgsl */ `
  let label = labels[i];
  if (label != 0 && label != 1) {
    dx[i] = 0.0;
    return;
  }
  let small = nan_exp(-abs(x[i]));
  let sigmoid = select(small, 1.0, x[i] >= 0.0) / (1.0 + small);
  dx[i] = dloss[0] / f32(max(1, count[0])) * (sigmoid - f32(label));`,
});

const isCounted = (label: number): boolean => label === 0 || label === 1;

/** `losses` holds one term per position, 0 where ignored. */
export function sigmoidLogLossReference(
  x: Float64Array,
  labels: Int32Array,
): { loss: number; count: number; losses: Float64Array } {
  const losses = x.map((value, i) =>
    isCounted(labels[i]!) ? Math.max(value, 0) - labels[i]! * value + Math.log1p(Math.exp(-Math.abs(value))) : 0,
  );
  const count = labels.filter(isCounted).length;
  return { loss: losses.reduce((sum, value) => sum + value, 0) / Math.max(1, count), count, losses };
}

/** The sums of losses and the counts of the first stage, by chunk. */
export function sigmoidLogLossPartialReference(
  x: Float64Array,
  labels: Int32Array,
): { losses: Float64Array; counts: Int32Array } {
  const chunks = Array.from({ length: partialCount(x.length) }, (_, chunk) => {
    const [from, to] = [chunk * REDUCE_CHUNK, (chunk + 1) * REDUCE_CHUNK];
    return sigmoidLogLossReference(x.subarray(from, to), labels.subarray(from, to));
  });
  return {
    losses: Float64Array.from(chunks, ({ losses }) => losses.reduce((sum, value) => sum + value, 0)),
    counts: Int32Array.from(chunks, ({ count }) => count),
  };
}

export function sigmoidLogLossBackwardReference(x: Float64Array, labels: Int32Array, dloss: number): Float64Array {
  const count = Math.max(1, labels.filter(isCounted).length);
  return x.map((value, i) => (isCounted(labels[i]!) ? (dloss * (1 / (1 + Math.exp(-value)) - labels[i]!)) / count : 0));
}

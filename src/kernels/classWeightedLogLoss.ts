/**
 * The log loss of softmaxLogLoss.ts with a weight for each class, as PyTorch's cross_entropy(weight=...) has it.
 *
 *   x [rows, channels], labels [rows], weights [channels]
 *   loss  = sum over counted rows of weights[label] (-log p[label]) / total,   total = sum of their weights
 *   dx_c  = dloss weights[label] (p_c - [c = label]) / total, 0 in the other rows
 *
 * A row counts if its label is a channel. If no row counts, or none with a weight above 0, the loss and its gradient are 0.
 */
import { IEEE_WGSL } from './ieee.ts';
import { kernel } from './kernel.ts';
import { GROUP_SUM_WGSL } from './reduce.ts';

const uniforms = { rows: 'u32', channels: 'u32' } as const;

/** The largest of the row's values, and the sum of exponentials. */
const SOFTMAX_WGSL = /* wgsl */ `
  let first = i * u.channels;
  let label = labels[i];
  let counted = label >= 0 && label < i32(u.channels);
  var largest = x[first];
  for (var c = first; c < first + u.channels; c++) { largest = max(largest, x[c]); }
  var total = 0.0;
  for (var c = first; c < first + u.channels; c++) { total += nan_exp(x[c] - largest); }`;

/** The weighted loss of every row, and its weight; 0 where it does not count. */
export const classWeightedLogLossRows = kernel({
  name: 'class_weighted_log_loss_rows',
  buffers: { x: 'read', labels: 'read i32', weights: 'read', losses: 'write', rowWeights: 'write' },
  uniforms,
  each: 'rows',
  functions: IEEE_WGSL,
  body: /* wgsl */ `${SOFTMAX_WGSL}
  losses[i] = 0.0;
  rowWeights[i] = 0.0;
  if (counted) {
    let weight = weights[label];
    losses[i] = weight * (nan_log(total) + largest - x[first + u32(label)]);
    rowWeights[i] = weight;
  }`,
});

/** The mean, and the sum of the weights for the backward pass. One workgroup. */
export const classWeightedLogLossFinal = kernel({
  name: 'class_weighted_log_loss_final',
  buffers: { losses: 'read', rowWeights: 'read', loss: 'write', total: 'write' },
  uniforms: { n: 'u32' },
  grid: () => [1, 1, 1],
  functions: GROUP_SUM_WGSL,
  body: /* wgsl */ `
  var own = 0.0;
  var own_weight = 0.0;
  for (var i = lane; i < u.n; i += 64u) {
    own += losses[i];
    own_weight += rowWeights[i];
  }
  let sum = group_sum(lane, own);
  let weight = group_sum(lane, own_weight);
  if (lane == 0u) {
    loss[0] = select(sum / weight, 0.0, weight == 0.0);
    total[0] = weight;
  }`,
});

export const classWeightedLogLossBackward = kernel({
  name: 'class_weighted_log_loss_backward',
  buffers: { x: 'read', labels: 'read i32', weights: 'read', total: 'read', dloss: 'read', dx: 'write' },
  uniforms,
  each: 'rows',
  functions: IEEE_WGSL,
  body: /* wgsl */ `
${SOFTMAX_WGSL.replace('var total', 'var exponentials').replace('total +=', 'exponentials +=')}
  if (!counted) {
    for (var c = first; c < first + u.channels; c++) { dx[c] = 0.0; }
    return;
  }
  let weight = select(dloss[0] * weights[label] / total[0], 0.0, total[0] == 0.0);
  for (var c = first; c < first + u.channels; c++) {
    dx[c] = weight * (nan_exp(x[c] - largest) / exponentials - select(0.0, 1.0, c == first + u32(label)));
  }`,
});

export interface WeightedRows {
  x: Float64Array;
  labels: Int32Array;
  weights: Float64Array;
}

export function classWeightedLogLossReference({ x, labels, weights }: WeightedRows, dloss = 1) {
  const channels = weights.length;
  const rowWeights = Float64Array.from(labels, (label) => weights[label] ?? 0);
  const total = rowWeights.reduce((sum, weight) => sum + weight, 0);
  const dx = new Float64Array(x.length);
  const losses = Float64Array.from(labels, (label, row) => {
    if (weights[label] === undefined) return 0;
    const values = x.subarray(row * channels, (row + 1) * channels);
    const largest = Math.max(...values);
    const exponentials = values.map((value) => Math.exp(value - largest));
    const sum = exponentials.reduce((a, b) => a + b, 0);
    exponentials.forEach((value, c) => {
      const share = total === 0 ? 0 : (dloss * weights[label]!) / total;
      dx[row * channels + c] = share * (value / sum - (c === label ? 1 : 0));
    });
    return weights[label]! * (Math.log(sum) + largest - values[label]!);
  });
  const loss = total === 0 ? 0 : losses.reduce((sum, value) => sum + value, 0) / total;
  return { loss, losses, rowWeights, total, dx };
}

/**
 * Softmax and log loss in one, the mean over the positions whose label is not ignored.
 *
 *   x [outer, channels, inner], labels [outer, inner]
 *   loss  = 1/max(1, count) sum over counted positions of -log p[label],   p = softmax of x over channels
 *   dx_c  = dloss (p_c - [c = label]) / max(1, count), 0 at ignored positions
 *
 * The region proposal network uses outer 1, channels 2, inner A*H*W; the detection head outer R, channels K, inner 1.
 * If no position counts the loss is 0 (PyTorch: NaN), since an image without a sampled RoI is not an error.
 * -log p = logsumexp(x) - x[label] is not bounded, so that diverging training shows. `clip` bounds the term of each
 * position at -log FLT_MIN = 87.3, as Caffe does (softmax_loss_layer.cpp); the gradient is never bounded, NaN stays NaN.
 * A label that is not a channel counts as ignored, whatever `ignoreLabel` says: a shader has no way to throw.
 */
import { eachPosition, type ChannelView } from './channelView.ts';
import { IEEE_WGSL } from './ieee.ts';
import { kernel, linear } from './kernel.ts';
import { GROUP_SUM_WGSL, GROUP_TOTAL_WGSL, partialCount, REDUCE_CHUNK } from './reduce.ts';
import { CHANNELS_OF_POSITION, CHANNELS_OF_ROW, SOFTMAX_OF_ROW, softmaxReference } from './softmax.ts';

/** -log(FLT_MIN), FLT_MIN = 2^-126. */
const LARGEST_LOSS = 126 * Math.LN2;

const uniforms = { outer: 'u32', channels: 'u32', inner: 'u32', ignoreLabel: 'i32' } as const;

const COUNTED = /* wgsl */ `
fn counted(label: i32) -> bool {
  return label != u.ignoreLabel && label >= 0 && label < i32(u.channels);
}
`;

/** The loss from `total` and from the distance of the label's channel to the largest one. */
const LOSS_WGSL = /* wgsl */ `
fn loss_of(total: f32, distance: f32) -> f32 {
  let loss = nan_log(total) + distance;
  // Bits of positive numbers are ordered as the numbers are; those of NaN come after infinity.
  let bits = bitcast<u32>(loss);
  let clipped = u.clip != 0u && bits > bitcast<u32>(${LARGEST_LOSS}f) && bits <= INFINITY_BITS;
  return select(loss, ${LARGEST_LOSS}f, clipped);
}
`;

/**
 * The body of a first stage: of each chunk of `n` positions the sum of `loss` and the number of positions where `counts` holds,
 * both of them expressions in `position` and `label`. Needs GROUP_SUM_WGSL.
 */
export const lossesOfChunks = (n: string, counts: string, loss: string): string => /* wgsl */ `
  let chunk = linear_index(group, groups, 0u, 1u);
  let start = chunk * ${REDUCE_CHUNK}u;
  let n = ${n};
  if (start >= n && chunk > 0u) { return; }
  var loss = 0.0;
  var count = 0.0; // at most ${REDUCE_CHUNK} in a workgroup: exact in f32
  for (var position = start + lane; position < min(start + ${REDUCE_CHUNK}u, n); position += 64u) {
    let label = labels[position];
    if (${counts}) {
      loss += ${loss};
      count += 1.0;
    }
  }
  let loss_total = group_sum(lane, loss);
  let count_total = group_sum(lane, count);
  if (lane == 0u) {
    losses[chunk] = loss_total;
    counts[chunk] = i32(count_total);
  }`;

/** First stage: sums of losses and numbers of counted positions, one of each per chunk of positions (`partialCount`). */
export const softmaxLogLossPartial = kernel({
  name: 'softmax_log_loss_partial',
  buffers: { x: 'read', labels: 'read i32', losses: 'write', counts: 'write i32' },
  uniforms: { ...uniforms, clip: 'u32' },
  grid: ({ outer, inner }) => linear(outer * inner, REDUCE_CHUNK),
  functions: /* wgsl */ `${IEEE_WGSL}${GROUP_SUM_WGSL}${COUNTED}${LOSS_WGSL}
fn position_loss(i: u32, label: u32) -> f32 {${CHANNELS_OF_POSITION}
  var largest = x[first];
  for (var c = first; c < end; c += u.inner) { largest = max(largest, x[c]); }
  var total = 0.0;
  for (var c = first; c < end; c += u.inner) { total += nan_exp(x[c] - largest); }
  return loss_of(total, largest - x[first + label * u.inner]);
}`,
  body: lossesOfChunks('u.outer * u.inner', 'counted(label)', 'position_loss(position, u32(label))'),
});

/** First stage by workgroups (softmax.ts): the loss of every position, and 1 where it counts. */
export const softmaxLogLossRows = kernel({
  name: 'softmax_log_loss_rows',
  buffers: { x: 'read', labels: 'read i32', losses: 'write', counts: 'write i32' },
  uniforms: { ...uniforms, clip: 'u32' },
  eachWorkgroup: ['outer', 'inner'],
  functions: IEEE_WGSL + GROUP_SUM_WGSL + GROUP_TOTAL_WGSL + COUNTED + LOSS_WGSL,
  body: /* wgsl */ `${CHANNELS_OF_ROW}
  let label = labels[item];
  if (!counted(label)) {
    if (lane == 0u) {
      losses[item] = 0.0;
      counts[item] = 0;
    }
    return;
  }${SOFTMAX_OF_ROW}
  if (lane == 0u) {
    losses[item] = loss_of(total, largest - x[first + u32(label) * u.inner]);
    counts[item] = 1;
  }`,
});

/** Second stage: the mean loss, and the count for the backward pass. One workgroup, `n` the number of partials. */
export const softmaxLogLossFinal = kernel({
  name: 'softmax_log_loss_final',
  buffers: { losses: 'read', counts: 'read i32', loss: 'write', count: 'write i32' },
  uniforms: { n: 'u32' },
  grid: () => [1, 1, 1],
  functions: /* wgsl */ `${GROUP_SUM_WGSL}
var<workgroup> count_total: atomic<i32>; // integers: the order of the additions does not matter`,
  body: /* wgsl */ `
  var own = 0.0;
  for (var i = lane; i < u.n; i += 64u) {
    own += losses[i];
    atomicAdd(&count_total, counts[i]);
  }
  let total = group_sum(lane, own);
  if (lane == 0u) {
    let positions = atomicLoad(&count_total);
    loss[0] = total / f32(max(1, positions));
    count[0] = positions;
  }`,
});

export const softmaxLogLossBackward = kernel({
  name: 'softmax_log_loss_backward',
  buffers: { x: 'read', labels: 'read i32', count: 'read i32', dloss: 'read', dx: 'write' },
  uniforms,
  each: ['outer', 'inner'],
  functions: IEEE_WGSL + COUNTED,
  body: /* wgsl */ `${CHANNELS_OF_POSITION}
  let label = labels[i];
  if (!counted(label)) {
    for (var c = first; c < end; c += u.inner) { dx[c] = 0.0; }
    return;
  }
  var largest = x[first];
  for (var c = first; c < end; c += u.inner) { largest = max(largest, x[c]); }
  var total = 0.0;
  for (var c = first; c < end; c += u.inner) { total += nan_exp(x[c] - largest); }
  let weight = dloss[0] / f32(max(1, count[0]));
  let target_index = first + u32(label) * u.inner;
  for (var c = first; c < end; c += u.inner) {
    dx[c] = weight * (nan_exp(x[c] - largest) / total - select(0.0, 1.0, c == target_index));
  }`,
});

export const softmaxLogLossBackwardRows = kernel({
  name: 'softmax_log_loss_backward_rows',
  buffers: { x: 'read', labels: 'read i32', count: 'read i32', dloss: 'read', dx: 'write' },
  uniforms,
  eachWorkgroup: ['outer', 'inner'],
  functions: IEEE_WGSL + GROUP_SUM_WGSL + GROUP_TOTAL_WGSL + COUNTED,
  body: /* wgsl */ `${CHANNELS_OF_ROW}
  let label = labels[item];
  if (!counted(label)) {
    for (var c = own; c < end; c += step) { dx[c] = 0.0; }
    return;
  }${SOFTMAX_OF_ROW}
  let weight = dloss[0] / f32(max(1, count[0]));
  let target_index = first + u32(label) * u.inner;
  for (var c = own; c < end; c += step) {
    dx[c] = weight * (nan_exp(x[c] - largest) / total - select(0.0, 1.0, c == target_index));
  }`,
});

export interface LogLossView extends ChannelView {
  ignoreLabel: number;
}

const isCounted = (label: number, { channels, ignoreLabel }: LogLossView): boolean =>
  label !== ignoreLabel && label >= 0 && label < channels;

/** `losses` holds one term per position, 0 where ignored. */
export function softmaxLogLossReference(
  x: Float64Array,
  labels: Int32Array,
  view: LogLossView,
  clip = false,
): { loss: number; count: number; losses: Float64Array } {
  const losses = new Float64Array(labels.length);
  let count = 0;
  eachPosition(view, (at, position) => {
    const label = labels[position]!;
    if (!isCounted(label, view)) return;
    const largest = at.reduce((most, i) => Math.max(most, x[i]!), -Infinity);
    const total = at.reduce((sum, i) => sum + Math.exp(x[i]! - largest), 0);
    const loss = Math.log(total) + largest - x[at[label]!]!;
    losses[position] = clip ? Math.min(loss, LARGEST_LOSS) : loss;
    count++;
  });
  return { loss: losses.reduce((sum, value) => sum + value, 0) / Math.max(1, count), count, losses };
}

/** The second stage's view of the counts: one per chunk of positions, as `softmaxLogLossPartial` writes them. */
export function countsReference(labels: Int32Array, view: LogLossView): Int32Array {
  return Int32Array.from(
    { length: partialCount(labels.length) },
    (_, chunk) =>
      labels.subarray(chunk * REDUCE_CHUNK, (chunk + 1) * REDUCE_CHUNK).filter((label) => isCounted(label, view))
        .length,
  );
}

export function softmaxLogLossBackwardReference(
  x: Float64Array,
  labels: Int32Array,
  view: LogLossView,
  dloss: number,
): Float64Array {
  const dx = softmaxReference(x, view);
  const count = Math.max(1, labels.filter((label) => isCounted(label, view)).length);
  eachPosition(view, (at, position) => {
    const label = labels[position]!;
    at.forEach((i, c) => {
      dx[i] = isCounted(label, view) ? (dloss * (dx[i]! - (c === label ? 1 : 0))) / count : 0;
    });
  });
  return dx;
}

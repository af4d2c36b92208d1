/**
 * Softmax and log loss in one, the mean over the positions whose label is not ignored.
 *
 *   x [outer, channels, inner], labels [outer, inner]
 *   loss  = 1/max(1, count) sum over counted positions of -log p[label],   p = softmax of x over channels
 *   dx_c  = dloss (p_c - [c = label]) / max(1, count), 0 at ignored positions
 *
 * The region proposal network uses outer 1, channels 2, inner A*H*W; the detection head outer R, channels K, inner 1.
 * As in Caffe (softmax_loss_layer.cpp) the probability is clamped at FLT_MIN before the logarithm, the gradient is not;
 * here by -log p = min(logsumexp(x) - x[label], -log FLT_MIN), which cannot overflow.
 * A label that is no channel counts as ignored, whatever `ignoreLabel` says: a shader has no way to throw.
 */
import { eachPosition, type ChannelView } from './channelView.ts';
import { kernel, linear } from './kernel.ts';
import { partialCount, REDUCE_CHUNK, GROUP_SUM_WGSL } from './reduce.ts';
import { softmaxReference } from './softmax.ts';

/** -log(FLT_MIN), FLT_MIN = 2^-126. */
const LARGEST_LOSS = 126 * Math.LN2;

const uniforms = { outer: 'u32', channels: 'u32', inner: 'u32', ignoreLabel: 'i32' } as const;

const COUNTED = /* wgsl */ `
fn counted(label: i32) -> bool {
  return label != u.ignoreLabel && label >= 0 && label < i32(u.channels);
}
`;

/** First stage: sums of losses and numbers of counted positions, one of each a chunk of positions (`partialCount`). */
export const softmaxLogLossPartial = kernel({
  name: 'softmax_log_loss_partial',
  buffers: { x: 'read', labels: 'read i32', losses: 'write', counts: 'write i32' },
  uniforms,
  grid: ({ outer, inner }) => linear(outer * inner, REDUCE_CHUNK),
  wgsl: /* wgsl */ `${GROUP_SUM_WGSL}${COUNTED}
fn position_loss(position: u32, label: u32) -> f32 {
  let first = position / u.inner * u.channels * u.inner + position % u.inner;
  let end = first + u.channels * u.inner;
  var largest = x[first];
  for (var i = first; i < end; i += u.inner) { largest = max(largest, x[i]); }
  var total = 0.0;
  for (var i = first; i < end; i += u.inner) { total += exp(x[i] - largest); }
  return min(log(total) + (largest - x[first + label * u.inner]), ${LARGEST_LOSS});
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let chunk = linear_index(group, groups, 0u, 1u);
  let start = chunk * ${REDUCE_CHUNK}u;
  let n = u.outer * u.inner;
  if (start >= n && chunk > 0u) { return; }
  var loss = 0.0;
  var count = 0.0; // at most ${REDUCE_CHUNK} in a workgroup: exact in f32
  for (var position = start + lane; position < min(start + ${REDUCE_CHUNK}u, n); position += 64u) {
    let label = labels[position];
    if (counted(label)) {
      loss += position_loss(position, u32(label));
      count += 1.0;
    }
  }
  let loss_total = group_sum(lane, loss);
  let count_total = group_sum(lane, count);
  if (lane == 0u) {
    losses[chunk] = loss_total;
    counts[chunk] = i32(count_total);
  }
}
`,
});

/** Second stage: the mean loss, and the count for the backward pass. One workgroup, `n` the number of partials. */
export const softmaxLogLossFinal = kernel({
  name: 'softmax_log_loss_final',
  buffers: { losses: 'read', counts: 'read i32', loss: 'write', count: 'write i32' },
  uniforms: { n: 'u32' },
  grid: () => [1, 1, 1],
  wgsl: /* wgsl */ `${GROUP_SUM_WGSL}
var<workgroup> count_total: atomic<i32>; // integers: the order of the additions does not matter

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
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
  }
}
`,
});

export const softmaxLogLossBackward = kernel({
  name: 'softmax_log_loss_backward',
  buffers: { x: 'read', labels: 'read i32', count: 'read i32', dloss: 'read', dx: 'write' },
  uniforms,
  grid: ({ outer, inner }) => linear(outer * inner, 64),
  wgsl: /* wgsl */ `${COUNTED}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let position = linear_index(group, groups, lane, 64u);
  if (position >= u.outer * u.inner) { return; }
  let first = position / u.inner * u.channels * u.inner + position % u.inner;
  let end = first + u.channels * u.inner;
  let label = labels[position];
  if (!counted(label)) {
    for (var i = first; i < end; i += u.inner) { dx[i] = 0.0; }
    return;
  }
  var largest = x[first];
  for (var i = first; i < end; i += u.inner) { largest = max(largest, x[i]); }
  var total = 0.0;
  for (var i = first; i < end; i += u.inner) { total += exp(x[i] - largest); }
  let weight = dloss[0] / f32(max(1, count[0]));
  let target_index = first + u32(label) * u.inner;
  for (var i = first; i < end; i += u.inner) {
    dx[i] = weight * (exp(x[i] - largest) / total - select(0.0, 1.0, i == target_index));
  }
}
`,
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
): { loss: number; count: number; losses: Float64Array } {
  const losses = new Float64Array(labels.length);
  let count = 0;
  eachPosition(view, (at, position) => {
    const label = labels[position]!;
    if (!isCounted(label, view)) return;
    const largest = Math.max(...at.map((i) => x[i]!));
    const total = at.reduce((sum, i) => sum + Math.exp(x[i]! - largest), 0);
    losses[position] = Math.min(Math.log(total) + largest - x[at[label]!]!, LARGEST_LOSS);
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

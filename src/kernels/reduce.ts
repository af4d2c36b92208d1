/**
 * Sums in a fixed order, so that the same inputs give the same bits.
 *
 *   sum:          x[n] -> partials[ceil(n / CHUNK)] -> y[1]    one workgroup per chunk, then one workgroup for the partials
 *   channel sum:  db[c] = sum over o, i of dy[o, c, i]         one workgroup per channel; dy is [outer, channels, inner]
 *   axis sum:     y[o, i] = sum over c of x[o, c, i]           one invocation per result; outer is 1 for a linear layer's bias
 *                 channel sum and axis sum also exist in parts
 *   broadcast:    dx[i] = dy[0]                                the backward pass of sum
 *
 * An invocation adds its own elements one after the other, then the workgroup adds the 64 results in two levels.
 */
import { elementwise4 } from './elementwise.ts';
import { type BufferSpec, ceilDiv, kernel, type Kernel, linear, memoize } from './kernel.ts';
import { RELU_WGSL } from './relu.ts';

/** Elements that one workgroup of a first stage reduces, here and in the losses. */
export const REDUCE_CHUNK = 2048;

/** Length of the buffer of partial results for n elements; at least 1, so that an empty sum is 0. */
export const partialCount = (n: number): number => Math.max(1, ceilDiv(n, REDUCE_CHUNK));

/**
 * `group_sum(lane, value)`: the sum over a workgroup of 64, correct only in lane 0. Needs uniform control flow.
 * It has two levels of eight and so two barriers. On SwiftShader a reduction spends most of its time in barriers: workgroups
 * of 256 take six times as long.
 */
export const GROUP_SUM_WGSL = /* wgsl */ `
var<workgroup> lane_sums: array<f32, 64>;
var<workgroup> row_sums: array<f32, 8>;
fn group_sum(lane: u32, value: f32) -> f32 {
  lane_sums[lane] = value;
  workgroupBarrier();
  var total = 0.0;
  if (lane < 8u) {
    for (var i = lane; i < 64u; i += 8u) { total += lane_sums[i]; }
    row_sums[lane] = total;
  }
  workgroupBarrier();
  if (lane == 0u) {
    total = 0.0;
    for (var i = 0u; i < 8u; i++) { total += row_sums[i]; }
  }
  return total;
}
`;

/**
 * In addition to GROUP_SUM_WGSL, for kernels in which every lane needs the result: `group_total(lane, value)`, the same sum, and
 * `group_largest(lane, value)`. Both need uniform control flow.
 */
export const GROUP_TOTAL_WGSL = /* wgsl */ `
var<workgroup> shared_result: f32;
fn group_total(lane: u32, value: f32) -> f32 {
  let total = group_sum(lane, value);
  if (lane == 0u) { shared_result = total; }
  return workgroupUniformLoad(&shared_result);
}
fn group_largest(lane: u32, value: f32) -> f32 {
  lane_sums[lane] = value;
  workgroupBarrier();
  if (lane < 8u) {
    var largest = lane_sums[lane];
    for (var i = lane + 8u; i < 64u; i += 8u) { largest = max(largest, lane_sums[i]); }
    row_sums[lane] = largest;
  }
  workgroupBarrier();
  if (lane == 0u) {
    shared_result = row_sums[0];
    for (var i = 1u; i < 8u; i++) { shared_result = max(shared_result, row_sums[i]); }
  }
  return workgroupUniformLoad(&shared_result);
}
`;

export const sumPartial = kernel({
  name: 'sum_partial',
  buffers: { x: 'read', partials: 'write' },
  uniforms: { n: 'u32' },
  grid: ({ n }) => linear(n, REDUCE_CHUNK),
  functions: GROUP_SUM_WGSL,
  body: /* wgsl */ `
  let chunk = linear_index(group, groups, 0u, 1u);
  let start = chunk * ${REDUCE_CHUNK}u;
  if (start >= u.n && chunk > 0u) { return; }
  var own = 0.0;
  for (var i = start + lane; i < min(start + ${REDUCE_CHUNK}u, u.n); i += 64u) { own += x[i]; }
  let total = group_sum(lane, own);
  if (lane == 0u) { partials[chunk] = total; }`,
});

/** The second stage: one workgroup; `n` is the number of partials. */
export const sumFinal = kernel({
  name: 'sum_final',
  buffers: { partials: 'read', y: 'write' },
  uniforms: { n: 'u32' },
  grid: () => [1, 1, 1],
  functions: GROUP_SUM_WGSL,
  body: /* wgsl */ `
  var own = 0.0;
  for (var i = lane; i < u.n; i += 64u) { own += partials[i]; }
  let total = group_sum(lane, own);
  if (lane == 0u) { y[0] = total; }`,
});

/**
 * The gradient of a convolution's bias. With `vectors`, inner is a multiple of four and maps are read four cells at a time. With
 * `add`, the sum is added to db, as parameters accumulate over the images of a step; otherwise it is assigned. With `rectified`,
 * the backward pass of a ReLU with result y comes first (relu.ts), and its dx, which is dy where y > 0, is summed.
 */
export const channelSum = memoize((vectors: boolean, add: boolean, rectified: boolean = false): Kernel => {
  const [map, zero] = vectors ? (['vec4f', 'vec4f()'] as const) : (['f32', '0.0'] as const);
  return kernel({
    name: `${rectified ? 'relu_backward_' : ''}channel_sum${add ? '_add' : ''}`,
    buffers: {
      ...(rectified ? { y: `read ${map}`, dy: `read ${map}`, dx: `write ${map}` } : { dy: `read ${map}` }),
      db: add ? 'read_write' : 'write',
    } as Record<string, BufferSpec>,
    uniforms: { outer: 'u32', channels: 'u32', inner: 'u32' },
    eachWorkgroup: 'channels',
    functions: GROUP_SUM_WGSL + (rectified ? RELU_WGSL : ''),
    body: /* wgsl */ `
  let inner = ${vectors ? 'u.inner / 4u' : 'u.inner'};
  var own = ${zero};
  for (var o = 0u; o < u.outer; o++) {
    let first = (o * u.channels + item) * inner;
    for (var i = first + lane; i < first + inner; i += 64u) {
      let value = ${rectified ? `select(${zero}, dy[i], ${vectors ? 'passes4' : 'passes'}(y[i]))` : 'dy[i]'};
      ${rectified ? 'dx[i] = value;' : ''}
      own += value;
    }
  }
  let total = group_sum(lane, ${vectors ? 'own.x + own.y + own.z + own.w' : 'own'});
  if (lane == 0u) { db[item] ${add ? '+=' : '='} total; }`,
  });
});

/** Sums along the middle axis: the gradient of a linear layer's bias, with outer 1. `add` as in `channelSum`. */
export const axisSum = memoize((add: boolean) =>
  kernel({
    name: `axis_sum${add ? '_add' : ''}`,
    buffers: { x: 'read', y: add ? 'read_write' : 'write' },
    uniforms: { outer: 'u32', channels: 'u32', inner: 'u32' },
    each: ['outer', 'inner'],
    body: /* wgsl */ `
  let first = i / u.inner * u.channels * u.inner + i % u.inner;
  var total = 0.0;
  for (var c = 0u; c < u.channels; c++) { total += x[first + c * u.inner]; }
  y[i] ${add ? '+=' : '='} total;`,
  }),
);

/**
 * `channelSum` and `axisSum` in parts, for a GPU: a channel of a large map keeps one workgroup busy for hundreds of loads in a
 * row while most cores have nothing to do, and so does an invocation that adds hundreds of rows. A part is a run of consecutive
 * terms; sumPartials.ts adds the parts [parts, channels] or [parts, outer * inner]. The sums are rounded differently from those
 * of one part.
 */
export const channelSumPart = memoize((vectors: boolean) => {
  const [map, zero] = vectors ? (['vec4f', 'vec4f()'] as const) : (['f32', '0.0'] as const);
  return kernel({
    name: 'channel_sum_part',
    buffers: { dy: `read ${map}`, partial: 'write' },
    uniforms: { outer: 'u32', channels: 'u32', inner: 'u32', parts: 'u32' },
    eachWorkgroup: ['parts', 'channels'],
    functions: GROUP_SUM_WGSL,
    body: /* wgsl */ `
  let channel = item % u.channels;
  let inner = ${vectors ? 'u.inner / 4u' : 'u.inner'};
  let size = (u.outer * inner + u.parts - 1u) / u.parts;
  let first = item / u.channels * size;
  var own = ${zero};
  for (var t = first + lane; t < min(first + size, u.outer * inner); t += 64u) {
    own += dy[(t / inner * u.channels + channel) * inner + t % inner];
  }
  let total = group_sum(lane, ${vectors ? 'own.x + own.y + own.z + own.w' : 'own'});
  if (lane == 0u) { partial[item] = total; }`,
  });
});

export const axisSumPart = kernel({
  name: 'axis_sum_part',
  buffers: { x: 'read', partial: 'write' },
  uniforms: { outer: 'u32', channels: 'u32', inner: 'u32', parts: 'u32' },
  each: ['parts', 'outer', 'inner'],
  body: /* wgsl */ `
  let results = u.outer * u.inner;
  let result = i % results;
  let first = result / u.inner * u.channels * u.inner + result % u.inner;
  let size = (u.channels + u.parts - 1u) / u.parts;
  let start = i / results * size;
  var total = 0.0;
  for (var c = start; c < min(start + size, u.channels); c++) { total += x[first + c * u.inner]; }
  partial[i] = total;`,
});

export const broadcastScalar = elementwise4({
  name: 'broadcast_scalar',
  buffers: { dy: 'read', dx: 'write vec4f' },
  body: 'dx[i] = vec4f(dy[0]);',
});

export const sumReference = (x: Float64Array): number => x.reduce((total, value) => total + value, 0);

/** The sums of the chunks that `sumPartial` and the first stages of the losses write. */
export const partialsReference = (x: Float64Array): Float64Array =>
  Float64Array.from({ length: partialCount(x.length) }, (_, chunk) =>
    sumReference(x.subarray(chunk * REDUCE_CHUNK, (chunk + 1) * REDUCE_CHUNK)),
  );

/** The sum over `outer` and `inner` alone, [channels]. */
export function channelSumReference(dy: Float64Array, outer: number, channels: number, inner: number): Float64Array {
  const db = new Float64Array(channels);
  for (let o = 0; o < outer; o++)
    for (let c = 0; c < channels; c++) for (let i = 0; i < inner; i++) db[c]! += dy[(o * channels + c) * inner + i]!;
  return db;
}

/** The sum over `channels` alone, [outer, inner]. */
export function axisSumReference(x: Float64Array, outer: number, channels: number, inner: number): Float64Array {
  const y = new Float64Array(outer * inner);
  x.forEach((value, at) => (y[Math.floor(at / (channels * inner)) * inner + (at % inner)]! += value));
  return y;
}

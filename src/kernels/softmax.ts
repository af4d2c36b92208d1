/**
 * Softmax over the channels of [outer, channels, inner] (any axis of a tensor can be seen this way).
 *
 *   y_c = exp(x_c - m) / sum_k exp(x_k - m),  m = max_k x_k          dx_c = y_c (dy_c - sum_k y_k dy_k)
 *
 * One invocation per (outer, inner) position; neighbouring invocations read neighbouring words where inner > 1. Where positions
 * are few and channels many, an invocation of a GPU would wait for three loads of each channel in a row (1000 classes: 0.2 ms or
 * more): there a workgroup shares the channels of a position (`..._rows`), and adds them in another order.
 */
import { eachPosition, type ChannelView } from './channelView.ts';
import { IEEE_WGSL } from './ieee.ts';
import { kernel } from './kernel.ts';
import { GROUP_SUM_WGSL, GROUP_TOTAL_WGSL } from './reduce.ts';

const uniforms = { outer: 'u32', channels: 'u32', inner: 'u32' } as const;

/** Opens a body for position `i`: `first` is the index of its first channel, `end` lies after the last, channels `u.inner` apart. */
export const CHANNELS_OF_POSITION = /* wgsl */ `
  let first = i / u.inner * u.channels * u.inner + i % u.inner;
  let end = first + u.channels * u.inner;`;

/** The same for a workgroup and its position `item`: `own` is the first channel of this lane, `step` leads to its next one. */
export const CHANNELS_OF_ROW = /* wgsl */ `
  let first = item / u.inner * u.channels * u.inner + item % u.inner;
  let end = first + u.channels * u.inner;
  let own = first + lane * u.inner;
  let step = 64u * u.inner;`;

/** `largest` and `total` of softmax, for all lanes. */
export const SOFTMAX_OF_ROW = /* wgsl */ `
  var own_largest = x[first];
  for (var c = own; c < end; c += step) { own_largest = max(own_largest, x[c]); }
  let largest = group_largest(lane, own_largest);
  var own_total = 0.0;
  for (var c = own; c < end; c += step) { own_total += nan_exp(x[c] - largest); }
  let total = group_total(lane, own_total);`;

/** The same for the one invocation of a position. */
export const SOFTMAX_OF_POSITION = /* wgsl */ `
  var largest = x[first];
  for (var c = first; c < end; c += u.inner) { largest = max(largest, x[c]); }
  var total = 0.0;
  for (var c = first; c < end; c += u.inner) { total += nan_exp(x[c] - largest); }`;

export const softmaxForward = kernel({
  name: 'softmax_forward',
  buffers: { x: 'read', y: 'write' },
  uniforms,
  each: ['outer', 'inner'],
  functions: IEEE_WGSL,
  body: /* wgsl */ `${CHANNELS_OF_POSITION}${SOFTMAX_OF_POSITION}
  for (var c = first; c < end; c += u.inner) { y[c] = nan_exp(x[c] - largest) / total; }`,
});

export const softmaxBackward = kernel({
  name: 'softmax_backward',
  buffers: { y: 'read', dy: 'read', dx: 'write' },
  uniforms,
  each: ['outer', 'inner'],
  body: /* wgsl */ `${CHANNELS_OF_POSITION}
  var dot = 0.0;
  for (var c = first; c < end; c += u.inner) { dot += y[c] * dy[c]; }
  for (var c = first; c < end; c += u.inner) { dx[c] = y[c] * (dy[c] - dot); }`,
});

export const softmaxForwardRows = kernel({
  name: 'softmax_forward_rows',
  buffers: { x: 'read', y: 'write' },
  uniforms,
  eachWorkgroup: ['outer', 'inner'],
  functions: IEEE_WGSL + GROUP_SUM_WGSL + GROUP_TOTAL_WGSL,
  body: /* wgsl */ `${CHANNELS_OF_ROW}${SOFTMAX_OF_ROW}
  for (var c = own; c < end; c += step) { y[c] = nan_exp(x[c] - largest) / total; }`,
});

export const softmaxBackwardRows = kernel({
  name: 'softmax_backward_rows',
  buffers: { y: 'read', dy: 'read', dx: 'write' },
  uniforms,
  eachWorkgroup: ['outer', 'inner'],
  functions: GROUP_SUM_WGSL + GROUP_TOTAL_WGSL,
  body: /* wgsl */ `${CHANNELS_OF_ROW}
  var own_dot = 0.0;
  for (var c = own; c < end; c += step) { own_dot += y[c] * dy[c]; }
  let dot = group_total(lane, own_dot);
  for (var c = own; c < end; c += step) { dx[c] = y[c] * (dy[c] - dot); }`,
});

export function softmaxReference(x: Float64Array, view: ChannelView): Float64Array {
  const y = new Float64Array(x.length);
  eachPosition(view, (at) => {
    const largest = at.reduce((most, i) => Math.max(most, x[i]!), -Infinity);
    const total = at.reduce((sum, i) => sum + Math.exp(x[i]! - largest), 0);
    for (const i of at) y[i] = Math.exp(x[i]! - largest) / total;
  });
  return y;
}

export function softmaxBackwardReference(y: Float64Array, dy: Float64Array, view: ChannelView): Float64Array {
  const dx = new Float64Array(y.length);
  eachPosition(view, (at) => {
    const dot = at.reduce((sum, i) => sum + y[i]! * dy[i]!, 0);
    for (const i of at) dx[i] = y[i]! * (dy[i]! - dot);
  });
  return dx;
}

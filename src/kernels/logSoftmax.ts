/**
 * The logarithm of softmax over the channels of [outer, channels, inner], finite where softmax itself is 0 in float32.
 *
 *   y_c = x_c - m - log sum_k exp(x_k - m),  m = max_k x_k          dx_c = dy_c - exp(y_c) sum_k dy_k
 */
import { type ChannelView, eachPosition } from './channelView.ts';
import { IEEE_WGSL } from './ieee.ts';
import { kernel } from './kernel.ts';
import { CHANNELS_OF_POSITION, SOFTMAX_OF_POSITION } from './softmax.ts';

const uniforms = { outer: 'u32', channels: 'u32', inner: 'u32' } as const;

export const logSoftmaxForward = kernel({
  name: 'log_softmax_forward',
  buffers: { x: 'read', y: 'write' },
  uniforms,
  each: ['outer', 'inner'],
  functions: IEEE_WGSL,
  body: /* wgsl */ `${CHANNELS_OF_POSITION}${SOFTMAX_OF_POSITION}
  let norm = nan_log(total);
  for (var c = first; c < end; c += u.inner) { y[c] = x[c] - largest - norm; }`,
});

export const logSoftmaxBackward = kernel({
  name: 'log_softmax_backward',
  buffers: { y: 'read', dy: 'read', dx: 'write' },
  uniforms,
  each: ['outer', 'inner'],
  functions: IEEE_WGSL,
  body: /* wgsl */ `${CHANNELS_OF_POSITION}
  var total = 0.0;
  for (var c = first; c < end; c += u.inner) { total += dy[c]; }
  for (var c = first; c < end; c += u.inner) { dx[c] = dy[c] - nan_exp(y[c]) * total; }`,
});

export function logSoftmaxReference(x: Float64Array, view: ChannelView): Float64Array {
  const y = new Float64Array(x.length);
  eachPosition(view, (at) => {
    const largest = at.reduce((most, i) => Math.max(most, x[i]!), -Infinity);
    const norm = Math.log(at.reduce((total, i) => total + Math.exp(x[i]! - largest), 0));
    for (const i of at) y[i] = x[i]! - largest - norm;
  });
  return y;
}

export function logSoftmaxBackwardReference(y: Float64Array, dy: Float64Array, view: ChannelView): Float64Array {
  const dx = new Float64Array(y.length);
  eachPosition(view, (at) => {
    const total = at.reduce((sum, i) => sum + dy[i]!, 0);
    for (const i of at) dx[i] = dy[i]! - Math.exp(y[i]!) * total;
  });
  return dx;
}

/**
 * Softmax over the channels of [outer, channels, inner] (any axis of a tensor can be seen this way).
 *
 *   y_c = exp(x_c - m) / sum_k exp(x_k - m),  m = max_k x_k          dx_c = y_c (dy_c - sum_k y_k dy_k)
 *
 * One invocation per (outer, inner) position; neighbouring invocations read neighbouring words where inner > 1.
 */
import { eachPosition, type ChannelView } from './channelView.ts';
import { kernel, linear } from './kernel.ts';

const uniforms = { outer: 'u32', channels: 'u32', inner: 'u32' } as const;
const grid = ({ outer, inner }: Record<keyof typeof uniforms, number>) => linear(outer * inner, 64);

/** Opens `main`: `first` is the index of a position's first channel, channels lie `u.inner` apart. */
const PROLOGUE = /* wgsl */ `
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let position = linear_index(group, groups, lane, 64u);
  if (position >= u.outer * u.inner) { return; }
  let first = position / u.inner * u.channels * u.inner + position % u.inner;
  let end = first + u.channels * u.inner;
`;

export const softmaxForward = kernel({
  name: 'softmax_forward',
  buffers: { x: 'read', y: 'write' },
  uniforms,
  grid,
  wgsl: /* wgsl */ `${PROLOGUE}
  var largest = x[first];
  for (var i = first; i < end; i += u.inner) { largest = max(largest, x[i]); }
  var total = 0.0;
  for (var i = first; i < end; i += u.inner) { total += exp(x[i] - largest); }
  for (var i = first; i < end; i += u.inner) { y[i] = exp(x[i] - largest) / total; }
}
`,
});

export const softmaxBackward = kernel({
  name: 'softmax_backward',
  buffers: { y: 'read', dy: 'read', dx: 'write' },
  uniforms,
  grid,
  wgsl: /* wgsl */ `${PROLOGUE}
  var dot = 0.0;
  for (var i = first; i < end; i += u.inner) { dot += y[i] * dy[i]; }
  for (var i = first; i < end; i += u.inner) { dx[i] = y[i] * (dy[i] - dot); }
}
`,
});

export function softmaxReference(x: Float64Array, view: ChannelView): Float64Array {
  const y = new Float64Array(x.length);
  eachPosition(view, (at) => {
    const largest = Math.max(...at.map((i) => x[i]!));
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

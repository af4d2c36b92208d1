/**
 * Sums of everything up to each place along the channels of [outer, channels, inner]: y_c = x_0 + ... + x_c. The gradient of x_c is
 * dy_c + ... + dy_last, the same from the other end. An invocation adds the channels of a position in order.
 */
import { type ChannelView, eachPosition } from './channelView.ts';
import { kernel, memoize } from './kernel.ts';
import { CHANNELS_OF_POSITION } from './softmax.ts';

export const cumulativeSum = memoize((reversed: boolean) =>
  kernel({
    name: `cumulative_sum${reversed ? '_reversed' : ''}`,
    buffers: { x: 'read', y: 'write' },
    uniforms: { outer: 'u32', channels: 'u32', inner: 'u32' },
    each: ['outer', 'inner'],
    body: /* wgsl */ `${CHANNELS_OF_POSITION}
  var total = 0.0;
  for (var c = first; c < end; c += u.inner) {
    let at = ${reversed ? 'first + end - u.inner - c' : 'c'};
    total += x[at];
    y[at] = total;
  }`,
  }),
);

export function cumulativeSumReference(x: Float64Array, view: ChannelView, reversed: boolean): Float64Array {
  const y = new Float64Array(x.length);
  eachPosition(view, (at) => {
    let total = 0;
    for (const i of reversed ? [...at].reverse() : at) y[i] = total += x[i]!;
  });
  return y;
}

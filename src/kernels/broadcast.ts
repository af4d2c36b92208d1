/**
 * Repeating a tensor b along some axes, in the two forms that are common enough for kernels of their own. Neighbouring axes along
 * which b is repeated (or not) are merged, so that the result is [outer, channels, inner] and b is either
 *
 *   'channels'  b[c]       repeated along outer and inner: a bias, a factor of each channel, one number
 *   'ends'      b[o, i]    repeated along channels: a mean of each row, a mask of each image
 *
 * Where the axes alternate more often, strides are used (strides.ts). The gradient of b sums over the axes of repetition:
 * channelSum or axisSum (reduce.ts).
 */
import type { ChannelView } from './channelView.ts';
import { elementwise } from './elementwise.ts';
import { memoize } from './kernel.ts';

export type Repetition = 'channels' | 'ends';

/** WGSL of the place in b of element `i`, from the uniforms `channels` and `inner`. */
export const REPEATED_PLACE: Readonly<Record<Repetition, string>> = {
  channels: 'i / u.inner % u.channels',
  ends: 'i / (u.inner * u.channels) * u.inner + i % u.inner',
};

/** y [outer, channels, inner] = b repeated. */
export const expand = memoize((of: Repetition) =>
  elementwise({
    name: `expand_${of}`,
    buffers: { b: 'read', y: 'write' },
    uniforms: { channels: 'u32', inner: 'u32' },
    body: `y[i] = b[${REPEATED_PLACE[of]}];`,
  }),
);

export function expandReference(b: Float64Array, of: Repetition, view: ChannelView): Float64Array {
  const { outer, channels, inner } = view;
  const y = new Float64Array(outer * channels * inner);
  for (let o = 0; o < outer; o++)
    for (let c = 0; c < channels; c++)
      for (let i = 0; i < inner; i++) y[(o * channels + c) * inner + i] = of === 'channels' ? b[c]! : b[o * inner + i]!;
  return y;
}

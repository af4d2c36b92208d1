/**
 * Operations on a tensor a and a smaller b that is repeated along some axes. Neighbouring axes along which b is repeated (or
 * not) are merged, so that a is [outer, channels, inner] and b is either
 *
 *   'channels'  b[c]       repeated along outer and inner: a bias, a factor of each channel, one number
 *   'ends'      b[o, i]    repeated along channels: a mean of each row, a mask of each image
 *
 *   add  y = a + b      subtract  y = a - b      multiply  y = a b      expand  y = b
 *
 * The gradient of b sums dy over the axes of repetition: channelSum or axisSum (reduce.ts).
 */
import type { ChannelView } from './channelView.ts';
import { elementwise } from './elementwise.ts';
import { memoize } from './kernel.ts';

export type BroadcastOperator = keyof typeof OPERATORS;
export type Repetition = 'channels' | 'ends';

const OPERATORS = {
  add: { wgsl: 'a[i] + b[at]', apply: (a: number, b: number) => a + b },
  subtract: { wgsl: 'a[i] - b[at]', apply: (a: number, b: number) => a - b },
  multiply: { wgsl: 'a[i] * b[at]', apply: (a: number, b: number) => a * b },
} as const;

const PLACE: Readonly<Record<Repetition, string>> = {
  channels: 'i / u.inner % u.channels',
  ends: 'i / (u.inner * u.channels) * u.inner + i % u.inner',
};

export const broadcast = memoize((operator: BroadcastOperator, of: Repetition) =>
  elementwise({
    name: `${operator}_${of}`,
    buffers: { a: 'read', b: 'read', y: 'write' },
    uniforms: { channels: 'u32', inner: 'u32' },
    body: `let at = ${PLACE[of]};
    y[i] = ${OPERATORS[operator].wgsl};`,
  }),
);

/** y [outer, channels, inner] = b repeated. */
export const expand = memoize((of: Repetition) =>
  elementwise({
    name: `expand_${of}`,
    buffers: { b: 'read', y: 'write' },
    uniforms: { channels: 'u32', inner: 'u32' },
    body: `y[i] = b[${PLACE[of]}];`,
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

export function broadcastReference(
  operator: BroadcastOperator,
  a: Float64Array,
  b: Float64Array,
  of: Repetition,
  view: ChannelView,
): Float64Array {
  const repeated = expandReference(b, of, view);
  return a.map((value, i) => OPERATORS[operator].apply(value, repeated[i]!));
}

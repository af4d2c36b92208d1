/**
 * The largest, or smallest, number along the channels of [outer, channels, inner], where it is, and the k largest in order.
 *
 *   extremum   y[o, i] = max_c x[o, c, i], index[o, i] = the first c that has it        one invocation or workgroup per position
 *   backward   dx[o, c, i] = dy / m at each of the m channels with the largest number (PyTorch's amax), else 0
 *   top k      y[o, j, i], index[o, j, i]: the j-th largest; of equal numbers the first comes first. The workgroup of a position goes
 *              over its channels k times
 *
 * NaN comes before every number, so that it is not lost.
 */
import { type ChannelView, eachPosition } from './channelView.ts';
import { IEEE_WGSL, ORDER_WGSL } from './ieee.ts';
import { kernel, type Kernel, memoize } from './kernel.ts';
import { CHANNELS_OF_POSITION, CHANNELS_OF_ROW } from './softmax.ts';

export type Extremum = 'max' | 'min';

const uniforms = { outer: 'u32', channels: 'u32', inner: 'u32' } as const;

/** `beats(a, b)`: whether a comes before b by its value; `before(c, d)`: whether the value at place c comes before that at d. */
const orderWgsl = (of: Extremum): string => /* wgsl */ `${IEEE_WGSL}${ORDER_WGSL}
fn beats(a: f32, b: f32) -> bool {
  if (is_nan(a) || is_nan(b)) { return is_nan(a) && !is_nan(b); }
  return key(a) ${of === 'max' ? '>' : '<'} key(b);
}
fn before(c: u32, d: u32) -> bool { return beats(x[c], x[d]) || (!beats(x[d], x[c]) && c < d); }
`;

/** `best_of_group(lane, own, end)`: the place of the first value of a workgroup; `end` is the place of a lane that has none. */
const BEST_WGSL = /* wgsl */ `
var<workgroup> bests: array<u32, 64>;
var<workgroup> winner: u32;
fn best_of_group(lane: u32, own: u32, end: u32) -> u32 {
  bests[lane] = own;
  workgroupBarrier();
  if (lane == 0u) {
    var best = own;
    for (var other = 1u; other < 64u; other++) {
      let at = bests[other];
      if (at < end && (best >= end || before(at, best))) { best = at; }
    }
    winner = best;
  }
  return workgroupUniformLoad(&winner);
}
`;

const buffers = { x: 'read', y: 'write', index: 'write i32' } as const;

export const extremum = memoize((of: Extremum, shared: boolean): Kernel =>
  shared
    ? kernel({
        name: `${of}_rows`,
        buffers,
        uniforms,
        eachWorkgroup: ['outer', 'inner'],
        functions: orderWgsl(of) + BEST_WGSL,
        body: /* wgsl */ `${CHANNELS_OF_ROW}
  var best = min(own, end);
  for (var c = own; c < end; c += step) { if (before(c, best)) { best = c; } }
  let found = best_of_group(lane, best, end);
  if (lane == 0u) {
    y[item] = x[found];
    index[item] = i32((found - first) / u.inner);
  }`,
      })
    : kernel({
        name: of,
        buffers,
        uniforms,
        each: ['outer', 'inner'],
        functions: orderWgsl(of),
        body: /* wgsl */ `${CHANNELS_OF_POSITION}
  var best = first;
  for (var c = first; c < end; c += u.inner) { if (before(c, best)) { best = c; } }
  y[i] = x[best];
  index[i] = i32((best - first) / u.inner);`,
      }),
);

/** Where the extremum is NaN, which equals nothing, the gradient is NaN: dy times 0 / 0. */
export const extremumBackward = kernel({
  name: 'extremum_backward',
  buffers: { x: 'read', y: 'read', dy: 'read', dx: 'write' },
  uniforms,
  each: ['outer', 'inner'],
  functions: IEEE_WGSL + ORDER_WGSL,
  body: /* wgsl */ `${CHANNELS_OF_POSITION}
  let best = y[i];
  var count = 0.0;
  for (var c = first; c < end; c += u.inner) { count += select(0.0, 1.0, key(x[c]) == key(best)); }
  for (var c = first; c < end; c += u.inner) {
    let part = select(0.0, dy[i] / count, key(x[c]) == key(best));
    dx[c] = select(part, best, is_nan(best));
  }`,
});

export const topChannels = kernel({
  name: 'top_channels',
  buffers,
  uniforms: { ...uniforms, k: 'u32' },
  eachWorkgroup: ['outer', 'inner'],
  functions: orderWgsl('max') + BEST_WGSL,
  body: /* wgsl */ `${CHANNELS_OF_ROW}
  var previous = end;
  for (var j = 0u; j < u.k; j++) {
    var best = end;
    for (var c = own; c < end; c += step) {
      let waits = previous == end || before(previous, c);
      if (waits && (best == end || before(c, best))) { best = c; }
    }
    previous = best_of_group(lane, best, end);
    if (lane == 0u) {
      let at = (item / u.inner * u.k + j) * u.inner + item % u.inner;
      y[at] = x[previous];
      index[at] = i32((previous - first) / u.inner);
    }
  }`,
});

/** Values and their places, in order: NaN, then the largest (smallest), equal ones by their place. */
const ranked = (of: Extremum, x: Float64Array, at: readonly number[]): number[] =>
  [...at.keys()].sort((c, d) => {
    const [a, b] = [x[at[c]!]!, x[at[d]!]!];
    if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(b)) - Number(Number.isNaN(a)) || c - d;
    return (of === 'max' ? b - a : a - b) || c - d;
  });

export function topReference(
  of: Extremum,
  x: Float64Array,
  view: ChannelView,
  k: number,
): { y: Float64Array; index: Int32Array } {
  const { outer, inner } = view;
  const [y, index] = [new Float64Array(outer * k * inner), new Int32Array(outer * k * inner)];
  eachPosition(view, (at, position) =>
    ranked(of, x, at)
      .slice(0, k)
      .forEach((c, j) => {
        const to = (Math.floor(position / inner) * k + j) * inner + (position % inner);
        y[to] = x[at[c]!]!;
        index[to] = c;
      }),
  );
  return { y, index };
}

export function extremumBackwardReference(
  x: Float64Array,
  y: Float64Array,
  dy: Float64Array,
  view: ChannelView,
): Float64Array {
  const dx = new Float64Array(x.length);
  eachPosition(view, (at, position) => {
    const same = at.filter((i) => x[i] === y[position]);
    for (const i of same) dx[i] = dy[position]! / same.length;
    if (Number.isNaN(y[position])) for (const i of at) dx[i] = NaN;
  });
  return dx;
}

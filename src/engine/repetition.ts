/**
 * Axes along which a tensor is repeated, or summed: NumPy's rules of broadcasting, as the kernels see them
 * (kernels/broadcast.ts). Launches the kernels that repeat and that sum; no tape.
 */
import { expand, type Repetition } from '../kernels/broadcast.ts';
import { partialCount, sumFinal, sumPartial } from '../kernels/reduce.ts';
import type { ChannelView } from '../kernels/channelView.ts';
import { runAxisSum, runChannelSum } from './channelSums.ts';
import type { Shape, Tensor } from './tensor.ts';

/** How a smaller tensor lies in a larger one, seen as [outer, channels, inner]. */
export interface Repeated {
  of: Repetition;
  view: ChannelView;
}

/**
 * The view of `shape` in which the `repeated` axes form the outer and inner axes, or the middle one; null if they alternate
 * with the others too often for that.
 */
export function repetitionOf(shape: Shape, repeated: readonly boolean[]): Repeated | null {
  const runs: { repeated: boolean; length: number }[] = [];
  shape.forEach((length, axis) => {
    if (length === 1) return;
    const last = runs.at(-1);
    if (last && last.repeated === repeated[axis]!) last.length *= length;
    else runs.push({ repeated: repeated[axis]!, length });
  });
  if (runs.length > 3) return null;
  const lengths = runs.map(({ length }) => length);
  const repeatedFirst = runs[0]?.repeated ?? false;
  const [a = 1, b = 1, c = 1] = lengths;
  if (runs.length < 2) {
    const view = repeatedFirst ? { outer: 1, channels: 1, inner: a } : { outer: 1, channels: a, inner: 1 };
    return { of: 'channels', view };
  }
  if (runs.length === 3) return { of: repeatedFirst ? 'channels' : 'ends', view: { outer: a, channels: b, inner: c } };
  const view = { outer: 1, channels: a, inner: b };
  return { of: repeatedFirst ? 'ends' : 'channels', view };
}

/** How `small` is repeated to the shape of `large`, their last axes side by side; null if that is impossible. */
export function broadcastOf(large: Shape, small: Shape): Repeated | null {
  if (small.length > large.length) return null;
  const aligned = [...large.slice(small.length).map(() => 1), ...small];
  if (aligned.some((n, axis) => n !== 1 && n !== large[axis])) return null;
  return repetitionOf(
    large,
    aligned.map((n) => n === 1),
  );
}

/** y = the sum of x over the repeated axes. */
export function runSum(x: Tensor, y: Tensor, { of, view }: Repeated): void {
  const { gpu } = x;
  const { outer, channels } = view;
  if (of === 'ends') {
    runAxisSum(x, y, view, false);
  } else if (channels > 1 || outer > 1) {
    runChannelSum(x, y, view, false);
  } else {
    const count = partialCount(x.size);
    const partials = gpu.empty([count], 'f32', 'sum partials');
    gpu.run(sumPartial, { x, partials }, { n: x.size });
    gpu.run(sumFinal, { partials, y }, { n: count });
    partials.dispose();
  }
}

/** y = x along the repeated axes. */
export function runExpand(x: Tensor, y: Tensor, { of, view: { channels, inner } }: Repeated): void {
  x.gpu.run(expand(of), { b: x, y }, { n: y.size, channels, inner });
}

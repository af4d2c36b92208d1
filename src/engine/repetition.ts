/**
 * Axes along which a tensor is repeated, or summed: NumPy's rules of broadcasting, as the kernels see them
 * (kernels/broadcast.ts). Launches the kernels that repeat and that sum; no tape.
 */
import { expand, type Repetition } from '../kernels/broadcast.ts';
import { partialCount, sumFinal, sumPartial } from '../kernels/reduce.ts';
import type { ChannelView } from '../kernels/channelView.ts';
import { copyUniforms, stridedCopy } from '../kernels/stridedCopy.ts';
import { mergeAxes, repeatedStrides } from '../kernels/strides.ts';
import { runAxisSum, runChannelSum } from './channelSums.ts';
import { floatOf } from './precision.ts';
import { elementCount, type Shape, type Tensor } from './tensor.ts';

/** How a smaller tensor lies in a larger one, seen as [outer, channels, inner]. */
export interface Repeated {
  of: Repetition;
  view: ChannelView;
}

/** Neighbouring axes, merged, along all of which a tensor is repeated or along none. */
interface AxisRun {
  repeated: boolean;
  length: number;
}

function runsOf(shape: Shape, repeated: readonly boolean[]): AxisRun[] {
  const runs: AxisRun[] = [];
  shape.forEach((length, axis) => {
    if (length === 1) return;
    const last = runs.at(-1);
    if (last && last.repeated === repeated[axis]!) last.length *= length;
    else runs.push({ repeated: repeated[axis]!, length });
  });
  return runs;
}

/** The view in which the repeated runs form the outer and inner axes, or the middle one; null if they alternate too often for that. */
function repetitionOf(runs: readonly AxisRun[]): Repeated | null {
  if (runs.length > 3) return null;
  const [a = 1, b = 1, c = 1] = runs.map(({ length }) => length);
  const repeatedFirst = runs[0]?.repeated ?? false;
  if (runs.length < 2) {
    const view = repeatedFirst ? { outer: 1, channels: 1, inner: a } : { outer: 1, channels: a, inner: 1 };
    return { of: 'channels', view };
  }
  if (runs.length === 3) return { of: repeatedFirst ? 'channels' : 'ends', view: { outer: a, channels: b, inner: c } };
  return { of: repeatedFirst ? 'ends' : 'channels', view: { outer: 1, channels: a, inner: b } };
}

/** The shape to which both are repeated; null if they do not fit together. */
export function broadcastShape(a: Shape, b: Shape): Shape | null {
  const rank = Math.max(a.length, b.length);
  const aligned = [a, b].map((shape) => [...Array<number>(rank - shape.length).fill(1), ...shape]);
  const fits = aligned[0]!.every((n, axis) => n === aligned[1]![axis] || n === 1 || aligned[1]![axis] === 1);
  return fits ? aligned[0]!.map((n, axis) => (n === 1 ? aligned[1]![axis]! : n)) : null;
}

/** Along which axes of `large` the tensor `small`, which fits, is repeated. */
const repeatedAxes = (large: Shape, small: Shape): boolean[] =>
  large.map((_, axis) => axis < large.length - small.length || small[axis - large.length + small.length] === 1);

/** How `small` is repeated to the shape of `large`, which it fits; null if it takes strides. */
export const broadcastOf = (large: Shape, small: Shape): Repeated | null =>
  repetitionOf(runsOf(large, repeatedAxes(large, small)));

/** y = the sum of x [shape] over the axes that are `summed`, in a fixed order: the last ones first where they lie apart. */
export function runSum(x: Tensor, y: Tensor, summed: readonly boolean[]): void {
  const runs = runsOf(x.shape, summed);
  let terms = x;
  for (let simple = repetitionOf(runs); ; simple = repetitionOf(runs)) {
    if (simple) {
      runSimpleSum(terms, y, simple);
      if (terms !== x) terms.dispose();
      return;
    }
    const last = runs.findLastIndex(({ repeated }) => repeated);
    const lengthOf = (part: readonly AxisRun[]): number => elementCount(part.map(({ length }) => length));
    const view = {
      outer: lengthOf(runs.slice(0, last)),
      channels: runs[last]!.length,
      inner: lengthOf(runs.slice(last + 1)),
    };
    const partial = x.gpu.empty([view.outer * view.inner], 'f32', 'sum of the last axes');
    runAxisSum(terms, partial, view, false);
    if (terms !== x) terms.dispose();
    terms = partial;
    const [before, , after] = runs.splice(last - 1, 3);
    runs.splice(last - 1, 0, { repeated: false, length: before!.length * (after?.length ?? 1) });
  }
}

function runSimpleSum(x: Tensor, y: Tensor, { of, view }: Repeated): void {
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

/** The sum of `x` over the axes along which a tensor of `shape` was repeated to it: its gradient. Takes x over. */
export function summedTo(x: Tensor, shape: Shape, name: string): Tensor {
  if (x.shape.length === shape.length && x.shape.every((n, axis) => n === shape[axis])) return x;
  const y = x.gpu.empty(shape, floatOf(x), name);
  runSum(x, y, repeatedAxes(x.shape, shape));
  x.dispose();
  return y;
}

/** y = x, whose axes have extent 1 where it is repeated to the shape of y. */
export function runExpand(x: Tensor, xShape: Shape, y: Tensor): void {
  const simple = broadcastOf(y.shape, xShape);
  if (simple) {
    const { channels, inner } = simple.view;
    x.gpu.run(expand(simple.of), { b: x, y }, { n: y.size, channels, inner });
  } else {
    const view = mergeAxes({ extents: y.shape, strides: [repeatedStrides(xShape, y.shape)] });
    x.gpu.run(stridedCopy(view.extents.length), { x, y }, copyUniforms(view));
  }
}

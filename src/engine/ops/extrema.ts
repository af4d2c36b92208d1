/** The largest and smallest numbers along axes, and where they are. */
import type { ChannelView } from '../../kernels/channelView.ts';
import { type Extremum, extremum, extremumBackward, topChannels } from '../../kernels/extremum.ts';
import { sharesPositions } from '../../kernels/planner.ts';
import { gatherBackward } from '../../kernels/gather.ts';
import { operation, onTape } from '../autograd.ts';
import type { Tensor } from '../tensor.ts';
import { onTrace, tracedOperation } from '../trace.ts';
import { permute } from './axes.ts';
import { reshape } from './reshape.ts';
import { type AxesOptions, axisView, expectDtype, reducedShapes, resolveAxis } from './shapes.ts';

type Saved = { x: Tensor; y: Tensor; view: ChannelView };

const extremumOperation = (of: Extremum) =>
  operation<Saved>(of, ({ dy }, { x, y, view }) => {
    const dx = dy.gpu.empty(x.shape, 'f32', `dx ${of}`);
    dy.gpu.run(extremumBackward, { x, y, dy, dx }, { ...view });
    return [dx];
  });
const OPERATIONS = { max: extremumOperation('max'), min: extremumOperation('min') };
/** From x to the result, which on the tape are several. */
export const EXTREMUM_OPERATIONS = {
  max: tracedOperation<{ axes: readonly number[] }>('max'),
  min: tracedOperation<{ axes: readonly number[] }>('min'),
};

function run(of: Extremum, x: Tensor, view: ChannelView): { y: Tensor; index: Tensor } {
  const size = [view.outer * view.inner];
  const [y, index] = [x.gpu.empty(size, 'f32', `${of} ${x.name}`), x.gpu.empty(size, 'i32', `place of ${of}`)];
  x.gpu.run(extremum(of, sharesPositions(x.gpu.plans.device, view)), { x, y, index }, { ...view });
  return { y, index };
}

function expectElements(operation: string, x: Tensor, view: ChannelView): void {
  if (view.channels === 0) throw new Error(`${operation}: [${x.shape}] has no elements along the axes`);
}

function along(of: Extremum, x: Tensor, axes: number | readonly number[] | undefined, options: AxesOptions): Tensor {
  const { chosen, result } = reducedShapes(of, x.shape, axes, options);
  const every = x.shape.map((_, axis) => axis);
  const [kept, reduced] = [every.filter((axis) => !chosen[axis]), every.filter((axis) => chosen[axis])];
  const adjacent = reduced.every((axis, i) => i === 0 || axis === reduced[i - 1]! + 1);
  const ordered = adjacent ? x : permute(x, [...kept, ...reduced]);
  const size = (part: readonly number[]): number => part.reduce((product, axis) => product * x.shape[axis]!, 1);
  const before = adjacent && reduced.length > 0 ? kept.filter((axis) => axis < reduced[0]!) : kept;
  const view = { outer: size(before), channels: size(reduced), inner: size(kept.slice(before.length)) };
  expectElements(of, x, view);
  const { y, index } = run(of, ordered, view);
  index.dispose();
  const shaped = reshape(onTape(OPERATIONS[of], [ordered], y, { x: ordered, y, view }), result);
  return onTrace(EXTREMUM_OPERATIONS[of], [x], shaped, { axes: reduced });
}

/**
 * The largest number over `axes` (as in `sum`), or over all elements; NaN if one is among them. Equal ones share the gradient, as in
 * PyTorch's amax.
 */
export const max = (x: Tensor, axes?: number | readonly number[], options: AxesOptions = {}): Tensor =>
  along('max', x, axes, options);

/** The smallest number, likewise. */
export const min = (x: Tensor, axes?: number | readonly number[], options: AxesOptions = {}): Tensor =>
  along('min', x, axes, options);

export const PLACE_OPERATIONS = {
  argMax: tracedOperation<{ axis: number }>('argMax'),
  argMin: tracedOperation<{ axis: number }>('argMin'),
};

function place(operation: 'argMax' | 'argMin', x: Tensor, axis: number): Tensor {
  expectDtype(operation, 'x', x, 'f32');
  const at = resolveAxis(operation, axis, x.shape.length);
  const view = axisView(x.shape, at);
  expectElements(operation, x, view);
  const { y, index } = run(operation === 'argMax' ? 'max' : 'min', x, view);
  y.dispose();
  const shaped = index.view(
    x.shape.filter((_, i) => i !== at),
    `${operation} ${x.name}`,
  );
  index.dispose();
  return onTrace(PLACE_OPERATIONS[operation], [x], shaped, { axis: at });
}

/** Where along an axis the largest number is, the first of equal ones: i32, the shape of x without the axis; no gradient. */
export const argMax = (x: Tensor, axis: number): Tensor => place('argMax', x, axis);
/** Where the smallest number is, likewise. */
export const argMin = (x: Tensor, axis: number): Tensor => place('argMin', x, axis);

type TopSaved = { x: Tensor; indices: Tensor; view: ChannelView; k: number; axis: number };

export const topKOperation = operation<TopSaved>('topK', ({ dy }, { x, indices, view, k }) => {
  const dx = dy.gpu.empty(x.shape, 'f32', 'dx topK');
  dy.gpu.run(gatherBackward, { dy, index: indices, dx }, { ...view, picks: k });
  return [dx];
});

/** The indices. */
export const topKPlacesOperation = tracedOperation<{ k: number; axis: number }>('topK');

/**
 * The k largest numbers along an axis (default the last), in descending order, and their places; of equal numbers the first comes
 * first, and NaN before all. Meant for small k: the work is k passes over the axis.
 * @returns values, with a gradient, and indices i32: the shape of x with k in place of the axis
 */
export function topK(x: Tensor, k: number, axis = -1): { values: Tensor; indices: Tensor } {
  const at = resolveAxis('topK', axis, x.shape.length);
  if (!(Number.isInteger(k) && k >= 1 && k <= x.shape[at]!)) {
    throw new Error(
      `topK: k is ${k}, expected a whole number from 1 to the ${x.shape[at]} of axis ${at} of [${x.shape}]`,
    );
  }
  const view = axisView(x.shape, at);
  const shape = x.shape.map((n, i) => (i === at ? k : n));
  const y = x.gpu.empty(shape, 'f32', `topK ${x.name}`);
  const indices = x.gpu.empty(shape, 'i32', `places of topK ${x.name}`);
  x.gpu.run(topChannels, { x, y, index: indices }, { ...view, k });
  onTrace(topKPlacesOperation, [x], indices, { k, axis: at });
  return { values: onTape(topKOperation, [x], y, { x, indices, view, k, axis: at }), indices };
}

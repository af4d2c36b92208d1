/** Softmax over an axis, concatenation along an axis and its inverse, axes in another order. */
import { copyFromSlice, copyIntoSlice, sliceLayout } from '../../kernels/concat.ts';
import { copyUniforms, permuteView, stridedCopy } from '../../kernels/stridedCopy.ts';
import type { ChannelView } from '../../kernels/channelView.ts';
import { sharesPositions } from '../../kernels/planner.ts';
import { softmaxBackward, softmaxBackwardRows, softmaxForward, softmaxForwardRows } from '../../kernels/softmax.ts';
import { operation, onTape } from '../autograd.ts';
import { floatOf } from '../precision.ts';
import type { Shape, Tensor } from '../tensor.ts';
import { axisView, resolveAxis } from './shapes.ts';

export const softmaxOperation = operation<{ y: Tensor; axis: number; view: ChannelView }>(
  'softmax',
  ({ dy }, { y, view }) => {
    const dx = dy.gpu.empty(dy.shape, 'f32', 'dx softmax');
    const kernel = sharesPositions(dy.gpu.plans.device, view) ? softmaxBackwardRows : softmaxBackward;
    dy.gpu.run(kernel, { y, dy, dx }, { ...view });
    return [dx];
  },
);

/** exp(x) normalised to sum 1 along `axis`; negative axes count from the end. */
export function softmax(x: Tensor, axis: number): Tensor {
  const at = resolveAxis('softmax', axis, x.shape.length);
  const view = axisView(x.shape, at);
  const y = x.gpu.empty(x.shape, 'f32', `softmax ${x.name}`);
  const kernel = sharesPositions(x.gpu.plans.device, view) ? softmaxForwardRows : softmaxForward;
  x.gpu.run(kernel, { x, y }, { ...view });
  return onTape(softmaxOperation, [x], y, { y, axis: at, view });
}

interface Slice {
  shape: Shape;
  layout: ReturnType<typeof sliceLayout>;
}

export const concatOperation = operation<readonly Slice[]>(
  'concat',
  ({ dy, needs }, slices) =>
    slices.map(({ shape, layout: { form, uniforms } }, i) => {
      if (!needs[i]) return null;
      const dx = dy.gpu.empty(shape, dy.dtype, 'dx concat');
      dy.gpu.run(copyFromSlice(form), { whole: dy, part: dx }, uniforms);
      return dx;
    }),
  true,
);

/** Joins tensors along `axis`; their other extents are equal. */
export function concat(xs: readonly Tensor[], axis: number): Tensor {
  const first = xs[0];
  if (!first) throw new Error('concat: no tensors given');
  const at = resolveAxis('concat', axis, first.shape.length);
  for (const x of xs) {
    if (x.dtype !== first.dtype) throw new Error(`concat: ${first.name} is ${first.dtype}, ${x.name} is ${x.dtype}`);
    if (x.shape.length !== first.shape.length || x.shape.some((n, i) => i !== at && n !== first.shape[i])) {
      throw new Error(`concat: shapes [${first.shape}] and [${x.shape}] differ outside axis ${at}`);
    }
  }
  const length = xs.reduce((total, x) => total + x.shape[at]!, 0);
  const shape = first.shape.map((n, i) => (i === at ? length : n));
  const { outer, inner } = axisView(shape, at);
  const y = first.gpu.empty(shape, first.dtype, 'concat');
  let offset = 0;
  const slices = xs.map((x) => {
    const layout = sliceLayout(outer, length, inner, offset, x.shape[at]!);
    first.gpu.run(copyIntoSlice(layout.form), { part: x, whole: y }, layout.uniforms);
    offset += x.shape[at]!;
    return { shape: x.shape, layout };
  });
  return onTape(concatOperation, xs, y, slices);
}

export const sliceOperation = operation<Slice & { axis: number; from: number; to: number }>(
  'slice',
  ({ dy }, { shape, layout: { form, uniforms } }) => {
    const dx = dy.gpu.zeros(shape, 'dx slice', floatOf(dy));
    dy.gpu.run(copyIntoSlice(form), { part: dy, whole: dx }, uniforms);
    return [dx];
  },
  true,
);

/** The elements [from, to) along `axis`. */
export function slice(x: Tensor, axis: number, from: number, to: number): Tensor {
  const at = resolveAxis('slice', axis, x.shape.length);
  if (!(Number.isInteger(from) && Number.isInteger(to) && 0 <= from && from < to && to <= x.shape[at]!)) {
    throw new Error(`slice: [${from}, ${to}) is not part of axis ${at} of [${x.shape}]`);
  }
  const { outer, channels, inner } = axisView(x.shape, at);
  const layout = sliceLayout(outer, channels, inner, from, to - from);
  const shape = x.shape.map((n, i) => (i === at ? to - from : n));
  const y = x.gpu.empty(shape, x.dtype, `slice ${x.name}`);
  x.gpu.run(copyFromSlice(layout.form), { whole: x, part: y }, layout.uniforms);
  return onTape(sliceOperation, [x], y, { shape: x.shape, layout, axis: at, from, to });
}

export const permuteOperation = operation<{ order: readonly number[] }>(
  'permute',
  ({ dy }, { order }) => [
    permuted(
      dy,
      order.map((_, axis) => order.indexOf(axis)),
      'dx permute',
    ),
  ],
  true,
);

/** Axis `order[i]` of x becomes axis i: `permute(x, [1, 0])` is the transpose of a matrix. @returns a copy */
export function permute(x: Tensor, order: readonly number[]): Tensor {
  const axes = order.map((axis) => resolveAxis('permute', axis, x.shape.length));
  if (axes.length !== x.shape.length || new Set(axes).size !== axes.length) {
    throw new Error(`permute: order [${order}] does not name each axis of [${x.shape}] once`);
  }
  return onTape(permuteOperation, [x], permuted(x, axes, `permute ${x.name}`), { order: axes });
}

function permuted(x: Tensor, order: readonly number[], name: string): Tensor {
  const shape = order.map((axis) => x.shape[axis]!);
  const y = x.gpu.empty(shape, x.dtype, name);
  const view = permuteView(x.shape, order);
  x.gpu.run(stridedCopy(view.extents.length), { x, y }, copyUniforms(view));
  return y;
}

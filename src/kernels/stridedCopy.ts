/**
 * Copies a tensor in the order of strides: y[i0, i1, ...] is x at the offset i0 s0 + i1 s1 + .... With the strides of x in another
 * order it permutes axes, with strides of 0 it repeats x (strides.ts). Words are copied as u32, whatever they hold (concat.ts).
 * The backward pass of a permutation is the same kernel with the inverse order.
 */
import { elementwise } from './elementwise.ts';
import { type Kernel, memoize, type Scalar } from './kernel.ts';
import {
  denseStrides,
  eachPlace,
  mergeAxes,
  placesWgsl,
  type StridedView,
  strideUniforms,
  strideValues,
} from './strides.ts';

/** The view of x [shape] with its axes in another order. */
export function permuteView(shape: readonly number[], order: readonly number[]): StridedView {
  const dense = denseStrides(shape);
  return mergeAxes({ extents: order.map((axis) => shape[axis]!), strides: [order.map((axis) => dense[axis]!)] });
}

/** Uniforms of `stridedCopy` for a view with merged axes. */
export const copyUniforms = (view: StridedView): Record<string, number> => strideValues(view, ['x']);

/** `rank` is that of the view. */
export const stridedCopy = memoize((rank: number): Kernel =>
  elementwise<string, string>({
    name: `strided_copy_${rank}`,
    buffers: { x: 'read u32', y: 'write u32' },
    uniforms: Object.fromEntries(strideUniforms(rank, ['x']).map((name) => [name, 'u32' as Scalar])),
    body: `${placesWgsl(rank, ['x'])}
    y[i] = x[at_x];`,
  }),
);

export function stridedCopyReference(x: Float64Array, view: StridedView): Float64Array {
  const y: number[] = [];
  eachPlace(view, (_, [at]) => y.push(x[at!]!));
  return Float64Array.from(y);
}

/** Sums and means over all elements or over chosen axes. */
import { broadcastScalar } from '../../kernels/reduce.ts';
import { operation, onTape } from '../autograd.ts';
import { runExpand, runSum } from '../repetition.ts';
import type { Shape, Tensor } from '../tensor.ts';
import { scale } from './arithmetic.ts';
import { type AxesOptions, reducedShapes } from './shapes.ts';

export const sumOperation = operation<{ shape: Shape; kept: Shape }>('sum', ({ dy }, { shape, kept }) => {
  const dx = dy.gpu.empty(shape, 'f32', 'dx sum');
  if (dy.size === 1) dy.gpu.run(broadcastScalar, { dy, dx }, { n: dx.size });
  else runExpand(dy, kept, dx);
  return [dx];
});

/**
 * The sum over `axes` (one or several; negative ones count from the end; none: x itself), which leave the shape; without `axes` over
 * all elements, a tensor of rank 0.
 */
export function sum(x: Tensor, axes?: number | readonly number[], options: AxesOptions = {}): Tensor {
  return summed('sum', x, axes, options);
}

/** The mean over `axes`, or over all elements, as `sum`: `mean(x, [2, 3])` is global average pooling, [N, C]. */
export function mean(x: Tensor, axes?: number | readonly number[], options: AxesOptions = {}): Tensor {
  const total = summed('mean', x, axes, options);
  return scale(total, total.size / x.size);
}

function summed(name: string, x: Tensor, axes: number | readonly number[] | undefined, options: AxesOptions): Tensor {
  const { chosen, kept, result } = reducedShapes(name, x.shape, axes, options);
  const y = x.gpu.empty(result, 'f32', `sum ${x.name}`);
  runSum(x, y, chosen);
  return onTape(sumOperation, [x], y, { shape: x.shape, kept });
}

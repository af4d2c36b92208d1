/** Sums and means over all elements or over chosen axes. */
import { broadcastScalar } from '../../kernels/reduce.ts';
import { operation, onTape } from '../autograd.ts';
import { runExpand, runSum } from '../repetition.ts';
import { floatOf } from '../precision.ts';
import type { Shape, Tensor } from '../tensor.ts';
import { scaled } from './arithmetic.ts';
import { type AxesOptions, reducedShapes } from './shapes.ts';

/** Shapes of x, and of its sums with the axes as 1; those axes. */
interface Summed {
  shape: Shape;
  kept: Shape;
  axes: readonly number[];
}

export const sumOperation = operation<Summed>('sum', ({ dy }, summed) => [repeated(dy, summed, 'dx sum')]);

export const meanOperation = operation<Summed & { share: number }>(
  'mean',
  ({ dy }, { share, ...summed }) => {
    const shares = scaled(dy, share, 'dx mean');
    const dx = repeated(shares, summed, 'dx mean');
    shares.dispose();
    return [dx];
  },
  true,
);

/** The gradient of sums, for each element that they are sums of. */
function repeated(dy: Tensor, { shape, kept }: Summed, name: string): Tensor {
  const dx = dy.gpu.empty(shape, floatOf(dy), name);
  if (dy.size === 1) dy.gpu.run(broadcastScalar, { dy, dx }, { n: dx.size });
  else runExpand(dy, kept, dx);
  return dx;
}

/**
 * The sum over `axes` (one or several; negative ones count from the end; none: x itself), which leave the shape; without `axes` over
 * all elements, a tensor of rank 0.
 */
export function sum(x: Tensor, axes?: number | readonly number[], options: AxesOptions = {}): Tensor {
  const { y, summed } = sumsOf('sum', x, axes, options);
  return onTape(sumOperation, [x], y, summed);
}

/** The mean over `axes`, or over all elements, as `sum`: `mean(x, [2, 3])` is global average pooling, [N, C]. In f16 if x is. */
export function mean(x: Tensor, axes?: number | readonly number[], options: AxesOptions = {}): Tensor {
  const { y: total, summed } = sumsOf('mean', x, axes, options);
  const share = total.size / x.size;
  const y = scaled(total, share, `mean ${x.name}`, floatOf(x));
  total.dispose();
  return onTape(meanOperation, [x], y, { ...summed, share });
}

function sumsOf(
  name: string,
  x: Tensor,
  axes: number | readonly number[] | undefined,
  options: AxesOptions,
): { y: Tensor; summed: Summed } {
  const { chosen, kept, result } = reducedShapes(name, x.shape, axes, options);
  const y = x.gpu.empty(result, 'f32', `sum ${x.name}`);
  runSum(x, y, chosen);
  return { y, summed: { shape: x.shape, kept, axes: [...chosen.keys()].filter((axis) => chosen[axis]) } };
}

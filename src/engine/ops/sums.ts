/** Sums and means over all elements or over chosen axes. */
import { broadcastScalar } from '../../kernels/reduce.ts';
import { operation, onTape } from '../autograd.ts';
import { type Repeated, repetitionOf, runExpand, runSum } from '../repetition.ts';
import type { Shape, Tensor } from '../tensor.ts';
import { scale } from './arithmetic.ts';
import { resolveAxis } from './shapes.ts';

export const sumOperation = operation<{ shape: Shape; repeated: Repeated }>('sum', ({ dy }, { shape, repeated }) => {
  const dx = dy.gpu.empty(shape, 'f32', 'dx sum');
  if (dy.size === 1) dy.gpu.run(broadcastScalar, { dy, dx }, { n: dx.size });
  else runExpand(dy, dx, repeated);
  return [dx];
});

export interface SumOptions {
  /** The axes stay, with extent 1, so that the result can be subtracted from x, or multiply it. Default false. */
  keep?: boolean;
}

/**
 * The sum over `axes` (one or several; negative ones count from the end), which leave the shape; without `axes` over all
 * elements, shape [1].
 */
export function sum(x: Tensor, axes?: number | readonly number[], options: SumOptions = {}): Tensor {
  return summed('sum', x, axes, options);
}

/** The mean over `axes`, or over all elements, as `sum`: `mean(x, [2, 3])` is global average pooling, [N, C]. */
export function mean(x: Tensor, axes?: number | readonly number[], options: SumOptions = {}): Tensor {
  const total = summed('mean', x, axes, options);
  return scale(total, total.size / x.size);
}

function summed(
  name: string,
  x: Tensor,
  axes: number | readonly number[] | undefined,
  { keep = false }: SumOptions,
): Tensor {
  const rank = x.shape.length;
  const given = axes === undefined ? x.shape.map((_, axis) => axis) : [axes].flat();
  const chosen = new Set(given.map((axis) => resolveAxis(name, axis, rank)));
  const repeated = repetitionOf(
    x.shape,
    x.shape.map((_, axis) => chosen.has(axis)),
  );
  if (!repeated) {
    throw new Error(`${name}: axes [${given}] of [${x.shape}] lie apart in more than two places: sum in two steps`);
  }
  const rest = keep
    ? x.shape.map((n, axis) => (chosen.has(axis) ? 1 : n))
    : x.shape.filter((_, axis) => !chosen.has(axis));
  const y = x.gpu.empty(rest.length > 0 ? rest : [1], 'f32', `sum ${x.name}`);
  runSum(x, y, repeated);
  return onTape(sumOperation, [x], y, { shape: x.shape, repeated });
}

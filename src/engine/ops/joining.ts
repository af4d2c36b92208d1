/** Tensors put together and taken apart, by `concat` and `slice`: a border, a new axis, parts. */
import { floatOf } from '../precision.ts';
import type { Shape, Tensor } from '../tensor.ts';
import { onTrace, tracedOperation } from '../trace.ts';
import { concat, slice } from './axes.ts';
import { reshape } from './reshape.ts';
import { resolveAxis } from './shapes.ts';

type Border = { widths: readonly (readonly [before: number, after: number])[]; value: number };

/** On the tape it is several concatenations. */
export const padOperation = tracedOperation<Border>('pad');

/** x with `before` and `after` elements of `value` (default 0) at the ends of each axis: `pad(x, [[0, 0], [1, 2]])` for a matrix. */
export function pad(x: Tensor, widths: Border['widths'], value = 0): Tensor {
  if (widths.length !== x.shape.length || widths.flat().some((n) => !(Number.isInteger(n) && n >= 0))) {
    const expected = `two whole numbers, at least 0, for each axis of [${x.shape}]`;
    throw new Error(`pad: widths is ${JSON.stringify(widths)}, expected ${expected}`);
  }
  const border = (shape: Shape): Tensor[] =>
    shape.includes(0) ? [] : [x.gpu.filled(shape, value, 'border', floatOf(x))];
  const padded = widths.reduce(
    (inside, [before, after], axis) => {
      if (before + after === 0) return inside;
      const side = (width: number): Tensor[] => border(inside.shape.map((n, i) => (i === axis ? width : n)));
      return concat([...side(before), inside, ...side(after)], axis);
    },
    reshape(x, x.shape),
  );
  return onTrace(padOperation, [x], padded, { widths, value });
}

/** Tensors of one shape along a new axis, which `axis` is in the result: K of [2, 3] give [K, 2, 3] along axis 0. */
export function stack(xs: readonly Tensor[], axis = 0): Tensor {
  const [first] = xs;
  if (!first) throw new Error('stack: no tensors given');
  const at = resolveAxis('stack', axis, first.shape.length + 1);
  const other = xs.find((x) => x.shape.join() !== first.shape.join());
  if (other) throw new Error(`stack: shapes [${first.shape}] and [${other.shape}] differ`);
  return concat(
    xs.map((x) => reshape(x, [...x.shape.slice(0, at), 1, ...x.shape.slice(at)])),
    at,
  );
}

/** Parts along an axis: of the given lengths, or of one length, the last of which may be shorter, as PyTorch's split. */
export function split(x: Tensor, lengths: number | readonly number[], axis = 0): Tensor[] {
  const at = resolveAxis('split', axis, x.shape.length);
  const whole = x.shape[at]!;
  const equal = (length: number): number[] =>
    length >= 1 && Number.isInteger(length)
      ? Array.from({ length: Math.ceil(whole / length) }, (_, i) => Math.min(length, whole - i * length))
      : [];
  const parts = typeof lengths === 'number' ? equal(lengths) : lengths;
  const wrong = parts.some((n) => !(Number.isInteger(n) && n >= 1));
  if (wrong || parts.reduce((total, n) => total + n, 0) !== whole) {
    throw new Error(`split: lengths ${lengths} do not fill axis ${at} of [${x.shape}]`);
  }
  let from = 0;
  return parts.map((length) => slice(x, at, from, (from += length)));
}

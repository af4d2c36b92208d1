/** The same values in another precision. */
import { operation, onTape } from '../autograd.ts';
import type { Tensor } from '../tensor.ts';

export const castOperation = operation<{ from: 'f32' | 'f16' }>('cast', ({ dy }, { from }) => [dy.inDtype(from)], true);

/** x rounded to `dtype`; its gradient is rounded to the type of x. Gives x itself where it has that type. */
export function cast(x: Tensor, dtype: 'f32' | 'f16'): Tensor {
  if (x.dtype === dtype) return x;
  if (x.dtype === 'i32') throw new Error(`cast: ${x.name} [${x.shape}] is i32, expected f32 or f16`);
  return onTape(castOperation, [x], x.inDtype(dtype), { from: x.dtype });
}

/** The same values in another shape. */
import { operation, onTape } from '../autograd.ts';
import { elementCount, type Shape, type Tensor } from '../tensor.ts';

export const reshapeOperation = operation<{ shape: Shape }>('reshape', ({ dy }, { shape }) => [dy.view(shape)], true);

/** The same values in another shape; one extent may be -1. Shares memory with x. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const known = elementCount(shape.filter((n) => n !== -1));
  const full = shape.map((n) => (n === -1 ? x.size / known : n));
  if (elementCount(full) !== x.size || full.some((n) => !Number.isInteger(n) || n < 0)) {
    throw new Error(`reshape: [${x.shape}] has ${x.size} elements, [${shape}] cannot hold them`);
  }
  return onTape(reshapeOperation, [x], x.view(full, `reshape ${x.name}`), { shape: x.shape });
}

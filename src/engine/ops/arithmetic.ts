/** Sums of several tensors, and a tensor times a number. */
import { add as addKernel, scale as scaleKernel } from '../../kernels/elementwise.ts';
import { operation, onTape } from '../autograd.ts';
import { floatOf } from '../precision.ts';
import type { Tensor } from '../tensor.ts';
import { addBroadcast, type Operand } from './binary.ts';
import { expectShape, sameShape } from './shapes.ts';

/** Every gradient is dy itself: `backward` copies a shared gradient before adding to it. */
export const addOperation = operation<null>(
  'add',
  ({ dy, needs }) => needs.map((need) => (need ? dy.view(dy.shape) : null)),
  true,
);

/**
 * a + b + ..., up to seven terms of the same shape. Two terms may have different shapes, which are repeated to one as in NumPy,
 * their last axes side by side: [K] or [1, K] along rows of [R, K], [C, 1, 1] along maps of [N, C, H, W], [3, 1] + [4] = [3, 4].
 */
export function add(a: Operand, b: Operand, ...more: readonly Tensor[]): Tensor {
  if (typeof a === 'number' || typeof b === 'number' || (more.length === 0 && !sameShape(a.shape, b.shape))) {
    if (more.length > 0) throw new Error('add: of more than two terms all are tensors of one shape');
    return addBroadcast(a, b);
  }
  const terms = [a, b, ...more];
  if (terms.length > 7) throw new Error(`add: ${terms.length} terms, one dispatch takes 7: add them in groups`);
  terms.forEach((term, i) => expectShape('add', i === 1 ? 'b' : `term ${i}`, term, a.shape));
  const other = terms.find((term) => floatOf(term) !== floatOf(a));
  if (other) throw new Error(`add: ${a.name} is ${a.dtype}, ${other.name} is ${other.dtype}`);
  const y = a.gpu.empty(a.shape, floatOf(a), 'add');
  const buffers = Object.fromEntries(terms.map((term, i) => [`x${i}`, term]));
  a.gpu.run(addKernel(terms.length), { ...buffers, y }, { n: a.size });
  return onTape(addOperation, terms, y, null);
}

export const scaleOperation = operation<{ factor: number }>(
  'scale',
  ({ dy }, { factor }) => [scaled(dy, factor, 'dx scale')],
  true,
);

/** factor * x, any shape; for example, to weight a loss term. */
export function scale(x: Tensor, factor: number): Tensor {
  return onTape(scaleOperation, [x], scaled(x, factor, `scale ${x.name}`), { factor });
}

/** The same without a gradient, in `dtype` or as x. */
export function scaled(x: Tensor, factor: number, name: string, dtype = floatOf(x)): Tensor {
  const y = x.gpu.empty(x.shape, dtype, name);
  x.gpu.run(scaleKernel, { x, y }, { n: x.size, factor });
  return y;
}

/** Sums, differences and products of tensors, elementwise; the smaller of two is repeated to the other's shape. */
import { broadcast, type BroadcastOperator } from '../../kernels/broadcast.ts';
import {
  add as addKernel,
  multiply as multiplyKernel,
  scale as scaleKernel,
  subtract as subtractKernel,
} from '../../kernels/elementwise.ts';
import { operation, onTape } from '../autograd.ts';
import { broadcastOf, runSum } from '../repetition.ts';
import { floatOf } from '../precision.ts';
import type { Tensor } from '../tensor.ts';
import { expectShape, sameShape } from './shapes.ts';

/** Every gradient is dy itself: `backward` copies a shared gradient before adding to it. */
export const addOperation = operation<null>(
  'add',
  ({ dy, needs }) => needs.map((need) => (need ? dy.view(dy.shape) : null)),
  true,
);

/**
 * a + b + ..., up to seven terms of the same shape. With two terms, the smaller is repeated to the shape of the other as
 * NumPy does, its last axes beside the other's last: [K] or [1, K] along rows of [R, K], [C, 1, 1] along maps of [N, C, H, W].
 */
export function add(a: Tensor, b: Tensor, ...more: readonly Tensor[]): Tensor {
  if (more.length === 0 && !sameShape(a.shape, b.shape)) {
    return isSmaller(a, b) ? repeating('add', b, a, 'a') : repeating('add', a, b);
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

export const subtractOperation = operation<null>('subtract', ({ dy, needs }) => [
  needs[0] ? dy.view(dy.shape) : null,
  needs[1] ? scaled(dy, -1, 'dx subtract') : null,
]);

/** a - b; b is repeated to the shape of a where it is smaller, as in `add`. */
export function subtract(a: Tensor, b: Tensor): Tensor {
  if (!sameShape(a.shape, b.shape)) return repeating('subtract', a, b);
  const y = a.gpu.empty(a.shape, 'f32', 'subtract');
  a.gpu.run(subtractKernel, { a, b, y }, { n: a.size });
  return onTape(subtractOperation, [a, b], y, null);
}

export const multiplyOperation = operation<readonly [a: Tensor, b: Tensor]>('multiply', ({ dy, needs }, [a, b]) =>
  [b, a].map((other, i) => (needs[i] ? product(dy, other, 'dx multiply') : null)),
);

/** a * b elementwise; the smaller is repeated to the shape of the other, as in `add`. */
export function multiply(a: Tensor, b: Tensor): Tensor {
  if (!sameShape(a.shape, b.shape)) {
    return isSmaller(a, b) ? repeating('multiply', b, a, 'a') : repeating('multiply', a, b);
  }
  return onTape(multiplyOperation, [a, b], product(a, b, 'multiply'), [a, b]);
}

function product(a: Tensor, b: Tensor, name: string): Tensor {
  const y = a.gpu.empty(a.shape, 'f32', name);
  a.gpu.run(multiplyKernel, { a, b, y }, { n: a.size });
  return y;
}

interface RepeatingSaved {
  operator: BroadcastOperator;
  a: Tensor;
  b: Tensor;
}

const REPEATING = {
  add: repeatingOperation('add'),
  subtract: repeatingOperation('subtract'),
  multiply: repeatingOperation('multiply'),
};

/** The gradient of the repeated b is the sum over its repetitions. */
function repeatingOperation(name: BroadcastOperator) {
  return operation<RepeatingSaved>(name, ({ dy, needs }, { operator, a, b }) => {
    const multiplies = operator === 'multiply';
    const da = !needs[0] ? null : multiplies ? combined('multiply', dy, b, 'dx multiply') : dy.view(dy.shape);
    if (!needs[1]) return [da, null];
    const terms = multiplies ? product(dy, a, 'terms') : dy;
    const sum = dy.gpu.empty(b.shape, 'f32', `dx ${operator}`);
    runSum(terms, sum, broadcastOf(a.shape, b.shape)!);
    if (multiplies) terms.dispose();
    if (operator !== 'subtract') return [da, sum];
    const db = scaled(sum, -1, 'dx subtract');
    sum.dispose();
    return [da, db];
  });
}

const isSmaller = (a: Tensor, b: Tensor): boolean => a.size < b.size || a.shape.length < b.shape.length;

/** a with a smaller b, which the caller gave as its `argument`. */
function repeating(operator: BroadcastOperator, a: Tensor, b: Tensor, argument = 'b'): Tensor {
  if (!broadcastOf(a.shape, b.shape)) {
    const expected = `[${a.shape}], or that with 1 in place of neighbouring extents`;
    throw new Error(`${operator}: ${argument} has shape [${b.shape}], expected ${expected}`);
  }
  return onTape(REPEATING[operator], [a, b], combined(operator, a, b, operator), { operator, a, b });
}

function combined(operator: BroadcastOperator, a: Tensor, b: Tensor, name: string): Tensor {
  const { of, view } = broadcastOf(a.shape, b.shape)!;
  const { channels, inner } = view;
  const y = a.gpu.empty(a.shape, 'f32', name);
  a.gpu.run(broadcast(operator, of), { a, b, y }, { n: a.size, channels, inner });
  return y;
}

export const scaleOperation = operation<{ factor: number }>('scale', ({ dy }, { factor }) => [
  scaled(dy, factor, 'dx scale'),
]);

/** factor * x, any shape; for example, to weight a loss term. */
export function scale(x: Tensor, factor: number): Tensor {
  return onTape(scaleOperation, [x], scaled(x, factor, `scale ${x.name}`), { factor });
}

function scaled(x: Tensor, factor: number, name: string): Tensor {
  const y = x.gpu.empty(x.shape, 'f32', name);
  x.gpu.run(scaleKernel, { x, y }, { n: x.size, factor });
  return y;
}

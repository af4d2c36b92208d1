/** Elementwise operations: relu, add, multiply, scale, dropout; and reshape, which moves nothing. */
import { dropout as dropoutKernel, invertedScale } from '../../kernels/dropout.ts';
import { add as addKernel, multiply as multiplyKernel, scale as scaleKernel } from '../../kernels/elementwise.ts';
import { reluBackward, reluForward } from '../../kernels/relu.ts';
import { operation, record } from '../autograd.ts';
import { elementCount, type Shape, type Tensor } from '../tensor.ts';
import { expectShape } from './shapes.ts';

const reluOperation = operation<{ y: Tensor }>('relu', ({ dy }, { y }) => {
  const dx = dy.gpu.empty(dy.shape, 'f32', 'dx relu');
  dy.gpu.run(reluBackward, { y, dy, dx }, { n: dy.size });
  return [dx];
});

/** max(x, 0), any shape. */
export function relu(x: Tensor): Tensor {
  const y = x.gpu.empty(x.shape, 'f32', `relu ${x.name}`);
  x.gpu.run(reluForward, { x, y }, { n: x.size });
  return record(reluOperation, [x], y, { y });
}

/** All gradients are dy itself: `backward` copies what it shares before it adds to it. */
const addOperation = operation<null>('add', ({ dy, needs }) => needs.map((need) => (need ? dy.view(dy.shape) : null)));

/** a + b + ..., of one shape; up to seven terms. */
export function add(a: Tensor, b: Tensor, ...more: readonly Tensor[]): Tensor {
  const terms = [a, b, ...more];
  if (terms.length > 7) throw new Error(`add: ${terms.length} terms, one dispatch takes 7: add them in groups`);
  terms.forEach((term, i) => expectShape('add', i === 1 ? 'b' : `term ${i}`, term, a.shape));
  const y = a.gpu.empty(a.shape, 'f32', 'add');
  const buffers = Object.fromEntries(terms.map((term, i) => [`x${i}`, term]));
  a.gpu.run(addKernel(terms.length), { ...buffers, y }, { n: a.size });
  return record(addOperation, terms, y, null);
}

const multiplyOperation = operation<readonly [a: Tensor, b: Tensor]>('multiply', ({ dy, needs }, [a, b]) =>
  [b, a].map((other, i) => {
    if (!needs[i]) return null;
    const dx = dy.gpu.empty(dy.shape, 'f32', 'dx multiply');
    dy.gpu.run(multiplyKernel, { a: dy, b: other, y: dx }, { n: dy.size });
    return dx;
  }),
);

/** a * b elementwise, of one shape. */
export function multiply(a: Tensor, b: Tensor): Tensor {
  expectShape('multiply', 'b', b, a.shape);
  const y = a.gpu.empty(a.shape, 'f32', 'multiply');
  a.gpu.run(multiplyKernel, { a, b, y }, { n: a.size });
  return record(multiplyOperation, [a, b], y, [a, b]);
}

const scaleOperation = operation<{ factor: number }>('scale', ({ dy }, { factor }) => {
  const dx = dy.gpu.empty(dy.shape, 'f32', 'dx scale');
  dy.gpu.run(scaleKernel, { x: dy, y: dx }, { n: dy.size, factor });
  return [dx];
});

/** factor * x, any shape; the weight of a loss term, for one. */
export function scale(x: Tensor, factor: number): Tensor {
  const y = x.gpu.empty(x.shape, 'f32', `scale ${x.name}`);
  x.gpu.run(scaleKernel, { x, y }, { n: x.size, factor });
  return record(scaleOperation, [x], y, { factor });
}

export interface DropoutOptions {
  /** Probability of dropping an element, in [0, 1). */
  p: number;
  /**
   * The mask is a function of (seed, stream) and the element's index. Default: the number of masks this `Gpu` has drawn so
   * far, so that every call drops other elements and a program repeats itself exactly.
   */
  seed?: number;
  stream?: number;
}

type Dropped = { p: number; scale: number; seed: number; stream: number };

const dropoutOperation = operation<Dropped>('dropout', ({ dy }, settings) => {
  const dx = dy.gpu.empty(dy.shape, 'f32', 'dx dropout');
  dy.gpu.run(dropoutKernel, { x: dy, y: dx }, { n: dy.size, ...settings });
  return [dx];
});

/** Inverted dropout: zero with probability p, else x / (1 - p). For training; at test time leave it out. */
export function dropout(x: Tensor, options: DropoutOptions): Tensor {
  const { p, seed = x.gpu.masksDrawn++, stream = 0 } = options;
  if (!(p >= 0 && p < 1)) throw new Error(`dropout: p is ${p}, expected 0 <= p < 1`);
  const settings: Dropped = { p, scale: invertedScale(p), seed, stream };
  const y = x.gpu.empty(x.shape, 'f32', `dropout ${x.name}`);
  x.gpu.run(dropoutKernel, { x, y }, { n: x.size, ...settings });
  return record(dropoutOperation, [x], y, settings);
}

const reshapeOperation = operation<{ shape: Shape }>('reshape', ({ dy }, { shape }) => [dy.view(shape)]);

/** The same values in another shape; one extent may be -1. Shares memory with x. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const known = elementCount(shape.filter((n) => n !== -1));
  const full = shape.map((n) => (n === -1 ? x.size / known : n));
  if (elementCount(full) !== x.size || full.some((n) => !Number.isInteger(n) || n < 0)) {
    throw new Error(`reshape: [${x.shape}] has ${x.size} elements, [${shape}] cannot hold them`);
  }
  return record(reshapeOperation, [x], x.view(full, `reshape ${x.name}`), { shape: x.shape });
}

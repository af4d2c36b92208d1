/** Functions of each element: relu, that of a sum, the table of kernels/unary.ts, dropout. */
import { dropout as dropoutKernel, invertedScale } from '../../kernels/dropout.ts';
import { addReluForward, reluBackward, reluForward } from '../../kernels/relu.ts';
import { readsInput, UNARY, unaryBackward, unaryForward, type UnaryName } from '../../kernels/unary.ts';
import { operation, onTape, type Operation } from '../autograd.ts';
import { floatOf } from '../precision.ts';
import type { Tensor } from '../tensor.ts';
import { expectShape } from './shapes.ts';

export const reluOperation = operation<{ y: Tensor }>(
  'relu',
  ({ dy }, { y }) => {
    const dx = dy.gpu.empty(dy.shape, dy.dtype, 'dx relu');
    dy.gpu.run(reluBackward, { y, dy, dx }, { n: dy.size });
    return [dx];
  },
  true,
);

/** max(x, 0), any shape. */
export function relu(x: Tensor): Tensor {
  const y = x.gpu.empty(x.shape, floatOf(x), `relu ${x.name}`);
  x.gpu.run(reluForward, { x, y }, { n: x.size });
  return onTape(reluOperation, [x], y, { y });
}

/** The gradient of both terms is one tensor: `backward` copies a shared gradient before adding to it. */
export const addReluOperation = operation<{ y: Tensor }>(
  'addRelu',
  ({ dy, needs }, { y }) => {
    const dx = dy.gpu.empty(dy.shape, dy.dtype, 'dx addRelu');
    dy.gpu.run(reluBackward, { y, dy, dx }, { n: dy.size });
    if (!needs[0] || !needs[1]) return needs.map((need) => (need ? dx : null));
    return [dx, dx.view(dx.shape)];
  },
  true,
);

/** max(a + b, 0) of two tensors of one shape, in one pass: the end of a residual block (He et al. 2016). */
export function addRelu(a: Tensor, b: Tensor): Tensor {
  expectShape('addRelu', 'b', b, a.shape);
  if (floatOf(a) !== floatOf(b)) throw new Error(`addRelu: ${a.name} is ${a.dtype}, ${b.name} is ${b.dtype}`);
  const y = a.gpu.empty(a.shape, floatOf(a), `addRelu ${a.name}`);
  a.gpu.run(addReluForward, { a, b, y }, { n: a.size });
  return onTape(addReluOperation, [a, b], y, { y });
}

/** The operations of the table of kernels/unary.ts. */
export const UNARY_OPERATIONS = Object.fromEntries(
  (Object.keys(UNARY) as UnaryName[]).map((name) => [
    name,
    operation<{ value: Tensor }>(
      name,
      ({ dy }, { value }) => {
        const dx = dy.gpu.empty(dy.shape, dy.dtype, `dx ${name}`);
        dy.gpu.run(unaryBackward(name), { value, dy, dx }, { n: dy.size });
        return [dx];
      },
      true,
    ),
  ]),
) as Record<UnaryName, Operation<{ value: Tensor }>>;

function unary(name: UnaryName): (x: Tensor) => Tensor {
  return (x) => {
    const y = x.gpu.empty(x.shape, floatOf(x), `${name} ${x.name}`);
    x.gpu.run(unaryForward(name), { x, y }, { n: x.size });
    return onTape(UNARY_OPERATIONS[name], [x], y, { value: readsInput(name) ? x : y });
  };
}

/** 1 / (1 + e^-x), any shape. */
export const sigmoid = unary('sigmoid');
export const tanh = unary('tanh');
/** log(1 + e^x): a smooth ReLU. The log loss of a sigmoid with target t is softplus(x) - t x. */
export const softplus = unary('softplus');
export const exp = unary('exp');
/** The natural logarithm. */
export const log = unary('log');
export const sqrt = unary('sqrt');
/** |x|; its derivative at 0 is 0. */
export const abs = unary('abs');
/** min(max(x + 3, 0), 6) / 6: a sigmoid of three lines (MobileNetV3). */
export const hardSigmoid = unary('hardSigmoid');
/** x hardSigmoid(x) (MobileNetV3). */
export const hardSwish = unary('hardSwish');
/** x Φ(x), Φ the distribution function of the normal distribution: the exact form, not that of tanh. */
export const gelu = unary('gelu');
/** x sigmoid(x), also called swish. */
export const silu = unary('silu');
/** 1 / x. */
export const reciprocal = unary('reciprocal');

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

export const dropoutOperation = operation<Dropped>(
  'dropout',
  ({ dy }, settings) => {
    const dx = dy.gpu.empty(dy.shape, dy.dtype, 'dx dropout');
    dy.gpu.run(dropoutKernel, { x: dy, y: dx }, { n: dy.size, ...settings });
    return [dx];
  },
  true,
);

/** Inverted dropout: zero with probability p, else x / (1 - p). For training; at test time leave it out. */
export function dropout(x: Tensor, options: DropoutOptions): Tensor {
  const { p, seed = x.gpu.masksDrawn++, stream = 0 } = options;
  if (!(p >= 0 && p < 1)) throw new Error(`dropout: p is ${p}, expected 0 <= p < 1`);
  const settings: Dropped = { p, scale: invertedScale(p), seed, stream };
  const y = x.gpu.empty(x.shape, floatOf(x), `dropout ${x.name}`);
  x.gpu.run(dropoutKernel, { x, y }, { n: x.size, ...settings });
  return onTape(dropoutOperation, [x], y, settings);
}

/** Fully connected layer. */
import { matmulShape } from '../../kernels/matmul.ts';
import { reluBackward } from '../../kernels/relu.ts';
import { operation, onTape } from '../autograd.ts';
import { runAxisSum } from '../channelSums.ts';
import { constantFactor, runMatmul } from '../matmul.ts';
import { asOperand, floatOf } from '../precision.ts';
import type { Tensor } from '../tensor.ts';
import { expectRank, expectShape } from './shapes.ts';

export interface LinearOptions {
  /** Applies ReLU to the result in the same kernel; default false. */
  relu?: boolean;
  /** Of the result; default: that of x. */
  dtype?: 'f32' | 'f16';
}

interface Saved {
  x: Tensor;
  /** The weight as it was computed with. */
  w: Tensor;
  /** The result, if ReLU was applied to it. */
  rectified: Tensor | null;
}

export const linearOperation = operation<Saved>(
  'linear',
  ({ dy: given, needs, into }, { x, w, rectified }) => {
    const { gpu } = given;
    const dy = rectified ? gpu.empty(given.shape, given.dtype, 'dy linear') : given;
    if (rectified) gpu.run(reluBackward, { y: rectified, dy: given, dx: dy }, { n: dy.size });
    const [rows, inputs] = x.shape as [number, number];
    const outputs = w.shape[0]!;
    const input = needs[0] ? into(0) : null;
    if (input) {
      // dx[r, i] = sum_o dy[r, o] w[o, i]
      const strides = { am: outputs, ak: 1, bk: inputs, bn: 1, cm: inputs, cn: 1 };
      const product = matmulShape({ M: rows, N: inputs, K: outputs, ...strides });
      runMatmul(gpu, { a: dy, b: w, c: input.sum }, product, input.add ? 'accumulate' : 'assign');
    }
    const matrix = needs[1] ? into(1) : null;
    if (matrix) {
      // dw[o, i] = sum_r dy[r, o] x[r, i]
      const strides = { am: 1, ak: outputs, bk: inputs, bn: 1, cm: inputs, cn: 1 };
      const product = matmulShape({ M: outputs, N: inputs, K: rows, ...strides });
      runMatmul(gpu, { a: dy, b: x, c: matrix.sum }, product, matrix.add ? 'accumulate' : 'assign');
    }
    const bias = needs[2] ? into(2) : null;
    if (bias) runAxisSum(dy, bias.sum, { outer: 1, channels: rows, inner: outputs }, bias.add);
    if (rectified) dy.dispose();
    return [input, matrix, bias].slice(0, needs.length).map((target) => target && target.sum);
  },
  true,
);

/**
 * y = x weight^T + bias, then max(y, 0) with the option `relu`; in f16 as `conv2d`
 * @param x [R, I]   @param weight [O, I]   @param bias [O] or null   @returns [R, O]
 */
export function linear(x: Tensor, weight: Tensor, bias: Tensor | null = null, options: LinearOptions = {}): Tensor {
  const { relu = false, dtype = floatOf(x) } = options;
  expectRank('linear', 'x', x, 'R,I');
  expectRank('linear', 'weight', weight, 'O,I');
  const [rows, inputs] = x.shape as [number, number];
  const outputs = weight.shape[0]!;
  expectShape('linear', 'weight', weight, [outputs, inputs]);
  if (bias) expectShape('linear', 'bias', bias, [outputs]);
  const { gpu } = x;
  const y = gpu.empty([rows, outputs], dtype, `linear ${weight.name}`);
  const w = asOperand(weight, x);
  const strides = { am: inputs, ak: 1, bk: 1, bn: inputs, cm: outputs, cn: 1 };
  const product = matmulShape({ M: rows, N: outputs, K: inputs, ...strides });
  const operands = { a: x, b: w, bias, c: y, constant: constantFactor(gpu, w) };
  runMatmul(gpu, operands, product, bias ? 'bias' : 'assign', relu);
  const saved = { x, w, rectified: relu ? y : null };
  return onTape(linearOperation, bias ? [x, weight, bias] : [x, weight], y, saved);
}

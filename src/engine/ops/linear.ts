/** Fully connected layer. */
import { matmulShape } from '../../kernels/matmul.ts';
import { columnSum } from '../../kernels/reduce.ts';
import { reluBackward } from '../../kernels/relu.ts';
import { operation, record } from '../autograd.ts';
import { runMatmul } from '../convolution.ts';
import type { Tensor } from '../tensor.ts';
import { expectRank, expectShape } from './shapes.ts';

export interface LinearOptions {
  /** Applies ReLU to the result in the same kernel; default false. */
  relu?: boolean;
}

interface Saved {
  x: Tensor;
  weight: Tensor;
  /** The result, where ReLU was applied to it. */
  rectified: Tensor | null;
}

const linearOperation = operation<Saved>('linear', ({ dy: given, needs, into }, { x, weight, rectified }) => {
  const { gpu } = given;
  const dy = rectified ? gpu.empty(given.shape, 'f32', 'dy linear') : given;
  if (rectified) gpu.run(reluBackward, { y: rectified, dy: given, dx: dy }, { n: dy.size });
  const [rows, inputs] = x.shape as [number, number];
  const outputs = weight.shape[0]!;
  let dx: Tensor | null = null;
  if (needs[0]) {
    // dx[r, i] = sum_o dy[r, o] w[o, i]
    dx = gpu.empty(x.shape, 'f32', 'dx linear');
    const strides = { am: outputs, ak: 1, bk: inputs, bn: 1, cm: inputs, cn: 1 };
    const product = matmulShape({ M: rows, N: inputs, K: outputs, ...strides });
    runMatmul(gpu, { a: dy, b: weight, c: dx }, product, 'assign');
  }
  let dw: Tensor | null = null;
  if (needs[1]) {
    // dw[o, i] += sum_r dy[r, o] x[r, i]
    dw = into[1] ?? gpu.zeros(weight.shape, 'dw linear');
    const strides = { am: 1, ak: outputs, bk: inputs, bn: 1, cm: inputs, cn: 1 };
    const product = matmulShape({ M: outputs, N: inputs, K: rows, ...strides });
    runMatmul(gpu, { a: dy, b: x, c: dw }, product, 'accumulate');
  }
  const results = [dx, dw];
  if (needs.length === 3) {
    let db: Tensor | null = null;
    if (needs[2]) {
      db = into[2] ?? gpu.zeros([outputs], 'db linear');
      gpu.run(columnSum, { dy, db }, { outer: rows, channels: outputs });
    }
    results.push(db);
  }
  if (rectified) dy.dispose();
  return results;
});

/**
 * y = x weight^T + bias, then max(y, 0) with the option `relu`
 * @param x [R, I]   @param weight [O, I]   @param bias [O] or null   @returns [R, O]
 */
export function linear(x: Tensor, weight: Tensor, bias: Tensor | null, options: LinearOptions = {}): Tensor {
  const { relu = false } = options;
  expectRank('linear', 'x', x, 'R,I');
  expectRank('linear', 'weight', weight, 'O,I');
  const [rows, inputs] = x.shape as [number, number];
  const outputs = weight.shape[0]!;
  expectShape('linear', 'weight', weight, [outputs, inputs]);
  if (bias) expectShape('linear', 'bias', bias, [outputs]);
  const { gpu } = x;
  const y = gpu.empty([rows, outputs], 'f32', `linear ${weight.name}`);
  const strides = { am: inputs, ak: 1, bk: 1, bn: inputs, cm: outputs, cn: 1 };
  const product = matmulShape({ M: rows, N: outputs, K: inputs, ...strides });
  runMatmul(gpu, { a: x, b: weight, bias, c: y }, product, bias ? 'bias' : 'assign', relu);
  const saved = { x, weight, rectified: relu ? y : null };
  return record(linearOperation, bias ? [x, weight, bias] : [x, weight], y, saved);
}

/** Fully connected layer. */
import { matmul } from '../../kernels/matmul.ts';
import { channelSum } from '../../kernels/reduce.ts';
import { matmulTile } from '../../kernels/tiles.ts';
import { operation, record } from '../autograd.ts';
import type { Tensor } from '../tensor.ts';
import { expectRank, expectShape } from './shapes.ts';

const linearOperation = operation<{ x: Tensor; weight: Tensor }>('linear', ({ dy, needs, into }, { x, weight }) => {
  const { gpu } = dy;
  const { subgroupSize } = gpu.adapter;
  const [rows, inputs] = x.shape as [number, number];
  const outputs = weight.shape[0]!;
  let dx: Tensor | null = null;
  if (needs[0]) {
    // dx[r, i] = sum_o dy[r, o] w[o, i]
    dx = gpu.empty(x.shape, 'f32', 'dx linear');
    const strides = { am: outputs, ak: 1, bk: inputs, bn: 1, cm: inputs, cn: 1 };
    gpu.run(
      matmul(matmulTile(subgroupSize, rows), 'assign'),
      { a: dy, b: weight, c: dx },
      { M: rows, N: inputs, K: outputs, ...strides },
    );
  }
  let dw: Tensor | null = null;
  if (needs[1]) {
    // dw[o, i] += sum_r dy[r, o] x[r, i]
    dw = into[1] ?? gpu.zeros(weight.shape, 'dw linear');
    const strides = { am: 1, ak: outputs, bk: inputs, bn: 1, cm: inputs, cn: 1 };
    gpu.run(
      matmul(matmulTile(subgroupSize, outputs), 'accumulate'),
      { a: dy, b: x, c: dw },
      { M: outputs, N: inputs, K: rows, ...strides },
    );
  }
  const results = [dx, dw];
  if (needs.length === 3) {
    let db: Tensor | null = null;
    if (needs[2]) {
      db = into[2] ?? gpu.zeros([outputs], 'db linear');
      gpu.run(channelSum, { dy, db }, { outer: rows, channels: outputs, inner: 1 });
    }
    results.push(db);
  }
  return results;
});

/**
 * y = x weight^T + bias
 * @param x [R, I]   @param weight [O, I]   @param bias [O] or null   @returns [R, O]
 */
export function linear(x: Tensor, weight: Tensor, bias: Tensor | null): Tensor {
  expectRank('linear', 'x', x, 'R,I');
  expectRank('linear', 'weight', weight, 'O,I');
  const [rows, inputs] = x.shape as [number, number];
  const outputs = weight.shape[0]!;
  expectShape('linear', 'weight', weight, [outputs, inputs]);
  if (bias) expectShape('linear', 'bias', bias, [outputs]);
  const { gpu } = x;
  const y = gpu.empty([rows, outputs], 'f32', `linear ${weight.name}`);
  const kernel = matmul(matmulTile(gpu.adapter.subgroupSize, rows), bias ? 'bias' : 'assign');
  const strides = { am: inputs, ak: 1, bk: 1, bn: inputs, cm: outputs, cn: 1 };
  const shape = { M: rows, N: outputs, K: inputs, ...strides };
  gpu.run(kernel, bias ? { a: x, b: weight, bias, c: y } : { a: x, b: weight, c: y }, shape);
  return record(linearOperation, bias ? [x, weight, bias] : [x, weight], y, { x, weight });
}

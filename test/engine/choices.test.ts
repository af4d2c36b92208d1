/** What has no gradient to compare with PyTorch's: comparisons, places of extrema, indices that do not exist; constants and kept graphs. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as ops from '../../src/index.ts';
import { multiply, sum, type Tensor } from '../../src/index.ts';
import { message, sharedGpu } from '../harness.ts';

const values = async (tensor: Tensor) => [...(await tensor.read())];

test('comparisons repeat their operands, which may be numbers, and select', async () => {
  const gpu = await sharedGpu();
  await gpu.scope(async () => {
    const x = gpu.tensor([1, 2, 3], [3]);
    const column = gpu.tensor([2, 3], [2, 1]);
    assert.equal(await values(ops.less(x, column)), [1, 0, 0, 1, 1, 0]);
    assert.equal(await values(ops.greaterEqual(2, x)), [1, 1, 0]);
    assert.equal(await values(ops.where(ops.equal(x, 2), -1, x)), [1, -1, 3]);
    const both = ops.subtract(10, ops.divide(x, 2));
    assert.equal(both.shape, [3]);
    assert.equal(await values(both), [9.5, 9, 8.5]);
  });
});

test('places of extrema: the first of equal ones, along any axis', async () => {
  const gpu = await sharedGpu();
  await gpu.scope(async () => {
    const x = gpu.tensor([1, 5, 5, 0, 7, -2], [2, 3]);
    assert.equal(await values(ops.argMax(x, 1)), [1, 1]);
    assert.equal(await values(ops.argMin(x, 0)), [1, 0, 1]);
    const { values: largest, indices } = ops.topK(x, 2);
    assert.equal([await values(largest), await values(indices)], [[5, 5, 7, 0], [1, 2, 1, 0]]); // prettier-ignore
    assert.equal([ops.max(x).shape, await values(ops.max(x))], [[], [7]]);
    assert.is(
      await message(() => ops.topK(x, 4)),
      'topK: k is 4, expected a whole number from 1 to the 3 of axis 1 of [2,3]',
    );
  });
});

test('an index that does not exist gives NaN, and its gradient reaches nothing', async () => {
  const gpu = await sharedGpu();
  await gpu.scope(async () => {
    const table = gpu.tensor([1, 2, 3, 4], [2, 2]);
    table.requiresGrad = true;
    const rows = ops.embedding(table, gpu.tensor(Int32Array.of(1, -1, 2), [3]));
    assert.equal(await values(rows), [3, 4, NaN, NaN, NaN, NaN]);
    sum(rows).backward();
    assert.equal(await values(table.grad!), [0, 0, 1, 1]);
  });
});

test('a detached tensor is a constant', async () => {
  const gpu = await sharedGpu();
  await gpu.scope(async () => {
    const x = gpu.tensor([2, 3], [2]);
    x.requiresGrad = true;
    const square = multiply(x, x);
    sum(multiply(square.detach(), x)).backward();
    assert.equal(await values(x.grad!), [4, 9]);
  });
});

test('a graph that is kept can be passed again; one that is not names the operation that is gone', async () => {
  const gpu = await sharedGpu();
  await gpu.scope(async () => {
    const x = gpu.tensor([2, 3], [2]);
    x.requiresGrad = true;
    const square = multiply(x, x);
    const loss = sum(square);
    loss.backward({ retainGraph: true });
    loss.backward();
    assert.equal(await values(x.grad!), [8, 12]);
    assert.match(
      await message(() => sum(square).backward()),
      /^backward: the graph of multiply was used up by an earlier backward pass, which freed its operation multiply; .*retainGraph/,
    );
  });
});

test('one matrix for all slices, either factor, keeps the gradient of both', async () => {
  const gpu = await sharedGpu();
  await gpu.scope(async () => {
    const a = gpu.tensor([1, 2], [1, 2]);
    const b = gpu.tensor([1, 2, 3, 4, 5, 6], [3, 2, 1]);
    a.requiresGrad = b.requiresGrad = true;
    const y = ops.matmul(a, b);
    assert.equal([y.shape, await values(y)], [[3, 1, 1], [5, 11, 17]]); // prettier-ignore
    sum(y).backward();
    assert.equal([await values(a.grad!), await values(b.grad!)], [[9, 12], [1, 2, 1, 2, 1, 2]]); // prettier-ignore
  });
});

test.run();

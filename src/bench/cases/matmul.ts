/** Square matrix products: a linear layer's forward pass, y = a b^T. */
import { linear } from '../../engine/ops/linear.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { BenchCase } from '../case.ts';
import { compareElements, sampleIndices } from '../compare.ts';
import { uniform } from '../inputs.ts';
import { productElement } from '../references.ts';

const SAMPLES = 256;

/** `product` is what is measured: a test puts a wrong one in its place. */
export const matmulCase = (
  n: number,
  product: (a: Tensor, b: Tensor) => Tensor = (a, b) => linear(a, b, null),
): BenchCase => ({
  group: 'Matrix product',
  op: 'matmul',
  shape: `${n}x${n}x${n}`,
  quick: true,
  flops: 2 * n ** 3,
  bytes: 4 * 3 * n ** 2,
  clock: 'device',
  prepare: (gpu) => {
    const [left, right] = [uniform(n * n, 1), uniform(n * n, 2)];
    const [a, b] = [gpu.tensor(left, [n, n], 'a'), gpu.tensor(right, [n, n], 'b')];
    return {
      compute: () => [product(a, b)],
      check: ([result]) =>
        compareElements(
          result!,
          sampleIndices(n * n, SAMPLES).map((index) => productElement(n, left, right, index)),
        ),
    };
  },
});

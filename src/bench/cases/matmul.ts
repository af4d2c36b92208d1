/** Square matrix products: a linear layer's forward pass, y = a b^T. */
import { BYTES } from '../../engine/dtype.ts';
import { cast } from '../../engine/ops/cast.ts';
import { linear } from '../../engine/ops/linear.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { Precision } from '../../model/config.ts';
import { type BenchCase, HALF_GROUP } from '../case.ts';
import { compareElements, sampleIndices, TOLERANCE } from '../compare.ts';
import { uniform } from '../inputs.ts';
import { productElement } from '../references.ts';

const SAMPLES = 256;

/** `dtype` is that of all three matrices. `product` is what is measured; a test passes a wrong one. */
export const matmulCase = (
  n: number,
  dtype: Precision = 'f32',
  product: (a: Tensor, b: Tensor) => Tensor = (a, b) => linear(a, b, null),
): BenchCase => ({
  ...(dtype === 'f16'
    ? { group: HALF_GROUP, op: 'matmul f16', half: true }
    : { group: 'Matrix product', op: 'matmul' }),
  shape: `${n}x${n}x${n}`,
  quick: true,
  flops: 2 * n ** 3,
  bytes: BYTES[dtype] * 3 * n ** 2,
  clock: 'device',
  prepare: (gpu) => {
    const [left, right] = [uniform(n * n, 1, dtype), uniform(n * n, 2, dtype)];
    const [a, b] = [gpu.tensor(left, [n, n], 'a'), gpu.tensor(right, [n, n], 'b')].map((matrix) =>
      cast(matrix, dtype),
    ) as [Tensor, Tensor];
    return {
      compute: () => [product(a, b)],
      check: ([result]) =>
        compareElements(
          result!,
          sampleIndices(n * n, SAMPLES).map((index) => productElement(n, left, right, index)),
          TOLERANCE,
          dtype,
        ),
    };
  },
});

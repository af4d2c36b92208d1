/** A matrix on the GPU, known by its products with vectors (truncatedSvd.ts): in float32, a block of vectors at a time. */
import type { Gpu } from './gpu.ts';
import { add } from './ops/arithmetic.ts';
import { linear } from './ops/linear.ts';
import { matmul } from './ops/matmul.ts';
import { shardRows } from './shards.ts';
import type { Tensor } from './tensor.ts';
import type { MatrixProducts } from './truncatedSvd.ts';

/** Vectors of a product: enough to keep a device busy, few enough to fit beside the matrix. */
const BLOCK = 256;

/** @param data [rows, columns] */
export function gpuProducts(
  gpu: Gpu,
  data: Float32Array,
  [rows, columns]: readonly [number, number],
): MatrixProducts & { dispose(): void } {
  const height = shardRows(rows, columns, gpu.plans.device.maxBindingBytes);
  const shards = Array.from({ length: Math.ceil(rows / height) }, (_, i) => {
    const [from, to] = [i * height, Math.min(rows, (i + 1) * height)];
    const tensor = gpu.tensor(data.subarray(from * columns, to * columns), [to - from, columns], 'rows of a matrix');
    return { from, to, tensor };
  });
  /** Computes the rows of a result [k, width] block by block. */
  const inBlocks = async (k: number, width: number, rowsOf: (from: number, count: number) => Promise<Float32Array>) => {
    const result = new Float64Array(k * width);
    for (let from = 0; from < k; from += BLOCK) {
      result.set(await rowsOf(from, Math.min(BLOCK, k - from)), from * width);
    }
    return result;
  };
  return {
    rows,
    columns,
    times: (x, k) =>
      inBlocks(k, columns, (at, count) => {
        const sum = gpu.scope(() =>
          gpu.withoutGradients(() =>
            shards
              .map(({ from, to, tensor }) => {
                const part = new Float32Array(count * (to - from));
                for (let i = 0; i < count; i++) {
                  part.set(x.subarray((at + i) * rows + from, (at + i) * rows + to), i * (to - from));
                }
                return matmul(gpu.tensor(part, [count, to - from]), tensor);
              })
              .reduce((a, b) => add(a, b)),
          ),
        );
        return readAndFree(sum);
      }),
    timesTransposed: (y, k) =>
      inBlocks(k, rows, async (at, count) => {
        const parts = gpu.scope(() =>
          gpu.withoutGradients(() => {
            const block = Float32Array.from(y.subarray(at * columns, (at + count) * columns));
            const vectors = gpu.tensor(block, [count, columns]);
            return shards.map(({ tensor }) => linear(vectors, tensor));
          }),
        );
        const values = await Promise.all(parts.map(readAndFree));
        const joined = new Float32Array(count * rows);
        shards.forEach(({ from, to }, s) => {
          for (let i = 0; i < count; i++) {
            joined.set(values[s]!.subarray(i * (to - from), (i + 1) * (to - from)), i * rows + from);
          }
        });
        return joined;
      }),
    dispose: () => shards.forEach(({ tensor }) => tensor.dispose()),
  };
}

async function readAndFree(tensor: Tensor): Promise<Float32Array> {
  const values = await tensor.read();
  tensor.dispose();
  return values as Float32Array;
}

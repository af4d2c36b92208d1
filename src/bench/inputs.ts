/** Inputs of the benchmark: uniform in [-1, 1), the same for the same seed, quick to make in millions. */
import type { Precision } from '../model/config.ts';
import { fromHalf, toHalf } from '../kernels/half.ts';
import { mix32 } from '../kernels/rng.ts';

/** With `f16`, numbers that half precision holds exactly. */
export function uniform(n: number, seed: number, dtype: Precision = 'f32'): Float32Array {
  const values = new Float32Array(n);
  const key = mix32(seed + 1);
  for (let i = 0; i < n; i++) values[i] = mix32((i + key) >>> 0) / 2 ** 31 - 1;
  return dtype === 'f16' ? values.map((value) => fromHalf(toHalf(value))) : values;
}

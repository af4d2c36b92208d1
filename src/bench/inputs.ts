/** Inputs of the benchmark: uniform in [-1, 1), the same for the same seed, quick to make in millions. */
import type { Precision } from '../model/config.ts';
import { mix32 } from '../kernels/rng.ts';

/** With `f16`, multiples of 2^-11, which half precision holds exactly. */
export function uniform(n: number, seed: number, dtype: Precision = 'f32'): Float32Array {
  const values = new Float32Array(n);
  const key = mix32(seed + 1);
  const dropped = dtype === 'f16' ? 20 : 0; // of the 32 random bits
  for (let i = 0; i < n; i++) values[i] = (mix32((i + key) >>> 0) >>> dropped) / 2 ** (31 - dropped) - 1;
  return values;
}

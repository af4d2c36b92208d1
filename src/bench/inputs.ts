/** Inputs of the benchmark: uniform in [-1, 1), the same for the same seed, quick to make in millions. */
import { mix32 } from '../kernels/rng.ts';

export function uniform(n: number, seed: number): Float32Array {
  const values = new Float32Array(n);
  const key = mix32(seed + 1);
  for (let i = 0; i < n; i++) values[i] = mix32((i + key) >>> 0) / 2 ** 31 - 1;
  return values;
}

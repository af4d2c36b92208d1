/** Inputs of kernel checks: seeded, so that a failure on a user's machine can be repeated on another. */
import { Random } from '../rng.ts';

/** n standard normal numbers times `scale`. */
export function normals(n: number, seed: number, scale = 1): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length: n }, () => scale * random.normal());
}

/** n numbers, uniform in [low, high). */
export function uniforms(n: number, seed: number, low: number, high: number): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length: n }, () => random.uniform(low, high));
}

/** n integers in [low, high). */
export function integers(n: number, seed: number, low: number, high: number): Int32Array {
  const random = new Random(seed);
  return Int32Array.from({ length: n }, () => low + random.integer(high - low));
}

/** What a float64 reference reads: the very numbers the GPU gets. */
export const doubles = (x: Float32Array): Float64Array => Float64Array.from(x);

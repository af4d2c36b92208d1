/** Inputs of kernel checks: seeded, so that a failure on a user's machine can be repeated on another. */
import { fromHalf, toHalf } from '../half.ts';
import { Random } from '../rng.ts';

let half = false;

/** Runs `build` with inputs that half precision holds exactly. */
export function halfInputs<T>(build: () => T): T {
  half = true;
  try {
    return build();
  } finally {
    half = false;
  }
}

/** x, where `halfInputs` runs rounded to what half precision holds: for inputs that are computed from those below. */
export const held = (x: Float32Array): Float32Array => (half ? x.map((value) => fromHalf(toHalf(value))) : x);

/** n standard normal numbers times `scale`. */
export function normals(n: number, seed: number, scale = 1): Float32Array {
  const random = new Random(seed);
  return held(Float32Array.from({ length: n }, () => scale * random.normal()));
}

/** n numbers, uniform in [low, high). */
export function uniforms(n: number, seed: number, low: number, high: number): Float32Array {
  const random = new Random(seed);
  return held(Float32Array.from({ length: n }, () => random.uniform(low, high)));
}

/** n integers in [low, high). */
export function integers(n: number, seed: number, low: number, high: number): Int32Array {
  const random = new Random(seed);
  return Int32Array.from({ length: n }, () => low + random.integer(high - low));
}

/** The input of a float64 reference: exactly the numbers that the GPU gets. */
export const doubles = (x: Float32Array): Float64Array => Float64Array.from(x);

export const unsigned = (x: readonly number[]): Uint32Array => Uint32Array.from(x);

/** A reference's results, rounded as the preceding kernel would have stored them. */
export const rounded = (x: Float64Array): Float32Array => held(Float32Array.from(x));

/**
 * n boxes with sides of `smallest` to `largest`, in an image of 320 x 224, after `lead` zero columns. They lie on whole
 * pixels so that float32 and float64 agree wherever a rule compares overlaps and integers can be compared exactly.
 */
export function pixelBoxes(n: number, seed: number, lead = 0, smallest = 8, largest = 120): Float32Array {
  const random = new Random(seed);
  const boxes = new Float32Array(n * (4 + lead));
  for (let i = 0; i < n; i++) {
    const w = smallest + random.integer(largest - smallest);
    const h = smallest + random.integer(largest - smallest);
    const x = random.integer(Math.max(1, 320 - w));
    const y = random.integer(Math.max(1, 224 - h));
    boxes.set([x, y, x + w, y + h], i * (4 + lead) + lead);
  }
  return boxes;
}

/** gt [G,5] with classes 1..3. */
export function groundTruth(g: number, seed: number): Float32Array {
  const boxes = pixelBoxes(g, seed, 0, 16, 150);
  const classes = integers(g, seed + 1, 1, 4);
  return Float32Array.from({ length: g * 5 }, (_, i) =>
    i % 5 < 4 ? boxes[Math.floor(i / 5) * 4 + (i % 5)]! : classes[Math.floor(i / 5)]!,
  );
}

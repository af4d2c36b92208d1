/**
 * Counter-based random numbers, the same bits on the CPU and in WGSL.
 *
 *   random(seed, stream, i) = mix(mix(i + a) ^ b),   a, b = hashes of (seed, stream)
 *
 * `mix` is MurmurHash3's 32-bit finaliser, a bijection; so for one seed and stream the map i -> random(i) is a
 * permutation of the 32-bit integers: distinct counters never draw the same value, and values serve as sort keys
 * without ties. A stream names one purpose (dropout of a layer, anchor sampling), the seed one run and step.
 */

/** MurmurHash3 fmix32 on unsigned 32-bit integers. */
export function mix32(x: number): number {
  x ^= x >>> 16;
  x = Math.imul(x, 0x85ebca6b);
  x ^= x >>> 13;
  x = Math.imul(x, 0xc2b2ae35);
  x ^= x >>> 16;
  return x >>> 0;
}

const seedHash = (seed: number): number => mix32((seed ^ 0x9e3779b9) >>> 0);
const streamHash = (stream: number, a: number): number => mix32((stream + a) >>> 0);
const draw = (a: number, b: number, i: number): number => mix32((mix32((i + a) >>> 0) ^ b) >>> 0);

/** Uniform u32. */
export function randomU32(seed: number, stream: number, i: number): number {
  const a = seedHash(seed);
  return draw(a, streamHash(stream, a), i);
}

/** Uniform in [0, 1), 24 bits, exactly the value of `random_f32` in WGSL. */
export const randomF32 = (seed: number, stream: number, i: number): number =>
  (randomU32(seed, stream, i) >>> 8) / 16777216;

/** The seed of one of a run's many draws, for example a step's dropout masks or an image's samples. */
export const seedOf = (seed: number, draw: number): number => (Math.imul(seed, 0x9e3779b1) + draw) >>> 0;

/** `randomU32` and `randomF32` for a shader: `random_u32(seed, stream, i)` and `random_f32(seed, stream, i)`. */
export const RNG_WGSL = /* wgsl */ `
fn mix32(value: u32) -> u32 {
  var x = value;
  x ^= x >> 16u;
  x *= 0x85ebca6bu;
  x ^= x >> 13u;
  x *= 0xc2b2ae35u;
  x ^= x >> 16u;
  return x;
}
fn random_u32(seed: u32, stream: u32, i: u32) -> u32 {
  let a = mix32(seed ^ 0x9e3779b9u);
  let b = mix32(stream + a);
  return mix32(mix32(i + a) ^ b);
}
fn random_f32(seed: u32, stream: u32, i: u32) -> f32 {
  return f32(random_u32(seed, stream, i) >> 8u) * 5.9604644775390625e-8; // 2^-24: exact, which a division need not be
}
`;

/** A sequential generator over the counter-based one, for the CPU (shuffles, scene layout). Its whole state is `counter`. */
export class Random {
  readonly seed: number;
  readonly stream: number;
  counter: number;
  private readonly a: number;
  private readonly b: number;

  constructor(seed: number, stream = 0, counter = 0) {
    this.seed = seed >>> 0;
    this.stream = stream >>> 0;
    this.counter = counter;
    this.a = seedHash(this.seed);
    this.b = streamHash(this.stream, this.a);
  }

  /** Uniform in [0, 1). */
  next(): number {
    return (draw(this.a, this.b, this.counter++) >>> 8) / 16777216;
  }

  /** Uniform integer in [0, n). */
  integer(n: number): number {
    return Math.floor(this.next() * n);
  }

  uniform(low: number, high: number): number {
    return low + (high - low) * this.next();
  }

  /** Standard normal by Box and Muller; draws two uniforms. */
  normal(): number {
    const u = 1 - this.next();
    return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * this.next());
  }

  /** A permutation of 0..n-1 (Fisher-Yates). */
  permutation(n: number): number[] {
    const order = Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    return order;
  }
}

/** What the tests share: one device a process, launching a bare kernel, comparing numbers. */
import * as assert from 'uvu/assert';
import { Random } from '../src/kernels/rng.ts';
import type { Gpu } from '../src/engine/gpu.ts';
import { openGpu } from '../src/node.ts';

let shared: Promise<Gpu> | undefined;

/** One device for all tests of this process: opening one and compiling shaders costs more than most tests. */
export function sharedGpu(): Promise<Gpu> {
  shared ??= openGpu({ adapter: 'auto' });
  return shared;
}

export async function closeSharedGpu(): Promise<void> {
  (await shared)?.close();
  shared = undefined;
}

/** Watches a device from now on: the most bytes it held at once, live and waiting. */
export function heldBytes(gpu: Gpu): () => number {
  let most = 0;
  const look = (): number => {
    const { liveBytes, pooledBytes } = gpu.statistics();
    return (most = Math.max(most, liveBytes + pooledBytes));
  };
  const allocate = gpu.allocate.bind(gpu);
  gpu.allocate = (...args) => {
    const buffer = allocate(...args);
    look();
    return buffer;
  };
  return look;
}

/** Why tests were skipped since the last look. */
const skipped: string[] = [];

/** Ends a test that cannot run here: `return skip('why')`. The runner counts it and prints the reason. */
export function skip(reason: string): void {
  skipped.push(reason);
  if (!process.env['RCNN_TEST_RUNNER']) console.log(`skipped: ${reason}`);
}

export function takeSkips(): string[] {
  return skipped.splice(0);
}

/** The message of the error with which `fn` ends, at once or later. */
export async function message(fn: () => unknown): Promise<string> {
  try {
    await fn();
  } catch (error) {
    return (error as Error).message;
  }
  assert.unreachable('this must throw');
  return '';
}

export { launch } from '../src/bench/kernelChecks.ts';

export interface Tolerance {
  atol: number;
  rtol: number;
  what?: string;
}

/** Asserts |actual - expected| <= atol + rtol |expected| for every element; lists the first mismatches. */
export function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: Tolerance): void {
  const { atol, rtol, what = 'values' } = tolerance;
  assert.is(actual.length, expected.length, `${what}: ${actual.length} elements, expected ${expected.length}`);
  const wrong: string[] = [];
  let count = 0;
  for (let i = 0; i < expected.length; i++) {
    const a = actual[i]!;
    const e = expected[i]!;
    if (Math.abs(a - e) <= atol + rtol * Math.abs(e) || Object.is(a, e)) continue;
    if (wrong.length < 10) wrong.push(`  [${i}] ${a}, expected ${e} (off by ${Math.abs(a - e)})`);
    count++;
  }
  if (count > 0) assert.unreachable(`${what}: ${count} of ${expected.length} differ\n${wrong.join('\n')}`);
}

/** Standard normal numbers, the same for the same seed. */
export function randomArray(n: number, seed: number, scale = 1): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length: n }, () => scale * random.normal());
}

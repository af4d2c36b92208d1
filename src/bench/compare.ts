/** Compares results with float64, at a sample of the elements if there are many. */
import type { Precision } from '../model/config.ts';
import { HALF_ROUNDING, HALF_TINY } from '../kernels/half.ts';

/** The expected value of one element. `magnitude` is the sum of its terms' absolute values, which bounds the rounding error. */
export interface Expected {
  index: number;
  value: number;
  magnitude: number;
}

export interface Comparison {
  passed: boolean;
  /** How many elements were compared. */
  compared: number;
  /** The largest |actual - expected| / magnitude. */
  largestError: number;
  /** The first elements that are wrong, or another reason, a line each. */
  problems: string[];
}

/** As a share of the magnitude: about 60 roundings to float32, which leaves room for Winograd's transforms. */
export const TOLERANCE = 4e-6;
const LISTED = 3;

/** `stored` is the type of the result. For f16 one more rounding is allowed, as in the kernels' checks (kernels/half.ts). */
export function compareElements(
  actual: ArrayLike<number>,
  expected: readonly Expected[],
  tolerance = TOLERANCE,
  stored: Precision = 'f32',
): Comparison {
  const comparison: Comparison = { passed: true, compared: expected.length, largestError: 0, problems: [] };
  for (const { index, value, magnitude } of expected) {
    const found = actual[index]!;
    const difference = Math.abs(found - value);
    const rounding = stored === 'f16' ? HALF_ROUNDING * Math.abs(value) + HALF_TINY : 0;
    const error = difference / Math.max(magnitude, Number.MIN_VALUE);
    if (found !== value) comparison.largestError = Math.max(comparison.largestError, error);
    if (difference <= tolerance * magnitude + rounding || found === value) continue; // false for NaN
    comparison.passed = false;
    if (comparison.problems.length < LISTED) comparison.problems.push(`[${index}] is ${found}, expected ${value}`);
  }
  return comparison;
}

/** Compares every element of an integer result. */
export const compareExactly = (actual: ArrayLike<number>, expected: ArrayLike<number>): Comparison =>
  compareElements(
    actual,
    Array.from(expected, (value, index) => ({ index, value, magnitude: 0 })),
  );

/** A check that does not compare elements: passed unless there are problems. */
export const verdict = (compared: number, problems: readonly string[]): Comparison => ({
  passed: problems.length === 0,
  compared,
  largestError: problems.length === 0 ? 0 : NaN,
  problems: problems.slice(0, LISTED),
});

export function merge(comparisons: readonly Comparison[]): Comparison {
  return {
    passed: comparisons.every(({ passed }) => passed),
    compared: comparisons.reduce((sum, { compared }) => sum + compared, 0),
    largestError: comparisons.reduce((largest, { largestError }) => Math.max(largest, largestError), 0),
    problems: comparisons.flatMap(({ problems }) => problems).slice(0, LISTED),
  };
}

/** `count` indices spread over 0..n-1, the first and the last among them. */
export function sampleIndices(n: number, count: number): number[] {
  if (n <= count) return Array.from({ length: n }, (_, i) => i);
  // Multiples of the golden ratio spread evenly and keep step with no tile size.
  const inner = Array.from({ length: count - 2 }, (_, i) => Math.floor((((i + 1) * 0.6180339887498949) % 1) * n));
  return [...new Set([0, n - 1, ...inner])];
}

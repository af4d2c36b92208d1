/** What the benchmark measures: a case is one row of the table, prepared, checked and timed by run.ts. */
import type { Gpu, TypedArray } from '../engine/gpu.ts';
import type { Plans } from '../engine/plans.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { Comparison } from './compare.ts';

export interface BenchCase {
  /** The heading that the row stands under: 'VGG-16 convolutions'. */
  group: string;
  /** What is computed: 'conv2d forward'. */
  op: string;
  /** The shapes it is computed on: '64->64 3x3 300x400'. */
  shape: string;
  /** Part of the short run. */
  quick: boolean;
  /** Additions and multiplications of the direct algorithm; 2 per multiply-add. */
  flops?: number;
  /** Bytes that must be read and written at least once. */
  bytes?: number;
  /** Bytes of memory that the row needs at once, stated if they are many; the row is left out if the device has less. */
  memory?: number;
  /** Computes in half precision, and is left out if the device cannot. */
  half?: boolean;
  /**
   * What is timed. 'device': the kernels alone, by timestamp queries if the adapter has them. 'wall': from the first
   * recorded dispatch until the device is done, which is what a user waits for.
   */
  clock: 'device' | 'wall';
  /** Inputs on the device. Called in a scope that ends with the case: what it makes is freed then. */
  prepare(gpu: Gpu): PreparedCase | Promise<PreparedCase>;
}

export interface PreparedCase {
  /** Records the work once and returns its results; timed many times. */
  compute(): Tensor[];
  /** The plans that choose its kernels, if they are not the device's own. */
  plans?: Plans;
  /** Holds the results of the first `compute` against float64. */
  check(results: TypedArray[]): Comparison;
  /** Further times, measured after the row's own: milliseconds by name. */
  extras?(): Promise<Record<string, number>>;
  /** Frees what outlives scopes: parameters. */
  dispose?(): void;
}

/** The heading of the rows in half precision. */
export const HALF_GROUP = 'Half precision';

/** The text that --filter looks in and --list prints. */
export const caseName = ({ group, op, shape }: Pick<BenchCase, 'group' | 'op' | 'shape'>): string =>
  `${group}: ${op} ${shape}`;

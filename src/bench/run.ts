/** Runs cases: check first, then times. A case that computes something wrong is not timed. */
import type { Gpu, TypedArray } from '../engine/gpu.ts';
import { type BenchCase, caseName } from './case.ts';
import { type Comparison, verdict } from './compare.ts';
import { hasTimestamps, measure, type MeasureOptions } from './measure.ts';
import { measurePeaks, type Peaks } from './probes.ts';

export interface BenchRow {
  group: string;
  op: string;
  shape: string;
  valid: boolean;
  /** Elements compared with float64, and the largest error relative to the sum of the terms' absolute values. */
  compared: number;
  largest_error: number | null;
  problems: string[];
  /** The first run, with compilation of the kernels that no earlier row used. */
  first_ms: number | null;
  median_ms: number | null;
  best_ms: number | null;
  repetitions: number;
  /** By the best time. */
  gflops: number | null;
  gbps: number | null;
  share_of_peak: number | null;
  /** Other times, in milliseconds. */
  extras?: Record<string, number>;
}

export interface BenchReport {
  adapter: string;
  software: boolean;
  subgroup_size: number;
  /** How kernels are timed. */
  clock: 'timestamps' | 'wall';
  peaks: Peaks;
  rows: BenchRow[];
  failed: number;
}

export interface BenchEvents {
  onPeaks?(peaks: Peaks): void;
  onStart?(item: BenchCase): void;
  onRow?(row: BenchRow): void;
}

/** Operations or bytes in so many milliseconds, in thousands of millions a second. */
export const rate = (amount: number | undefined, milliseconds: number): number | null =>
  amount === undefined ? null : amount / milliseconds / 1e6;

export const selectCases = (cases: readonly BenchCase[], filter: string, quick: boolean): BenchCase[] =>
  cases.filter((item) => (!quick || item.quick) && caseName(item).toLowerCase().includes(filter.toLowerCase()));

export async function runBench(
  gpu: Gpu,
  cases: readonly BenchCase[],
  options: MeasureOptions,
  events: BenchEvents = {},
): Promise<BenchReport> {
  const peaks = await measurePeaks(gpu);
  events.onPeaks?.(peaks);
  const rows: BenchRow[] = [];
  for (const item of cases) {
    events.onStart?.(item);
    const row = await runCase(gpu, item, peaks, options);
    rows.push(row);
    events.onRow?.(row);
  }
  return {
    adapter: gpu.adapter.description,
    software: gpu.adapter.software,
    subgroup_size: gpu.adapter.subgroupSize,
    clock: hasTimestamps(gpu) ? 'timestamps' : 'wall',
    peaks,
    rows,
    failed: rows.filter(({ valid }) => !valid).length,
  };
}

export async function runCase(gpu: Gpu, item: BenchCase, peaks: Peaks, options: MeasureOptions): Promise<BenchRow> {
  const { group, op, shape } = item;
  const row = { group, op, shape };
  try {
    return await gpu.scope(async () => {
      const prepared = await item.prepare(gpu);
      try {
        await gpu.finish();
        const start = performance.now();
        const results = gpu.scope(() => prepared.compute());
        await gpu.finish();
        const firstMs = performance.now() - start;
        const values: TypedArray[] = [];
        for (const result of results) values.push(await result.read());
        results.forEach((result) => result.dispose());
        const check = prepared.check(values);
        if (!check.passed) return failedRow(row, check, firstMs);
        const { medianMs, bestMs, repetitions } = await measure(gpu, prepared.compute, item.clock, options);
        const gflops = rate(item.flops, bestMs);
        const gbps = rate(item.bytes, bestMs);
        return {
          ...row,
          ...checkColumns(check),
          first_ms: firstMs,
          median_ms: medianMs,
          best_ms: bestMs,
          repetitions,
          gflops,
          gbps,
          share_of_peak: gflops !== null ? gflops / peaks.gflops : gbps !== null ? gbps / peaks.gbps : null,
          ...(prepared.extras && { extras: await prepared.extras() }),
        };
      } finally {
        prepared.dispose?.();
      }
    });
  } catch (error) {
    gpu.assertHealthy(); // a device that is lost fails every row: stop
    return failedRow(row, verdict(0, [(error as Error).message]), null);
  } finally {
    gpu.trim();
  }
}

const checkColumns = ({ passed, compared, largestError, problems }: Comparison) => ({
  valid: passed,
  compared,
  largest_error: Number.isFinite(largestError) ? largestError : null,
  problems,
});

const failedRow = (
  row: Pick<BenchRow, 'group' | 'op' | 'shape'>,
  check: Comparison,
  firstMs: number | null,
): BenchRow => ({
  ...row,
  ...checkColumns(check),
  first_ms: firstMs,
  median_ms: null,
  best_ms: null,
  repetitions: 0,
  gflops: null,
  gbps: null,
  share_of_peak: null,
});

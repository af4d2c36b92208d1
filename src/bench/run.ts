/** Runs cases: check first, then times. A case that computes something wrong is not timed. */
import type { Gpu, TypedArray } from '../engine/gpu.ts';
import { tune } from '../engine/tuner.ts';
import { type BenchCase, caseName, type PreparedCase } from './case.ts';
import { type Comparison, verdict } from './compare.ts';
import { hasTimestamps, measure, type MeasureOptions } from './measure.ts';
import { measurePeaks, type Peaks } from './probes.ts';
import type { BenchReport, BenchRow } from './report.ts';
import { profileWork } from './profile.ts';
import { roofline } from './roofline.ts';
import { describeSystem } from './system.ts';

export interface BenchOptions extends MeasureOptions {
  /** Also times a row with the kernels that the tuner chooses for it. */
  tune?: boolean;
  /** Also measures where a row's time goes, where the adapter has timestamp queries. */
  profile?: boolean;
}

export interface BenchEvents {
  onPeaks?(peaks: Peaks): void;
  onStart?(item: BenchCase): void;
  /** `report` has all rows so far and is marked as incomplete. */
  onRow?(row: BenchRow, report: BenchReport): void;
}

/** Operations or bytes in so many milliseconds, in thousands of millions a second. */
export const rate = (amount: number | undefined, milliseconds: number): number | null =>
  amount === undefined ? null : amount / milliseconds / 1e6;

export const selectCases = (cases: readonly BenchCase[], filter: string, quick: boolean): BenchCase[] =>
  cases.filter((item) => (!quick || item.quick) && caseName(item).toLowerCase().includes(filter.toLowerCase()));

export async function runBench(
  gpu: Gpu,
  cases: readonly BenchCase[],
  options: BenchOptions,
  events: BenchEvents = {},
): Promise<BenchReport> {
  const runs = (item: BenchCase): boolean => gpu.hasHalf || !item.half;
  const system = describeSystem(gpu);
  const peaks = await measurePeaks(gpu);
  events.onPeaks?.(peaks);
  const report: BenchReport = {
    adapter: gpu.adapter.description,
    software: gpu.adapter.software,
    subgroup_size: gpu.adapter.subgroupSize,
    clock: hasTimestamps(gpu) ? 'timestamps' : 'wall',
    peaks,
    system,
    complete: false,
    skipped: cases.filter((item) => !runs(item)).map(caseName),
    rows: [],
    failed: 0,
  };
  for (const item of cases.filter(runs)) {
    events.onStart?.(item);
    const row = await runCase(gpu, item, peaks, options);
    report.rows.push(row);
    if (!row.valid) report.failed++;
    events.onRow?.(row, report);
  }
  return { ...report, complete: true };
}

export async function runCase(gpu: Gpu, item: BenchCase, peaks: Peaks, options: BenchOptions): Promise<BenchRow> {
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
        const least = roofline(item, peaks);
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
          bytes: item.bytes ?? null,
          intensity: item.flops === undefined || item.bytes === undefined ? null : item.flops / item.bytes,
          bound: least?.bound ?? null,
          bound_ms: least?.milliseconds ?? null,
          share_of_bound: least && least.milliseconds / bestMs,
          ...(options.tune && (await timeTuned(gpu, prepared, item.clock, options))),
          ...(options.profile && { profile: await profileWork(gpu, prepared.compute, peaks) }),
          ...(prepared.extras && { extras: await prepared.extras() }),
        };
      } finally {
        prepared.dispose?.();
      }
    });
  } catch (error) {
    gpu.assertHealthy(); // a lost device would fail every further row, so stop
    return failedRow(row, verdict(0, [(error as Error).message]), null);
  } finally {
    gpu.trim();
  }
}

/** Lets the tuner choose the kernels for all shapes that the row uses, then times the row again. */
async function timeTuned(
  gpu: Gpu,
  { compute, plans = gpu.plans }: PreparedCase,
  clock: BenchCase['clock'],
  options: MeasureOptions,
): Promise<Pick<BenchRow, 'tuned_ms' | 'tuning_ms'>> {
  const start = performance.now();
  const { timed } = await tune(gpu, { plans });
  const tuningMs = performance.now() - start;
  if (timed === 0) return {}; // there is nothing to choose, or an earlier row has chosen
  gpu.scope(() => void compute()); // compiles what the tuner did not
  await gpu.finish();
  return { tuned_ms: (await measure(gpu, compute, clock, options)).bestMs, tuning_ms: tuningMs };
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

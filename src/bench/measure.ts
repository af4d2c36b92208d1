/**
 * Measures times: by timestamp queries if the kernels alone are asked for and the adapter has them, otherwise by the wall clock
 * until the device is done. Work that takes less than a few milliseconds is recorded several times over and the time divided,
 * because browsers and Dawn round timestamps.
 */
import type { Gpu } from '../engine/gpu.ts';
import { median } from './statistics.ts';

export interface MeasureOptions {
  /** How many times are taken; fewer once `budgetMs` is used up, but at least two. */
  repetitions: number;
  budgetMs: number;
}

export interface Measurement {
  medianMs: number;
  bestMs: number;
  repetitions: number;
}

const SHORTEST_MS = 4;
const MOST_TURNS = 64;

export const hasTimestamps = (gpu: Gpu): boolean => gpu.device.features.has('timestamp-query');

/** `record` must have run before, so that its shaders are compiled. The tensors it makes are freed. */
export async function measure(
  gpu: Gpu,
  record: () => unknown,
  clock: 'device' | 'wall',
  { repetitions, budgetMs }: MeasureOptions,
): Promise<Measurement> {
  const once = clock === 'device' && hasTimestamps(gpu) ? deviceTime : wallTime;
  const warm = await once(gpu, record, 1);
  const turns =
    clock === 'wall' ? 1 : Math.max(1, Math.min(MOST_TURNS, Math.floor(SHORTEST_MS / Math.max(warm, 1e-3))));
  const times: number[] = [];
  const end = performance.now() + budgetMs;
  while (times.length < repetitions && (times.length < 2 || performance.now() < end)) {
    times.push((await once(gpu, record, turns)) / turns);
  }
  return { medianMs: median(times), bestMs: Math.min(...times), repetitions: times.length };
}

const recordTurns = (gpu: Gpu, record: () => unknown, turns: number): void => {
  for (let turn = 0; turn < turns; turn++) gpu.scope(() => void record());
};

async function deviceTime(gpu: Gpu, record: () => unknown, turns: number): Promise<number> {
  const kernels = await gpu.profile(() => recordTurns(gpu, record, turns));
  return kernels.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
}

/** Milliseconds from the first dispatch that is recorded until the device is done. */
async function wallTime(gpu: Gpu, record: () => unknown, turns: number): Promise<number> {
  const start = performance.now();
  recordTurns(gpu, record, turns);
  await gpu.finish();
  return performance.now() - start;
}

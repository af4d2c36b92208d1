/**
 * Times the planner's candidates on the device at hand, for the shapes met so far, and keeps the fastest for each.
 *
 * All tiles of a matrix product add in the same order, so that choice changes no bit. Winograd's form of a convolution
 * rounds differently from the direct sum, within the tolerances of docs/performance.md: a run with other choices may end
 * with other bits; with the same choices (`plans.export()`) it ends with the same.
 */
import { runConvFilterGradient, runConvForward, runConvInputGradient } from './convolution.ts';
import type { Gpu } from './gpu.ts';
import { runMatmul } from './matmul.ts';
import type { Met, Plans } from './plans.ts';
import type { Tensor } from './tensor.ts';

export interface TuneOptions {
  /** Whose shapes are timed and whose choices are made: a model's (`model.plans`), or by default the device's own. */
  plans?: Plans;
  /** After this many seconds no new shape is timed; the rest keep the planner's choice. Default 30. */
  seconds?: number;
  /** A candidate has to be faster by this factor to replace the planner's choice: clocks are noisy. Default 1.1. */
  margin?: number;
  onShape?(done: number, total: number): void;
}

export interface TuneReport {
  /** Shapes timed, and how many of them got a faster candidate than the planner's. */
  timed: number;
  changed: number;
  /** Shapes that were not timed because the time was up. */
  left: number;
}

/** Rounds in which the candidates take turns; the best time of each counts. */
const ROUNDS = 3;
/** Runs per submit are doubled until they take this many milliseconds: waiting alone takes a tenth of one or more. */
const LEAST_MS = 4;
/** The most runs per submit. */
const MOST_RUNS = 64;
/** A candidate this many times slower than the fastest in the first round is dropped from the others. */
const HOPELESS = 1.5;

/** Multiply-adds of a shape, as direct sums. */
export function workOf(met: Met): number {
  if (met.kind === 'matmul') return met.shape.batch * met.shape.M * met.shape.N * met.shape.K;
  const { B, C, K, R, S, OH, OW } = met.shape;
  return B * OH * OW * K * C * R * S;
}

/** Tunes every shape met since the last call. Nothing else may use the device meanwhile. */
export async function tune(
  gpu: Gpu,
  { plans = gpu.plans, seconds = 30, margin = 1.1, onShape }: TuneOptions = {},
): Promise<TuneReport> {
  const end = performance.now() + seconds * 1000;
  const report: TuneReport = { timed: 0, changed: 0, left: 0 };
  // The shapes that matter most first, in case the time is up before all are timed.
  const queue = plans.takeUntuned().sort((a, b) => workOf(b) - workOf(a));
  for (let met = queue.shift(); met; met = queue.shift()) {
    if (performance.now() > end) {
      report.left++;
      continue;
    }
    const times = await timesOf(gpu, plans, met);
    // The products inside a convolution are shapes of their own; they come next.
    queue.unshift(...plans.takeUntuned());
    const fastest = times.indexOf(Math.min(...times));
    const best = times[fastest]! * margin < times[0]! ? fastest : 0;
    plans.set(met, met.candidates[best]!);
    report.timed++;
    if (best !== 0) report.changed++;
    onShape?.(report.timed, report.timed + queue.length);
  }
  return report;
}

/** Milliseconds of a run of each candidate. They take turns, so that none has the clocks of an idle device to itself. */
async function timesOf(gpu: Gpu, plans: Plans, met: Met): Promise<number[]> {
  const tensors: Tensor[] = [];
  const filled = (size: number): Tensor => {
    const tensor = gpu.zeros([size], 'tuning');
    tensors.push(tensor);
    return tensor;
  };
  const run = launchOf(gpu, met, filled);
  const timeOf = async (candidate: Met['candidates'][number], runs: number): Promise<number> => {
    plans.set(met, candidate);
    const start = performance.now();
    for (let i = 0; i < runs; i++) gpu.withPlans(plans, run);
    await gpu.finish();
    return performance.now() - start;
  };
  for (const candidate of met.candidates) await timeOf(candidate, 1); // compiles
  let runs = 1;
  while (runs < MOST_RUNS && (await timeOf(met.candidates[0]!, runs)) < LEAST_MS) runs *= 2;
  const times = met.candidates.map(() => Infinity);
  for (let round = 0; round < ROUNDS; round++) {
    const limit = HOPELESS * Math.min(...times);
    for (const [i, candidate] of met.candidates.entries()) {
      if (round > 0 && times[i]! > limit) continue;
      times[i] = Math.min(times[i]!, (await timeOf(candidate, runs)) / runs);
    }
  }
  tensors.forEach((tensor) => tensor.dispose());
  return times;
}

function launchOf(gpu: Gpu, met: Met, filled: (size: number) => Tensor): () => void {
  if (met.kind === 'matmul') {
    const { M, N, K, am, ak, bk, bn, cm, cn, az, bz, cz, c0, batch } = met.shape;
    const extent = (rows: number, r: number, columns: number, c: number, z: number): number =>
      (rows - 1) * r + (columns - 1) * c + 1 + (batch - 1) * z;
    const a = filled(extent(M, am, K, ak, az));
    const b = filled(extent(K, bk, N, bn, bz));
    const c = filled(c0 + extent(M, cm, N, cn, cz));
    return () => runMatmul(gpu, { a, b, c }, met.shape, 'assign');
  }
  const { B, C, H, W, K, R, S, OH, OW } = met.shape;
  const x = filled(B * C * H * W);
  const w = filled(K * C * R * S);
  const y = filled(B * K * OH * OW);
  if (met.direction === 'forward') return () => runConvForward(gpu, { x, w, bias: null, y }, met.shape, false, false);
  if (met.direction === 'input') return () => runConvInputGradient(gpu, { dy: y, w, dx: x }, met.shape, false);
  return () => runConvFilterGradient(gpu, { x, dy: y, dw: w, points: null }, met.shape, false);
}

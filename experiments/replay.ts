/** Trains and tests what the plan asks for, in one run directory for each network and seed; finished ones are not repeated. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { replaceFile } from '../src/engine/node/writeFile.ts';
import type { Gpu } from '../src/engine/gpu.ts';
import { openDataset } from '../src/data/registry.ts';
import { withSettings } from '../src/run/config/configSchema.ts';
import { evaluate } from '../src/run/evaluation/evaluate.ts';
import { loadModel } from '../src/run/storage/loadModel.ts';
import { configureRun } from '../src/run/config/runConfig.ts';
import { RunDirectory } from '../src/run/storage/runDirectory.ts';
import { asOnlyWriter } from '../src/run/storage/runLock.ts';
import { trainRun } from '../src/run/training/trainRun.ts';
import { startProgress } from '../src/cli/progress.ts';
import { EXPERIMENTS, type Variant, VARIANTS } from './plan.ts';

export interface Settings {
  out: string;
  steps: number;
  seeds: number;
  /** The number of test scenes. */
  images: number;
}

/** result.json of a network: seconds of training, and the mAP under the name of each test. */
export interface Result {
  seconds: number;
  mAP: Record<string, number>;
}

/** A test's name in result.json. */
export const testName = (set: readonly string[] = []): string => set.join(' ') || 'as trained';

const home = (settings: Settings, variant: string, seed: number): string =>
  join(settings.out, variant, `seed-${seed}-steps-${settings.steps}`);

/** Null if it has not been run yet. */
export function readResult(settings: Settings, variant: string, seed: number): Result | null {
  const path = join(home(settings, variant, seed), 'result.json');
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Result) : null;
}

/** Runs every network with every seed, seed by seed, so that a replay which is stopped early has complete tables for fewer seeds. */
export async function replay(gpu: Gpu, settings: Settings, signal: AbortSignal): Promise<void> {
  const total = VARIANTS.length * settings.seeds;
  for (let run = 0; run < total && !signal.aborted; run++) {
    const variant = VARIANTS[run % VARIANTS.length]!;
    const seed = Math.floor(run / VARIANTS.length) + 1;
    const tests = [...new Set(rowsOf(variant.id).map(({ set }) => testName(set)))];
    const before = readResult(settings, variant.id, seed);
    if (before && tests.every((name) => name in before.mAP)) continue;
    console.log(`${run + 1} of ${total}: ${variant.id}, seed ${seed}`);
    await asOnlyWriter(home(settings, variant.id, seed), () => replayOne(gpu, variant, seed, settings, signal));
    gpu.trim();
  }
}

const rowsOf = (variant: string) => EXPERIMENTS.flatMap(({ rows }) => rows).filter((row) => row.variant === variant);

async function replayOne(gpu: Gpu, variant: Variant, seed: number, settings: Settings, signal: AbortSignal) {
  const path = home(settings, variant.id, seed);
  const directory = new RunDirectory(path);
  const { schedule = 'joint', set = [] } = variant;
  const resume = directory.hasConfig;
  const { config, dataset } = await configureRun({ preset: 'demo', steps: settings.steps, seed, schedule, set });
  let progress = startProgress(config.training.steps, 'step');
  try {
    const trained = await trainRun({
      gpu,
      dataset,
      directory,
      config: resume ? directory.readConfig() : config,
      resume,
      signal,
      onStage(_stage, index, count, { training }) {
        progress.stop();
        if (count > 1) console.log(`stage ${index + 1} of ${count}`);
        progress = startProgress(training.steps, 'step');
      },
      onStep: (step) => progress.update(step),
    });
    trained.model.dispose();
    progress.stop();
    if (!trained.finished) return;
    const test = await openDataset('digits', { split: 'test' });
    test.samples = test.samples.slice(0, settings.images);
    const result: Result = { seconds: trained.progress.seconds, mAP: {} };
    for (const { set } of rowsOf(variant.id)) {
      if (testName(set) in result.mAP || signal.aborted) continue;
      const model = await loadModel(gpu, path, (config) => withSettings(config, set ?? []));
      result.mAP[testName(set)] = (await evaluate(model, test, 'voc10')).report.mAP;
      model.dispose();
    }
    if (signal.aborted) return;
    replaceFile(join(path, 'result.json'), JSON.stringify(result, null, 2) + '\n');
  } finally {
    progress.stop();
  }
}

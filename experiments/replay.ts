/** Trains and tests what the plan asks for, in one run directory for each network and seed; finished ones are not repeated. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { replaceFile } from '../src/engine/node/writeFile.ts';
import type { Gpu } from '../src/engine/gpu.ts';
import { openDataset } from '../src/data/registry.ts';
import { withSettings } from '../src/run/config/configSchema.ts';
import { evaluate } from '../src/run/evaluation/evaluate.ts';
import { loadModel } from '../src/run/storage/loadModel.ts';
import type { Detector } from '../src/model/detector.ts';
import { configureRun, reopenRun } from '../src/run/config/runConfig.ts';
import { giveProposals } from '../src/run/config/runData.ts';
import { RunDirectory } from '../src/run/storage/runDirectory.ts';
import { asOnlyWriter } from '../src/run/storage/runLock.ts';
import { trainRun } from '../src/run/training/trainRun.ts';
import { startProgress } from '../src/cli/progress.ts';
import type { Dataset } from '../src/data/types.ts';
import { median } from '../src/bench/statistics.ts';
import { detectInStages } from '../src/run/evaluation/detect.ts';
import { firstScenes } from './firstScenes.ts';
import { EXPERIMENTS, type Variant, VARIANTS } from './plan.ts';
import { makeProposals, proposalsPath, proposalTime } from './proposals.ts';

export interface Settings {
  out: string;
  steps: number;
  seeds: number;
  /** The number of test scenes. */
  images: number;
  /** The id of the experiment to run alone; without it all are. */
  only?: string | undefined;
}

/** result.json of a network: seconds of training, and the mAP under the name of each test. */
export interface Result {
  seconds: number;
  mAP: Record<string, number>;
  /** Milliseconds of a test image: its proposals, and everything else. */
  ms?: { proposals: number; network: number };
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
  const variants = needed(settings.only);
  const total = variants.length * settings.seeds;
  for (let run = 0; run < total && !signal.aborted; run++) {
    const variant = variants[run % variants.length]!;
    const seed = Math.floor(run / variants.length) + 1;
    const tests = [...new Set(rowsOf(variant.id).map(({ set }) => testName(set)))];
    const before = readResult(settings, variant.id, seed);
    if (before && tests.every((name) => name in before.mAP)) continue;
    console.log(`${run + 1} of ${total}: ${variant.id}, seed ${seed}`);
    await asOnlyWriter(home(settings, variant.id, seed), () => replayOne(gpu, variant, seed, settings, signal));
    gpu.trim();
  }
}

/** The networks of an experiment, with those that they start from; without one all networks. */
function needed(only: string | undefined): Variant[] {
  if (only === undefined) return [...VARIANTS];
  const rows = EXPERIMENTS.filter(({ id }) => id === only).flatMap(({ rows }) => rows);
  const named = new Set(rows.map(({ variant }) => variant));
  for (const { id, init } of VARIANTS) if (named.has(id) && init !== undefined) named.add(init);
  return VARIANTS.filter(({ id }) => named.has(id));
}

const rowsOf = (variant: string) => EXPERIMENTS.flatMap(({ rows }) => rows).filter((row) => row.variant === variant);

async function replayOne(gpu: Gpu, variant: Variant, seed: number, settings: Settings, signal: AbortSignal) {
  const path = home(settings, variant.id, seed);
  const directory = new RunDirectory(path);
  const { proposals } = variant;
  if (proposals) {
    const scenes = { train: scenesOf(variant, settings), test: settings.images };
    firstScenes(scenes.train); // a run that goes on names this data
    await makeProposals(gpu, settings.out, proposals, scenes, signal);
  }
  if (signal.aborted) return;
  const resume = directory.hasConfig;
  const { config, dataset } = resume
    ? await reopenRun(directory.readConfig())
    : await configureRun(choicesOf(variant, seed, settings));
  let progress = startProgress(config.training.steps, 'step');
  try {
    const trained = await trainRun({
      gpu,
      dataset,
      directory,
      config,
      resume,
      signal,
      onStage(_stage, index, count, { training }) {
        progress.stop();
        if (count > 1) console.log(`stage ${index + 1} of ${count}`);
        progress = startProgress(training.steps, 'step');
      },
      onStep: (step) => progress.update(step),
      onFitting(part, done, total) {
        if (done === 1) {
          progress.stop();
          console.log(`fitting SVMs: ${part}`);
          progress = startProgress(total, 'image');
        }
        progress.update(done);
      },
    });
    trained.model.dispose();
    progress.stop();
    if (!trained.finished) return;
    const test = await openDataset(firstScenes(settings.images), { split: 'test' });
    const testProposals = proposals && proposalsPath(settings.out, proposals, 'test', settings.images);
    if (testProposals) await giveProposals([testProposals], undefined, test);
    const result: Result = { seconds: trained.progress.seconds, mAP: {} };
    for (const { set } of rowsOf(variant.id)) {
      if (testName(set) in result.mAP || signal.aborted) continue;
      const model = await loadModel(gpu, path, (config) => withSettings(config, set ?? []));
      result.mAP[testName(set)] = (await evaluate(model, test, 'voc10')).report.mAP;
      if (set === undefined) result.ms = await timesOf(model, test, proposals && proposalTime(settings.out, proposals));
      model.dispose();
    }
    if (signal.aborted) return;
    replaceFile(join(path, 'result.json'), JSON.stringify(result, null, 2) + '\n');
  } finally {
    progress.stop();
  }
}

/** The scenes that proposals are computed for: as many as a network of the RPN sees, which takes one an update, or fewer. */
const scenesOf = ({ scenes }: Variant, { steps }: Settings): number => Math.min(scenes ?? Infinity, steps);

/** What `rcnn train` would be given. An update of a detector on given proposals takes 128 RoIs and not 64, so it has half as many. */
function choicesOf(variant: Variant, seed: number, settings: Settings) {
  const { schedule = 'joint', proposals, init, set = [] } = variant;
  const scenes = scenesOf(variant, settings);
  return {
    preset: 'demo',
    steps: proposals ? Math.ceil(settings.steps / 2) : settings.steps,
    seed,
    schedule,
    set,
    ...(proposals && {
      data: firstScenes(scenes),
      proposals: proposalsPath(settings.out, proposals, 'train', scenes),
    }),
    ...(init !== undefined && { init: new RunDirectory(home(settings, init, seed)).checkpointPath }),
  };
}

/** Test scenes whose parts are timed. */
const TIMED_IMAGES = 10;

/** The medians of some images; `proposing`: of another method, in milliseconds. */
async function timesOf(model: Detector, { samples }: Dataset, proposing = 0): Promise<NonNullable<Result['ms']>> {
  const times: { proposals: number; network: number }[] = [];
  for (const sample of samples.slice(0, TIMED_IMAGES)) {
    const { milliseconds } = await detectInStages(model, await sample.load(), sample.proposals);
    const { image, conv, proposal, region } = milliseconds;
    times.push({ proposals: proposing + proposal, network: image + conv + region });
  }
  return {
    proposals: median(times.map(({ proposals }) => proposals)),
    network: median(times.map(({ network }) => network)),
  };
}

/** Runs small enough for tests: digit scenes at half their size, the small network with few proposals and RoIs. */
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { Dataset } from '../../src/data/types.ts';
import { loadSafetensors } from '../../src/engine/node/safetensorsFile.ts';
import { configureRun, reopenRun, type RunChoices } from '../../src/run/config/runConfig.ts';
import type { RunConfig } from '../../src/run/config/configSchema.ts';
import { RunDirectory } from '../../src/run/storage/runDirectory.ts';
import { trainRun, type RunTraining, type TrainedRun } from '../../src/run/training/trainRun.ts';
import { temporaryFolder } from '../data/fixtures.ts';
import { sharedGpu } from '../harness.ts';

export interface TinyRun {
  config: RunConfig;
  dataset: Dataset;
}

export async function tinyRun(choices: RunChoices = {}): Promise<TinyRun> {
  const { config, dataset } = await configureRun({ preset: 'demo', ...choices });
  const { detector } = config;
  config.detector = {
    ...detector,
    input: { ...detector.input, shorterSide: 80 },
    anchors: { sizes: [16, 32], ratios: [1] },
    rpn: { ...detector.rpn, channels: 16, batch: 32, train: { ...detector.rpn.train, preNms: 100, postNms: 32 } },
    head: { ...detector.head, pooled: 3, batch: 16 },
  };
  return { config, dataset };
}

/** Trains on the shared device, in a new directory unless one is given. */
export async function trainHere(
  run: TinyRun,
  options: Partial<RunTraining> = {},
): Promise<TrainedRun & { directory: RunDirectory }> {
  const { directory = new RunDirectory(join(temporaryFolder(), 'run')) } = options;
  const result = await trainRun({ gpu: await sharedGpu(), directory, resume: false, ...run, ...options });
  return { ...result, directory };
}

/** Runs a training that `events` stop, as Ctrl-C does. */
export async function stopped<Result extends { finished: boolean }>(
  events: (stop: () => void) => Partial<RunTraining>,
  train: (options: Partial<RunTraining>) => Promise<Result>,
): Promise<Result> {
  const controller = new AbortController();
  const result = await train({ ...events(() => controller.abort()), signal: controller.signal });
  assert.is(result.finished, false, 'the training was stopped');
  return result;
}

/** As `stopped`, after a step. */
export const stoppedAt = <Result extends { finished: boolean }>(
  step: number,
  train: (options: Partial<RunTraining>) => Promise<Result>,
): Promise<Result> => stopped((stop) => ({ onStep: (done) => void (done === step && stop()) }), train);

/** Goes on with a stopped run to its end, on what its directory and its data hold. */
export async function resumeHere(
  directory: RunDirectory,
  options: Partial<RunTraining> = {},
): Promise<TrainedRun & { directory: RunDirectory }> {
  const resumed = await trainHere(await reopenRun(directory.readConfig()), { directory, resume: true, ...options });
  assert.ok(resumed.finished);
  return resumed;
}

/** The message of the error that a training ends with. */
export const failure = (training: Promise<unknown>): Promise<string> =>
  training.then(
    () => 'no error',
    (error: Error) => error.message,
  );

/** Every tensor of a checkpoint, weights and momentum, as bits; seconds are left out. */
export async function checkpointBits(directory: Pick<RunDirectory, 'checkpointPath'>): Promise<Record<string, string>> {
  const { tensors, metadata } = await loadSafetensors(directory.checkpointPath);
  const bits = Object.entries(tensors).map(([name, { data }]) => [
    name,
    Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64'),
  ]);
  return { ...Object.fromEntries(bits), step: metadata['step'] };
}

/** Checkpoints (checkpointFormat.ts) and initial weights as files. */
import { loadSafetensors, readSafetensorsHeader } from '../../engine/node/safetensorsFile.ts';
import { loadWeights } from '../../engine/node/weightsFile.ts';
import { replaceFile } from '../../engine/node/writeFile.ts';
import { wholeParameters, writeWhole } from '../../engine/shards.ts';
import {
  fitting,
  type Progress,
  readProgress,
  restoreCheckpoint,
  serializeCheckpoint,
  type Trainable,
  type TrainingState,
  weightsToUse,
  wrongNetwork,
} from './checkpointFormat.ts';
import { fillInitialWeights, type InitReport } from './initialWeights.ts';

export type { InitReport, Progress, Trainable };

const AFTER_FULL_DISK = 'continue with --resume';

/** Replaces the file at `path`, all or nothing. If weights are not finite, it throws and the file stays as it was. */
export async function saveCheckpoint(
  path: string,
  model: Trainable,
  state: TrainingState | undefined,
  progress: Progress,
): Promise<void> {
  replaceFile(path, await serializeCheckpoint(model, state, progress), AFTER_FULL_DISK);
}

/** The part of a run directory (`RunDirectory`) that a training writes. */
export interface RunFiles<Line> {
  checkpointPath: string;
  keptPath(step: number): string;
  keepLast(count: number): void;
  appendMetrics(line: Line): void;
  syncMetrics(): void;
}

/** Which checkpoints a run has: the newest and, every `kept.interval` steps, the last `kept.last` others, or all. */
export interface KeptCheckpoints {
  checkpointInterval: number;
  kept?: { interval: number; last?: number | undefined } | undefined;
}

/** The storage of a training in a run directory, for `runLoop`. */
export const keptIn = <Line>(
  directory: RunFiles<Line>,
  { checkpointInterval, kept }: KeptCheckpoints,
  model: Trainable,
  state: TrainingState,
) => ({
  checkpointInterval,
  ...(kept && { keepInterval: kept.interval }),
  save: async (progress: Progress) => {
    directory.syncMetrics();
    const bytes = await serializeCheckpoint(model, state, progress);
    // Those that are kept come first: a run that is killed in between makes this step again, and no file is missing.
    if (kept && progress.step % kept.interval === 0) {
      replaceFile(directory.keptPath(progress.step), bytes, AFTER_FULL_DISK);
      if (kept.last !== undefined) directory.keepLast(kept.last);
    }
    replaceFile(directory.checkpointPath, bytes, AFTER_FULL_DISK);
  },
  append: (line: Line) => directory.appendMetrics(line),
});

/** The progress of the run that a checkpoint belongs to. */
export const checkpointProgress = (path: string): Progress => readProgress(path, readSafetensorsHeader(path).metadata);

/** Fills the model and, if given, the state of its training. The file must fit the network exactly. */
export async function loadCheckpoint(path: string, model: Trainable, state?: TrainingState): Promise<Progress> {
  return restoreCheckpoint(await loadSafetensors(path), path, model, state);
}

/**
 * Copies the weights that a checkpoint is to be used with into the network, the averages of those that have one. `keep` returns
 * the name that a tensor has in the network, or null to leave it out; the network must have all the others.
 */
export async function loadParts(path: string, model: Trainable, keep: (name: string) => string | null): Promise<void> {
  const { tensors } = await loadSafetensors(path);
  const parameters = wholeParameters(model.parameters);
  for (const [name, stored] of Object.entries(weightsToUse(tensors))) {
    if (!Object.hasOwn(parameters, name)) throw wrongNetwork(path, `has ${name}, which this network does not have`);
    const target = keep(name);
    if (target === null) continue;
    const whole = parameters[target]!;
    fitting(path, name, whole, stored);
    writeWhole(whole, stored.data);
  }
}

/** Copies the tensors of a file that fit (initialWeights.ts). */
export async function loadInitialWeights(path: string, model: Trainable): Promise<InitReport> {
  return fillInitialWeights(await loadWeights(path), path, model);
}

/** Checkpoints (checkpointFormat.ts) and initial weights as files. */
import { UserError } from '../../engine/errors.ts';
import { allFinite } from '../../engine/integrity.ts';
import { loadSafetensors, readSafetensorsHeader } from '../../engine/node/safetensorsFile.ts';
import { loadWeights } from '../../engine/node/weightsFile.ts';
import { replaceFile } from '../../engine/node/writeFile.ts';
import { wholeParameters, writeWhole } from '../../engine/shards.ts';
import { BACKBONES } from '../../model/backbones/index.ts';
import {
  fitting,
  isTrainingState,
  type Progress,
  readProgress,
  restoreCheckpoint,
  serializeCheckpoint,
  type Trainable,
  type TrainingState,
  weightsToUse,
  wrongNetwork,
} from './checkpointFormat.ts';
import { fitWeights, type WeightFit } from './weightNames.ts';

export type { Progress, Trainable };

/** Replaces the file at `path`, all or nothing. If weights are not finite, it throws and the file stays as it was. */
export async function saveCheckpoint(
  path: string,
  model: Trainable,
  state: TrainingState | undefined,
  progress: Progress,
): Promise<void> {
  replaceFile(path, await serializeCheckpoint(model, state, progress), 'continue with --resume');
}

/** The storage of a training in a run directory, for `runLoop`. */
export const keptIn = <Line>(
  directory: { checkpointPath: string; appendMetrics(line: Line): void; syncMetrics(): void },
  { checkpointInterval }: { checkpointInterval: number },
  model: Trainable,
  state: TrainingState,
) => ({
  checkpointInterval,
  save: (progress: Progress) => {
    directory.syncMetrics();
    return saveCheckpoint(directory.checkpointPath, model, state, progress);
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
 * Copies tensors of a checkpoint into the network. `keep` returns the name that a tensor has in the network, or null to leave it
 * out; the network must have all the others.
 */
export async function loadParts(path: string, model: Trainable, keep: (name: string) => string | null): Promise<void> {
  const { tensors } = await loadSafetensors(path);
  const parameters = wholeParameters(model.parameters);
  for (const [name, stored] of Object.entries(tensors)) {
    if (isTrainingState(name)) continue;
    if (!Object.hasOwn(parameters, name)) throw wrongNetwork(path, `has ${name}, which this network does not have`);
    const target = keep(name);
    if (target === null) continue;
    const whole = parameters[target]!;
    fitting(path, name, whole, stored);
    writeWhole(whole, stored.data);
  }
}

export interface InitReport extends Pick<WeightFit, 'misfits' | 'unused'> {
  /** Parameters taken from the file, in the network's order, each with its name in the file. */
  loaded: { name: string; from: string }[];
  /** Parameters of the network that keep their random values. */
  fresh: string[];
}

/**
 * Copies the tensors that fit from a file of ours, of torchvision's or of Caffe's. Throws if no tensor fits, if values are not
 * finite, or if frozen parameters would stay random.
 */
export async function loadInitialWeights(path: string, model: Trainable): Promise<InitReport> {
  const file = await loadWeights(path);
  const tensors = weightsToUse(file.tensors);
  const parameters = wholeParameters(model.parameters);
  const { backbone, classes, head } = model.config;
  const { taken, misfits, unused } = fitWeights(
    { ...file, tensors },
    {
      parameters,
      publishedNames: BACKBONES.get(backbone)?.publishedNames ?? {},
      classes,
      targetStds: head?.targetStds ?? [1, 1, 1, 1],
    },
  );
  if (taken.size === 0) {
    const first = misfits[0] ? ` (${misfits[0].from} ${misfits[0].why})` : '';
    throw new UserError(`${path}: none of its tensors fits the backbone ${backbone}${first}; choose another file`);
  }
  const names = Object.keys(parameters);
  const fresh = names.filter((name) => !taken.has(name));
  const frozen = fresh.find((name) => !parameters[name]!.parts[0]!.requiresGrad);
  if (frozen !== undefined) {
    const misfit = misfits.find(({ name }) => name === frozen);
    const why = misfit ? `${misfit.from} ${misfit.why}` : `lacks ${frozen}`;
    throw new UserError(`${path}: ${why}, which is not trained and would stay random; choose another file`);
  }
  for (const [name, { from, data }] of taken) {
    if (!allFinite(data)) throw new UserError(`${path}: ${from} is not finite; choose another file`);
    writeWhole(parameters[name]!, data);
  }
  const loaded = names.flatMap((name) => (taken.has(name) ? { name, from: taken.get(name)!.from } : []));
  return { loaded, fresh, misfits, unused };
}

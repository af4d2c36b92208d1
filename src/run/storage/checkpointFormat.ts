/**
 * Checkpoints as bytes in memory; checkpoint.ts has the files.
 *
 * Safetensors: every parameter under its name, what the optimiser keeps for it under `momentum/<name>` (SGD) or
 * `first_moment/<name>` and `second_moment/<name>` (Adam), its moving average under `average/<name>`, and as metadata the step, the classes
 * and how an image becomes the network's input, which a run needs that starts from it. The random numbers and the order of the
 * data are pure functions of the run's seed and the step, so nothing else is needed to continue with the same bits. A
 * parameter in shards is stored as one tensor, so that a checkpoint does not depend on the device that wrote it. The metadata
 * also contain a checksum (engine/integrity.ts), which every reader verifies.
 */
import { UserError } from '../../engine/errors.ts';
import { allFinite, verified, withChecksum } from '../../engine/integrity.ts';
import { type Safetensors, serializeSafetensors, type StoredTensor } from '../../engine/safetensors.ts';
import { readWhole, type Stored, type WholeParameter, wholeParameters, writeWhole } from '../../engine/shards.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { InputForm } from '../../model/inputForms.ts';
import { CLASSES } from './weightNames.ts';

const AVERAGE = 'average/';
/** How the names of tensors begin that are not weights. */
const STATES = ['momentum/', 'first_moment/', 'second_moment/', AVERAGE];

/** Whether a tensor of a checkpoint belongs to the state of the training. */
const isTrainingState = (name: string): boolean => STATES.some((state) => name.startsWith(state));

/**
 * The weights of a checkpoint that a network is to be used with: the averages of those that have one. `raw`: those that were trained,
 * before averaging.
 */
export const weightsToUse = (tensors: Safetensors['tensors'], raw = false): Safetensors['tensors'] =>
  Object.fromEntries(
    Object.entries(tensors)
      .filter(([name]) => !isTrainingState(name))
      .map(([name, tensor]) => [name, (raw ? undefined : tensors[AVERAGE + name]) ?? tensor]),
  );

/** The key of the metadata under which the preparation of an image is stored, as JSON. */
export const INPUT = 'input';

/** What files need of a network that is trained: a detector or a classifier. */
export interface Trainable {
  /** Every parameter by its name. */
  readonly parameters: Readonly<Record<string, Tensor>>;
  readonly config: {
    readonly backbone: string;
    readonly classes: readonly string[];
    readonly input: InputForm;
    /** Only a detector has this. */
    readonly head?: { readonly targetStds: readonly number[] };
  };
}

/** What trains it, as files see it: the tensors that it keeps for each parameter, by the first part of their names. */
export interface TrainingState {
  readonly slots: readonly { parameter: { name: string }; state: Readonly<Record<string, Stored>> }[];
  /** Updates made; one for each step of a run. */
  updates?: number;
}

/** Steps done and seconds trained when the checkpoint was made. */
export interface Progress {
  step: number;
  seconds: number;
  dataSeconds: number;
}

/** The progress with which every training begins. */
export const NO_PROGRESS: Readonly<Progress> = { step: 0, seconds: 0, dataSeconds: 0 };

/**
 * The bytes of a checkpoint file, once everything recorded so far has run. Without a state the checkpoint can be used, but
 * training cannot continue from it with the same bits. Throws a UserError if a value is not finite.
 */
export async function serializeCheckpoint(
  model: Trainable,
  state: TrainingState | undefined,
  { step, seconds, dataSeconds }: Progress,
): Promise<Uint8Array<ArrayBuffer>> {
  const tensors: Record<string, StoredTensor> = {};
  for (const [name, whole] of Object.entries(everything(model, state))) {
    const data = await readWhole(whole);
    if (!allFinite(data)) {
      throw new UserError(`step ${step}: ${name} is not finite; lower the learning rate`);
    }
    tensors[name] = { shape: [...whole.shape], data };
  }
  const { channels, mean, factor } = model.config.input;
  const metadata = {
    format: 'webgpu-rcnn checkpoint 1',
    step: `${step}`,
    seconds: `${seconds}`,
    data_seconds: `${dataSeconds}`,
    [CLASSES]: JSON.stringify(model.config.classes),
    [INPUT]: JSON.stringify({ channels, mean, factor }),
  };
  return serializeSafetensors(tensors, await withChecksum({ tensors, metadata }));
}

/** The tensors of a checkpoint: parameters by name and, if there is a state, what it keeps for them. */
function everything(model: Trainable, state?: TrainingState): Record<string, WholeParameter> {
  const kept = (state?.slots ?? []).flatMap(({ parameter, state }) =>
    Object.entries(state).map(([name, tensor]) => [`${name}/${parameter.name}`, tensor] as const),
  );
  return wholeParameters<Stored>({ ...model.parameters, ...Object.fromEntries(kept) });
}

/** The progress of the run that a checkpoint belongs to. `source` begins the message if the file is not a checkpoint. */
export function readProgress(
  source: string,
  { step, seconds, data_seconds: dataSeconds }: Safetensors['metadata'],
): Progress {
  if (!/^\d+$/.test(step ?? '')) throw new UserError(`${source}: is not a checkpoint of a run; weights go to --init`);
  return { step: Number(step), seconds: Number(seconds ?? 0), dataSeconds: Number(dataSeconds ?? 0) };
}

/**
 * Fills the model and, if given, the state of its training. Without a state the model gets the weights to use it with: the
 * averages of those that have one, unless `raw` is set. The checkpoint must fit the network exactly, be unchanged since it was saved and hold only
 * finite values; otherwise nothing is filled.
 */
export async function restoreCheckpoint(
  checkpoint: Safetensors,
  source: string,
  model: Trainable,
  state?: TrainingState,
  raw = false,
): Promise<Progress> {
  const { tensors: stored, metadata } = await verified(checkpoint, source);
  const progress = readProgress(source, metadata);
  const targets = everything(model, state);
  const tensors = state ? stored : weightsToUse(stored, raw);
  for (const [name, whole] of Object.entries(targets)) fitting(source, name, whole, tensors[name]);
  for (const name of Object.keys(tensors)) {
    if (!isTrainingState(name) && !targets[name])
      throw wrongNetwork(source, `has ${name}, which this network does not have`);
  }
  for (const [name, whole] of Object.entries(targets)) writeWhole(whole, tensors[name]!.data);
  if (state && 'updates' in state) state.updates = progress.step;
  return progress;
}

export const wrongNetwork = (source: string, why: string): UserError =>
  new UserError(`${source}: ${why}; it belongs to another network: restore the run's own files, or train again`);

/** Throws if a stored tensor does not fit the parameter, or holds NaN or infinity. */
export function fitting(
  source: string,
  name: string,
  whole: WholeParameter,
  stored: StoredTensor | undefined,
): asserts stored {
  if (!stored) throw wrongNetwork(source, `lacks ${name}`);
  if (stored.shape.join() !== whole.shape.join()) {
    throw wrongNetwork(source, `${name} is [${stored.shape}], this network has [${whole.shape}]`);
  }
  if (!(stored.data instanceof Float32Array)) throw wrongNetwork(source, `${name} holds integers`);
  if (!allFinite(stored.data)) {
    throw new UserError(`${source}: ${name} is not finite; restore the file, or train again at a lower rate`);
  }
}

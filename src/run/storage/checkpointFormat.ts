/**
 * Checkpoints as bytes in memory; checkpoint.ts has the files.
 *
 * Safetensors: every parameter under its name, its momentum under `momentum/<name>`, and as metadata the step, the classes
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

export const MOMENTUM = 'momentum/';
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

/** What trains it, as files see it: each parameter's momentum. */
export interface Optimizer {
  readonly slots: readonly { parameter: { name: string }; h: Stored }[];
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
 * The bytes of a checkpoint file, once everything recorded so far has run. Without an optimiser the checkpoint can be used, but
 * training cannot continue from it with the same bits. Throws a UserError if a value is not finite.
 */
export async function serializeCheckpoint(
  model: Trainable,
  optimizer: Optimizer | undefined,
  { step, seconds, dataSeconds }: Progress,
): Promise<Uint8Array<ArrayBuffer>> {
  const tensors: Record<string, StoredTensor> = {};
  for (const [name, whole] of Object.entries(everything(model, optimizer))) {
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

/** The tensors of a checkpoint: parameters by name and, if there is an optimiser, their momentum. */
function everything(model: Trainable, optimizer?: Optimizer): Record<string, WholeParameter> {
  const momentum = (optimizer?.slots ?? []).map(({ parameter, h }) => [MOMENTUM + parameter.name, h] as const);
  return wholeParameters<Stored>({ ...model.parameters, ...Object.fromEntries(momentum) });
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
 * Fills the model and, if given, the optimiser's momentum. The checkpoint must fit the network exactly, be unchanged since it
 * was saved and hold only finite values; otherwise nothing is filled.
 */
export async function restoreCheckpoint(
  checkpoint: Safetensors,
  source: string,
  model: Trainable,
  optimizer?: Optimizer,
): Promise<Progress> {
  const { tensors, metadata } = await verified(checkpoint, source);
  const progress = readProgress(source, metadata);
  const targets = everything(model, optimizer);
  for (const [name, whole] of Object.entries(targets)) fitting(source, name, whole, tensors[name]);
  for (const name of Object.keys(tensors)) {
    if (!name.startsWith(MOMENTUM) && !targets[name])
      throw wrongNetwork(source, `has ${name}, which this network does not have`);
  }
  for (const [name, whole] of Object.entries(targets)) writeWhole(whole, tensors[name]!.data);
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

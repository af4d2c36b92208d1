/**
 * Checkpoints and initial weights as safetensors files.
 *
 * A checkpoint holds every parameter under its name, its momentum under `momentum/<name>`, and as metadata the step, the
 * classes and how a picture becomes the network's input: what another run needs that starts from it. The random numbers and
 * the order of the data are pure functions of the run's seed and the step, so nothing else is needed to go on with the same
 * bits.
 */
import { UserError } from '../engine/errors.ts';
import { loadSafetensors, saveSafetensors } from '../engine/node/files.ts';
import type { Sgd } from '../engine/sgd.ts';
import type { StoredTensor } from '../engine/safetensors.ts';
import { readWhole, type WholeParameter, wholeParameters, writeWhole } from '../engine/shards.ts';
import type { Tensor } from '../engine/tensor.ts';
import { INPUT, inputMetadata } from './initialInput.ts';
import type { ChannelConfig } from './presets.ts';
import { CLASSES, fitWeights, type WeightFit } from './weightNames.ts';

const MOMENTUM = 'momentum/';

/** What is trained, as files see it: a detector or a classifier. */
export interface Trainable {
  /** Every parameter by its name. */
  readonly parameters: Readonly<Record<string, Tensor>>;
  readonly config: {
    readonly backbone: string;
    readonly classes: readonly string[];
    readonly input: ChannelConfig;
    /** Of a detector. */
    readonly head?: { readonly targetStds: readonly number[] };
  };
}

/** Steps done and seconds trained when the checkpoint was made. */
export interface Progress {
  step: number;
  seconds: number;
  dataSeconds: number;
}

/** Replaces the file at `path`, all or nothing. Weights that are not finite are refused: the file stays as it was. */
export async function saveCheckpoint(
  path: string,
  model: Trainable,
  optimizer: Sgd | undefined,
  progress: Progress,
): Promise<void> {
  const { step, seconds, dataSeconds } = progress;
  const tensors: Record<string, StoredTensor> = {};
  const add = async (name: string, whole: WholeParameter): Promise<void> => {
    const data = await readWhole(whole);
    if (!data.every(Number.isFinite)) {
      throw new UserError(
        `step ${step}: ${name} is not finite; lower the learning rate (the last checkpoint is intact)`,
      );
    }
    tensors[name] = { shape: [...whole.shape], data };
  };
  for (const [name, whole] of Object.entries(everything(model, optimizer))) await add(name, whole);
  await saveSafetensors(path, tensors, {
    format: 'webgpu-rcnn checkpoint 1',
    step: `${step}`,
    seconds: `${seconds}`,
    data_seconds: `${dataSeconds}`,
    [CLASSES]: JSON.stringify(model.config.classes),
    [INPUT]: inputMetadata(model.config.input),
  });
}

/** What a checkpoint holds: parameters by name, and where an optimiser is given their momentum. */
function everything(model: Trainable, optimizer?: Sgd): Record<string, WholeParameter> {
  const momentum = (optimizer?.slots ?? []).map(({ parameter, h }) => [MOMENTUM + parameter.name, h] as const);
  return wholeParameters({ ...model.parameters, ...Object.fromEntries(momentum) });
}

function readProgress(path: string, { step, seconds, data_seconds: dataSeconds }: Record<string, string>): Progress {
  if (!/^\d+$/.test(step ?? '')) throw new UserError(`${path}: is not a checkpoint of a run; weights go to --init`);
  return { step: Number(step), seconds: Number(seconds ?? 0), dataSeconds: Number(dataSeconds ?? 0) };
}

/** How far the run of a checkpoint has come. */
export const checkpointProgress = async (path: string): Promise<Progress> =>
  readProgress(path, (await loadSafetensors(path)).metadata);

/** Fills the model and, where given, the optimiser's momentum. The file must fit the network exactly. */
export async function loadCheckpoint(path: string, model: Trainable, optimizer?: Sgd): Promise<Progress> {
  const { tensors, metadata } = await loadSafetensors(path);
  const progress = readProgress(path, metadata);
  const targets = everything(model, optimizer);
  for (const [name, whole] of Object.entries(targets)) fitting(path, name, whole, tensors[name]);
  for (const name of Object.keys(tensors)) {
    if (!name.startsWith(MOMENTUM) && !targets[name])
      throw wrongNetwork(path, `has ${name}, which this network has not`);
  }
  for (const [name, whole] of Object.entries(targets)) writeWhole(whole, tensors[name]!.data);
  return progress;
}

const wrongNetwork = (path: string, why: string): UserError =>
  new UserError(`${path}: ${why}; it belongs to another network: restore the run's own files, or train again`);

function fitting(path: string, name: string, whole: WholeParameter, stored: StoredTensor | undefined): void {
  if (!stored) throw wrongNetwork(path, `lacks ${name}`);
  if (stored.shape.join() !== whole.shape.join()) {
    throw wrongNetwork(path, `${name} is [${stored.shape}], this network has [${whole.shape}]`);
  }
  if (!(stored.data instanceof Float32Array)) throw wrongNetwork(path, `${name} holds integers`);
}

/**
 * Copies the tensors of a checkpoint that `keep` names, or places under another name, into the network; it must have them
 * all. `keep` returns the name in the network, or null.
 */
export async function loadParts(path: string, model: Trainable, keep: (name: string) => string | null): Promise<void> {
  const { tensors } = await loadSafetensors(path);
  const parameters = wholeParameters(model.parameters);
  for (const [name, stored] of Object.entries(tensors)) {
    const target = name.startsWith(MOMENTUM) ? null : keep(name);
    if (target === null) continue;
    const whole = parameters[target];
    if (!whole) throw wrongNetwork(path, `has ${name}, which this network has not`);
    fitting(path, name, whole, stored);
    writeWhole(whole, stored.data);
  }
}

export interface InitReport extends Pick<WeightFit, 'misfits' | 'unused'> {
  /** Parameters taken from the file, in the network's order, and the name each has there. */
  loaded: { name: string; from: string }[];
  /** Parameters of the network that keep their random values. */
  fresh: string[];
}

/**
 * Copies what fits of a file of ours, of torchvision's or of Caffe's. Refused: a file of which nothing fits, values that are
 * not finite, and frozen parameters that would stay random.
 */
export async function loadInitialWeights(path: string, model: Trainable): Promise<InitReport> {
  const file = await loadSafetensors(path);
  const tensors = Object.fromEntries(Object.entries(file.tensors).filter(([name]) => !name.startsWith(MOMENTUM)));
  const parameters = wholeParameters(model.parameters);
  const { backbone, classes, head } = model.config;
  const { taken, misfits, unused } = fitWeights(
    { ...file, tensors },
    { parameters, classes, targetStds: head?.targetStds ?? [1, 1, 1, 1] },
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
    if (!data.every(Number.isFinite)) throw new UserError(`${path}: ${from} is not finite; choose another file`);
    writeWhole(parameters[name]!, data);
  }
  const loaded = names.flatMap((name) => (taken.has(name) ? { name, from: taken.get(name)!.from } : []));
  return { loaded, fresh, misfits, unused };
}

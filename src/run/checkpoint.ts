/**
 * Checkpoints and initial weights as safetensors files.
 *
 * A checkpoint holds every parameter under its name, its momentum under `momentum/<name>`, and as metadata the step. The
 * random numbers and the order of the data are pure functions of the run's seed and the step, so nothing else is needed to
 * go on with the same bits.
 */
import { UserError } from '../engine/errors.ts';
import { loadSafetensors, saveSafetensors } from '../engine/node/files.ts';
import type { Sgd } from '../engine/sgd.ts';
import type { StoredTensor } from '../engine/safetensors.ts';
import { readWhole, type WholeParameter, wholeParameters, writeWhole } from '../engine/shards.ts';
import type { Tensor } from '../engine/tensor.ts';

const MOMENTUM = 'momentum/';

/** What is trained, as files see it: a detector or a classifier. */
export interface Trainable {
  /** Every parameter by its name. */
  readonly parameters: Readonly<Record<string, Tensor>>;
  /** For messages. */
  readonly config: { readonly backbone: string };
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
  });
}

/** What a checkpoint holds: parameters by name, and where an optimiser is given their momentum. */
function everything(model: Trainable, optimizer?: Sgd): Record<string, WholeParameter> {
  const momentum = (optimizer?.slots ?? []).map(({ parameter, h }) => [MOMENTUM + parameter.name, h] as const);
  return wholeParameters({ ...model.parameters, ...Object.fromEntries(momentum) });
}

function readProgress(path: string, { step, seconds, data_seconds: dataSeconds }: Record<string, string>): Progress {
  if (step === undefined) throw new UserError(`${path}: is not a checkpoint of a run; weights go to --init`);
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

export interface InitReport {
  loaded: string[];
  /** Parameters of the network that the file does not have: they keep their random values. */
  fresh: string[];
  /** Tensors of the file with no place in the network, with the reason. */
  unused: string[];
}

/** Copies the tensors of a file that fit parameters by name and shape. A file of which nothing fits is refused. */
export async function loadInitialWeights(path: string, model: Trainable): Promise<InitReport> {
  const { tensors } = await loadSafetensors(path);
  const parameters = wholeParameters(model.parameters);
  const report: InitReport = { loaded: [], fresh: [], unused: [] };
  const momentum = Object.keys(tensors).filter((name) => name.startsWith(MOMENTUM)).length;
  if (momentum > 0) report.unused.push(`${MOMENTUM}* (of the run that made the file)`);
  for (const [name, { shape, data }] of Object.entries(tensors)) {
    if (name.startsWith(MOMENTUM)) continue;
    const parameter = parameters[name];
    if (!parameter) report.unused.push(`${name} (no such parameter)`);
    else if (parameter.shape.join() !== shape.join())
      report.unused.push(`${name} ([${shape}], not [${parameter.shape}])`);
    else {
      writeWhole(parameter, data);
      report.loaded.push(name);
    }
  }
  report.fresh = Object.keys(parameters).filter((name) => !report.loaded.includes(name));
  if (report.loaded.length === 0) {
    throw new UserError(`${path}: none of its tensors fits the backbone ${model.config.backbone}`);
  }
  return report;
}

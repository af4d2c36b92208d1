/** What the commands share: options, help sections, opening the device, JSON files. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Dataset } from '../data/types.ts';
import { dataUsage, FORMATS, openDataset, usualSplit } from '../data/registry.ts';
import type { TileOptions } from '../data/tiles.ts';
import { isTestSplit } from '../data/splitNames.ts';
import { UserError } from '../engine/errors.ts';
import type { Gpu } from '../engine/gpu.ts';
import { replaceFile } from '../engine/node/writeFile.ts';
import { openGpu } from '../engine/node/open.ts';
import { BACKBONES } from '../model/backbones/index.ts';
import { takesProposals } from '../model/detectors.ts';
import { giveProposals } from '../run/config/runData.ts';
import type { Metric } from '../run/evaluation/evaluate.ts';
import { isWeightsFile, readTestConfig, type WeightsName } from '../run/storage/loadModel.ts';
import { RunDirectory } from '../run/storage/runDirectory.ts';
import { withList } from './helpText.ts';

export interface TestDataOptions {
  weights: WeightsName;
  data: string;
  split?: string;
  skipBadBoxes?: boolean;
  splitSeed?: number;
  allowOutside?: boolean;
}

export type AdapterKind = 'auto' | 'hardware' | 'software';

export const adapterOption = (): Option =>
  new Option('--adapter <kind>', 'the device to compute on; auto prefers a GPU')
    .choices(['auto', 'hardware', 'software'])
    .default('auto');

export const precisionOption = (): Option =>
  new Option(
    '--precision <type>',
    'precision in which maps and weights are stored for computing; f16 needs a device with shader-f16',
  ).choices(['f32', 'f16']);

/** `--set`, which is repeatable. */
export const setOption = (what: string): Option =>
  new Option('--set <path=value>', `change one value of ${what}, by its path in config.json; repeatable`).argParser(
    (value: string, before: string[] | undefined) => [...(before ?? []), value],
  );

interface DataOptionTexts {
  /** What follows the ways to name a data set, if anything does. */
  data?: string;
  required?: boolean;
  /** Omitted where a command always takes the same split. */
  split?: { flags?: string; text: string };
}

/** For every command that opens data: `--data`, `--split`, how splits are drawn, and the formats below the options. */
export function withDataOptions(command: Command, { data, required = false, split }: DataOptionTexts): Command {
  const usage = data === undefined ? dataUsage() : `${dataUsage()}; ${data}`;
  command.addOption(new Option('--data <spec>', usage).makeOptionMandatory(required));
  if (split) command.option(split.flags ?? '--split <name>', split.text);
  command
    .option('--split-seed <n>', 'seed of the 60/20/20 splits drawn for data that has none; default: 0', seed)
    .option('--allow-outside', "let annotations name images outside the data's folder");
  return withList(command, 'Formats of --data:', () =>
    [...FORMATS.values()].map(({ name, summary }) => [name, summary]),
  );
}

export const weightsOption = (): Option =>
  new Option(
    '--weights <name>',
    "last, best ('rcnn train --validate'), a step that 'rcnn train --save-every' kept, or raw: the last before averaging (training.ema)",
  )
    .argParser(weightsName)
    .default('last');

export const INIT_TEXT =
  "initial weights (.safetensors, .pth, .pkl or .onnx): a run's, torchvision's, detectron2's or Caffe's; layers that fit by name and shape are loaded";

/** Adds what a training of a whole network begins with and goes on by: `--init`, `--checkpoint-every`, `--resume`, `--adapter`. */
export const withSessionOptions = (command: Command): Command =>
  command
    .option('--init <file>', INIT_TEXT)
    .option('--checkpoint-every <n>', 'steps between checkpoints; default: 200', positiveInteger)
    .option('--resume', 'continue the run in --out from its checkpoint, with its configuration')
    .addOption(adapterOption());

/** `--model` of commands that take published detectors as well as runs. */
export const trainedOption = (required = true): Option =>
  new Option(
    '--model <path>',
    'a run directory, or the weights of a detector of torchvision or detectron2 (.pth, .pkl, .safetensors)',
  ).makeOptionMandatory(required);

export const classesOption = (): Option =>
  new Option(
    '--classes <names>',
    "with a file of weights: the names of its classes without the background, with commas; default: COCO's",
  );

/** The names that `--classes` gives to a file's classes. */
export function fileClasses({ model, classes }: { model: string; classes?: string }): string[] | undefined {
  if (classes !== undefined && !isWeightsFile(model))
    throw new UserError('--classes: a run has the names of its classes; leave the option out');
  return classes?.split(',').map((name) => name.trim());
}

function weightsName(text: string): WeightsName {
  if (text === 'last' || text === 'raw' || text === 'best') return text;
  if (/^\d+$/.test(text) && Number.isSafeInteger(Number(text))) return Number(text);
  throw new InvalidArgumentError('It must be last, raw, best or the number of a step.');
}

/** Adds `--backbone`, and the list of them below the options. */
export const withBackbones = (command: Command, otherwise: string): Command =>
  withList(
    command.option('--backbone <name>', `the network, one of those listed below; default: ${otherwise}`),
    'Backbones:',
    () => [...BACKBONES.values()].map(({ name, title }) => [name, title]),
  );

/** Adds the options of `TestDataOptions`. */
export const withTestData = (command: Command): Command =>
  withDataOptions(command.addOption(weightsOption()), {
    data: "its classes must be the model's",
    required: true,
    split: { text: 'the split to evaluate on; default: test, or val where there is none' },
  }).option('--skip-bad-boxes', 'leave out boxes outside their image or without area, instead of stopping');

/** The split to test on. */
export const testSplit = ({ data, split }: TestDataOptions): string => split ?? usualSplit(data, 'test');

/** Opens the data to evaluate on, with the classes of the run if one is given, and prints the data set's notes. */
export async function openTestData(options: TestDataOptions & { model?: string }): Promise<Dataset> {
  const { model, weights } = options;
  const config = model === undefined ? undefined : readTestConfig(model, weights);
  const split = testSplit(options);
  if (options.split === undefined && !isTestSplit(split))
    console.log(`note: ${options.data} has no test split; its split ${split} takes the place of one`);
  const dataset = await openDataset(options.data, {
    split,
    classes: config?.detector.classes.slice(1),
    onBadBox: options.skipBadBoxes || config?.skipBadBoxes ? 'skip' : 'error',
    splitSeed: options.splitSeed ?? config?.splitSeed, // the run's own, otherwise it would be tested on images it was trained on
    allowOutside: options.allowOutside ?? config?.allowOutside,
  });
  for (const note of dataset.notes) console.log(`note: ${note}`);
  return dataset;
}

/**
 * The files of `--proposals`, or undefined. Throws if the model's run cannot use proposals of another method, or cannot do
 * without them.
 */
export function proposalFiles(files: string | undefined, model: string): string[] | undefined {
  const takes = !isWeightsFile(model) && takesProposals(new RunDirectory(model).readConfig().detector);
  if (takes && files === undefined) {
    throw new UserError(
      `--proposals is missing: ${model} was trained on proposals of another method; give some for these images in CSV`,
    );
  }
  if (!takes && files !== undefined)
    throw new UserError(`--proposals: ${model} makes its own proposals; leave the option out`);
  return files?.split(',');
}

/** Gives each image its proposals, if the run uses any, and prints how many images have none. */
export async function giveTestProposals(files: string | undefined, model: string, dataset: Dataset): Promise<void> {
  const paths = proposalFiles(files, model);
  if (!paths) return;
  const { length } = dataset.notes;
  await giveProposals(paths, undefined, dataset);
  for (const note of dataset.notes.slice(length)) console.log(`note: ${note}`);
}

/** Opens the device, prints which one it is, and closes it after `fn`, so that the process can exit. `turn`: which of several GPUs. */
export async function withGpu<T>(adapter: AdapterKind, fn: (gpu: Gpu) => Promise<T>, turn?: number): Promise<T> {
  const gpu = await openGpu({ adapter, turn });
  try {
    console.log(describeAdapter(gpu, adapter));
    return await fn(gpu);
  } finally {
    gpu.close();
  }
}

export function describeAdapter({ adapter: { description, software } }: Gpu, asked: AdapterKind): string {
  if (!software) return `computing on ${description}`;
  const chosen = asked === 'software' || process.env['WEBGPU_RCNN_SOFTWARE'];
  return `${chosen ? '' : 'no GPU found: '}computing on the CPU with ${description}`;
}

export function positiveInteger(text: string): number {
  if (/^\d+$/.test(text) && Number(text) > 0 && Number.isSafeInteger(Number(text))) return Number(text);
  throw new InvalidArgumentError('It must be a whole number above 0.');
}

/** A seed: 32 bits. */
export function seed(text: string): number {
  if (/^\d+$/.test(text) && Number(text) < 2 ** 32) return Number(text);
  throw new InvalidArgumentError('It must be a whole number from 0 to 4294967295.');
}

export function positiveNumber(text: string): number {
  if (text.trim() !== '' && Number(text) > 0 && Number.isFinite(Number(text))) return Number(text);
  throw new InvalidArgumentError('It must be a number above 0.');
}

export interface TileChoices {
  tile?: number;
  overlap?: number;
}

/** Adds `--tile` and `--overlap`. */
export const withTileOptions = (command: Command): Command =>
  command
    .option(
      '--tile <pixels>',
      'detect in overlapping tiles of this side as well as in the whole image, and merge: for small objects in large images',
      positiveInteger,
    )
    .option('--overlap <share>', 'with --tile, the share of a tile that its neighbour has too; default: 0.2', score);

/** The share of a tile that its neighbour has too, unless one is chosen. */
const TILE_OVERLAP = 0.2;

/** The tiles that were asked for, if any. Tiles have no proposals of another method. */
export function tilesFor({ tile, overlap }: TileChoices, proposals: string | undefined): TileOptions | undefined {
  if (tile === undefined) {
    if (overlap === undefined) return undefined;
    throw new UserError('--overlap: of which tiles? Give --tile PIXELS too');
  }
  if (overlap !== undefined && overlap > 0.9)
    throw new UserError(`--overlap ${overlap}: leaves too many tiles; choose a share up to 0.9`);
  if (proposals !== undefined)
    throw new UserError('--tile: a detector that is given proposals (--proposals) sees whole images; leave it out');
  return { side: tile, overlap: overlap ?? TILE_OVERLAP };
}

/** A score, 0 to 1. */
export function score(text: string): number {
  if (text.trim() !== '' && Number(text) >= 0 && Number(text) <= 1) return Number(text);
  throw new InvalidArgumentError('It must be a number from 0 to 1.');
}

export function metric(text: string): Metric {
  if (text === 'voc07' || text === 'voc10' || text === 'coco') return text;
  throw new UserError(`--metric ${text}: unknown; choose voc07 (11 points), voc10 (area) or coco (IoU 0.5 to 0.95)`);
}

/** Prints one line per picture: what it shows, and its path. */
export function printPictures(pictures: Readonly<Record<string, string>>): void {
  for (const [name, path] of Object.entries(pictures)) console.log(`${name.padEnd(10)}  ${path}`);
}

export const writeJson = (path: string, value: unknown): void =>
  replaceFile(path, JSON.stringify(value, null, 2) + '\n');

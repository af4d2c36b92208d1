/** What the commands share: options, the device and the line about it, tables, JSON files. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Dataset } from '../data/types.ts';
import { DATA_USAGE, openDataset, usualSplit } from '../data/registry.ts';
import { UserError } from '../engine/errors.ts';
import type { Gpu } from '../engine/gpu.ts';
import { replaceFile } from '../engine/node/files.ts';
import { openGpu } from '../engine/node/open.ts';
import { BACKBONES } from '../model/backbones/index.ts';
import type { Metric } from '../run/evaluation/evaluate.ts';
import { readTrainedConfig, type WeightsName } from '../run/storage/loadModel.ts';
import { RunDirectory } from '../run/storage/runDirectory.ts';

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
  new Option('--adapter <kind>', 'which device computes; auto prefers a GPU')
    .choices(['auto', 'hardware', 'software'])
    .default('auto');

/** `--set`, which may be given several times. */
export const setOption = (what: string): Option =>
  new Option(
    '--set <path=value>',
    `change one value of ${what}; the path as in config.json; may be given again`,
  ).argParser((value: string, before: string[] | undefined) => [...(before ?? []), value]);

/** `--split-seed` and `--allow-outside`, of every command that opens data. */
export const withDataOptions = (command: Command): Command =>
  command
    .option('--split-seed <n>', 'of the parts of data that has none of its own (60/20/20); default: 0', seed)
    .option('--allow-outside', 'annotations may name pictures outside the folder of the data');

export const weightsOption = (): Option =>
  new Option('--weights <name>', "the last checkpoint's, or the best of 'rcnn train --validate'")
    .choices(['last', 'best'])
    .default('last');

export const backboneOption = (otherwise: string): Option =>
  new Option('--backbone <name>', `${[...BACKBONES.keys()].join(', ')}; ${otherwise}`);

/** A line for each backbone. */
export const backbonesHelp = (): string =>
  ['Backbones:', ...[...BACKBONES.values()].map(({ name, title }) => `  ${name.padEnd(20)} ${title}`)].join('\n');

/** Adds the options of `TestDataOptions`. */
export const withTestData = (command: Command): Command =>
  withDataOptions(command)
    .addOption(weightsOption())
    .requiredOption('--data <spec>', `${DATA_USAGE}; its classes must be the model's`)
    .option('--split <name>', 'the part to evaluate on; default: test, and of coco: all of the file')
    .option('--skip-bad-boxes', 'leave out boxes outside their image or without area, instead of stopping');

/** Ends a command's help with an example that can be typed. */
export const withExample = (command: Command, ...lines: string[]): Command =>
  command.addHelpText('after', `\nExample:\n${lines.map((line) => `  ${line}`).join('\n')}`);

/** The part of the data to test on. */
export const testSplit = ({ data, split }: TestDataOptions): string => split ?? usualSplit(data, 'test');

/** The data to test a run on, its classes being the run's, if one is given; says what its user should read once. */
export async function openTestData(options: TestDataOptions & { model?: string }): Promise<Dataset> {
  const { model, weights } = options;
  const config = model === undefined ? undefined : readTrainedConfig(new RunDirectory(model), weights);
  const dataset = await openDataset(options.data, {
    split: testSplit(options),
    classes: config?.detector.classes.slice(1),
    onBadBox: options.skipBadBoxes || config?.skipBadBoxes ? 'skip' : 'error',
    splitSeed: options.splitSeed ?? config?.splitSeed, // what the run was trained on is no test
    allowOutside: options.allowOutside ?? config?.allowOutside,
  });
  for (const note of dataset.notes) console.log(`note: ${note}`);
  return dataset;
}

/** Opens the device, says which one it is, and closes it when `fn` ends: the process can then end. */
export async function withGpu<T>(adapter: AdapterKind, fn: (gpu: Gpu) => Promise<T>): Promise<T> {
  const gpu = await openGpu({ adapter });
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
  throw new InvalidArgumentError('It is a whole number from 1 on.');
}

/** A seed: 32 bits. */
export function seed(text: string): number {
  if (/^\d+$/.test(text) && Number(text) < 2 ** 32) return Number(text);
  throw new InvalidArgumentError('It is a whole number from 0 to 4294967295.');
}

export function positiveNumber(text: string): number {
  if (text.trim() !== '' && Number(text) > 0 && Number.isFinite(Number(text))) return Number(text);
  throw new InvalidArgumentError('It is a number above 0.');
}

/** A score, 0 to 1. */
export function score(text: string): number {
  if (text.trim() !== '' && Number(text) >= 0 && Number(text) <= 1) return Number(text);
  throw new InvalidArgumentError('It is a number from 0 to 1.');
}

export function metric(text: string): Metric {
  if (text === 'voc07' || text === 'voc10' || text === 'coco') return text;
  throw new UserError(
    `--metric ${text}: unknown; there are voc07 (11 points), voc10 (area) and coco (IoU 0.5 to 0.95)`,
  );
}

/** A line for each picture: what it shows, and where it is. */
export function printPictures(pictures: Readonly<Record<string, string>>): void {
  for (const [name, path] of Object.entries(pictures)) console.log(`${name.padEnd(10)}  ${path}`);
}

export const writeJson = (path: string, value: unknown): void =>
  replaceFile(path, JSON.stringify(value, null, 2) + '\n');

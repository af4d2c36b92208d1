/** `rcnn check`: reads a whole data set, lists every problem, counts its objects, and measures how the anchors fit them. */
import type { Command } from 'commander';
import { join } from 'node:path';
import { splitsOf } from '../data/registry.ts';
import { disjointSplits } from '../data/splitNames.ts';
import type { Dataset } from '../data/types.ts';
import { type Canvas, writePng } from '../draw/canvas.ts';
import { UserError } from '../engine/errors.ts';
import { assertPackages, DRAWING } from '../engine/node/optionalPackages.ts';
import { backboneNamed } from '../model/backbones/index.ts';
import type { DetectorConfig, TrainingConfig } from '../model/config.ts';
import { type AnchorFit, isPoor } from '../run/reports/anchorFit.ts';
import { withDetectorSettings } from '../run/config/configSchema.ts';
import {
  type DataReport,
  decodeAll,
  openSplits,
  type ImageSize,
  QUANTILES,
  reportOn,
  sameContent,
} from '../run/reports/dataReport.ts';
import { truthSheet } from '../run/evaluation/pictures.ts';
import { configFor, findPreset, type RunChoices } from '../run/config/runConfig.ts';
import { RunDirectory } from '../run/storage/runDirectory.ts';
import { augmentedSheet } from '../run/evaluation/augmentedPictures.ts';
import {
  type AdapterKind,
  adapterOption,
  printPictures,
  setOption,
  withBackbones,
  withDataOptions,
  withGpu,
  writeJson,
} from './common.ts';
import { withExample } from './helpText.ts';
import { assertOutputs } from './outputs.ts';
import { betterAnchorsText, count, percent, table } from './text.ts';
import { startProgress } from './progress.ts';

interface CheckCommand extends Pick<
  RunChoices,
  'data' | 'split' | 'splitSeed' | 'allowOutside' | 'preset' | 'backbone' | 'set'
> {
  model?: string;
  adapter: AdapterKind;
  pictures?: string;
  json?: string;
}

/** How many image sizes are listed, the most frequent first. */
const LISTED_SIZES = 3;

export function addCheck(program: Command): void {
  const described = program
    .command('check')
    .description(
      'Read a whole data set: list every problem, count its objects, measure how well the anchors fit them.',
    );
  const command = withDataOptions(described, {
    data: 'default: the data of --model, or digits',
    split: { flags: '--split <name,...>', text: 'the splits to read; default: trainval (or train and val) and test' },
  }).option('--preset <name>', "measure with this preset's input size and anchors; default: as in 'rcnn train'");
  withBackbones(command, "the preset's")
    .addOption(setOption('the preset, e.g. detector.anchors.sizes=[64,128]'))
    .option('--model <dir>', 'measure with the network and classes of this run directory instead')
    .option(
      '--pictures <dir>',
      'also draw images of each split with their objects, and with training.augmentation as they are trained on',
    )
    .option('--json <file>', 'also write the whole report')
    .addOption(adapterOption())
    .action(check);
  withExample(
    command,
    'rcnn check --data voc:my-data --pictures pictures',
    'rcnn check --data voc:my-data --pictures pictures --set training.augmentation.scale=[0.5,2]',
    'rcnn check --data voc:my-data --set detector.input.shorterSide=600 --set detector.anchors.sizes=[32,64,128]',
  );
}

async function check(options: CheckCommand): Promise<void> {
  if (options.pictures !== undefined) assertPackages(...DRAWING);
  assertOutputs([options.json, options.pictures && join(options.pictures, 'train.png')], options);
  const run = options.model === undefined ? undefined : new RunDirectory(options.model).readConfig();
  if (run && (options.preset !== undefined || options.backbone !== undefined)) {
    throw new UserError('--model: the run has its own preset and backbone; leave --preset and --backbone out');
  }
  const data = options.data ?? run?.data ?? 'digits';
  const { preset } = findPreset(options.preset, data);
  const known = splitsOf(data);
  const names =
    options.split?.split(',') ?? (known.length > 0 ? [...disjointSplits(known)] : [preset.split ?? 'train']);
  const opened = await openSplits(data, names, {
    classes: run?.detector.classes.slice(1),
    splitSeed: options.splitSeed ?? run?.splitSeed,
    allowOutside: options.allowOutside ?? run?.allowOutside,
  });
  const { splits } = opened;
  if (splits.length === 0) {
    if (opened.problems.length === 1) throw new UserError(opened.problems[0]!);
    printProblems(opened.problems);
    throw new UserError(`${data}: has no split that can be read; its problems are listed above`);
  }
  const classes = splits[0]!.dataset.classes;
  const config = run ? withDetectorSettings(run, options.set ?? []) : configFor({ ...options, data }, classes);
  const { detector, training } = config;

  const samples = splits.flatMap(({ dataset }) => dataset.samples);
  const progress = startProgress(samples.length, 'image');
  try {
    const decoded = await decodeAll(samples, (done) => progress.update(done));
    progress.stop();
    const problems = [...new Set([...opened.problems, ...decoded.problems])];
    const report = reportOn(splits, detector);
    const notes = [...opened.notes, ...decoded.notes, ...sameContent(splits)];
    for (const note of notes) console.log(`note: ${note}`);
    console.log(reportText(report, detector));
    if (options.pictures !== undefined) {
      const readable = splits.flatMap(({ split, dataset }) => {
        const samples = dataset.samples.filter((sample) => !decoded.unreadable.has(sample));
        return samples.length === 0 ? [] : [{ split, dataset: { ...dataset, samples } }];
      });
      printPictures(await drawSplits(readable, options.pictures, training, options.adapter));
    }
    if (options.json !== undefined) writeJson(options.json, { data, problems, notes, quantiles: QUANTILES, ...report });
    printProblems(problems);
  } finally {
    progress.stop();
  }
}

/** A sheet of each split with its objects and, with augmentation, another as they are trained on; returns their paths. */
async function drawSplits(
  splits: readonly { split: string; dataset: Dataset }[],
  folder: string,
  { augmentation, ...training }: TrainingConfig,
  adapter: AdapterKind,
): Promise<Record<string, string>> {
  const pictures: Record<string, string> = {};
  const write = async (name: string, sheet: Canvas): Promise<void> => {
    pictures[name] = join(folder, `${name}.png`);
    await writePng(pictures[name], sheet);
  };
  for (const { split, dataset } of splits) await write(split, await truthSheet(dataset));
  if (!augmentation) return pictures;
  await withGpu(adapter, async (gpu) => {
    for (const { split, dataset } of splits)
      await write(`${split}-augmented`, await augmentedSheet(gpu, dataset, { ...training, augmentation }));
  });
  return pictures;
}

function printProblems(problems: readonly string[]): void {
  if (problems.length === 0) return console.log('no problems');
  console.log(`\n${count(problems.length)} problem${problems.length === 1 ? '' : 's'}:`);
  for (const problem of problems) console.log(`  ${problem}`);
  process.exitCode = 1;
}

function reportText(report: DataReport, { backbone }: DetectorConfig): string {
  const { splits, classes, objectsPerImage, imageSizes, inputSizes, sizes, ratios, anchors, betterAnchors } = report;
  const quantileCells = (values: readonly number[] | null, digits: number): string[] =>
    QUANTILES.map((_, i) => values?.[i]?.toFixed(digits) ?? '-');
  const fitCells = ({ iou50, iou70 }: AnchorFit): string[] => [iou50, iou70].map(percent);
  const lines = [
    table([
      ['split', 'images', 'without objects', 'objects', 'not counted'],
      ...splits.map(({ split, ...counts }) => [
        split,
        ...[counts.images, counts.withoutObjects, counts.objects, counts.notCounted].map(count),
      ]),
    ]),
    table([
      ['class', 'images', 'objects', 'IoU >= 0.5', 'IoU >= 0.7'],
      ...classes.map((one) => [one.name, count(one.images), count(one.objects), ...fitCells(one)]),
      ['all', '', count(anchors.objects), ...fitCells(anchors)],
    ]),
    `IoU with the best anchor inside the image: sizes ${anchors.sizes.join(', ')}, height/width ${anchors.ratios.join(', ')}, stride ${backboneNamed(backbone).stride}`,
    ...(betterAnchors ? [betterAnchorsText(betterAnchors)] : []),
    ...(isPoor(anchors) && !betterAnchors
      ? ['the anchors overlap few objects well, and none of the others tried would do much better']
      : []),
    '',
    table([
      ['quantiles', 'min', ...QUANTILES.slice(1, -1).map((share) => `${100 * share} %`), 'max'],
      ['objects per image', ...quantileCells(objectsPerImage, 0)],
      ['object size in pixels of the input', ...quantileCells(sizes, 0)],
      ['height/width', ...quantileCells(ratios, 2)],
    ]),
    `images ${sizesText(imageSizes)}; resized for the network ${sizesText(inputSizes)}`,
  ];
  return lines.join('\n');
}

/** '640x480 (300 images), 512x512 (4), and 7 other sizes' */
function sizesText(sizes: readonly ImageSize[]): string {
  const listed = sizes
    .slice(0, LISTED_SIZES)
    .map(({ width, height, images }) => `${width}x${height} (${count(images)})`);
  const others = sizes.length - listed.length;
  return [...listed, ...(others > 0 ? [`${others} other size${others === 1 ? '' : 's'}`] : [])].join(', ');
}

/** `rcnn detect`: finds objects in image files and draws them. */
import type { Command } from 'commander';
import { readdirSync, statSync } from 'node:fs';
import { join, parse, resolve } from 'node:path';
import { framesOf, isVideoFile, STDIN } from '../data/frames.ts';
import { assertProposals, readProposals } from '../data/proposalFiles.ts';
import type { DecodedImage } from '../kernels/imagePrepare.ts';
import type { ScoredBoxes } from '../kernels/boxes.ts';
import { isImageFile, IMAGE_EXTENSIONS } from '../data/imageNames.ts';
import { writePng } from '../draw/canvas.ts';
import { drawDetections } from '../draw/pictures.ts';
import { isInputError, UserError } from '../engine/errors.ts';
import { assertPackages, DRAWING } from '../engine/node/optionalPackages.ts';
import { detectImage } from '../run/evaluation/detect.ts';
import { detectTiled } from '../run/evaluation/detectTiled.ts';
import { withDetectorSettings, withPrecision } from '../run/config/configSchema.ts';
import type { Precision } from '../model/config.ts';
import { loadModel, type WeightsName } from '../run/storage/loadModel.ts';
import {
  type AdapterKind,
  adapterOption,
  classesOption,
  fileClasses,
  positiveInteger,
  precisionOption,
  proposalFiles,
  score,
  setOption,
  type TileChoices,
  tilesFor,
  trainedOption,
  weightsOption,
  withGpu,
  withTileOptions,
  writeJson,
} from './common.ts';
import { withExample } from './helpText.ts';
import { unreadable } from '../engine/node/readFile.ts';
import { oneLine } from './output.ts';
import { assertOutputs } from './outputs.ts';

interface DetectCommand extends TileChoices {
  model: string;
  weights: WeightsName;
  classes?: string;
  out: string;
  threshold: number;
  json?: string;
  every: number;
  proposals?: string;
  set?: string[];
  precision: Precision;
  adapter: AdapterKind;
}

export function addDetect(program: Command): void {
  const command = program
    .command('detect')
    .description(
      'Find objects in images and draw each image with its detections. Unreadable images are reported and skipped.',
    )
    .argument('<image...>', 'image files, folders of them, videos (with ffmpeg), or - for standard input')
    .addOption(trainedOption())
    .addOption(weightsOption())
    .addOption(classesOption())
    .option('--out <dir>', 'folder for the drawn images, PNG files with the names of the originals', 'detections')
    .option('--threshold <score>', 'lowest score of a detection, 0 to 1', score, 0.5)
    .addOption(setOption('the network, e.g. detector.test.nmsThreshold=0.5'))
    .option('--json <file>', 'also write the detections of each image: x1, y1, x2, y2 (pixels from 0), class, score')
    .option('--every <n>', 'take every n-th frame of a video', positiveInteger, 1)
    .option(
      '--proposals <file,...>',
      'proposals of another method, in CSV: for a run that was trained on those; images by name, without extension',
    )
    .addOption(precisionOption().default('f32'))
    .addOption(adapterOption());
  withTileOptions(command).action(detect);
  withExample(
    command,
    'rcnn detect --model runs/mine photo.jpg holiday/ --threshold 0.7 --json found.json',
    'rcnn detect --model fasterrcnn_resnet50_fpn_coco.pth photo.jpg',
    'rcnn detect --model runs/mine aerial.jpg --tile 640 --overlap 0.2',
  );
}

interface FoundIn {
  image: string;
  /** Number of the frame in a video, from 1. */
  frame?: number;
  detections?: object[];
  /** Why there are no detections. */
  error?: string;
}

async function detect(images: string[], options: DetectCommand): Promise<void> {
  const { out, threshold, json, every, set = [] } = options;
  assertPackages('sharp', ...DRAWING);
  const tiles = tilesFor(options, options.proposals);
  const inputs = images.flatMap(inputFiles);
  const names = outputNames(inputs, out);
  const files = [...inputs, options.model, ...(options.proposals?.split(',') ?? [])];
  assertOutputs([...names.map((name) => `${name}.png`), json], { files, model: options.model });
  const proposals = await inputProposals(inputs, proposalFiles(options.proposals, options.model));
  const classNames = fileClasses(options);
  await withGpu(options.adapter, async (gpu) => {
    const model = await loadModel(
      gpu,
      options.model,
      (config) =>
        withPrecision(
          withDetectorSettings(config, [`detector.test.scoreThreshold=${threshold}`, ...set]),
          options.precision,
        ),
      options.weights,
      classNames,
    );
    const { classes, test } = model.config;
    const found: FoundIn[] = [];
    const keep = (one: FoundIn): void => {
      if (json !== undefined) found.push(one);
    };
    for (const [i, input] of inputs.entries()) {
      try {
        for await (const { picture, number } of framesOf(input, every)) {
          const regions = proposals?.[i];
          if (regions) assertWithin(regions, picture, input);
          const detections = tiles
            ? await detectTiled(model, picture, tiles, i)
            : await detectImage(model, picture, i, regions);
          const frame = number === undefined ? '' : `-${String(number).padStart(6, '0')}`;
          const output = `${names[i]}${frame}.png`;
          await writePng(output, drawDetections(picture, detections, classes));
          const what = countByClass(detections, classes) || `nothing above ${test.scoreThreshold}`;
          console.log(`${input}${number === undefined ? '' : ` frame ${number}`}: ${what} -> ${output}`);
          keep({
            image: input,
            ...(number !== undefined && { frame: number }),
            detections: detections.map(({ classIndex, score, ...box }) => ({
              ...box,
              class: classes[classIndex],
              score,
            })),
          });
        }
      } catch (error) {
        if (!isInputError(error)) throw error;
        console.error(`rcnn detect: ${oneLine(error.message)}`);
        keep({ image: input, error: error.message });
        process.exitCode = 1;
      }
    }
    if (json !== undefined) writeJson(json, found);
  });
}

/** The proposals of each image, whose name in the files has no extension; its size is only known once it is read. */
async function inputProposals(
  inputs: readonly string[],
  paths: string[] | undefined,
): Promise<ScoredBoxes[] | undefined> {
  if (!paths) return undefined;
  const moving = inputs.find((input) => input === STDIN || isVideoFile(input));
  if (moving !== undefined)
    throw new UserError(`${moving}: only image files have proposals (--proposals); leave it out`);
  const images = inputs.map((input) => ({ id: parse(input).name, width: Infinity, height: Infinity }));
  const read = await readProposals(paths, images);
  assertProposals(paths, images, (i) => read[i]!.scores.length);
  return read;
}

function assertWithin({ boxes }: ScoredBoxes, { width, height }: DecodedImage, image: string): void {
  const outside = boxes.findIndex((value, i) => (i % 4 === 2 && value >= width) || (i % 4 === 3 && value >= height));
  if (outside < 0) return;
  const box = boxes.subarray(outside - (outside % 4), outside - (outside % 4) + 4).join(', ');
  throw new UserError(`${image}: is ${width}x${height}, and its proposal (${box}) leaves it; take the right file`);
}

/** '2 cat, 1 dog', the class of the highest score first. */
function countByClass(detections: readonly { classIndex: number }[], classes: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const { classIndex } of detections)
    counts.set(classes[classIndex]!, (counts.get(classes[classIndex]!) ?? 0) + 1);
  return [...counts].map(([name, count]) => `${count} ${name}`).join(', ');
}

/** A file stands for itself, a folder for the images and videos in it. */
function inputFiles(path: string): string[] {
  if (path === STDIN) return [path];
  const names = namesIn(path);
  if (names === null) return [path];
  const files = names.filter((file) => isImageFile(file) || isVideoFile(file)).sort();
  if (files.length === 0)
    throw new UserError(`${path}: contains no image (${IMAGE_EXTENSIONS.join(', ')}); name another folder`);
  return files.map((file) => join(path, file));
}

/** The names in a folder; null if the path is not a folder. */
function namesIn(path: string): string[] | null {
  try {
    const stats = statSync(path, { throwIfNoEntry: false });
    if (!stats) throw new UserError(`${path}: there is no such file or folder; check the name`);
    return stats.isDirectory() ? readdirSync(path) : null;
  } catch (error) {
    throw unreadable(path, error);
  }
}

/**
 * NAME in the folder; NAME-2 and so on if NAME.png is already taken or is one of the inputs. Names that differ only in case
 * count as the same, since some file systems ignore case.
 */
function outputNames(inputs: readonly string[], folder: string): string[] {
  const key = (path: string): string => resolve(path).toLowerCase();
  const taken = new Set(inputs.map(key));
  return inputs.map((input) => {
    const name = input === STDIN ? 'stdin' : parse(input).name;
    for (let n = 1; ; n++) {
      const output = join(folder, `${name}${n === 1 ? '' : `-${n}`}`);
      if (taken.has(key(`${output}.png`))) continue;
      taken.add(key(`${output}.png`));
      return output;
    }
  });
}

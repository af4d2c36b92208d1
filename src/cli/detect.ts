/** `rcnn detect`: finds objects in image files and draws them. */
import type { Command } from 'commander';
import { readdirSync, statSync } from 'node:fs';
import { join, parse, resolve } from 'node:path';
import { readPicture } from '../data/pictures.ts';
import { writePng } from '../draw/canvas.ts';
import { drawDetections } from '../draw/pictures.ts';
import { UserError } from '../engine/errors.ts';
import { detectImage } from '../run/evaluation/detect.ts';
import { withSettings } from '../run/config/configSchema.ts';
import { loadModel, type WeightsName } from '../run/storage/loadModel.ts';
import { type AdapterKind, adapterOption, score, weightsOption, withExample, withGpu, writeJson } from './common.ts';
import { assertOutputs } from './outputs.ts';

interface DetectCommand {
  model: string;
  weights: WeightsName;
  out: string;
  threshold: number;
  json?: string;
  adapter: AdapterKind;
}

const IMAGE_FILE = /\.(jpe?g|png|webp)$/i;

export function addDetect(program: Command): void {
  const command = program
    .command('detect')
    .description('Find objects in images; draws each image with its detections.')
    .argument('<image...>', 'image files (JPEG, PNG, WebP), or folders of them')
    .requiredOption('--model <dir>', 'a run directory')
    .addOption(weightsOption())
    .option('--out <dir>', 'where the drawn images go, as PNG under their own names', 'detections')
    .option('--threshold <score>', 'least score of a detection, 0 to 1', score, 0.5)
    .option('--json <file>', 'also write, for each image, the list of x1, y1, x2, y2 (pixels from 0), class and score')
    .addOption(adapterOption())
    .action(detect);
  withExample(command, 'rcnn detect --model runs/mine photo.jpg holiday/ --threshold 0.7 --json found.json');
}

async function detect(images: string[], options: DetectCommand): Promise<void> {
  const paths = images.flatMap(imageFiles);
  const drawn = outputPaths(paths, options.out);
  assertOutputs([...drawn, options.json], { files: paths, model: options.model });
  await withGpu(options.adapter, async (gpu) => {
    const model = await loadModel(
      gpu,
      options.model,
      (config) => withSettings(config, [`detector.test.scoreThreshold=${options.threshold}`]),
      options.weights,
    );
    const { classes } = model.config;
    const found: { image: string; detections: object[] }[] = [];
    for (const [i, path] of paths.entries()) {
      const picture = await readPicture(path);
      const detections = await detectImage(model, picture, i);
      await writePng(drawn[i]!, drawDetections(picture, detections, classes));
      console.log(
        `${path}: ${countByClass(detections, classes) || `nothing above ${options.threshold}`} -> ${drawn[i]}`,
      );
      found.push({
        image: path,
        detections: detections.map(({ classIndex, score, ...box }) => ({ ...box, class: classes[classIndex], score })),
      });
    }
    if (options.json !== undefined) writeJson(options.json, found);
  });
}

/** '2 cat, 1 dog', the surest class first. */
function countByClass(detections: readonly { classIndex: number }[], classes: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const { classIndex } of detections)
    counts.set(classes[classIndex]!, (counts.get(classes[classIndex]!) ?? 0) + 1);
  return [...counts].map(([name, count]) => `${count} ${name}`).join(', ');
}

/** A file as it is; of a folder, the image files in it. */
function imageFiles(path: string): string[] {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (!stats) throw new UserError(`${path}: there is no such file or folder; check the name`);
  if (!stats.isDirectory()) return [path];
  const files = readdirSync(path)
    .filter((file) => IMAGE_FILE.test(file))
    .sort();
  if (files.length === 0)
    throw new UserError(`${path}: holds no image (.jpg, .jpeg, .png, .webp); name another folder`);
  return files.map((file) => join(path, file));
}

/** NAME.png in the folder; NAME-2.png and so on where that is taken by another, or is one of the images themselves. */
function outputPaths(paths: readonly string[], folder: string): string[] {
  const taken = new Set(paths.map((path) => resolve(path)));
  return paths.map((path) => {
    const { name } = parse(path);
    for (let n = 1; ; n++) {
      const output = join(folder, `${name}${n === 1 ? '' : `-${n}`}.png`);
      if (taken.has(resolve(output))) continue;
      taken.add(resolve(output));
      return output;
    }
  });
}

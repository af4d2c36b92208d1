/**
 * A report on a data set before anything is trained on it: problems with its files, counts of images and objects, and how well
 * the anchors of a network fit them.
 */
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { eachAtOnce } from '../../data/atOnce.ts';
import type { AnnotatedBox, Dataset, Sample, OpenDatasetOptions } from '../../data/types.ts';
import { openDataset } from '../../data/registry.ts';
import { countedBoxes } from '../../data/boxes.ts';
import { assertWholeImage, MAX_IMAGE_BYTES, turnedNotes } from '../../data/images.ts';
import { isInputError } from '../../engine/errors.ts';
import { readRegularFile } from '../../engine/node/readFile.ts';
import type { DetectorConfig } from '../../model/config.ts';
import { inputSize } from '../../model/inputScales.ts';
import {
  type AnchorAdvice,
  type AnchorFit,
  bestOverlaps,
  betterAnchors,
  fitOf,
  inputObjects,
  quantiles,
  ratioOf,
  sizeOf,
} from './anchorFit.ts';

/** The points at which quantiles are taken. */
export const QUANTILES: readonly number[] = [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1];
/** Images decoded at the same time, one per thread of Node's pool. */
const AT_ONCE = 4;

export interface DataSplit {
  split: string;
  dataset: Dataset;
}

export interface CheckedData {
  splits: DataSplit[];
  /** One line each, with the file and what to do. */
  problems: string[];
  notes: string[];
}

/**
 * Opens splits of a data set, collecting their problems instead of stopping; a split that cannot be opened is one of them.
 *
 * @param options `classes`: without the background; by default those found in the data
 */
export async function openSplits(
  spec: string,
  names: readonly string[],
  options: Pick<OpenDatasetOptions, 'classes' | 'splitSeed' | 'allowOutside'> = {},
): Promise<CheckedData> {
  const problems = new Set<string>();
  const splits: DataSplit[] = [];
  for (const split of names) {
    try {
      const onProblem = (problem: string): void => void problems.add(problem);
      splits.push({ split, dataset: await openDataset(spec, { split, onProblem, ...options }) });
    } catch (error) {
      if (!isInputError(error)) throw error;
      problems.add(error.message);
    }
  }
  const notes = splits.flatMap(({ dataset: { notes, doubts = [] } }) => [...notes, ...doubts]);
  return { splits, problems: [...problems], notes: [...new Set([...notes, ...duplicates(splits)])] };
}

/** Notes on objects that are listed twice, and images that are in two splits. */
function duplicates(splits: readonly DataSplit[]): string[] {
  const notes: string[] = [];
  const key = ({ x1, y1, x2, y2, classIndex }: AnnotatedBox): string => [x1, y1, x2, y2, classIndex].join();
  for (const { split, dataset } of splits) {
    const twice = dataset.samples.filter(({ boxes }) => new Set(boxes.map(key)).size < boxes.length);
    if (twice.length === 0) continue;
    notes.push(`split '${split}': ${images(twice.length)} with an object twice, the first: ${twice[0]!.id}`);
  }
  const place = ({ x1, y1, x2, y2 }: AnnotatedBox): string => [x1, y1, x2, y2].join();
  for (const { split, dataset } of splits) {
    const distinct = (boxes: readonly AnnotatedBox[], of: (box: AnnotatedBox) => string) => new Set(boxes.map(of)).size;
    const several = dataset.samples.filter(({ boxes }) => distinct(boxes, place) < distinct(boxes, key));
    if (several.length === 0) continue;
    notes.push(`split '${split}': ${images(several.length)} with one box in two classes, the first: ${several[0]!.id}`);
  }
  splits.forEach(({ split, dataset }, i) => {
    const ids = new Set(dataset.samples.map(({ id }) => id));
    for (const other of splits.slice(i + 1)) {
      const shared = other.dataset.samples.filter(({ id }) => ids.has(id));
      if (shared.length === 0) continue;
      notes.push(`${images(shared.length)} in both '${split}' and '${other.split}', the first: ${shared[0]!.id}`);
    }
  });
  return notes;
}

const images = (count: number): string => `${count} image${count === 1 ? '' : 's'}`;

/** Undefined if it is no file that can be read, which decoding reports. */
function bytesOf(file: string): number | undefined {
  try {
    const stats = statSync(file);
    return stats.isFile() ? stats.size : undefined;
  } catch {
    return undefined;
  }
}

/** Notes on identical images in two splits, which would test the network on images it was trained on. */
export function sameContent(splits: readonly DataSplit[]): string[] {
  const bySize = new Map<number, { split: string; file: string }[]>();
  for (const { split, dataset } of splits) {
    for (const { file } of dataset.samples) {
      const size = file === undefined ? undefined : bytesOf(file);
      if (size !== undefined) bySize.set(size, [...(bySize.get(size) ?? []), { split, file: file! }]);
    }
  }
  const byContent = new Map<string, { split: string; file: string }[]>();
  for (const files of bySize.values()) {
    if (new Set(files.map(({ split }) => split)).size < 2) continue;
    for (const one of files) {
      const hash = createHash('sha256')
        .update(readRegularFile(one.file, { maxBytes: MAX_IMAGE_BYTES }))
        .digest('hex');
      byContent.set(hash, [...(byContent.get(hash) ?? []), one]);
    }
  }
  const same = [...byContent.values()].flatMap(([first, ...others]) => {
    const other = others.find(({ split, file }) => split !== first!.split && file !== first!.file);
    return other ? [[first!, other] as const] : [];
  });
  if (same.length === 0) return [];
  const [[one, other]] = same as [(typeof same)[number]];
  return [
    `${images(same.length)} in two splits under two names, the first: ${one.file} ('${one.split}') is ${other.file} ('${other.split}')`,
  ];
}

/** Decodes every image. Returns the problems, the samples that have one, and notes for the user. */
export async function decodeAll(
  samples: readonly Sample[],
  onImage?: (done: number) => void,
): Promise<{ problems: string[]; unreadable: Set<Sample>; notes: string[] }> {
  const problems: string[] = [];
  const unreadable = new Set<Sample>();
  const turned: string[] = [];
  let done = 0;
  await eachAtOnce(samples, AT_ONCE, async (sample) => {
    try {
      await sample.load();
      if (sample.file !== undefined) await assertWholeImage(sample.file);
      if ((await sample.check?.()) === 'turned') turned.push(sample.id);
    } catch (error) {
      if (!isInputError(error)) throw error;
      problems.push(error.message);
      unreadable.add(sample);
    }
    onImage?.(++done);
  });
  return { problems, unreadable, notes: turnedNotes(turned.sort()) };
}

export interface ImageSize {
  width: number;
  height: number;
  images: number;
}

/** What `rcnn check --json` writes besides the problems. Lists of seven numbers are taken at `QUANTILES`. */
export interface DataReport {
  splits: { split: string; images: number; withoutObjects: number; objects: number; notCounted: number }[];
  /** Only objects that count, i.e. are trained on. */
  classes: (AnchorFit & { name: string; images: number })[];
  objectsPerImage: number[];
  /** The most frequent come first. */
  imageSizes: ImageSize[];
  inputSizes: ImageSize[];
  /** In pixels of the network's input: side of the square of equal area, and height over width; null without objects. */
  sizes: number[] | null;
  ratios: number[] | null;
  anchors: AnchorFit & DetectorConfig['anchors'];
  /** Anchors that would fit clearly better, if these fit poorly. */
  betterAnchors: AnchorAdvice | null;
}

export function reportOn(splits: readonly DataSplit[], config: DetectorConfig): DataReport {
  const { input } = config;
  const samples = splits.flatMap(({ dataset }) => dataset.samples);
  const objects = inputObjects(samples, config);
  const overlaps = bestOverlaps(objects, config);
  const counted = samples.map(({ boxes }) => countedBoxes(boxes));
  return {
    splits: splits.map(({ split, dataset: { samples } }) => ({
      split,
      images: samples.length,
      withoutObjects: samples.filter(({ boxes }) => boxes.length === 0).length,
      objects: sum(samples.map(({ boxes }) => boxes.length)),
      notCounted: sum(samples.map(({ boxes }) => boxes.length - countedBoxes(boxes).length)),
    })),
    classes: config.classes.slice(1).map((name, i) => ({
      name,
      images: counted.filter((boxes) => boxes.some(({ classIndex }) => classIndex === i + 1)).length,
      ...fitOf(overlaps.filter((_, k) => objects[k]!.classIndex === i + 1)),
    })),
    objectsPerImage: quantiles(
      samples.map(({ boxes }) => boxes.length),
      QUANTILES,
    ),
    imageSizes: countSizes(samples),
    inputSizes: countSizes(samples.map((one) => inputSize(one, input))),
    sizes: objects.length > 0 ? quantiles(objects.map(sizeOf), QUANTILES) : null,
    ratios: objects.length > 0 ? quantiles(objects.map(ratioOf), QUANTILES) : null,
    anchors: { ...config.anchors, ...fitOf(overlaps) },
    betterAnchors: betterAnchors(objects, overlaps, config),
  };
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

function countSizes(images: readonly { width: number; height: number }[]): ImageSize[] {
  const counts = new Map<string, ImageSize>();
  for (const { width, height } of images) {
    const size = counts.get(`${width}x${height}`) ?? { width, height, images: 0 };
    size.images++;
    counts.set(`${width}x${height}`, size);
  }
  return [...counts.values()].sort((a, b) => b.images - a.images);
}

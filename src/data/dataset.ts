/**
 * What a data set is: plain data with lazy pictures, and the names by which the command line opens one.
 *
 * Boxes are 0-based and inclusive: a box of the single top-left pixel is (0, 0, 0, 0), width = x2 - x1 + 1.
 * Class 0 is the background in every data set, so class indices are those of the detection head.
 */
import { UserError } from '../engine/errors.ts';
import { COCO_SPLIT, type CocoId, openCoco } from './coco.ts';
import { DIGIT_SPLITS, openDigits } from './digits.ts';
import { readGlyphs } from './mnistFiles.ts';
import type { OnProblem } from './problems.ts';
import { unite } from './union.ts';
import { openVoc, vocSplits } from './voc.ts';

export interface Box {
  /** Pixels of the original picture, inclusive corners; fractions allowed. */
  x1: number;
  y1: number;
  x2: number;
  y2: number;
  /** 1..K-1, an index into `Dataset.classes`. */
  classIndex: number;
  /** Left out of training, and neither right nor wrong in the evaluation. */
  difficult: boolean;
  /** A region of many objects (COCO's iscrowd): likewise. */
  crowd?: boolean;
  /** x, y, width, height as a COCO file has them, and the area of the object: its evaluation takes these as they are. */
  bbox?: readonly [number, number, number, number];
  area?: number;
}

export interface Picture {
  width: number;
  height: number;
  /** Row-major, 4 bytes a pixel, alpha 255. */
  rgba: Uint8Array;
}

export interface Sample {
  id: string;
  width: number;
  height: number;
  /** May be empty: such a picture trains as all background. */
  readonly boxes: Box[];
  /** By which COCO knows the picture, and the categories in the order of the classes; undefined: it has no such. */
  resultIds?: { image: CocoId; categories: readonly (CocoId | undefined)[] };
  /** Decodes (or draws) the picture; throws a UserError that names the file. */
  load(): Promise<Picture>;
  /** Reads no more than the file's beginning: throws where that is no picture's, or has another size. Drawn ones have none. */
  check?(): Promise<void>;
}

export interface Dataset {
  name: string;
  /** Index 0 is '__background__'. */
  classes: string[];
  samples: Sample[];
  /** Whether a mirrored picture is still a picture of the same classes: false for digits. */
  flippable: boolean;
  /** Lines that the user should read once, such as boxes that were left out. */
  notes: string[];
}

export interface OpenOptions {
  /** Which part: 'train', 'test', or whatever the data set has; `usualSplit` where nobody said. */
  split: string;
  /** Object classes without the background, in the order of the model; found in the data unless given. */
  classes?: string[];
  /** Of generated data (the digit scenes). */
  seed?: number;
  /** A box of no area or outside its picture: stop (the default), or leave it out and say so in `notes`. */
  onBadBox?: 'error' | 'skip';
  /** Takes each problem with an image or an object, which is then left out; without it the first one is thrown. */
  onProblem?: OnProblem;
}

const USAGE =
  "give 'digits', 'voc:PATH' (a folder in VOC layout; several: 'voc:PATH,PATH') or 'coco:IMAGES,ANNOTATIONS.json' (a folder and a file)";

/** Opens what `spec` names. Annotations are read and checked here; pictures only when a sample is loaded. */
export async function openDataset(spec: string, options: OpenOptions): Promise<Dataset> {
  const { kind, paths } = parseSpec(spec);
  if (kind === 'digits' && paths.length === 0) return openDigits(options, readGlyphs);
  if (paths.length === 0 || paths.includes('')) throw new UserError(`--data ${spec}: not a data set; ${USAGE}`);
  if (kind === 'voc') {
    return unite(await Promise.all(paths.map((folder) => openVoc(folder, options))), options.classes);
  }
  if (kind === 'coco' && paths.length % 2 === 0) return openCocoFiles(paths, options);
  throw new UserError(`--data ${spec}: not a data set; ${USAGE}`);
}

/** The part to open where nobody said: COCO has a file for each, and no parts of a file. */
export const usualSplit = (spec: string, usual: string): string =>
  parseSpec(spec).kind === 'coco' ? COCO_SPLIT : usual;

/** `paths`: folder and file in turn. The classes are those of the first file, unless given. */
async function openCocoFiles(paths: readonly string[], options: OpenOptions): Promise<Dataset> {
  const parts: Dataset[] = [];
  let { classes } = options;
  for (let i = 0; i < paths.length; i += 2) {
    const part = await openCoco(paths[i]!, paths[i + 1]!, { ...options, classes });
    classes = part.classes.slice(1);
    parts.push(part);
  }
  return unite(parts, classes);
}

function parseSpec(spec: string): { kind: string; paths: string[] } {
  const colon = spec.indexOf(':');
  return colon < 0
    ? { kind: spec, paths: [] }
    : { kind: spec.slice(0, colon), paths: spec.slice(colon + 1).split(',') };
}

/** The parts that a data set has; of several folders those that all have. */
export function splitsOf(spec: string): readonly string[] {
  const { kind, paths } = parseSpec(spec);
  if (kind === 'digits') return DIGIT_SPLITS;
  if (kind === 'coco') return [COCO_SPLIT];
  if (kind !== 'voc') return [];
  const [first = [], ...others] = paths.map(vocSplits);
  return first.filter((split) => others.every((splits) => splits.includes(split)));
}

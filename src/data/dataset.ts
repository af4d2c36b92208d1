/**
 * What a data set is: plain data with lazy pictures, and the names by which the command line opens one.
 *
 * Boxes are 0-based and inclusive: a box of the single top-left pixel is (0, 0, 0, 0), width = x2 - x1 + 1.
 * Class 0 is the background in every data set, so class indices are those of the detection head.
 */
import { UserError } from '../engine/errors.ts';
import { DIGIT_SPLITS, openDigits } from './digits.ts';
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
  /** Left out of training, and neither right nor wrong in the VOC evaluation. */
  difficult: boolean;
  /** A region of many objects (COCO's iscrowd). */
  crowd?: boolean;
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
  /** Decodes (or draws) the picture; throws a UserError that names the file. */
  load(): Promise<Picture>;
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
  /** Which part: 'train', 'test', or whatever the data set has. */
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

export const BACKGROUND = '__background__';

/** Opens `digits`, `voc:PATH` or `voc:PATH,PATH`. Annotations are read and checked here; pictures only when a sample is loaded. */
export async function openDataset(spec: string, options: OpenOptions): Promise<Dataset> {
  const colon = spec.indexOf(':');
  const kind = colon < 0 ? spec : spec.slice(0, colon);
  const path = colon < 0 ? '' : spec.slice(colon + 1);
  if (kind === 'digits' && colon < 0) return openDigits(options);
  const folders = path.split(',');
  if (kind === 'voc' && !folders.includes('')) {
    return unite(await Promise.all(folders.map((folder) => openVoc(folder, options))), options.classes);
  }
  throw new UserError(
    `--data ${spec}: not a data set; give 'digits' or 'voc:PATH' (a folder in VOC layout; several: 'voc:PATH,PATH')`,
  );
}

/** The parts that a data set has; of several folders those that all have. */
export function splitsOf(spec: string): readonly string[] {
  if (spec === 'digits') return DIGIT_SPLITS;
  if (!spec.startsWith('voc:')) return [];
  const [first = [], ...others] = spec.slice('voc:'.length).split(',').map(vocSplits);
  return first.filter((split) => others.every((splits) => splits.includes(split)));
}

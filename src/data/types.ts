/**
 * Data sets: plain data, with images that are decoded on demand.
 *
 * Boxes are 0-based and inclusive: a box of the single top-left pixel is (0, 0, 0, 0), width = x2 - x1 + 1.
 * Class 0 is the background in every data set, so class indices are those of the detection head.
 */
import type { ScoredBoxes } from '../kernels/boxes.ts';
import type { DecodedImage } from '../kernels/imagePrepare.ts';

/** An annotated object, ready for training and evaluation. */
export interface AnnotatedBox {
  /** Pixels of the original image, inclusive corners; fractions allowed. */
  x1: number;
  y1: number;
  x2: number;
  y2: number;
  /** 1..K-1, an index into `Dataset.classes`. */
  classIndex: number;
  /** Left out of training, and counted neither right nor wrong in evaluation. */
  difficult: boolean;
  /** A region that covers many objects (COCO's iscrowd); treated like a difficult one. */
  crowd?: boolean;
  /** x, y, width, height and area as in the COCO file; COCO's evaluation uses them unchanged. */
  bbox?: readonly [number, number, number, number];
  area?: number;
}

/** Numbers in COCO's own files, of up to 64 bits; some tools write names. */
export type CocoId = number | string | bigint;

export interface Sample {
  id: string;
  width: number;
  height: number;
  /** May be empty: such an image trains as all background. */
  readonly boxes: AnnotatedBox[];
  /** Regions that may hold an object, pixels of the original image, for a detector that proposes none itself. */
  proposals?: ScoredBoxes;
  /** The image file; undefined if the image is generated. */
  file?: string;
  /** The ids of the image and of the classes in the COCO file it comes from, for result files. */
  resultIds?: { image: CocoId; categories: readonly (CocoId | undefined)[] };
  /** Decodes (or draws) the image; throws a UserError that names the file. */
  load(): Promise<DecodedImage>;
  /**
   * Reads only the beginning of the file; throws if it is not an image or not of this size. Returns 'turned' if its EXIF
   * orientation makes it unclear which pixels the boxes refer to. Generated images have no `check`.
   */
  check?(): Promise<'turned' | undefined>;
}

export interface Dataset {
  name: string;
  /** Index 0 is '__background__'. */
  classes: string[];
  samples: Sample[];
  /** Whether a mirrored image still shows the same classes: false for digits. */
  flippable: boolean;
  /** Lines that the user should read once, such as how many boxes were left out. */
  notes: string[];
  /** Things that are valid but rarely intended, for `rcnn check`. */
  doubts?: string[];
}

/** Receives each problem with an image or object, which is then left out. */
export type OnProblem = (problem: string) => void;

export interface OpenDatasetOptions {
  /** 'train', 'test', or another split of the data set; `usualSplit` gives the one to use if the user names none. */
  split: string;
  /** Object classes without the background, in the order of the model; by default those found in the data. */
  classes?: string[];
  /** Seed of generated data (the digit scenes). */
  seed?: number;
  /** Seed of the splits drawn for a data set that has none; default 0. */
  splitSeed?: number;
  /** What to do about a box without area or outside its image: stop (the default), or leave it out and add a note. */
  onBadBox?: 'error' | 'skip';
  /** If not given, the first problem is thrown. */
  onProblem?: OnProblem;
  /** Whether annotations may name images outside the folder of the data; default false. */
  allowOutside?: boolean;
}

export interface LabelledImage {
  id: string;
  /** An index into `classes`. */
  label: number;
  /** Decodes (or draws) the image; throws a UserError that names the file. */
  load(): Promise<DecodedImage>;
}

/** Images with one label each, to train a classifier. */
export interface LabelledImages {
  name: string;
  classes: string[];
  train: LabelledImage[];
  val: LabelledImage[];
  /** Whether a crop or the mirror image still shows the same class: false for digits. */
  augment: boolean;
}

export interface LabelledOptions {
  /** Side of the network's input; generated images are drawn at this size. */
  size: number;
  /** Seed of generated images. */
  seed: number;
  /** Whether to check the beginning of every file; unnecessary when a run is resumed. */
  check: boolean;
}

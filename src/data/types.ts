/**
 * What a data set is: plain data with pictures that are decoded when they are asked for.
 *
 * Boxes are 0-based and inclusive: a box of the single top-left pixel is (0, 0, 0, 0), width = x2 - x1 + 1.
 * Class 0 is the background in every data set, so class indices are those of the detection head.
 */

/** Pixels of a decoded picture. */
export interface Picture {
  width: number;
  height: number;
  /** Row-major, 4 bytes a pixel, alpha 255. */
  rgba: Uint8Array;
}

/** An object of a picture, ready for training and evaluation. */
export interface AnnotatedBox {
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

/** Numbers in COCO's own files, of up to 64 bits; some tools write names. */
export type CocoId = number | string | bigint;

export interface Sample {
  id: string;
  width: number;
  height: number;
  /** May be empty: such a picture trains as all background. */
  readonly boxes: AnnotatedBox[];
  /** The picture's file; undefined: it is drawn. */
  file?: string;
  /** The ids of the picture and of the classes in the COCO file that it comes from, for files of results. */
  resultIds?: { image: CocoId; categories: readonly (CocoId | undefined)[] };
  /** Decodes (or draws) the picture; throws a UserError that names the file. */
  load(): Promise<Picture>;
  /**
   * Reads no more than the file's beginning: throws where that is no picture's, or has another size. 'turned': its EXIF
   * orientation leaves open which pixels the boxes are of. Drawn pictures have no `check`.
   */
  check?(): Promise<'turned' | undefined>;
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
  /** What is valid but seldom meant, for `rcnn check`. */
  doubts?: string[];
}

/** Takes each problem with an image or an object, which is then left out. */
export type OnProblem = (problem: string) => void;

export interface OpenOptions {
  /** Which part: 'train', 'test', or whatever the data set has; `usualSplit` where the user names none. */
  split: string;
  /** Object classes without the background, in the order of the model; found in the data unless given. */
  classes?: string[];
  /** Of generated data (the digit scenes). */
  seed?: number;
  /** Of the parts of a data set that has none of its own; default 0. */
  splitSeed?: number;
  /** A box without area or outside its picture: stop (the default), or leave it out and say so in `notes`. */
  onBadBox?: 'error' | 'skip';
  /** Without it the first problem is thrown. */
  onProblem?: OnProblem;
  /** Whether annotations may name pictures outside the folder of the data; default false. */
  allowOutside?: boolean;
}

export interface LabelledPicture {
  id: string;
  /** An index into `classes`. */
  label: number;
  /** Decodes (or draws) the picture; throws a UserError that names the file. */
  load(): Promise<Picture>;
}

/** Pictures with one label each, to train a classifier. */
export interface LabelledPictures {
  name: string;
  classes: string[];
  train: LabelledPicture[];
  val: LabelledPicture[];
  /** Whether part of a picture, or its mirror image, is still one of the same class: false for digits. */
  augment: boolean;
}

export interface LabelledOptions {
  /** Side of the pictures that the network takes: generated ones are drawn so large. */
  size: number;
  /** Of generated pictures. */
  seed: number;
  /** Whether to look at the beginning of every file: a resumed run has done so. */
  check: boolean;
}

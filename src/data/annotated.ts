/** What every reader of annotation files gives: images and objects as they are written, in one convention of coordinates. */
import type { OnProblem, CocoId } from './types.ts';

/**
 * An object of an image. Its corners are edges in pixels, counted from 0: the single top-left pixel is (0, 0, 1, 1), and
 * width = x2 - x1. Formats that count whole pixels, both inclusive, add 1 to their last one (VOC, which counts from 1:
 * x1 = xmin - 1, x2 = xmax).
 */
export interface AnnotatedObject {
  /** As written; white space around it does not count. */
  className: string;
  x1: number;
  y1: number;
  x2: number;
  y2: number;
  difficult?: boolean;
  /** A region of many objects. */
  crowd?: boolean;
  /** COCO's own: x, y, width, height, and the area. */
  bbox?: readonly [number, number, number, number];
  area?: number;
  /** Which one, for messages: 'object 3'. */
  what: string;
  /** Its box as the file has it, for messages: 'box (3, 4, 20, 15)'. */
  written: string;
}

export interface AnnotatedImage {
  /** The picture's path as written: with or without folders and extension, from whatever system; pictureFiles.ts finds it. */
  file: string;
  /** Where its picture is looked for first; then in the folders of the data set. */
  folder?: string;
  /** Other names to look for where there is no such file. */
  alternatives?: readonly string[];
  /** The name of the image in the data set; default: its file's name without extension, as far as that is unique. */
  id?: string;
  /** Of the picture as it is shown; undefined: read from its header. */
  size?: { width: number; height: number };
  objects: AnnotatedObject[];
  /** The corners of its objects are fractions of the picture's width and height instead. */
  fractions?: boolean;
  /** The annotation file, for messages. */
  source: string;
  /** Its id in a COCO file. */
  resultId?: CocoId;
}

/** A data set of some format, looked at so far as to know its parts. */
export interface AnnotatedSet {
  name: string;
  /** The file or folder that the user gave, for messages. */
  path: string;
  /** Its parts; none: they are drawn by a seed (drawnSplits.ts) from all images. */
  splits: readonly string[];
  /** In the order of the format's own list, which may be a getter that reads it; undefined: those of the objects of all parts, sorted. */
  classes?: readonly string[];
  /** Folders in which pictures are looked for, the likeliest first; also beneath them. */
  pictureFolders: readonly string[];
  /** Whether a box of a single column or row of pixels is a slip of the mouse: where both corners are inclusive. */
  inclusive?: boolean;
  /** By the name of the class: its id in a COCO file. */
  categoryIds?: ReadonlyMap<string, CocoId>;
  /**
   * Of one of `splits`; without it of the whole data set, as far as it has annotations. Where an image cannot be read the
   * problem goes to `attempt` (problems.ts), and the image is left out.
   */
  images(split?: string): AnnotatedImage[];
}

export interface ReadContext {
  /** Takes the problems of single images and objects, for `attempt` (problems.ts). */
  onProblem: OnProblem | undefined;
  /** A line that the user should read once. */
  note(text: string): void;
  /** Counts what becomes one such line: 'WHAT (3, the first: EXAMPLE)'. */
  tally(what: string, example: string): void;
  /** A line about what is valid but seldom meant, for `rcnn check`. */
  doubt(text: string): void;
}

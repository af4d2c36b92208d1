/** What every reader of annotation files returns: images and objects as annotated, in one coordinate convention. */
import type { OnProblem, CocoId } from './types.ts';

/**
 * An object of an image. Its corners are edges in pixels, counted from 0: the single top-left pixel is (0, 0, 1, 1), and
 * width = x2 - x1. Formats that count whole pixels, both inclusive, add 1 to their last one (VOC, which counts from 1:
 * x1 = xmin - 1, x2 = xmax).
 */
export interface AnnotatedObject {
  /** As written; surrounding white space is ignored. */
  className: string;
  x1: number;
  y1: number;
  x2: number;
  y2: number;
  difficult?: boolean;
  /** A region that covers many objects. */
  crowd?: boolean;
  /** From COCO files: x, y, width, height, and the area. */
  bbox?: readonly [number, number, number, number];
  area?: number;
  /** Which object of the file, for messages: 'object 3'. */
  what: string;
  /** Its box as written in the file, for messages: 'box (3, 4, 20, 15)'. */
  written: string;
}

export interface AnnotatedImage {
  /** The image's path as written, with or without folders and extension, in any system's notation; imageFiles.ts finds it. */
  file: string;
  /** Where its file is looked for first, before the folders of the data set. */
  folder?: string;
  /** Other names to look for if there is no such file. */
  alternatives?: readonly string[];
  /** The name of the image in the data set; default: its file name, without the extension if that is unique. */
  id?: string;
  /** Size of the image as displayed; if undefined it is read from the file's header. */
  size?: { width: number; height: number };
  objects: AnnotatedObject[];
  /** If set, the corners of its objects are fractions of the image's width and height. */
  fractions?: boolean;
  /** The annotation file, for messages. */
  source: string;
  /** Its id in a COCO file. */
  resultId?: CocoId;
}

/** A data set of some format, read far enough to know its splits. */
export interface AnnotatedSet {
  name: string;
  /** The file or folder that the user gave, for messages. */
  path: string;
  /** Its splits; if empty, splits are drawn from all images by a seed (drawnSplits.ts). */
  splits: readonly string[];
  /** In the order of the format's own list (may be a lazy getter); if undefined, the sorted classes of all objects. */
  classes?: readonly string[];
  /** Folders to search for images, recursively, the likeliest first. */
  imageFolders: readonly string[];
  /** Both corners are inclusive, so that a box one pixel wide or high is taken for a slip of the mouse. */
  inclusive?: boolean;
  /** The id of each class in a COCO file, by name. */
  categoryIds?: ReadonlyMap<string, CocoId>;
  /**
   * The images of one of `splits`, or all annotated images. An image that cannot be read is reported through `attempt`
   * (problems.ts) and left out.
   */
  images(split?: string): AnnotatedImage[];
}

export interface ReadContext {
  /** Receives the problems of single images and objects, for `attempt` (problems.ts). */
  onProblem: OnProblem | undefined;
  /** Adds a line that the user should read once. */
  note(text: string): void;
  /** Counts occurrences for one such line: 'WHAT (3, the first: EXAMPLE)'. */
  tally(what: string, example: string): void;
  /** Adds a line about something valid but rarely intended, for `rcnn check`. */
  doubt(text: string): void;
}

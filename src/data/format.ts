/**
 * What a format of data is: one file in formats/ and one line in registry.ts.
 *
 * Formats of annotation files are made by `annotatedFormat` (annotatedFormat.ts): their file only reads what is written,
 * as `AnnotatedImage`s; everything else is shared.
 */
import type { Dataset, OpenOptions, Sample } from './types.ts';

export interface DataFormat {
  /** Before the colon of `--data NAME:PATHS`. */
  name: string;
  /** How it is written, with the paths that it takes. */
  usage: string;
  /** One line of help. */
  summary: string;
  /** The paths of each data set that `paths` name, taken together as one; undefined: the format does not take these. */
  sets(paths: readonly string[]): string[][] | undefined;
  /** The parts that the data set has; of several sets those that all have. */
  splits(sets: readonly string[][]): readonly string[];
  /** The part that is meant by 'train', 'val' or 'test' where the user names none. */
  usualSplit(sets: readonly string[][], wanted: string): string;
  open(sets: readonly string[][], options: OpenOptions): Promise<Dataset>;
  /** How sure it is that a folder or file is of this format, above 0 to 1; null: it is not. Must not throw or read much. */
  recognises(path: string): number | null;
  /** How `rcnn convert` writes it; undefined: it is only read. */
  writer?: FormatWriter;
}

export interface WrittenImage {
  sample: Sample;
  /** Distinct in all parts, without extension; '/' between folders. */
  name: string;
  /** Of the picture's file, with its dot. */
  extension: string;
}

/** `split` is undefined where the data has no parts: it is the only one. */
export interface WrittenPart {
  split: string | undefined;
  images: readonly WrittenImage[];
}

export interface FormatWriter {
  /** Where a picture goes, from the folder that is written. */
  picturePath(image: WrittenImage, split: string | undefined): string;
  /** The other files by their paths, and what they cannot hold, a line each. `classes`: without the background. */
  files(parts: readonly WrittenPart[], classes: readonly string[]): { files: Map<string, string>; losses: string[] };
}

/** For `DataFormat.sets`: each path is a data set of its own. */
export const eachPath = (paths: readonly string[]): string[][] | undefined =>
  paths.length > 0 ? paths.map((path) => [path]) : undefined;

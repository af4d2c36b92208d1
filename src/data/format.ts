/**
 * A format of data: one file in formats/ and one line in registry.ts.
 *
 * Formats of annotation files are made by `annotatedFormat` (annotatedFormat.ts): their file only parses annotations into
 * `AnnotatedImage`s; everything else is shared.
 */
import type { Dataset, OpenDatasetOptions, Sample } from './types.ts';

export interface DataFormat {
  /** NAME in `--data NAME:PATHS`. */
  name: string;
  /** How to name such a data set, with the paths it takes: 'voc:PATH'. */
  usage: string;
  /** One line of help. */
  summary: string;
  /** Groups `paths` into data sets, which are united into one; undefined if the format does not take such paths. */
  sets(paths: readonly string[]): string[][] | undefined;
  /** The splits of the data set; for several sets, the splits that all of them have. */
  splits(sets: readonly string[][]): readonly string[];
  /** The split that 'train', 'val' or 'test' stands for, if the user names none. */
  usualSplit(sets: readonly string[][], wanted: string): string;
  open(sets: readonly string[][], options: OpenDatasetOptions): Promise<Dataset>;
  /** Confidence, above 0 and up to 1, that a folder or file has this format; null if it does not. Must not throw or read much. */
  recognises(path: string): number | null;
  /** How `rcnn convert` writes it; undefined for a format that is only read. */
  writer?: FormatWriter;
}

export interface WrittenImage {
  sample: Sample;
  /** Distinct across all splits, without extension; '/' between folders. */
  name: string;
  /** The extension of the image file, with its dot. */
  extension: string;
}

/** `split` is undefined for data that is not divided, whose only split it is. */
export interface WrittenSplit {
  split: string | undefined;
  images: readonly WrittenImage[];
}

export interface FormatWriter {
  /** Where an image goes, as a path in the folder that is written. */
  imagePath(image: WrittenImage, split: string | undefined): string;
  /** The other files by their paths, and what they cannot hold, one line each. `classes` are without the background. */
  files(splits: readonly WrittenSplit[], classes: readonly string[]): { files: Map<string, string>; lost: string[] };
}

/** For `DataFormat.sets`: each path is a data set of its own. */
export const eachPath = (paths: readonly string[]): string[][] | undefined =>
  paths.length > 0 ? paths.map((path) => [path]) : undefined;

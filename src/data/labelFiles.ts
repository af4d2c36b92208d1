/**
 * Labels as the files of a data set, in memory, for a page that exports what was labelled in it. The writers are those of
 * `rcnn convert`. Each is loaded when it is needed, so that a bundler can put it in a file of its own.
 */
import type { FormatWriter, WrittenSplit } from './format.ts';

/** The formats, with the names by which they are known. */
export const LABEL_FORMATS = { coco: 'COCO', voc: 'Pascal VOC', yolo: 'YOLO' } as const;
export type LabelFormat = keyof typeof LABEL_FORMATS;

const WRITERS: Readonly<Record<LabelFormat, () => Promise<FormatWriter>>> = {
  coco: async () => (await import('./writers/coco.ts')).cocoWriter,
  voc: async () => (await import('./writers/voc.ts')).vocWriter,
  yolo: async () => (await import('./writers/yolo.ts')).yoloWriter,
};

export interface LabelFiles {
  /** The text files by their paths in the data set. */
  texts: Map<string, string>;
  /** Where each image goes, split by split, in the order given. */
  images: string[];
  /** What the format cannot hold, one line each. */
  lost: string[];
}

/** The files of a data set. `classes` are without the background; the names of the images must be distinct. */
export async function writeLabels(
  format: LabelFormat,
  splits: readonly WrittenSplit[],
  classes: readonly string[],
): Promise<LabelFiles> {
  const writer = await WRITERS[format]();
  const { files, lost } = writer.files(splits, classes);
  const images = splits.flatMap(({ split, images }) => images.map((image) => writer.imagePath(image, split)));
  return { texts: files, images, lost };
}

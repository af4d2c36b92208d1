/** Pascal VOC as a format to write: pixels counted from 1, the last one included. */
import Builder from 'fast-xml-builder';
import type { FormatWriter, WrittenImage } from '../format.ts';
import type { AnnotatedBox } from '../types.ts';
import { countRounding, decimal, LostItems, PIXEL_DECIMALS } from './edges.ts';

export const vocWriter: FormatWriter = {
  imagePath: ({ name, extension }) => `JPEGImages/${name}${extension}`,
  files(splits, classes) {
    const lost = new LostItems();
    const files = new Map<string, string>();
    const used = new Set<string>();
    for (const { split, images } of splits) {
      files.set(`ImageSets/Main/${split ?? 'default'}.txt`, images.map(({ name }) => `${name}\n`).join(''));
      for (const image of images) {
        const path = `Annotations/${image.name}.xml`;
        if (files.has(path)) continue; // it is in another split, too
        const boxes = image.sample.boxes.filter((box) => canHold(box, lost));
        for (const { classIndex } of boxes) used.add(classes[classIndex - 1]!);
        files.set(path, annotation(image, boxes, classes));
      }
    }
    lost.add(
      'VOC has no list of classes: they are those of the objects, in the order of the alphabet, and others are lost',
      classes.filter((name) => !used.has(name)).length,
    );
    return { files, lost: lost.lines };
  },
};

function canHold(box: AnnotatedBox, lost: LostItems): boolean {
  if (box.x2 <= box.x1 || box.y2 <= box.y1) {
    lost.add('VOC has no boxes of a single column or row of pixels, which readers take for slips: they are left out');
    return false;
  }
  if (box.crowd) lost.add('VOC has no regions of many objects: they are written as difficult ones');
  countRounding(box, lost);
  return true;
}

/** XML cannot contain control characters. */
const xmlText = (text: string): string => text.replace(/[\u0000-\u001f\ufffe\uffff]/g, '\ufffd');

function annotation(
  { name, extension, sample }: WrittenImage,
  boxes: readonly AnnotatedBox[],
  classes: readonly string[],
): string {
  const corner = (value: number): string => decimal(value + 1, PIXEL_DECIMALS);
  return new Builder({ format: true }).build({
    annotation: {
      folder: 'JPEGImages',
      filename: xmlText(`${name}${extension}`),
      size: { width: sample.width, height: sample.height, depth: 3 },
      segmented: 0,
      object: boxes.map(({ classIndex, difficult, crowd, x1, y1, x2, y2 }) => ({
        name: xmlText(classes[classIndex - 1]!),
        pose: 'Unspecified',
        truncated: 0,
        difficult: Number(difficult || crowd === true),
        bndbox: { xmin: corner(x1), ymin: corner(y1), xmax: corner(x2), ymax: corner(y2) },
      })),
    },
  });
}

/** COCO as a format to write: x, y, width, height, edges from 0; one file for each split. */
import type { FormatWriter, WrittenImage, WrittenSplit } from '../format.ts';
import type { AnnotatedBox, CocoId } from '../types.ts';
import { countRounding, edgesOf, LostItems, PIXEL_DECIMALS } from './edges.ts';

const DEFAULT = 'default';

export const cocoWriter: FormatWriter = {
  imagePath: ({ name, extension }, split) => `images/${split ?? DEFAULT}/${name}${extension}`,
  files(splits, classes) {
    const lost = new LostItems();
    const categories = categoryIds(splits, classes);
    const files = new Map(
      splits.map((split) => [
        `annotations/instances_${split.split ?? DEFAULT}.json`,
        `${JSON.stringify(content(split, classes, categories, lost))}\n`,
      ]),
    );
    const lines = lost.lines;
    if (splits.length === 1 && splits[0]!.split !== undefined) {
      lines.push(
        `one annotation file is read as data without splits: that its images are '${splits[0]!.split}' is lost`,
      );
    }
    return { files, lost: lines };
  },
};

/** The ids of the file that the data comes from, if they are all numbers or all texts, and distinct. */
function kept(ids: readonly (CocoId | undefined)[]): (number | string)[] | undefined {
  const known = ids.filter((id) => typeof id === 'number' || typeof id === 'string');
  return known.length === ids.length && new Set(known.map(String)).size === ids.length ? known : undefined;
}

function categoryIds(splits: readonly WrittenSplit[], classes: readonly string[]): (number | string)[] {
  const first = splits.flatMap(({ images }) => images)[0]?.sample.resultIds?.categories;
  return (first && kept(first.slice(1, classes.length + 1))) ?? classes.map((_, i) => i + 1);
}

function content(
  { images }: WrittenSplit,
  classes: readonly string[],
  categories: readonly (number | string)[],
  lost: LostItems,
): object {
  const ids = kept(images.map(({ sample }) => sample.resultIds?.image)) ?? images.map((_, i) => i + 1);
  const annotations = images.flatMap((image, i) => image.sample.boxes.map((box) => ({ box, image: ids[i]! })));
  return {
    images: images.map(({ name, extension, sample: { width, height } }: WrittenImage, i) => ({
      ...{ id: ids[i], file_name: `${name}${extension}`, width, height },
    })),
    categories: classes.map((name, i) => ({ id: categories[i], name })),
    annotations: annotations.map(({ box, image }, i) => ({
      ...{ id: i + 1, image_id: image, category_id: categories[box.classIndex - 1] },
      ...object(box, lost),
    })),
  };
}

const round = (value: number): number => Number(value.toFixed(PIXEL_DECIMALS));

function object(box: AnnotatedBox, lost: LostItems): object {
  if (box.difficult) lost.add('COCO has no difficult objects: they are written as regions of many (iscrowd)');
  const iscrowd = Number(box.crowd || box.difficult);
  if (box.bbox) return { bbox: box.bbox, area: box.area, iscrowd };
  countRounding(box, lost);
  const [x1, y1, x2, y2] = edgesOf(box);
  const bbox = [x1, y1, x2 - x1, y2 - y1].map(round);
  return { bbox, area: round(bbox[2]! * bbox[3]!), iscrowd };
}

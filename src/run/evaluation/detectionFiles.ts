/**
 * Detections in COCO's format of results, as pycocotools and the test servers read them:
 *
 *   [{"image_id": 42, "category_id": 18, "bbox": [x, y, width, height], "score": 0.9}, ...]
 *
 * width = x2 - x1 + 1, as py-faster-rcnn writes it. Ids are those of the annotation file; for other data sets image_id is the
 * name of the image and category_id the name of the class.
 */
import { z } from 'zod';
import type { CocoId } from '../../data/types.ts';
import { cocoId } from '../../data/readers/coco.ts';
import type { Dataset } from '../../data/types.ts';
import { readJsonFile } from '../../data/jsonFile.ts';
import { UserError } from '../../engine/errors.ts';
import { replaceFile } from '../../engine/node/writeFile.ts';
import { toCocoBox } from '../../eval/coco.ts';
import type { Detection } from '../../eval/voc.ts';

const results = z.array(
  z.object({
    image_id: cocoId,
    category_id: cocoId,
    bbox: z.tuple([z.number(), z.number(), z.number().nonnegative(), z.number().nonnegative()]),
    score: z.number(),
  }),
);

/** The ids of an image and of each class; undefined for a class that the image's annotation file does not have. */
interface Ids {
  image: CocoId;
  categories: readonly (CocoId | undefined)[];
}

/** The ids by image. Throws if two images have the same id. */
function idsOf({ samples, classes }: Dataset): Ids[] {
  const ids = samples.map(({ id, resultIds }): Ids => resultIds ?? { image: id, categories: classes });
  const seen = new Set<CocoId>();
  for (const { image } of ids) {
    if (seen.has(image))
      throw new UserError(`--data: two images have the id ${image}; give one file or folder at a time`);
    seen.add(image);
  }
  return ids;
}

/** Returns a function that writes detections to `path`, all or nothing. The ids of the data are checked at once. */
export function detectionWriter(
  path: string,
  dataset: Dataset,
): (detections: readonly (readonly Detection[])[]) => void {
  const ids = idsOf(dataset);
  return (detections) => {
    const lines = ids.flatMap(({ image, categories }, i) =>
      detections[i]!.flatMap((detection) => {
        const category = categories[detection.classIndex];
        if (category === undefined) return []; // the annotation file does not have this class
        const { score } = detection;
        return JSON.stringify({ image_id: image, category_id: category, bbox: toCocoBox(detection), score });
      }),
    );
    replaceFile(path, `[\n${lines.join(',\n')}\n]\n`);
  };
}

/** Reads the detections of each image, in the order of the data set. Throws a UserError that names the file. */
export function readDetectionFile(path: string, dataset: Dataset): Detection[][] {
  const entries = readJsonFile(path, results, {
    expected: "detections in COCO's format of results",
    tooLarge: 'leave out the lowest scores',
  });
  const detections: Detection[][] = dataset.samples.map(() => []);
  const images = new Map(idsOf(dataset).map(({ image, categories }, i) => [image, { i, categories }]));
  entries.forEach(({ image_id, category_id, bbox: [x, y, width, height], score }, n) => {
    const wrong = (what: string): UserError =>
      new UserError(`${path}: result ${n + 1}: ${what}; give the data that was detected in`);
    const image = images.get(image_id);
    if (!image) throw wrong(`image ${image_id} is not in the data`);
    const classIndex = image.categories.indexOf(category_id);
    if (classIndex < 1) throw wrong(`category ${category_id} is not in the data`);
    detections[image.i]!.push({ x1: x, y1: y, x2: x + width - 1, y2: y + height - 1, classIndex, score });
  });
  return detections;
}

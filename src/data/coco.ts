/**
 * COCO's annotation files: `images`, `categories` and `annotations` in one JSON file, the pictures in a folder.
 *
 * An annotation's bbox is x, y, width, height with fractions, counted from 0. As py-faster-rcnn lib/datasets/coco.py:
 *   x1 = max(0, x), x2 = min(W - 1, x1 + max(0, width - 1)), y alike; classes in the order of `categories`, whose ids
 *   have gaps. Crowds (iscrowd) are no objects to learn.
 * Images are in the order of their ids: among equal scores the order decides, and COCO's own evaluation has this one.
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { UserError } from '../engine/errors.ts';
import { assertClassName, BACKGROUND } from './background.ts';
import { BadBoxes, BORDER_TOLERANCE } from './badBoxes.ts';
import type { Box, Dataset, OpenOptions, Sample } from './dataset.ts';
import { readJsonFile } from './jsonFile.ts';
import { pictureOf } from './pictures.ts';
import { attempt } from './problems.ts';

/** The one part of a file: each of COCO's splits is a file of its own. */
export const COCO_SPLIT = 'all';

/** Numbers in COCO's own files; some tools write names. */
export const cocoId = z.union([z.int(), z.string()]);
export type CocoId = z.infer<typeof cocoId>;

const annotation = z.object({
  id: cocoId.optional(),
  image_id: cocoId,
  category_id: cocoId,
  bbox: z.tuple([z.number(), z.number(), z.number(), z.number()]),
  area: z.number().nullish(),
  iscrowd: z.union([z.literal(0), z.literal(1), z.boolean()]).nullish(),
});

const annotationFile = z.object({
  images: z.array(
    z.object({ id: cocoId, file_name: z.string().min(1), width: z.int().positive(), height: z.int().positive() }),
  ),
  categories: z.array(z.object({ id: cocoId, name: z.string().min(1) })).min(1),
  /** Missing in the files of COCO's test sets. */
  annotations: z.array(annotation).optional(),
});

type Annotation = z.infer<typeof annotation>;
type Image = z.infer<typeof annotationFile>['images'][number];
type Size = { width: number; height: number };

export async function openCoco(folder: string, path: string, options: OpenOptions): Promise<Dataset> {
  if (options.split !== COCO_SPLIT) {
    throw new UserError(
      `--split ${options.split}: ${path} has no splits; leave the option out and give in --data the file of the images you mean`,
    );
  }
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) {
    throw new UserError(`${folder}: no such folder; give coco:IMAGES,ANNOTATIONS.json`);
  }
  const { images, categories, annotations = [] } = readAnnotationFile(path);
  const wrong = (what: string): UserError => new UserError(`${path}: ${what}`);
  if (images.length === 0) throw wrong('"images" is empty; give another file');
  const classes = options.classes ?? categories.map(({ name }) => name);
  if (options.classes === undefined && annotations.length === 0) {
    throw wrong('has no annotations; there is nothing to learn');
  }

  for (const { id, name } of categories) assertClassName(name, `${path}: category ${id}`);
  const category = new Map(unique(categories, 'id', 'categories', wrong));
  unique(categories, 'name', 'categories', wrong);
  const classIndex = new Map(classes.map((name, i) => [name, i + 1]));
  const categoryIds = [undefined, ...classes.map((name) => categories.find((c) => c.name === name)?.id)];

  const boxes = new Map(
    unique(images, 'id', 'images', wrong).map(([id, image]) => [id, { image, boxes: [] as Box[] }]),
  );
  unique(images, 'file_name', 'images', wrong);
  const bad = new BadBoxes(options.onBadBox);
  const place = (annotation: Annotation, i: number): void => {
    const { image_id, category_id, bbox } = annotation;
    const which = () => `annotation ${annotation.id ?? `number ${i + 1}`}`;
    const of = boxes.get(image_id);
    if (!of) throw wrong(`${which()} is of image ${image_id}, which is not in "images"; add or remove it`);
    const name = category.get(category_id)?.name;
    if (name === undefined) {
      throw wrong(`${which()} is of category ${category_id}, which is not in "categories"; add or remove it`);
    }
    const index = classIndex.get(name);
    if (index === undefined) {
      throw wrong(
        `${which()} is of category '${name}', which is not one of ${classes.join(', ')}; rename or remove it`,
      );
    }
    const box = toBox(annotation, index, of.image);
    if (typeof box === 'string') bad.add(`${path}: ${which()} (${name}): bbox [${bbox.join(', ')}] ${box}`);
    else of.boxes.push(box);
  };
  const { onProblem } = options;
  annotations.forEach((annotation, i) => attempt(onProblem, () => place(annotation, i)));

  const exists = fileFinder();
  const stems = onlyOnce(images.map(({ file_name }) => stemOf(file_name)));
  const toSample = ({ id, file_name, width, height }: Image, boxes: Box[]): Sample => {
    const picture = resolve(folder, file_name);
    if (!exists(picture)) {
      throw new UserError(
        `${join(folder, file_name)}: no such image, though ${path} has it; add it or choose its folder`,
      );
    }
    return {
      id: stems.has(stemOf(file_name)) ? stemOf(file_name) : file_name,
      width,
      height,
      boxes,
      resultIds: { image: id, categories: categoryIds },
      ...pictureOf(picture, width, height, path),
    };
  };
  const samples = [...boxes.values()]
    .sort((a, b) => byId(a.image.id, b.image.id))
    .flatMap(({ image, boxes }) => attempt(onProblem, () => [toSample(image, boxes)]) ?? []);
  const unknown = classes.filter((name) => !categories.some((c) => c.name === name));
  const notes = bad.notes();
  if (unknown.length > 0)
    notes.push(`${path}: has no category ${unknown.join(', ')}: what is detected of it has no place in result files`);
  return { name: basename(path, '.json'), classes: [BACKGROUND, ...classes], samples, flippable: true, notes };
}

/**
 * The polygons are most of a file, and of no use for boxes: without them it is read in a third of the time. Within a text
 * the quotes would have backslashes before them, so none is changed; and a match ends with its value, as what follows that
 * has a quote or a brace before the next bracket.
 */
const POLYGONS = /"segmentation"\s*:\s*\[[-+.\deE,\s[\]]*\]/g;

const readAnnotationFile = (path: string) =>
  readJsonFile(path, annotationFile, {
    expected: 'an annotation file of COCO with boxes (instances_*.json)',
    tooLarge: 'divide it, coco:IMAGES,A.json,IMAGES,B.json, or take its "segmentation" out',
    shorten: (text) => text.replace(POLYGONS, '"segmentation":0'),
  });

/** Pairs of a value and who has it; throws where two have the same. */
function unique<K extends string, T extends Record<K, CocoId>>(
  entries: readonly T[],
  key: K,
  list: string,
  wrong: (what: string) => UserError,
): [CocoId, T][] {
  const seen = new Set<CocoId>();
  return entries.map((entry) => {
    if (seen.has(entry[key])) throw wrong(`two of "${list}" have the ${key} ${entry[key]}; change or remove one`);
    seen.add(entry[key]);
    return [entry[key], entry];
  });
}

/** A file's name without its extension. */
const stemOf = (file: string): string => file.replace(/\.\w+$/, '');

/** Those that no other is equal to. */
function onlyOnce(texts: readonly string[]): Set<string> {
  const counts = new Map<string, number>();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  return new Set(texts.filter((text) => counts.get(text) === 1));
}

const byId = (a: CocoId, b: CocoId): number =>
  typeof a === 'number' && typeof b === 'number' ? a - b : String(a) < String(b) ? -1 : 1;

/** Corners as py-faster-rcnn has them, and what the evaluation takes; or what is wrong with the box. */
function toBox({ bbox, area, iscrowd }: Annotation, classIndex: number, { width, height }: Size): Box | string {
  const [x, y, w, h] = bbox;
  if (!(w > 0 && h > 0)) return 'has no area';
  if (area != null && !(area > 0)) return `has an area of ${area}`;
  const beyond = Math.max(-x, -y, x + w - width, y + h - height);
  if (beyond > BORDER_TOLERANCE) return `lies ${Number(beyond.toFixed(2))} px outside its ${width}x${height} image`;
  const [x1, y1] = [Math.max(0, x), Math.max(0, y)];
  const x2 = Math.min(width - 1, x1 + Math.max(0, w - 1));
  const y2 = Math.min(height - 1, y1 + Math.max(0, h - 1));
  if (x2 < x1 || y2 < y1) return `has no area inside its ${width}x${height} image`;
  // A new array: what the schema gives has room for more, and there may be a million.
  const asGiven = { crowd: Boolean(iscrowd), bbox: [x, y, w, h] as const, area: area ?? w * h };
  return { x1, y1, x2, y2, classIndex, difficult: false, ...asGiven };
}

/** Whether a file is there; there may be 100 000 in a folder, so each is listed once. */
function fileFinder(): (path: string) => boolean {
  const folders = new Map<string, Set<string>>();
  return (path) => {
    const folder = dirname(path);
    let files = folders.get(folder);
    if (!files) folders.set(folder, (files = new Set(existsSync(folder) ? readdirSync(folder) : [])));
    return files.has(basename(path));
  };
}

/**
 * Pascal VOC layout:
 *
 *   Annotations/ID.xml   JPEGImages/ID.jpg (or .jpeg, .png, .webp)   ImageSets/Main/SPLIT.txt (one ID a line)
 *
 * An XML file (vocAnnotation.ts) counts pixels from 1; boxes are shifted by -1 here. Coordinates are floats and clipped: an
 * xmin of 0, which many tools write, must not become -1. Lists of one class (cat_train.txt, lines "ID 1" or "ID -1") are not
 * splits: they name the images of a split again.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { UserError } from '../engine/errors.ts';
import { BACKGROUND } from './background.ts';
import { BadBoxes, BORDER_TOLERANCE } from './badBoxes.ts';
import type { Box, Dataset, OpenOptions, Sample } from './dataset.ts';
import { PICTURE_EXTENSIONS, pictureOf } from './pictures.ts';
import { attempt } from './problems.ts';
import { readVocAnnotation, type VocAnnotation, type VocObject } from './vocAnnotation.ts';

/** Where the splits are listed. */
const LISTS = join('ImageSets', 'Main');

const listOf = (root: string, split: string): string => join(root, LISTS, `${split}.txt`);

/** The splits that are listed in ImageSets/Main. */
export const vocSplits = (root: string): string[] =>
  readdirSync(existing(join(root, LISTS)))
    .filter((file) => file.endsWith('.txt'))
    .map((file) => file.slice(0, -'.txt'.length))
    .sort();

function existing(folder: string): string {
  if (existsSync(folder)) return folder;
  throw new UserError(`${folder}: no such folder; VOC layout is Annotations, JPEGImages and ImageSets/Main`);
}

export async function openVoc(root: string, options: OpenOptions): Promise<Dataset> {
  const { split, onProblem } = options;
  const splits = vocSplits(root);
  const annotations = new Annotations(root, options);
  const pictures = new Pictures(root);
  const list = listOf(root, split);
  if (!splits.includes(split)) {
    throw new UserError(`${list}: no such split; known here: ${splits.join(', ') || 'none'}`);
  }
  const ids = readIds(list);
  if (ids.length === 0)
    throw new UserError(`${list}: lists no image; write one image name per line, without extension`);
  if (ids.every((id) => CLASS_LIST_LINE.test(id) && !annotations.has(id))) {
    const whole = splits.find((other) => split.endsWith(`_${other}`)) ?? 'train';
    throw new UserError(`${list}: lists one class ('${ids[0]}'); its images are those of --split ${whole}`);
  }

  let { classes } = options;
  if (classes === undefined) {
    // Every split, so that training and test number the classes alike.
    const others = splits.flatMap((other) => readIds(listOf(root, other))).filter((id) => annotations.has(id));
    classes = annotations.classNames([...ids, ...others]);
  }
  if (classes.length === 0) {
    throw new UserError(`${annotations.folder}: no object in any file; there is nothing to learn`);
  }

  const bad = new BadBoxes(options.onBadBox);
  const toBoxes = boxReader(classes, bad);
  const samples = ids.flatMap((id): Sample[] => {
    const annotation = annotations.read(id);
    if (annotation === undefined) return [];
    const { filename, width, height, objects } = annotation;
    const path = annotations.pathOf(id);
    const boxes = objects.flatMap((object) => attempt(onProblem, () => toBoxes(object, annotation, path)) ?? []);
    const picture = attempt(onProblem, () => pictures.find(id, filename, split));
    return picture === undefined ? [] : [{ id, width, height, boxes, ...pictureOf(picture, width, height, path) }];
  });
  const notes = bad.notes().map((note) => `split '${split}': ${note}`);
  return { name: basename(root), classes: [BACKGROUND, ...classes], samples, flippable: true, notes };
}

/** A line of the list of one class: the image shows it (1), does not (-1), or only in ways that do not count (0). */
const CLASS_LIST_LINE = /^\S+\s+(-1|0|1)$/;

const readIds = (path: string): string[] =>
  readFileSync(path, 'utf8')
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '');

/** The annotation files, each read once. */
class Annotations {
  readonly folder: string;
  private readonly options: OpenOptions;
  private readonly files: ReadonlySet<string>;
  private readonly known = new Map<string, VocAnnotation | undefined>();

  constructor(root: string, options: OpenOptions) {
    this.folder = existing(join(root, 'Annotations'));
    this.options = options;
    this.files = new Set(readdirSync(this.folder));
  }

  pathOf(id: string): string {
    return join(this.folder, `${id}.xml`);
  }

  has(id: string): boolean {
    return this.files.has(`${id}.xml`);
  }

  /** Undefined: the file has a problem, which was taken. */
  read(id: string): VocAnnotation | undefined {
    if (this.known.has(id)) return this.known.get(id);
    const { split, onProblem } = this.options;
    const annotation = attempt(onProblem, () => {
      const path = this.pathOf(id);
      if (this.has(id)) return readVocAnnotation(path, onProblem);
      throw new UserError(`${path}: missing, though split '${split}' lists ${id}; add it or drop the line`);
    });
    this.known.set(id, annotation);
    return annotation;
  }

  /** Of the objects in these files, sorted. */
  classNames(ids: readonly string[]): string[] {
    return [...new Set(ids.flatMap((id) => this.read(id)?.objects.map(({ name }) => name) ?? []))].sort();
  }
}

class Pictures {
  private readonly folder: string;
  private readonly files: ReadonlySet<string>;

  constructor(root: string) {
    this.folder = existing(join(root, 'JPEGImages'));
    this.files = new Set(readdirSync(this.folder));
  }

  /** The path of an image: named as its annotation file, or else as that says. */
  find(id: string, filename: string, split: string): string {
    const names = [...PICTURE_EXTENSIONS.map((extension) => id + extension), filename];
    const found = names.find((name) => this.files.has(name));
    if (found !== undefined) return join(this.folder, found);
    throw new UserError(
      `${join(this.folder, id)}.*: no such image (${PICTURE_EXTENSIONS.join(', ')}), though split '${split}' lists it; add it or drop the line`,
    );
  }
}

/** What makes the box of an object, in an array: empty where the box is `bad`. */
function boxReader(classes: readonly string[], bad: BadBoxes) {
  const classIndex = new Map(classes.map((name, i) => [name, i + 1]));
  return (object: VocObject, { width, height }: VocAnnotation, path: string): Box[] => {
    const { number, name, difficult, xmin, ymin, xmax, ymax } = object;
    const index = classIndex.get(name);
    if (index === undefined) {
      throw new UserError(
        `${path}: object ${number} is of class '${name}', which is not one of ${classes.join(', ')}; rename it or add the class`,
      );
    }
    const box = toCorners(object, width, height);
    if (typeof box !== 'string') return [{ ...box, classIndex: index, difficult }];
    bad.add(`${path}: object ${number} (${name}): box (${xmin}, ${ymin}, ${xmax}, ${ymax}) ${box}`);
    return [];
  };
}

/** 0-based, clipped to the picture; or what is wrong with the box. */
function toCorners({ xmin, ymin, xmax, ymax }: VocObject, width: number, height: number) {
  if (xmax < xmin || ymax < ymin) return 'has its corners swapped';
  if (xmax === xmin || ymax === ymin) return 'has no area';
  const beyond = Math.max(1 - xmin, 1 - ymin, xmax - width, ymax - height);
  if (beyond > BORDER_TOLERANCE) return `lies ${beyond} px outside its ${width}x${height} image`;
  const clip = (value: number, size: number) => Math.min(Math.max(value - 1, 0), size - 1);
  const box = { x1: clip(xmin, width), y1: clip(ymin, height), x2: clip(xmax, width), y2: clip(ymax, height) };
  if (box.x2 <= box.x1 || box.y2 <= box.y1) return `has no area inside its ${width}x${height} image`;
  return box;
}

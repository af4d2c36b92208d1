/**
 * Pascal VOC layout:
 *
 *   Annotations/ID.xml   JPEGImages/ID.jpg (or .jpeg, .png, .webp)   ImageSets/Main/SPLIT.txt (one ID a line)
 *
 * An XML file counts pixels from 1, both corners inclusive; boxes are shifted by -1 here. Children are read by name, as
 * some tools write xmin, xmax, ymin, ymax, and only direct children of an object, as some objects have parts with boxes
 * of their own. Coordinates are floats and clipped: an xmin of 0, which many tools write, must not become -1.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { UserError } from '../engine/errors.ts';
import { BACKGROUND } from './background.ts';
import { BadBoxes, BORDER_TOLERANCE } from './badBoxes.ts';
import type { Box, Dataset, OpenOptions, Sample } from './dataset.ts';
import { PICTURE_EXTENSIONS, readPictureOf } from './pictures.ts';
import { attempt, type OnProblem } from './problems.ts';

/** Where the splits are listed. */
const LISTS = join('ImageSets', 'Main');

/** One object as the file has it: 1-based inclusive corners. */
interface VocObject {
  /** Its place among the file's objects, from 1. */
  number: number;
  name: string;
  difficult: boolean;
  xmin: number;
  ymin: number;
  xmax: number;
  ymax: number;
}

interface VocAnnotation {
  filename: string;
  width: number;
  height: number;
  objects: VocObject[];
}

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
  const lists = join(root, LISTS);
  const listOf = (split: string): string => join(lists, `${split}.txt`);
  const splits = vocSplits(root);
  const annotationsFolder = existing(join(root, 'Annotations'));
  const picturesFolder = existing(join(root, 'JPEGImages'));
  if (!splits.includes(options.split)) {
    throw new UserError(`${listOf(options.split)}: no such split; known here: ${splits.join(', ') || 'none'}`);
  }
  const ids = readIds(listOf(options.split));
  if (ids.length === 0) {
    throw new UserError(`${listOf(options.split)}: lists no image; write one image name a line, no extension`);
  }

  const files = new Set(readdirSync(annotationsFolder));
  const { onProblem } = options;
  /** Undefined: the file has a problem, which was taken. */
  const annotations = new Map<string, VocAnnotation | undefined>();
  const annotation = (id: string): VocAnnotation | undefined => {
    if (!annotations.has(id)) {
      const path = join(annotationsFolder, `${id}.xml`);
      const read = (): VocAnnotation => {
        if (files.has(`${id}.xml`)) return parseAnnotation(path, onProblem);
        throw new UserError(`${path}: missing, though split '${options.split}' lists ${id}; add it or drop the line`);
      };
      annotations.set(id, attempt(onProblem, read));
    }
    return annotations.get(id);
  };

  let classes = options.classes;
  if (classes === undefined) {
    // Every split, so that training and test number the classes alike.
    const names = new Set<string>();
    const others = splits.flatMap((split) => readIds(listOf(split))).filter((id) => files.has(`${id}.xml`));
    for (const id of [...ids, ...others]) for (const { name } of annotation(id)?.objects ?? []) names.add(name);
    classes = [...names].sort();
  }
  if (classes.length === 0)
    throw new UserError(`${annotationsFolder}: no object in any file; there is nothing to learn`);
  const classIndex = new Map(classes.map((name, i) => [name, i + 1]));

  const pictures = new Set(readdirSync(picturesFolder));
  const bad = new BadBoxes(options.onBadBox);
  const toSample = (id: string, { filename, width, height, objects }: VocAnnotation): Sample => {
    const path = join(annotationsFolder, `${id}.xml`);
    const boxes: Box[] = [];
    const add = (object: VocObject): void => {
      const index = classIndex.get(object.name);
      if (index === undefined) {
        throw new UserError(
          `${path}: object ${object.number} is of class '${object.name}', which is not one of ${classes.join(', ')}; rename it or add the class`,
        );
      }
      const box = toBox(object, width, height);
      if (typeof box === 'string') {
        const { number, xmin, ymin, xmax, ymax } = object;
        bad.add(`${path}: object ${number} (${object.name}): box (${xmin}, ${ymin}, ${xmax}, ${ymax}) ${box}`);
      } else {
        boxes.push({ ...box, classIndex: index, difficult: object.difficult });
      }
    };
    for (const object of objects) attempt(onProblem, () => add(object));
    const picture = [...PICTURE_EXTENSIONS.map((extension) => id + extension), filename].find((file) =>
      pictures.has(file),
    );
    if (picture === undefined) {
      throw new UserError(
        `${join(picturesFolder, id)}.*: no such image (${PICTURE_EXTENSIONS.join(', ')}), though split '${options.split}' lists it; add it or drop the line`,
      );
    }
    return { id, width, height, boxes, load: () => readPictureOf(join(picturesFolder, picture), width, height, path) };
  };
  const samples = ids.flatMap((id): Sample[] => {
    const value = annotation(id);
    return (value && attempt(onProblem, () => [toSample(id, value)])) ?? [];
  });

  const notes = bad.notes().map((note) => `split '${options.split}': ${note}`);
  return { name: basename(root), classes: [BACKGROUND, ...classes], samples, flippable: true, notes };
}

const readIds = (path: string): string[] =>
  readFileSync(path, 'utf8')
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '');

/** 0-based, clipped to the picture; or what is wrong with the box. */
function toBox(object: VocObject, width: number, height: number) {
  const { xmin, ymin, xmax, ymax } = object;
  if (xmax < xmin || ymax < ymin) return 'has its corners swapped';
  if (xmax === xmin || ymax === ymin) return 'has no area';
  const beyond = Math.max(1 - xmin, 1 - ymin, xmax - width, ymax - height);
  if (beyond > BORDER_TOLERANCE) return `lies ${beyond} px outside its ${width}x${height} image`;
  const clip = (value: number, size: number) => Math.min(Math.max(value - 1, 0), size - 1);
  const box = { x1: clip(xmin, width), y1: clip(ymin, height), x2: clip(xmax, width), y2: clip(ymax, height) };
  if (box.x2 <= box.x1 || box.y2 <= box.y1) return `has no area inside its ${width}x${height} image`;
  return box;
}

/** A parsed XML element: text, or children by name; a repeated child is an array. */
type Xml = string | Xml[] | { [child: string]: Xml };

const parser = new XMLParser({
  ignoreAttributes: true,
  parseTagValue: false, // a class may be called '007'
  isArray: (name) => name === 'object',
});

/** Reads one annotation file; every message names the file and the element. An object that has a problem is left out. */
function parseAnnotation(path: string, onProblem: OnProblem | undefined): VocAnnotation {
  const text = readFileSync(path, 'utf8').replace(/^\uFEFF/, '');
  const valid = XMLValidator.validate(text);
  if (valid !== true) {
    const { line, msg } = valid.err;
    throw new UserError(`${path}: line ${line}: not well-formed XML (${msg.replace(/\s+/g, ' ')}); mend the file`);
  }
  const annotation = child(parser.parse(text) as Xml, 'annotation');
  if (annotation === undefined) throw new UserError(`${path}: has no <annotation>; it is not a VOC annotation file`);

  const text1 = (parent: Xml | undefined, name: string, where: string): string => {
    const value = child(parent, name);
    if (typeof value === 'string' && value !== '') return value;
    throw new UserError(`${path}: ${where} must have exactly one <${name}> with a value; mend the file`);
  };
  const number = (parent: Xml | undefined, name: string, where: string): number => {
    const value = text1(parent, name, where);
    if (Number.isFinite(Number(value))) return Number(value);
    throw new UserError(`${path}: ${where}: <${name}>${value}</${name}> is not a number; mend the file`);
  };

  const size = child(annotation, 'size');
  const width = number(size, 'width', '<size>');
  const height = number(size, 'height', '<size>');
  if (!(width >= 1 && height >= 1)) {
    throw new UserError(`${path}: <size> is ${width}x${height}; write the size of the image there`);
  }
  const objects = (child(annotation, 'object') ?? []) as Xml[];
  const filename = child(annotation, 'filename');
  return {
    filename: typeof filename === 'string' ? basename(filename) : '',
    width,
    height,
    objects: objects.flatMap((object, i): VocObject[] => {
      const where = `object ${i + 1}`;
      const box = child(object, 'bndbox');
      const read = (): VocObject[] => [
        {
          number: i + 1,
          name: text1(object, 'name', where),
          difficult: child(object, 'difficult') === '1',
          xmin: number(box, 'xmin', `${where}: <bndbox>`),
          ymin: number(box, 'ymin', `${where}: <bndbox>`),
          xmax: number(box, 'xmax', `${where}: <bndbox>`),
          ymax: number(box, 'ymax', `${where}: <bndbox>`),
        },
      ];
      return attempt(onProblem, read) ?? [];
    }),
  };
}

const child = (element: Xml | undefined, name: string): Xml | undefined =>
  typeof element === 'object' && !Array.isArray(element) && Object.hasOwn(element, name) ? element[name] : undefined;

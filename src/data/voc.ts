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
import type { Box, Dataset, OpenOptions, Sample } from './dataset.ts';
import { PICTURE_EXTENSIONS, readPicture } from './pictures.ts';

/** Pixels by which a box may cross its picture's border before it is an error rather than a rounding to be clipped. */
const BORDER_TOLERANCE = 2;

/** One object as the file has it: 1-based inclusive corners. */
interface VocObject {
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

export async function openVoc(root: string, options: OpenOptions): Promise<Dataset> {
  const lists = join(root, 'ImageSets', 'Main');
  const annotationsFolder = join(root, 'Annotations');
  const picturesFolder = join(root, 'JPEGImages');
  for (const folder of [lists, annotationsFolder, picturesFolder]) {
    if (!existsSync(folder)) {
      throw new UserError(`${folder}: no such folder; VOC layout is Annotations, JPEGImages and ImageSets/Main`);
    }
  }
  const splits = readdirSync(lists)
    .filter((file) => file.endsWith('.txt'))
    .sort();
  if (!splits.includes(`${options.split}.txt`)) {
    const known = splits.map((file) => file.slice(0, -4)).join(', ') || 'none';
    throw new UserError(`${join(lists, `${options.split}.txt`)}: no such split; known here: ${known}`);
  }
  const ids = readIds(join(lists, `${options.split}.txt`));
  if (ids.length === 0) {
    throw new UserError(
      `${join(lists, `${options.split}.txt`)}: lists no image; write one image name a line, no extension`,
    );
  }

  const files = new Set(readdirSync(annotationsFolder));
  const annotations = new Map<string, VocAnnotation>();
  const annotation = (id: string): VocAnnotation => {
    const path = join(annotationsFolder, `${id}.xml`);
    if (!files.has(`${id}.xml`)) {
      throw new UserError(`${path}: missing, though split '${options.split}' lists ${id}; add it or drop the line`);
    }
    let value = annotations.get(id);
    if (value === undefined) annotations.set(id, (value = parseAnnotation(path)));
    return value;
  };

  let classes = options.classes;
  if (classes === undefined) {
    // Every split, so that training and test number the classes alike.
    const names = new Set<string>();
    for (const id of ids) for (const object of annotation(id).objects) names.add(object.name);
    for (const id of splits.flatMap((file) => readIds(join(lists, file)))) {
      if (files.has(`${id}.xml`)) for (const object of annotation(id).objects) names.add(object.name);
    }
    classes = [...names].sort();
  }
  if (classes.length === 0)
    throw new UserError(`${annotationsFolder}: no object in any file; there is nothing to learn`);
  const classIndex = new Map(classes.map((name, i) => [name, i + 1]));

  const pictures = new Set(readdirSync(picturesFolder));
  const skipped: string[] = [];
  const samples = ids.map((id): Sample => {
    const { filename, width, height, objects } = annotation(id);
    const path = join(annotationsFolder, `${id}.xml`);
    const boxes: Box[] = [];
    objects.forEach((object, i) => {
      const index = classIndex.get(object.name);
      if (index === undefined) {
        throw new UserError(
          `${path}: object ${i + 1} is of class '${object.name}', which is not one of ${classes.join(', ')}; rename it or add the class`,
        );
      }
      const box = toBox(object, width, height);
      if (typeof box === 'string') {
        const { xmin, ymin, xmax, ymax } = object;
        const what = `${path}: object ${i + 1} (${object.name}): box (${xmin}, ${ymin}, ${xmax}, ${ymax}) ${box}`;
        if (options.onBadBox !== 'skip') throw new UserError(`${what}; mend or delete it, or pass --skip-bad-boxes`);
        skipped.push(what);
      } else {
        boxes.push({ ...box, classIndex: index, difficult: object.difficult });
      }
    });
    const picture = [...PICTURE_EXTENSIONS.map((extension) => id + extension), filename].find((file) =>
      pictures.has(file),
    );
    if (picture === undefined) {
      throw new UserError(
        `${join(picturesFolder, id)}.*: no such image (${PICTURE_EXTENSIONS.join(', ')}), though split '${options.split}' lists it; add it or drop the line`,
      );
    }
    return { id, width, height, boxes, load: () => readChecked(join(picturesFolder, picture), width, height, path) };
  });

  const notes: string[] = [];
  if (skipped.length > 0) {
    notes.push(
      `split '${options.split}': ${skipped.length} unusable box${skipped.length > 1 ? 'es' : ''} left out, the first: ${skipped[0]}`,
    );
  }
  return { name: basename(root), classes: [BACKGROUND, ...classes], samples, flippable: true, notes };
}

const readIds = (path: string): string[] =>
  readFileSync(path, 'utf8')
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '');

async function readChecked(path: string, width: number, height: number, xml: string) {
  const picture = await readPicture(path);
  if (picture.width !== width || picture.height !== height) {
    throw new UserError(
      `${path}: is ${picture.width}x${picture.height} but ${xml} says ${width}x${height}, so its boxes cannot be trusted; correct one of them`,
    );
  }
  return picture;
}

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

/** Reads one annotation file; every message names the file and the element. */
export function parseAnnotation(path: string): VocAnnotation {
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
    objects: objects.map((object, i) => {
      const where = `object ${i + 1}`;
      const box = child(object, 'bndbox');
      return {
        name: text1(object, 'name', where),
        difficult: child(object, 'difficult') === '1',
        xmin: number(box, 'xmin', `${where}: <bndbox>`),
        ymin: number(box, 'ymin', `${where}: <bndbox>`),
        xmax: number(box, 'xmax', `${where}: <bndbox>`),
        ymax: number(box, 'ymax', `${where}: <bndbox>`),
      };
    }),
  };
}

const child = (element: Xml | undefined, name: string): Xml | undefined =>
  typeof element === 'object' && !Array.isArray(element) && Object.hasOwn(element, name) ? element[name] : undefined;

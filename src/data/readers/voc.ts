/**
 * Pascal VOC's annotation files, without the disk. Pixels count from 1, both corners inclusive. Coordinates are floats and clipped:
 * an xmin of 0, which many tools write, must not become -1. Children are read by name, since some tools write xmin, xmax, ymin,
 * ymax, and only direct children of an object, since some objects have parts with their own boxes.
 */
import { UserError } from '../../engine/errors.ts';
import type { AnnotatedImage, AnnotatedObject, ReadContext } from '../annotated.ts';
import { boundsOf, type Point } from '../bounds.ts';
import { isImageFile } from '../imageNames.ts';
import { attempt } from '../problems.ts';
import { beginningIn, type LabelReader, placeIn } from './reader.ts';
import { printable } from '../text.ts';
import { child, children, parseXml, textOf, type Xml } from '../xml.ts';

/** Every XML file of annotations; its path, without the folder of annotations, is the name of its image. */
export const vocReader: LabelReader = {
  read(files, context) {
    const found = files.paths.filter((path) => /\.xml$/i.test(path) && /<annotation\b/.test(beginningIn(files, path)));
    if (found.length === 0) return undefined;
    const images = found.map((path) => {
      const id = path.replace(/\.xml$/i, '').replace(/^(.*\/)?(annotations?|xml|labels)\//i, '$1');
      return readVocXml(files.read(path), placeIn(files, path), id, context);
    });
    return { inclusive: true, images };
  },
};

/** One annotation file; every message names it, by `path`, and the element. */
export function readVocXml(
  bytes: Uint8Array,
  path: string,
  id: string,
  { onProblem, tally }: ReadContext,
): AnnotatedImage {
  const annotation = child(parseXml(bytes, path, ['object']), 'annotation');
  if (annotation === undefined) throw new UserError(`${path}: has no <annotation>; it is not a VOC annotation file`);
  const size = child(annotation, 'size');
  const [width, height] = ['width', 'height'].map((name) => {
    const text = textOf(size, name)?.trim() ?? '';
    return text === '' ? 0 : toNumber(text, `${path}: <size>: <${name}>`);
  }) as [number, number];
  const filename = textOf(annotation, 'filename')?.trim() ?? '';
  const objects = children(annotation, 'object');
  return {
    id,
    file: id,
    alternatives: filename === '' || !(isImageFile(filename) || filename.includes('.')) ? [] : [filename],
    // Label Studio and others write 0x0 if they do not know the size.
    ...(width >= 1 && height >= 1 && { size: { width, height } }),
    source: path,
    objects: objects.flatMap((object, i) => attempt(onProblem, () => [readObject(object, i + 1, path, tally)]) ?? []),
  };
}

function readObject(object: Xml, number: number, path: string, tally: ReadContext['tally']): AnnotatedObject {
  const what = `object ${number}`;
  const where = `${path}: ${what}`;
  const name = textOf(object, 'name');
  if (name === undefined || name.trim() === '' || children(object, 'name').length > 1) {
    throw new UserError(`${where} must have exactly one <name> with a value; fix the file`);
  }
  const [xmin, ymin, xmax, ymax] = cornersOf(object, where, tally);
  return {
    className: name,
    ...{ x1: xmin - 1, y1: ymin - 1, x2: xmax, y2: ymax },
    difficult: /^\s*(1|true|yes)\s*$/i.test(textOf(object, 'difficult') ?? ''),
    what,
    written: `box (${xmin}, ${ymin}, ${xmax}, ${ymax})`,
  };
}

/** The corners as written; for a polygon or a rotated box, its bounds. */
function cornersOf(object: Xml, where: string, tally: ReadContext['tally']): [number, number, number, number] {
  const boxes = children(object, 'bndbox');
  if (boxes.length === 0) {
    const points = polygonOf(object, where) ?? rotatedBoxOf(object, where);
    if (points) {
      tally(
        `objects without <bndbox>: the bounds of their ${child(object, 'polygon') ? 'polygon' : 'rotated box'} are taken`,
        where,
      );
      return boundsOf(points);
    }
  }
  const corner = (name: string): number => {
    const values = boxes.length === 1 ? children(boxes[0], name).map((value) => textOf(value)?.trim() ?? '') : [];
    // Some tools write a corner twice, which is unambiguous if both values agree.
    const [value = '', ...again] = new Set(values);
    if (value === '' || again.length > 0) {
      throw new UserError(`${where}: <bndbox> must have exactly one <${name}> with a value; fix the file`);
    }
    return toNumber(value, `${where}: <bndbox>: <${name}>`);
  };
  return [corner('xmin'), corner('ymin'), corner('xmax'), corner('ymax')];
}

/** Corners x1, y1, x2, y2, ... (Labelbox), or <pt> of x and y (LabelMe's XML). */
function polygonOf(object: Xml, where: string): Point[] | undefined {
  const polygon = children(object, 'polygon')[0];
  if (polygon === undefined) return undefined;
  const points = children(polygon, 'pt').map((point) => [textOf(point, 'x') ?? '', textOf(point, 'y') ?? '']);
  for (let i = 1; child(polygon, `x${i}`) !== undefined; i++) {
    points.push([textOf(polygon, `x${i}`) ?? '', textOf(polygon, `y${i}`) ?? '']);
  }
  if (points.length === 0) throw new UserError(`${where}: its <polygon> has no points; fix the file`);
  return points.map(([x, y]) => [toNumber(x!, `${where}: <polygon>`), toNumber(y!, `${where}: <polygon>`)]);
}

/** roLabelImg's form: centre, size, and an angle in radians, clockwise in the image. */
function rotatedBoxOf(object: Xml, where: string): Point[] | undefined {
  const box = children(object, 'robndbox')[0];
  if (box === undefined) return undefined;
  const [cx, cy, w, h, angle] = ['cx', 'cy', 'w', 'h', 'angle'].map((name) =>
    toNumber(textOf(box, name) ?? '', `${where}: <robndbox>: <${name}>`),
  ) as [number, number, number, number, number];
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const corners = [
    [-w / 2, -h / 2],
    [w / 2, -h / 2],
    [w / 2, h / 2],
    [-w / 2, h / 2],
  ] as const;
  return corners.map(([x, y]) => [cx + x * cos - y * sin, cy + x * sin + y * cos]);
}

/** With a decimal point or comma. */
function toNumber(text: string, where: string): number {
  const value = /^\s*[-+]?\d+,\d+\s*$/.test(text) ? Number(text.replace(',', '.')) : Number(text);
  if (text.trim() !== '' && Number.isFinite(value)) return value;
  const element = /<(\w+)>$/.exec(where)?.[1] ?? 'value';
  const place = where.replace(/: <\w+>$/, '');
  throw new UserError(`${place}: <${element}>${printable(text)}</${element}> is not a number; fix the file`);
}

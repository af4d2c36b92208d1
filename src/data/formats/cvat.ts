/**
 * CVAT's own XML, "CVAT for images 1.1": one file, with an `<image>` for each image and its shapes, and the labels of the task
 * in `<meta>`.
 *
 * Coordinates are edges in pixels, counted from 0: a box of the whole image has xtl 0 and xbr W. A rotation is in degrees,
 * clockwise about the centre. Rotated boxes, polygons, ellipses, masks and cuboids are replaced by their bounds; points and lines
 * have no area and are left out. A `subset` says which split an image belongs to.
 */
import { dirname } from 'node:path';
import { UserError } from '../../engine/errors.ts';
import type { AnnotatedImage, AnnotatedObject, AnnotatedSet, ReadContext } from '../annotated.ts';
import { annotatedFormat } from '../annotatedFormat.ts';
import { type AnnotationFiles, recognisesFiles, setOfFiles } from '../annotationFiles.ts';
import { boundsOf, boundsOfEllipse, cornersOf, type Point, turned } from '../bounds.ts';
import { eachPath } from '../format.ts';
import { attempt } from '../problems.ts';
import { printable } from '../text.ts';
import { child, children, textOf, type Xml } from '../xml.ts';
import { readXml } from '../xmlFile.ts';

const FILES: AnnotationFiles = {
  extension: '.xml',
  accepts: (beginning) => /<annotations>/.test(beginning) && /<(image|meta|version)\b/.test(beginning),
};

export const cvat = annotatedFormat({
  name: 'cvat',
  usage: 'cvat:PATH',
  summary: 'CVAT for images 1.1: an XML file, or a folder with one',
  sets: eachPath,
  recognises: (path) => recognisesFiles(FILES, path, 0.95),
  read: ([path], context) => readCvat(path!, context),
});

const SHAPES = ['box', 'polygon', 'ellipse', 'mask', 'cuboid', 'polyline', 'points', 'skeleton'];
const WITHOUT_AREA = ['polyline', 'points', 'skeleton'];
const LISTS = ['image', 'label', ...SHAPES];

function readCvat(path: string, context: ReadContext): AnnotatedSet {
  const parsed = new Map<string, Xml>();
  const parse = (file: string): Xml => {
    if (!parsed.has(file)) parsed.set(file, annotationsOf(file));
    return parsed.get(file)!;
  };
  const subsets = new Map<AnnotatedImage, string | undefined>();
  return setOfFiles(path, context, {
    ...FILES,
    title: 'annotation file of CVAT',
    read: (file) =>
      children(parse(file), 'image').flatMap((element, i) => {
        const image = attempt(context.onProblem, () => readImage(element, i, file, path, context));
        if (image) subsets.set(image, attribute(element, 'subset'));
        return image ?? [];
      }),
    splitOf: (image) => subsets.get(image),
    classes: (files) => {
      const labels = files.flatMap((file) => labelsOf(attempt(context.onProblem, () => parse(file))));
      return labels.length > 0 ? [...new Set(labels)] : undefined;
    },
  });
}

function annotationsOf(path: string): Xml {
  const annotations = child(readXml(path, LISTS), 'annotations');
  if (annotations === undefined) throw new UserError(`${path}: has no <annotations>; it is not CVAT's XML`);
  if (child(annotations, 'track') === undefined) return annotations;
  throw new UserError(`${path}: is 'CVAT for video', with tracks; export it as 'CVAT for images 1.1'`);
}

/** The labels of the task, the project or the job. Labels that are part of a skeleton are not objects. */
function labelsOf(annotations: Xml | undefined): string[] {
  const meta = child(annotations, 'meta');
  return ['task', 'project', 'job', '.']
    .flatMap((of) => children(child(of === '.' ? meta : child(meta, of), 'labels'), 'label'))
    .filter((label) => textOf(label, 'parent') === undefined)
    .flatMap((label) => textOf(label, 'name') ?? []);
}

const attribute = (element: Xml, name: string): string | undefined => {
  const value = child(element, `@${name}`);
  return typeof value === 'string' && value.trim() !== '' ? value.trim() : undefined;
};

function numberOf(element: Xml, name: string, where: string): number {
  const text = attribute(element, name) ?? '';
  const value = Number(text);
  if (text !== '' && Number.isFinite(value)) return value;
  throw new UserError(`${where}: ${name}="${printable(text)}" is not a number; fix or remove it`);
}

function readImage(image: Xml, i: number, path: string, root: string, context: ReadContext): AnnotatedImage {
  const file = attribute(image, 'name');
  if (file === undefined) throw new UserError(`${path}: image ${i + 1} has no name; fix or remove it`);
  const where = `image ${printable(file)}`;
  const shapes = SHAPES.flatMap((kind) => children(image, kind).map((shape) => ({ kind, shape })));
  const width = Number(attribute(image, 'width') ?? 0);
  const height = Number(attribute(image, 'height') ?? 0);
  return {
    file,
    folder: dirname(path),
    ...(width >= 1 && height >= 1 && { size: { width, height } }),
    source: path,
    objects: shapes.flatMap(
      ({ kind, shape }, n) =>
        attempt(context.onProblem, () => toObject(kind, shape, `${where}: ${kind} ${n + 1}`, path, root, context)) ??
        [],
    ),
  };
}

function toObject(
  kind: string,
  shape: Xml,
  what: string,
  path: string,
  root: string,
  { tally }: ReadContext,
): AnnotatedObject[] {
  const where = `${path}: ${what}`;
  if (WITHOUT_AREA.includes(kind)) {
    tally(`${root}: points, lines and skeletons have no area and are left out`, where);
    return [];
  }
  const number = (name: string): number => numberOf(shape, name, where);
  const rotation = attribute(shape, 'rotation') === undefined ? 0 : number('rotation');
  if (kind !== 'box' || rotation !== 0) {
    tally(`${root}: rotated boxes and other shapes are replaced by their bounds`, where);
  }
  const [x1, y1, x2, y2] = boundsOfShape(kind, shape, rotation, number, where);
  return [
    {
      className: attribute(shape, 'label') ?? '',
      ...{ x1, y1, x2, y2 },
      what,
      written: `${kind} (${[x1, y1, x2, y2].join(', ')})`,
    },
  ];
}

function boundsOfShape(
  kind: string,
  shape: Xml,
  rotation: number,
  number: (name: string) => number,
  where: string,
): [number, number, number, number] {
  if (kind === 'box') {
    const [x1, y1, x2, y2] = [number('xtl'), number('ytl'), number('xbr'), number('ybr')];
    if (rotation === 0) return [x1, y1, x2, y2];
    return boundsOf(turned(cornersOf(x1, y1, x2, y2), rotation, [(x1 + x2) / 2, (y1 + y2) / 2]));
  }
  if (kind === 'ellipse') return boundsOfEllipse([number('cx'), number('cy')], number('rx'), number('ry'), rotation);
  if (kind === 'mask') {
    const [x, y] = [number('left'), number('top')];
    return [x, y, x + number('width'), y + number('height')];
  }
  if (kind === 'cuboid') {
    const corners = ['tl', 'bl', 'tr', 'br'].flatMap((corner) => [`${corner}1`, `${corner}2`]);
    return boundsOf(corners.map((corner): Point => [number(`x${corner}`), number(`y${corner}`)]));
  }
  const points = (attribute(shape, 'points') ?? '').split(';').map((pair) => pair.split(',').map(Number));
  if (points.some((pair) => pair.length !== 2 || !pair.every(Number.isFinite))) {
    throw new UserError(
      `${where}: points="${printable(attribute(shape, 'points') ?? '')}" are no points; fix or remove it`,
    );
  }
  return boundsOf(points as unknown as Point[]);
}

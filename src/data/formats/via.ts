/**
 * VIA, the VGG Image Annotator: its CSV and JSON (versions 1 and 2), or its project file (version 3 too: via3.ts).
 *
 * A rectangle is x, y, width and height in pixels, edges counted from 0 (corners: x and x + width). Circles, ellipses
 * and polygons are replaced by their bounds; points and lines have no area and are left out. The class is the attribute of the
 * region that is called class, label, name or type, or the only attribute.
 */
import { dirname } from 'node:path';
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import type { AnnotatedImage, AnnotatedObject, AnnotatedSet, ReadContext } from '../annotated.ts';
import { annotatedFormat } from '../annotatedFormat.ts';
import { type AnnotationFiles, recognisesFiles, setOfFiles } from '../annotationFiles.ts';
import { boundsOf, boundsOfEllipse, type Point } from '../bounds.ts';
import { firstCells, readCsv } from '../csvFile.ts';
import { eachPath, type DataFormat } from '../format.ts';
import { readJsonFile } from '../jsonFile.ts';
import { firstIssue } from '../json.ts';
import { folderExists } from '../imageFiles.ts';
import { attempt } from '../problems.ts';
import { printable } from '../text.ts';
import { asProject2, beginsProject3 } from './via3.ts';

const JSON_FILES: AnnotationFiles = {
  extension: '.json',
  accepts: (beginning) =>
    /^\s*\{/.test(beginning) &&
    (/"_via_(settings|img_metadata)"/.test(beginning) ||
      beginsProject3(beginning) ||
      /^\s*\{\s*"[^"]*"\s*:\s*\{\s*"(fileref|filename)"/.test(beginning)),
};

const CSV_FILES: AnnotationFiles = {
  extension: '.csv',
  accepts: (beginning) => firstCells(beginning).includes('region_shape_attributes'),
};

const recognises: DataFormat['recognises'] = (path) =>
  recognisesFiles(JSON_FILES, path, 0.85) ?? recognisesFiles(CSV_FILES, path, 0.85);

export const via = annotatedFormat({
  name: 'via',
  usage: 'via:PATH',
  summary: 'VIA (VGG Image Annotator): its CSV, JSON or project file, or a folder with one',
  sets: eachPath,
  recognises,
  read: ([path], context) => readVia(path!, context),
});

function readVia(path: string, context: ReadContext): AnnotatedSet {
  const isCsv = folderExists(path) ? recognisesFiles(JSON_FILES, path, 1) === null : /\.csv$/i.test(path);
  return setOfFiles(path, context, {
    ...(isCsv ? CSV_FILES : JSON_FILES),
    title: 'annotation file of VIA',
    read: (file) => (isCsv ? readTable(file, path, context) : readJson(file, path, context)),
  });
}

/** One image in VIA's JSON. In version 1, `regions` was an object with a region under each key. */
const entry = z.object({
  filename: z.string().trim().min(1),
  regions: z.union([z.array(z.unknown()), z.record(z.string(), z.unknown())]).nullish(),
});
const region = z.object({
  shape_attributes: z.record(z.string(), z.unknown()),
  region_attributes: z.record(z.string(), z.unknown()).nullish(),
});
type Region = z.infer<typeof region>;

function readJson(path: string, root: string, context: ReadContext): AnnotatedImage[] {
  const content = readJsonFile(path, z.record(z.string(), z.unknown()), {
    expected: 'the JSON or the project file of VIA',
    tooLarge: 'export fewer images at a time',
  });
  const isProject3 = 'project' in content && 'view' in content;
  const images = isProject3 ? asProject2(content, path, root, context) : (content['_via_img_metadata'] ?? content);
  if (typeof images !== 'object' || images === null) {
    throw new UserError(`${path}: _via_img_metadata is no object of images; save the project anew`);
  }
  return Object.entries(images).flatMap(([key, value]) => {
    const image = attempt(context.onProblem, () => {
      const parsed = entry.safeParse(value);
      if (parsed.success) return parsed.data;
      throw new UserError(`${path}: image ${printable(key)}: ${firstIssue(parsed.error)}; fix or remove it`);
    });
    if (!image) return [];
    const { filename, regions } = image;
    const name = `image ${printable(filename)}`;
    const objects = Object.values(regions ?? []).flatMap(
      (one, i) =>
        attempt(context.onProblem, () => {
          const what = `${name}: region ${i + 1}`;
          const parsed = region.safeParse(one);
          if (parsed.success) return toObject(parsed.data, what, path, root, context);
          throw new UserError(`${path}: ${what}: ${firstIssue(parsed.error)}; fix or remove it`);
        }) ?? [],
    );
    return [{ file: filename, folder: dirname(path), source: path, objects }];
  });
}

/** filename, ..., region_shape_attributes and region_attributes, of which the last two are JSON; one row per region. */
function readTable(path: string, root: string, context: ReadContext): AnnotatedImage[] {
  const [header, ...rows] = readCsv(path);
  const at = (name: string): number => {
    const found = (header?.cells ?? []).findIndex((cell) => cell.replace(/^#/, '') === name);
    if (found >= 0) return found;
    throw new UserError(`${path}: has no column '${name}'; give the CSV file of VIA`);
  };
  const [file, shape, attributes] = [at('filename'), at('region_shape_attributes'), at('region_attributes')];
  const images = new Map<string, AnnotatedImage>();
  for (const { cells, line } of rows) {
    attempt(context.onProblem, () => {
      const what = `line ${line}`;
      const filename = cells[file] ?? '';
      if (filename === '') throw new UserError(`${path}: ${what}: names no image; fix or remove it`);
      if (!images.has(filename)) {
        images.set(filename, { file: filename, folder: dirname(path), objects: [], source: path });
      }
      const parsed = region.safeParse({
        shape_attributes: jsonCell(cells[shape], `${path}: ${what}`),
        region_attributes: jsonCell(cells[attributes], `${path}: ${what}`),
      });
      if (!parsed.success) throw new UserError(`${path}: ${what}: ${firstIssue(parsed.error)}; fix or remove it`);
      if (Object.keys(parsed.data.shape_attributes).length === 0) return; // an image without a region
      images.get(filename)!.objects.push(...toObject(parsed.data, what, path, root, context));
    });
  }
  return [...images.values()];
}

function jsonCell(text: string | undefined, where: string): unknown {
  if (text === undefined || text === '') return {};
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new UserError(`${where}: ${printable(text.slice(0, 100))} is not JSON; fix or remove it`);
  }
}

const WITHOUT_AREA = ['point', 'polyline', 'line'];

function toObject(
  { shape_attributes, region_attributes }: Region,
  what: string,
  path: string,
  root: string,
  { tally }: ReadContext,
): AnnotatedObject[] {
  const where = `${path}: ${what}`;
  const shape = String(shape_attributes['name'] ?? '');
  if (WITHOUT_AREA.includes(shape)) {
    tally(`${root}: points and lines have no area and are left out`, where);
    return [];
  }
  if (shape !== 'rect') tally(`${root}: shapes other than rectangles are replaced by their bounds`, where);
  const number = (name: string): number => {
    const value = Number(shape_attributes[name] ?? NaN);
    if (Number.isFinite(value)) return value;
    throw new UserError(`${where}: "${name}" is not a number; fix or remove it`);
  };
  const [x1, y1, x2, y2] = boundsOfShape(shape, shape_attributes, number, where);
  return [
    {
      className: classOf(region_attributes ?? {}, where),
      ...{ x1, y1, x2, y2 },
      what,
      written: `${printable(shape)} (${[x1, y1, x2, y2].join(', ')})`,
    },
  ];
}

function boundsOfShape(
  shape: string,
  attributes: Record<string, unknown>,
  number: (name: string) => number,
  where: string,
): [number, number, number, number] {
  if (shape === 'rect') {
    const [x, y] = [number('x'), number('y')];
    return [x, y, x + number('width'), y + number('height')];
  }
  if (shape === 'circle') return boundsOfEllipse([number('cx'), number('cy')], number('r'), number('r'), 0);
  if (shape === 'ellipse') {
    const degrees = attributes['theta'] === undefined ? 0 : (number('theta') * 180) / Math.PI;
    return boundsOfEllipse([number('cx'), number('cy')], number('rx'), number('ry'), degrees);
  }
  const coordinates = z.array(z.number()).min(1);
  const [xs, ys] = [attributes['all_points_x'], attributes['all_points_y']].map((one) => coordinates.safeParse(one));
  if (shape !== 'polygon' || !xs!.success || !ys!.success || xs!.data.length !== ys!.data.length) {
    throw new UserError(`${where}: its shape '${printable(shape)}' cannot be read; fix or remove it`);
  }
  return boundsOf(xs!.data.map((x, i): Point => [x, ys!.data![i]!]));
}

const CLASS_ATTRIBUTES = /^(class|label|name|type|category|object|species)(_?name)?$/i;

/** For check boxes, {cat: true}, the name of the one that is checked. */
function classOf(attributes: Record<string, unknown>, where: string): string {
  const entries = Object.entries(attributes);
  const [, value] = entries.find(([name]) => CLASS_ATTRIBUTES.test(name)) ?? (entries.length === 1 ? entries[0]! : []);
  if (typeof value === 'string' && value.trim() !== '') return value;
  const checked =
    typeof value === 'object' && value !== null ? Object.entries(value).filter(([, on]) => on === true) : [];
  if (checked.length === 1) return checked[0]![0];
  const names = entries.map(([name]) => printable(name)).join(', ') || 'none';
  throw new UserError(
    `${where}: has no attribute 'class' with one value (it has ${names}); add it or remove the region`,
  );
}

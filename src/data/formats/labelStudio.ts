/**
 * Label Studio's own JSON and its JSON-MIN: a list of tasks, each with an image and what annotators drew on it.
 *
 * Values are per cent of the image, edges counted from 0: a box of the whole image is x 0, y 0, width 100, height 100. A
 * rotation is in degrees, clockwise about the top left corner of the box. Rotated boxes, polygons and ellipses are replaced by
 * their bounds; points, masks and results without a shape are left out. The image is given by an address
 * (/data/upload/1/0a1b2c3d-cat.jpg, /data/local-files/?d=cat.jpg, s3://...), whose last part is looked for in the folder, with
 * and without the digits that Label Studio puts before the names of uploads. If a task has several annotations, the one marked
 * as ground truth counts, or else the last.
 */
import { dirname } from 'node:path';
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import type { AnnotatedImage, AnnotatedObject, ReadContext } from '../annotated.ts';
import { annotatedFormat } from '../annotatedFormat.ts';
import { type AnnotationFiles, recognisesFiles, setOfFiles } from '../annotationFiles.ts';
import { boundsOf, boundsOfEllipse, cornersOf, type Point, turned } from '../bounds.ts';
import { eachPath } from '../format.ts';
import { readJsonFile } from '../jsonFile.ts';
import { firstIssue } from '../json.ts';
import { isImageFile } from '../imageNames.ts';
import { attempt } from '../problems.ts';
import { printable } from '../text.ts';

const FILES: AnnotationFiles = {
  extension: '.json',
  accepts: (beginning) =>
    /^\s*\[\s*\{/.test(beginning) &&
    ((/"(annotations|completions)"\s*:\s*\[/.test(beginning) && /"(data|result)"\s*:/.test(beginning)) ||
      /"(rectangle|polygon|ellipse)labels"/.test(beginning)),
};

export const labelStudio = annotatedFormat({
  name: 'labelstudio',
  usage: 'labelstudio:PATH',
  summary: 'Label Studio: its JSON or JSON-MIN, or a folder with such a file',
  sets: eachPath,
  recognises: (path) => recognisesFiles(FILES, path, 0.8),
  read: ([path], context) =>
    setOfFiles(path!, context, {
      ...FILES,
      title: 'annotation file of Label Studio',
      read: (file) => readTasks(file, path!, context),
    }),
});

const task = z.record(z.string(), z.unknown());
const annotation = z.object({
  result: z.array(z.unknown()).nullish(),
  was_cancelled: z.boolean().nullish(),
  ground_truth: z.boolean().nullish(),
});
const result = z.object({
  type: z.string().nullish(),
  value: z.record(z.string(), z.unknown()).optional(),
  original_width: z.number().nullish(),
  original_height: z.number().nullish(),
  image_rotation: z.number().nullish(),
});

function readTasks(path: string, root: string, context: ReadContext): AnnotatedImage[] {
  const tasks = readJsonFile(path, z.array(z.unknown()), {
    expected: "Label Studio's JSON, a list of tasks",
    tooLarge: 'export fewer tasks at a time',
  });
  return tasks.flatMap((one, i) => attempt(context.onProblem, () => [readTask(one, i, path, root, context)]) ?? []);
}

function readTask(one: unknown, i: number, path: string, root: string, context: ReadContext): AnnotatedImage {
  const parsed = task.safeParse(one);
  if (!parsed.success) throw new UserError(`${path}: task ${i + 1}: ${firstIssue(parsed.error)}; fix or remove it`);
  const { id, data, annotations, completions, ...rest } = parsed.data;
  const name = `task ${typeof id === 'number' || typeof id === 'string' ? printable(String(id)) : i + 1}`;
  const address = addressOf((data ?? rest) as Record<string, unknown>);
  if (address === undefined) {
    throw new UserError(`${path}: ${name}: has no image in its data; add "image", or remove the task`);
  }
  const drawn = annotations ?? completions;
  const results = drawn === undefined ? minimal(rest) : chosen(drawn, name, path, root, context);
  const sizes = results.flatMap((one) => {
    const { success, data } = result.safeParse(one);
    return success && data.original_width && data.original_height
      ? [{ width: data.original_width, height: data.original_height }]
      : [];
  });
  const base = address.replace(/^.*[?&]d=/, '').replace(/[?#].*$/s, '');
  const file = decoded(base).replace(/^.*[/\\]/, '');
  return {
    file,
    // Label Studio puts eight digits before the name of an upload.
    alternatives: [file.replace(/^[0-9a-f]{8}-/i, '')],
    folder: dirname(path),
    ...(sizes[0] && { size: sizes[0] }),
    fractions: true,
    source: path,
    objects: results.flatMap(
      (one, n) =>
        attempt(context.onProblem, () => toObject(one, `${name}: result ${n + 1}`, path, root, sizes[0], context)) ??
        [],
    ),
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The value of "image", or the first text that ends like the name of an image file. */
function addressOf(data: Record<string, unknown>): string | undefined {
  const texts = Object.values(data ?? {}).filter((value) => typeof value === 'string');
  const { image } = data ?? {};
  if (typeof image === 'string' && image.trim() !== '') return image.trim();
  return texts.find((text) => isImageFile(text.replace(/[?#].*$/s, '')))?.trim();
}

/** The results of the annotation that counts for a task. */
function chosen(drawn: unknown, name: string, path: string, root: string, { tally }: ReadContext): unknown[] {
  const parsed = z.array(annotation).safeParse(drawn);
  if (!parsed.success)
    throw new UserError(`${path}: ${name}: annotations.${firstIssue(parsed.error)}; fix or remove it`);
  const valid = parsed.data.filter(({ was_cancelled }) => was_cancelled !== true);
  if (valid.length > 1) {
    tally(`${root}: of tasks with several annotations the ground truth or the last is taken`, `${path}: ${name}`);
  }
  return (valid.find(({ ground_truth }) => ground_truth === true) ?? valid.at(-1))?.result ?? [];
}

/** JSON-MIN has the values of each control under its name, beside the data of the task. */
const minimal = (task: Record<string, unknown>): unknown[] =>
  Object.values(task)
    .filter((value) => Array.isArray(value))
    .flat()
    .filter((value: unknown) => typeof value === 'object' && value !== null)
    .map((value: object) => ({ ...value, value }));

function toObject(
  one: unknown,
  what: string,
  path: string,
  root: string,
  size: { width: number; height: number } | undefined,
  { tally, doubt }: ReadContext,
): AnnotatedObject[] {
  const where = `${path}: ${what}`;
  const parsed = result.safeParse(one);
  if (!parsed.success) throw new UserError(`${where}: ${firstIssue(parsed.error)}; fix or remove it`);
  const { value = {}, image_rotation } = parsed.data;
  const kind = ['rectangle', 'polygon', 'ellipse'].find((kind) => isShape(kind, value));
  if (kind === undefined) {
    tally(`${root}: results that are no rectangle, polygon or ellipse are left out`, where);
    return [];
  }
  if (image_rotation) doubt(`${where}: was drawn on a turned image; see whether its box is where it should be`);
  const labels = [value[`${kind}labels`] ?? value['labels']].flat();
  if (typeof labels[0] !== 'string') throw new UserError(`${where}: has no label; give it one or remove it`);
  if (labels.length > 1) tally(`${root}: of shapes with several labels the first is taken`, where);
  const number = (name: string): number => {
    const found = value[name] ?? (name === 'rotation' ? 0 : undefined);
    if (typeof found === 'number' && Number.isFinite(found)) return found;
    throw new UserError(`${where}: "${name}" is not a number; fix or remove it`);
  };
  const rotation = kind === 'polygon' ? 0 : number('rotation');
  if (kind !== 'rectangle' || rotation !== 0) {
    tally(`${root}: rotated boxes and other shapes are replaced by their bounds`, where);
  }
  if (rotation !== 0 && !size) {
    throw new UserError(`${where}: is rotated, and has no original_width and original_height; add them, or remove it`);
  }
  // A rotation preserves angles in pixels, but not in per cent.
  const { width, height } = size ?? { width: 100, height: 100 };
  const bounds = boundsOfShape(kind, value, rotation, [width / 100, height / 100], number, where);
  const [x1, y1, x2, y2] = bounds.map((edge, i) => edge / (i % 2 === 0 ? width : height)) as [
    number,
    number,
    number,
    number,
  ];
  return [
    {
      className: labels[0],
      ...{ x1, y1, x2, y2 },
      what,
      written: `${kind} (${[x1, y1, x2, y2].map((edge) => `${Number((edge * 100).toFixed(4))} %`).join(', ')})`,
    },
  ];
}

const isShape = (kind: string, value: Record<string, unknown>): boolean =>
  `${kind}labels` in value ||
  (Array.isArray(value['labels']) && { rectangle: 'width', polygon: 'points', ellipse: 'radiusX' }[kind]! in value);

/** Bounds in pixels; `unit` is the size of one per cent. */
function boundsOfShape(
  kind: string,
  value: Record<string, unknown>,
  rotation: number,
  [ux, uy]: Point,
  number: (name: string) => number,
  where: string,
): [number, number, number, number] {
  if (kind === 'polygon') {
    const points = z
      .array(z.tuple([z.number(), z.number()]))
      .min(1)
      .safeParse(value['points']);
    if (!points.success) throw new UserError(`${where}: its points are no points; fix or remove it`);
    return boundsOf(points.data.map(([x, y]): Point => [x * ux, y * uy]));
  }
  const [x, y] = [number('x') * ux, number('y') * uy];
  if (kind === 'ellipse') return boundsOfEllipse([x, y], number('radiusX') * ux, number('radiusY') * uy, rotation);
  const corners = cornersOf(x, y, x + number('width') * ux, y + number('height') * uy);
  if (rotation === 0) return [...corners[0]!, ...corners[2]!] as [number, number, number, number];
  return boundsOf(turned(corners, rotation, [x, y]));
}

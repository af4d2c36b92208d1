/**
 * labelme's JSON files, one for each image: `shapes` with a label, a `shape_type` and points, and `imagePath`.
 *
 * Points are pixels counted from 0 and the last one is part of the shape: labelme limits corners to W - 1 and fills
 * masks up to there (labelme/utils/shape.py, shape_to_mask). Polygons, circles and masks are replaced by their bounds; points and
 * lines have no area and are left out.
 */
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import type { AnnotatedImage, AnnotatedObject, AnnotatedSet, ReadContext } from '../annotated.ts';
import { annotatedFormat } from '../annotatedFormat.ts';
import { type AnnotationFiles, recognisesFiles, setOfFiles } from '../annotationFiles.ts';
import { boundsOf, boundsOfEllipse, type Point } from '../bounds.ts';
import { eachPath } from '../format.ts';
import { readJsonFile } from '../jsonFile.ts';
import { firstIssue } from '../json.ts';
import { attempt } from '../problems.ts';
import { printable } from '../text.ts';

const FILES: AnnotationFiles = {
  extension: '.json',
  accepts: (beginning) => /^\s*\{[\s\S]*"shapes"\s*:\s*\[/.test(beginning),
};

export const labelme = annotatedFormat({
  name: 'labelme',
  usage: 'labelme:PATH',
  summary: 'labelme: a folder with a JSON file for each image',
  sets: eachPath,
  recognises: (path) => recognisesFiles(FILES, path, 0.8),
  read: ([path], context) => readLabelme(path!, context),
});

const file = z.object({
  shapes: z.array(z.unknown()),
  imagePath: z.string().nullish(),
  imageWidth: z.number().nullish(),
  imageHeight: z.number().nullish(),
});

const shape = z.object({
  label: z.string(),
  shape_type: z.string().nullish(),
  points: z.array(z.tuple([z.number(), z.number()])).min(1),
  difficult: z.boolean().nullish(),
});

const WITHOUT_AREA = ['point', 'points', 'line', 'linestrip'];

const readLabelme = (path: string, context: ReadContext): AnnotatedSet =>
  setOfFiles(path, context, {
    ...FILES,
    title: 'annotation file of labelme',
    inclusive: true,
    read: (one) => [readFile(one, path, context)],
  });

function readFile(path: string, root: string, context: ReadContext): AnnotatedImage {
  const { shapes, imagePath, imageWidth, imageHeight } = readJsonFile(path, file, {
    expected: "a JSON file of labelme, with 'shapes' and 'imagePath'",
    tooLarge: "save it without the image in it ('imageData')",
    shorten: (text) => text.replace(/"imageData"\s*:\s*"[^"\\]*"/, '"imageData":null'),
  });
  const stem = path.replace(/^.*[/\\]/, '').replace(/\.json$/i, '');
  return {
    file: imagePath?.trim() ? imagePath : stem,
    alternatives: [stem],
    folder: path.replace(/[/\\]?[^/\\]*$/, '') || '.',
    ...(imageWidth && imageHeight && { size: { width: imageWidth, height: imageHeight } }),
    source: path,
    objects: shapes.flatMap((one, i) => attempt(context.onProblem, () => toObject(one, i, path, root, context)) ?? []),
  };
}

function toObject(one: unknown, i: number, path: string, root: string, { tally }: ReadContext): AnnotatedObject[] {
  const what = `shape ${i + 1}`;
  const parsed = shape.safeParse(one);
  if (!parsed.success) throw new UserError(`${path}: ${what}: ${firstIssue(parsed.error)}; fix or remove it`);
  const { label, points, difficult } = parsed.data;
  const type = parsed.data.shape_type ?? 'polygon';
  if (WITHOUT_AREA.includes(type)) {
    tally(`${root}: points and lines have no area and are left out`, `${path}: ${what}`);
    return [];
  }
  if (type !== 'rectangle')
    tally(`${root}: shapes other than rectangles are replaced by their bounds`, `${path}: ${what}`);
  if (points.length < 2) {
    throw new UserError(`${path}: ${what}: a ${printable(type)} has two points or more, not one; fix or remove it`);
  }
  const [x1, y1, x2, y2] = type === 'circle' ? boundsOfCircle(points[0]!, points[1]!) : boundsOf(points);
  return [
    {
      className: label,
      ...{ x1, y1, x2: x2 + 1, y2: y2 + 1 },
      ...(difficult != null && { difficult }),
      what,
      written: `${printable(type)} (${[x1, y1, x2, y2].join(', ')})`,
    },
  ];
}

/** The bounds of a circle that is given by its centre and a point on it. */
function boundsOfCircle(centre: Point, on: Point): [number, number, number, number] {
  const radius = Math.hypot(on[0] - centre[0], on[1] - centre[1]);
  return boundsOfEllipse(centre, radius, radius, 0);
}

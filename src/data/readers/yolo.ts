/**
 * YOLO's text files and data.yaml, without the disk. A line is `class cx cy width height`: the number of the class, counted from 0,
 * then the centre and the size as fractions of the image's width and height. Edges are continuous, so a box of the whole image is
 * 0.5 0.5 1 1 and its corners are 0, 0, W, H (ultralytics/utils/ops.py, xywhn2xyxy). A longer line is an outline,
 * `class x1 y1 x2 y2 ...`, or a rotated box of four corners; the bounds of either are taken, as Ultralytics does when it trains on
 * boxes (segments2boxes).
 */
import { parse } from 'yaml';
import * as z from 'zod';
import { UserError } from '../../engine/errors.ts';
import type { AnnotatedObject, ReadContext } from '../annotated.ts';
import { boundsOf, type Point } from '../bounds.ts';
import { tidyName } from '../classNames.ts';
import { baseName, isImageFile, stemOf } from '../imageNames.ts';
import { firstIssue } from '../json.ts';
import { attempt } from '../problems.ts';
import { decodeText, linesOf, printable } from '../text.ts';
import { beginningIn, type DataFiles, type LabelReader, placeIn } from './reader.ts';

/** Every image, with the text file that belongs to it. */
export const yoloReader: LabelReader = {
  read(files, context) {
    const { paths, source } = files;
    const yamlPath = shallowest(
      paths.filter((path) => /\.ya?ml$/i.test(path) && beginsLikeDataYaml(beginningIn(files, path))),
    );
    const textOf = (path: string): string => decodeText(files.read(path), placeIn(files, path));
    const yaml = yamlPath === undefined ? undefined : readDataYaml(textOf(yamlPath), placeIn(files, yamlPath));
    const known = new Set(paths);
    const images = paths.filter(isImageFile).map((file) => ({
      file,
      text: labelPaths(file).find((path) => known.has(path)),
    }));
    const labels = images.flatMap(({ text }) => text ?? []);
    if (!yaml && !labels.some((path) => beginsLikeLabels(beginningIn(files, path)))) return undefined;
    const names = namesOf(yaml, placeIn(files, yamlPath ?? '')) ?? listedNames(files, yaml, textOf);
    const classes = checkedNames(names, source, context.note);
    const rules: YoloRules = { root: source, classes, poses: yaml?.kpt_shape != null };
    return {
      ...(classes && { classes: [...new Set(classes)] }),
      images: images.map(({ file, text }) => ({
        file,
        fractions: true,
        unlabelled: text === undefined,
        source: placeIn(files, text ?? file),
        objects: text === undefined ? [] : readYoloText(textOf(text), placeIn(files, text), rules, context),
      })),
    };
  },
};

const shallowest = (paths: readonly string[]): string | undefined =>
  paths.toSorted((a, b) => a.split('/').length - b.split('/').length)[0];

/** The lines of the file of names that data.yaml names, or that has one of the usual names. */
function listedNames(
  { paths }: DataFiles,
  yaml: DataYaml | undefined,
  textOf: (path: string) => string,
): string[] | undefined {
  const wanted = typeof yaml?.names === 'string' ? [baseName(yaml.names)] : NAME_FILES;
  const path = shallowest(paths.filter((one) => wanted.includes(baseName(one))));
  return path === undefined ? undefined : linesOf(textOf(path));
}

/** Whether a text file holds labels, by how it begins. */
export const beginsLikeLabels = (beginning: string): boolean => LABEL_LINE.test(beginning);
const LABEL_LINE = /^\s*\d+(\.0+)?([ \t]+-?\d*[.,]?\d+(e[-+]?\d+)?){4,}[ \t]*(\r|\n|$)/i;

/** Whether a yaml file names classes or splits, by how it begins. */
export const beginsLikeDataYaml = (beginning: string): boolean => /^(names|nc|train)\s*:/m.test(beginning);

/** Files of names, lists and notes that may lie beside the label files. */
const OTHER_TEXTS = /^(classes|labels|obj|predefined_classes|train|val|valid|test|readme.*|notes|requirements)\.txt$/i;
/** Whether a file may hold labels, by its name. */
export const isLabelFile = (file: string): boolean => /\.txt$/i.test(file) && !OTHER_TEXTS.test(baseName(file));

const place = z.union([z.string(), z.array(z.string())]).nullish();
const dataYaml = z.object({
  path: z.string().nullish(),
  train: place,
  val: place,
  test: place,
  nc: z.number().nullish(),
  names: z
    .union([
      z.array(z.unknown()),
      z.record(z.string().regex(/^\d+$/, 'must be the number of a class'), z.unknown()),
      z.string(),
    ])
    .nullish(),
  /** In pose data sets, the number of points that follow the box of an object. */
  kpt_shape: z.array(z.number()).nullish(),
});
export type DataYaml = z.infer<typeof dataYaml>;

/** The content of a data.yaml; every message names it, by `path`. */
export function readDataYaml(text: string, path: string): DataYaml {
  let content: unknown;
  try {
    content = parse(text, { maxAliasCount: 100, logLevel: 'error' });
  } catch (error) {
    throw new UserError(`${path}: is not YAML (${printable((error as Error).message.split('\n')[0]!)}); fix the file`);
  }
  const result = dataYaml.safeParse(content);
  if (result.success) return result.data;
  throw new UserError(
    `${path}: ${firstIssue(result.error)}; it needs names, train and val, like a data.yaml of Ultralytics`,
  );
}

/** The classes that data.yaml itself names, in order; undefined if it names none, or a file of them. */
export function namesOf(yaml: DataYaml | undefined, path: string): string[] | undefined {
  const named = yaml?.names;
  if (Array.isArray(named)) return named.map(String);
  if (typeof named !== 'object' || named === null) return undefined;
  const last = Math.max(-1, ...Object.keys(named).map(Number));
  if (last >= MAX_CLASSES) throw new UserError(`${path}: names.${last}: there are at most ${MAX_CLASSES} classes`);
  return Array.from({ length: last + 1 }, (_, i) => String(named[i] ?? i));
}

/** The names in the form in which they are compared. Notes say if there are none, or some twice; `where` begins them. */
export function checkedNames(
  names: readonly string[] | undefined,
  where: string,
  note: ReadContext['note'],
): string[] | undefined {
  if (names?.length === 0) throw new UserError(`${where}: names no class; write their names, one for each number`);
  if (names === undefined) {
    note(`${where}: has no class names (data.yaml or classes.txt): the class numbers serve as names`);
  }
  const tidy = names?.map(tidyName);
  const twice = tidy?.find((name, i) => tidy.indexOf(name) < i);
  if (twice !== undefined) note(`${where}: has the class ${printable(twice)} twice: both count as one`);
  return tidy;
}

/** Files of class names, one a line. */
export const NAME_FILES = ['classes.txt', 'obj.names', '_darknet.labels', 'labels.txt'];
/** More than any data set has; a larger class number is a mistake. */
const MAX_CLASSES = 100_000;

/** The last folder 'images' becomes 'labels' (ultralytics/data/utils.py, img2label_paths), or the file lies beside the image. */
export function labelPaths(path: string): string[] {
  const stem = stemOf(path);
  const swapped = stem.replace(/^(.*[/\\])?images([/\\])/s, '$1labels$2');
  return [...new Set([swapped, stem])].map((one) => `${one}.txt`);
}

export interface YoloRules {
  /** The data set, for messages. */
  root: string;
  /** Without them the class numbers serve as names. */
  classes: readonly string[] | undefined;
  /** Whether the points of a pose follow each box. */
  poses: boolean;
}

/** The objects of one text file, with fractions of the image's width and height; every message names the file, by `path`. */
export const readYoloText = (
  text: string,
  path: string,
  { root, classes, poses }: YoloRules,
  { onProblem, tally }: ReadContext,
): AnnotatedObject[] =>
  text.split(/\r\n|\r|\n/).flatMap((line, i): AnnotatedObject[] => {
    if (line.trim() === '') return [];
    const where = `${path}: line ${i + 1}`;
    return (
      attempt(onProblem, () => {
        const values = valuesOf(line, where);
        const isOutline = !poses && values.length > 6;
        if (isOutline) tally(`${root}: outlines and rotated boxes are replaced by their bounds`, where);
        if (values.length === 6) tally(`${root}: the sixth value of a line is taken for a score and ignored`, where);
        return [objectOf(values, classes, isOutline, `line ${i + 1}`, where)];
      }) ?? []
    );
  });

function objectOf(
  values: readonly number[],
  classes: readonly string[] | undefined,
  isOutline: boolean,
  what: string,
  where: string,
): AnnotatedObject {
  const [index, ...coordinates] = values as [number, ...number[]];
  const known = classes?.length ?? MAX_CLASSES;
  if (!Number.isInteger(index) || index < 0 || index >= known) {
    throw new UserError(`${where}: class ${index} is not one of 0 to ${known - 1}; add its name, or fix the line`);
  }
  const strange = coordinates.slice(0, isOutline ? undefined : 4).find((value) => Math.abs(value) > LARGEST);
  if (strange !== undefined) {
    throw new UserError(
      `${where}: ${strange} is not a fraction of the image, 0 to 1; divide pixels by its width and height`,
    );
  }
  const [cx, cy, w, h] = coordinates as [number, number, number, number];
  const [x1, y1, x2, y2] = isOutline
    ? boundsOf(pointsOf(coordinates))
    : [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2];
  return {
    className: classes?.[index] ?? String(index),
    ...{ x1, y1, x2, y2 },
    what,
    written: isOutline ? 'outline' : `box ${coordinates.slice(0, 4).join(' ')}`,
  };
}

/** A larger coordinate was written in pixels; a box may cross the border by less. */
const LARGEST = 1.5;

/** The numbers of a line: a class and a box, optionally with a score, or a class and at least three points. */
function valuesOf(line: string, where: string): number[] {
  const words = wordsOf(line);
  const values = words.map(Number);
  const wrong = values.findIndex((value) => !Number.isFinite(value));
  if (wrong >= 0)
    throw new UserError(`${where}: '${printable(words[wrong]!)}' is not a number; fix or remove the line`);
  if (values.length >= 5) return values;
  throw new UserError(
    `${where}: has ${values.length} value${values.length === 1 ? '' : 's'}, not class, centre x and y, width and height; fix or remove it`,
  );
}

/** Separated by spaces, or by commas; between spaces a comma is a decimal one. */
function wordsOf(line: string): string[] {
  const words = line.trim().split(/\s+/);
  const decimalCommas = words.length >= 5 && words.every((word) => /^-?\d+(,\d+)?$/.test(word));
  return decimalCommas ? words.map((word) => word.replace(',', '.')) : line.trim().split(/[\s,]+/);
}

const pointsOf = (values: readonly number[]): Point[] =>
  Array.from({ length: Math.floor(values.length / 2) }, (_, i) => [values[2 * i]!, values[2 * i + 1]!]);

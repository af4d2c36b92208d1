/**
 * YOLO's text files, one per image with one line per object, and a data.yaml with the classes and splits:
 *
 *   images/train/a.jpg   labels/train/a.txt   (Ultralytics)
 *   train/images/a.jpg   train/labels/a.txt   (Roboflow)
 *   a.jpg                a.txt                (Darknet, labelImg, CVAT: names in classes.txt or obj.names)
 *
 * A line is `class cx cy width height`: the number of the class, counted from 0, then the centre and the size as fractions of
 * the image's width and height. Edges are continuous, so a box of the whole image is 0.5 0.5 1 1 and its corners are
 * 0, 0, W, H (ultralytics/utils/ops.py, xywhn2xyxy). A longer line is an outline, `class x1 y1 x2 y2 ...`, or a rotated box of
 * four corners; the bounds of either are taken, as Ultralytics does when it trains on boxes (segments2boxes). An image without
 * a text file, or with an empty one, has no objects.
 */
import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import type { AnnotatedImage, AnnotatedObject, AnnotatedSet, ReadContext } from '../annotated.ts';
import { annotatedFormat } from '../annotatedFormat.ts';
import { boundsOf, type Point } from '../bounds.ts';
import { tidyName } from '../classNames.ts';
import { eachPath } from '../format.ts';
import { firstIssue } from '../jsonFile.ts';
import { filesBeneath, folderExists, isImageFile, stemOf } from '../imageFiles.ts';
import { attempt } from '../problems.ts';
import { beginningOf, printable, readLines, readText } from '../textFile.ts';
import { yoloWriter } from '../writers/yolo.ts';

export const yolo = annotatedFormat({
  name: 'yolo',
  usage: 'yolo:PATH',
  summary: "YOLO: a folder with text files, or its data.yaml; 'yolo:PATH,PATH' unites several",
  writer: yoloWriter,
  sets: eachPath,
  recognises(path) {
    if (!folderExists(path)) return /\.ya?ml$/i.test(path) && existsSync(path) ? 0.8 : null;
    if (yamlIn(path) !== undefined) return 0.85;
    const texts = filesBeneath(path, 4).filter(isLabelFile).slice(0, LOOKED_AT);
    return texts.some((file) => LABEL_LINE.test(beginningOf(join(path, file), 4096))) ? 0.7 : null;
  },
  read: ([path], context) => readYolo(path!, context),
});

/** Text files that are read to recognise a folder. */
const LOOKED_AT = 20;
const LABEL_LINE = /^\s*\d+(\.0+)?([ \t]+-?\d*[.,]?\d+(e[-+]?\d+)?){4,}[ \t]*(\r|\n|$)/i;

/** Files of names, lists and notes that may lie beside the label files. */
const OTHER_TEXTS = /^(classes|labels|obj|predefined_classes|train|val|valid|test|readme.*|notes|requirements)\.txt$/i;
const isLabelFile = (file: string): boolean => /\.txt$/i.test(file) && !OTHER_TEXTS.test(basename(file));

/** The keys of data.yaml, and the names of the folders and lists that tools write instead. */
const SPLITS: Readonly<Record<string, readonly string[]>> = {
  train: ['train', 'training'],
  val: ['val', 'valid', 'validation'],
  test: ['test', 'testing'],
};

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
type DataYaml = z.infer<typeof dataYaml>;

/** The yaml file of a folder, if it has one with classes or splits. */
function yamlIn(folder: string): string | undefined {
  let files: string[];
  try {
    files = readdirSync(folder).filter((file) => /\.ya?ml$/i.test(file));
  } catch {
    return undefined;
  }
  const order = (file: string): number => (/^data\.ya?ml$/i.test(file) ? 0 : 1);
  return files
    .sort((a, b) => order(a) - order(b) || (a < b ? -1 : 1))
    .map((file) => join(folder, file))
    .find((file) => /^(names|nc|train)\s*:/m.test(beginningOf(file)));
}

function readYaml(path: string): DataYaml {
  const text = readText(path);
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

function readYolo(path: string, context: ReadContext): AnnotatedSet {
  if (!existsSync(path)) throw new UserError(`${path}: there is no such folder or file; give yolo:PATH`);
  const isFolder = folderExists(path);
  const root = isFolder ? path : dirname(path);
  const yamlPath = isFolder ? yamlIn(path) : path;
  const yaml = yamlPath === undefined ? undefined : readYaml(yamlPath);
  const found = new Map<string, readonly string[]>();
  for (const [split, names] of Object.entries(SPLITS)) {
    const named = yaml?.[split as 'train'];
    const places =
      named === undefined || named === null
        ? usualPlaces(root, names)
        : [named].flat().flatMap((one) => namedPlace(root, yaml!.path ?? '.', one) ?? []);
    if (places.length > 0) found.set(split, places);
    else if (named?.length)
      context.note(`${yamlPath}: has '${split}: ${printable(String(named))}', which is not there`);
  }
  const outside = [...found.values()].flat().filter((one) => isOutside(root, one));
  if (outside.length > 0) context.note(`${yamlPath}: its images are in ${outside[0]}`);
  const names = classNames(root, yaml, yamlPath, context);
  const imagesOfSplit = new Map([...found].map(([split, places]) => [split, new Lazy(() => imagesOf(root, places))]));
  const whole = new Lazy(() => imagesOf(root, [root]));
  const labels = new Labels(root, names, yaml?.kpt_shape != null, context);
  return {
    name: basename(resolve(root)),
    path,
    splits: [...found.keys()],
    ...(names && { classes: [...new Set(names)] }),
    imageFolders: [root, ...new Set(outside.map(folderOf))],
    images(split) {
      const splits = split === undefined ? [...imagesOfSplit.values()] : [imagesOfSplit.get(split)!];
      const files = (splits.length > 0 ? splits : [whole]).flatMap(({ value }) => value);
      if (files.length === 0) throw new UserError(`${path}: has no image${split ? ` of '${split}'` : ''}; add some`);
      return labels.read(files);
    },
  };
}

/** A value that is computed when it is first needed. */
class Lazy<T> {
  #found: { value: T } | undefined;
  readonly #find: () => T;

  constructor(find: () => T) {
    this.#find = find;
  }

  get value(): T {
    return (this.#found ??= { value: this.#find() }).value;
  }
}

const isOutside = (root: string, path: string): boolean => {
  const way = relative(root, path);
  return /^\.\.([/\\]|$)/.test(way) || isAbsolute(way);
};
const folderOf = (path: string): string => (folderExists(path) ? path : dirname(path));
const isList = (path: string): boolean => /\.txt$/i.test(path);

/**
 * Finds a place that data.yaml names: under `path`, which often belongs to another machine, or under the yaml's own folder.
 * Roboflow writes ../train/images and means train/images (as in ultralytics/data/utils.py, check_det_dataset).
 */
function namedPlace(root: string, path: string, written: string): string | undefined {
  const place = written.replaceAll('\\', '/');
  const forms = [place, place.replace(/^(\.\.\/)+/, ''), place.replace(/^\/+/, '')];
  const candidates = [root, resolve(root, path)].flatMap((base) => forms.map((form) => resolve(base, form)));
  const inside = candidates.filter((one) => !isOutside(resolve(root), one));
  return [...inside, ...candidates].find(existsSync);
}

/** Where to find the splits if there is no data.yaml. */
function usualPlaces(root: string, names: readonly string[]): string[] {
  const places = names.flatMap((name) => [join(root, 'images', name), join(root, name, 'images'), join(root, name)]);
  const folder = places.find((one) => folderExists(one) && filesBeneath(one).some(isImageFile));
  const list = names.map((name) => join(root, `${name}.txt`)).find(existsSync);
  return folder !== undefined ? [folder] : list !== undefined ? [list] : [];
}

/** The classes in order, from data.yaml or a file of names; undefined if neither exists. */
function classNames(
  root: string,
  yaml: DataYaml | undefined,
  yamlPath: string | undefined,
  { note }: ReadContext,
): string[] | undefined {
  const named = yaml?.names;
  let names: string[] | undefined;
  if (Array.isArray(named)) names = named.map(String);
  else if (typeof named === 'string') names = readLines(resolve(root, named));
  else if (named) {
    const last = Math.max(-1, ...Object.keys(named).map(Number));
    if (last >= MAX_CLASSES)
      throw new UserError(`${yamlPath}: names.${last}: there are at most ${MAX_CLASSES} classes`);
    names = Array.from({ length: last + 1 }, (_, i) => String(named[i] ?? i));
  } else {
    const folders = [root, join(root, 'labels'), join(root, 'train'), join(root, 'data')];
    const file = folders
      .flatMap((folder) => NAME_FILES.map((name) => join(folder, name)))
      .find((one) => existsSync(one) && !folderExists(one));
    if (file !== undefined) names = readLines(file);
  }
  if (names?.length === 0)
    throw new UserError(`${yamlPath ?? root}: names no class; write their names, one for each number`);
  if (names === undefined) {
    note(`${root}: has no class names (data.yaml or classes.txt): the class numbers serve as names`);
  }
  const tidy = names?.map(tidyName);
  const twice = tidy?.find((name, i) => tidy.indexOf(name) < i);
  if (twice !== undefined) note(`${yamlPath ?? root}: has the class ${printable(twice)} twice: both count as one`);
  return tidy;
}

const NAME_FILES = ['classes.txt', 'obj.names', '_darknet.labels', 'labels.txt'];
/** More than any data set has; a larger class number is a mistake. */
const MAX_CLASSES = 100_000;

interface YoloImage {
  /** Relative to the data folder. */
  file: string;
  id: string;
  /** Possible paths of its label file, the likeliest first. */
  labels: string[];
  /** Named by a list rather than found in a folder. */
  listed: boolean;
}

/** The images in these folders and lists. */
function imagesOf(root: string, places: readonly string[]): YoloImage[] {
  const found = places.flatMap((where): YoloImage[] => {
    const files = isList(where)
      ? readLines(where).map((line) => listedPath(root, where, line))
      : filesBeneath(where)
          .filter(isImageFile)
          .map((file) => join(where, file));
    return files.map((path) => ({
      file: relative(isOutside(root, path) && !isOutside(folderOf(where), path) ? folderOf(where) : root, path),
      id: relative(isList(where) ? root : where, path).replace(/^images\//, ''),
      labels: labelPaths(path),
      listed: isList(where),
    }));
  });
  const once = [...new Map(found.map((image) => [image.file, image])).values()];
  const stems = new Map<string, number>();
  for (const { id } of once) stems.set(stemOf(id), (stems.get(stemOf(id)) ?? 0) + 1);
  return once.map((image) => ({
    ...image,
    id: stems.get(stemOf(image.id)) === 1 ? stemOf(image.id) : image.id,
  }));
}

/** A line of a list, relative to the list's folder, to the data folder, or to a folder above it (CVAT's data/obj_train_data/a.jpg). */
function listedPath(root: string, list: string, line: string): string {
  const path = line.replaceAll('\\', '/');
  const parts = path.split('/');
  const candidates = [resolve(dirname(list), path), resolve(root, path)];
  for (let skipped = 1; skipped < parts.length; skipped++) candidates.push(resolve(root, ...parts.slice(skipped)));
  return candidates.find((one) => !isOutside(resolve(root), one) && existsSync(one)) ?? candidates[0]!;
}

/** The last folder 'images' becomes 'labels' (ultralytics/data/utils.py, img2label_paths), or the file lies beside the image. */
function labelPaths(path: string): string[] {
  const stem = stemOf(path);
  const swapped = stem.replace(/^(.*[/\\])?images([/\\])/s, '$1labels$2');
  return [...new Set([swapped, stem])].map((one) => `${one}.txt`);
}

class Labels {
  private readonly root: string;
  private readonly classes: readonly string[] | undefined;
  private readonly poses: boolean;
  private readonly context: ReadContext;
  private readonly known = new Map<string, AnnotatedImage | undefined>();

  constructor(root: string, classes: readonly string[] | undefined, poses: boolean, context: ReadContext) {
    this.root = root;
    this.classes = classes;
    this.poses = poses;
    this.context = context;
  }

  read(found: readonly YoloImage[]): AnnotatedImage[] {
    const images = found.flatMap((image) => {
      if (!this.known.has(image.file)) {
        this.known.set(
          image.file,
          attempt(this.context.onProblem, () => this.readOne(image)),
        );
      }
      return this.known.get(image.file) ?? [];
    });
    this.noteTextsAlone(found);
    return images;
  }

  /** Label files without an image, in folders that are not shared with other splits. */
  private noteTextsAlone(images: readonly YoloImage[]): void {
    const used = new Set([...this.known.values()].map((image) => image?.source));
    const folders = new Set(images.filter(({ listed }) => !listed).map(({ labels }) => dirname(labels[0]!)));
    const alone = [...folders].filter(folderExists).flatMap((folder) =>
      filesBeneath(folder, 0)
        .filter(isLabelFile)
        .map((file) => join(folder, file))
        .filter((path) => !used.has(path)),
    );
    if (alone.length > 0) {
      this.context.note(
        `${this.root}: text files without an image are ignored (${alone.length}, the first: ${alone[0]})`,
      );
    }
  }

  private readOne({ file, id, labels }: YoloImage): AnnotatedImage {
    const { onProblem, tally } = this.context;
    const path = labels.find(existsSync);
    const lines = path === undefined ? [] : readText(path).split(/\r\n|\r|\n/);
    const objects = lines.flatMap((line, i): AnnotatedObject[] => {
      if (line.trim() === '') return [];
      const where = `${path}: line ${i + 1}`;
      return (
        attempt(onProblem, () => {
          const values = valuesOf(line, where);
          const isOutline = !this.poses && values.length > 6;
          if (isOutline) tally(`${this.root}: outlines and rotated boxes are replaced by their bounds`, where);
          if (values.length === 6)
            tally(`${this.root}: the sixth value of a line is taken for a score and ignored`, where);
          return [this.object(values, isOutline, `line ${i + 1}`, where)];
        }) ?? []
      );
    });
    return { file, id, objects, fractions: true, source: path ?? labels[0]! };
  }

  private object(values: readonly number[], isOutline: boolean, what: string, where: string): AnnotatedObject {
    const [index, ...coordinates] = values as [number, ...number[]];
    const known = this.classes?.length ?? MAX_CLASSES;
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
      className: this.classes?.[index] ?? String(index),
      ...{ x1, y1, x2, y2 },
      what,
      written: isOutline ? 'outline' : `box ${coordinates.slice(0, 4).join(' ')}`,
    };
  }
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

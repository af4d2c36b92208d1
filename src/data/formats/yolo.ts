/**
 * YOLO's text files, one per image with one line per object, and a data.yaml with the classes and splits:
 *
 *   images/train/a.jpg   labels/train/a.txt   (Ultralytics)
 *   train/images/a.jpg   train/labels/a.txt   (Roboflow)
 *   a.jpg                a.txt                (Darknet, labelImg, CVAT: names in classes.txt or obj.names)
 *
 * An image without a text file, or with an empty one, has no objects. The text files themselves are read by readers/yolo.ts.
 */
import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { UserError } from '../../engine/errors.ts';
import type { AnnotatedImage, AnnotatedSet, ReadContext } from '../annotated.ts';
import { annotatedFormat } from '../annotatedFormat.ts';
import { eachPath } from '../format.ts';
import { filesBeneath, folderExists } from '../imageFiles.ts';
import { isImageFile, stemOf } from '../imageNames.ts';
import { attempt } from '../problems.ts';
import {
  beginsLikeDataYaml,
  beginsLikeLabels,
  checkedNames,
  type DataYaml,
  isLabelFile,
  labelPaths,
  NAME_FILES,
  namesOf,
  readDataYaml,
  readYoloText,
} from '../readers/yolo.ts';
import { printable } from '../text.ts';
import { beginningOf, readLines, readText } from '../textFile.ts';
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
    return texts.some((file) => beginsLikeLabels(beginningOf(join(path, file), 4096))) ? 0.7 : null;
  },
  read: ([path], context) => readYolo(path!, context),
});

/** Text files that are read to recognise a folder. */
const LOOKED_AT = 20;
/** The keys of data.yaml, and the names of the folders and lists that tools write instead. */
const SPLITS: Readonly<Record<string, readonly string[]>> = {
  train: ['train', 'training'],
  val: ['val', 'valid', 'validation'],
  test: ['test', 'testing'],
};

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
    .find((file) => beginsLikeDataYaml(beginningOf(file)));
}

function readYolo(path: string, context: ReadContext): AnnotatedSet {
  if (!existsSync(path)) throw new UserError(`${path}: there is no such folder or file; give yolo:PATH`);
  const isFolder = folderExists(path);
  const root = isFolder ? path : dirname(path);
  const yamlPath = isFolder ? yamlIn(path) : path;
  const yaml = yamlPath === undefined ? undefined : readDataYaml(readText(yamlPath), yamlPath);
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
  const listed = typeof yaml?.names === 'string' ? resolve(root, yaml.names) : undefined;
  const folders = [root, join(root, 'labels'), join(root, 'train'), join(root, 'data')];
  const file =
    listed ??
    folders
      .flatMap((folder) => NAME_FILES.map((name) => join(folder, name)))
      .find((one) => existsSync(one) && !folderExists(one));
  const names = namesOf(yaml, yamlPath ?? root) ?? (file === undefined ? undefined : readLines(file));
  return checkedNames(names, yamlPath ?? root, note);
}

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
    const path = labels.find(existsSync);
    const objects =
      path === undefined
        ? []
        : readYoloText(
            readText(path),
            path,
            { root: this.root, classes: this.classes, poses: this.poses },
            this.context,
          );
    return { file, id, objects, fractions: true, source: path ?? labels[0]! };
  }
}

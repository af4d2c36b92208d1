/**
 * COCO's annotation files: `images`, `categories` and `annotations` in one JSON file, with the images in a folder. Also a folder
 * with one such file per split (Roboflow's train/_annotations.coco.json, annotations/instances_train2017.json).
 * The JSON files themselves are read by readers/coco.ts.
 */
import { readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { UserError } from '../../engine/errors.ts';
import type { AnnotatedImage, AnnotatedSet, ReadContext } from '../annotated.ts';
import { annotatedFormat } from '../annotatedFormat.ts';
import { WHOLE } from '../splitNames.ts';
import { readJsonFile } from '../jsonFile.ts';
import { folderExists } from '../imageFiles.ts';
import { isImageFile } from '../imageNames.ts';
import { beginsLikeCoco, CocoAnnotations, cocoFile, splitOfFile } from '../readers/coco.ts';
import { beginningOf } from '../textFile.ts';
import { cocoWriter } from '../writers/coco.ts';

export const coco = annotatedFormat({
  name: 'coco',
  usage: 'coco:IMAGES,ANNOTATIONS.json',
  summary:
    "COCO: an image folder and a JSON file, or several pairs; or 'coco:PATH', a folder with a JSON file per split",
  writer: cocoWriter,
  sets: pairs,
  recognises(path) {
    if (!folderExists(path)) return looksLikeCoco(path) ? 0.8 : null;
    return annotationFiles(path).length > 0 ? 0.8 : null;
  },
  read: (paths, context) =>
    paths.length === 2 ? readPair(paths[0]!, paths[1]!, context) : readOne(paths[0]!, context),
});

/** A folder followed by a JSON file forms a pair with it; other paths stand alone. */
function pairs(paths: readonly string[]): string[][] | undefined {
  const isFile = (path: string | undefined): boolean => path !== undefined && /\.json$/i.test(path);
  const sets: string[][] = [];
  for (let i = 0; i < paths.length; i++) {
    const pair = !isFile(paths[i]) && isFile(paths[i + 1]);
    sets.push(pair ? [paths[i]!, paths[++i]!] : [paths[i]!]);
  }
  return sets.length > 0 ? sets : undefined;
}

function readPair(folder: string, path: string, context: ReadContext): AnnotatedSet {
  if (!folderExists(folder)) throw new UserError(`${folder}: no such folder; give coco:IMAGES,ANNOTATIONS.json`);
  return fileSet({ path, splits: [WHOLE], imageFolders: [folder] }, context, () => path);
}

/** A file with its images beside or beneath it, or a folder of files. */
function readOne(path: string, context: ReadContext): AnnotatedSet {
  if (!folderExists(path)) return readPair(dirname(path), path, context);
  const files = annotationFiles(path);
  if (files.length === 0) {
    throw new UserError(`${path}: holds no annotation file of COCO; give coco:IMAGES,ANNOTATIONS.json`);
  }
  const first = files.find(({ split }) => /^train/i.test(split)) ?? files[0]!;
  const where = {
    path,
    splits: files.length > 1 ? files.map(({ split }) => split) : [],
    imageFolders: [join(path, 'images'), path].filter(folderExists),
  };
  const fileOf = (split?: string) => files.find((one) => one.split === split) ?? first;
  const folderOf = (split?: string): string | undefined => {
    const one = fileOf(split);
    const beside = readdirSync(dirname(one.file)).some(isImageFile) ? [dirname(one.file)] : [];
    return [...beside, join(path, 'images', one.split), join(path, one.split)].find(folderExists);
  };
  return fileSet(where, context, (split) => fileOf(split).file, folderOf);
}

/** Each split has its own folder of images, whose names may repeat in other splits. */
const withFolder = (images: AnnotatedImage[], folder: string | undefined): AnnotatedImage[] =>
  folder === undefined ? images : images.map((image) => ({ ...image, folder }));

/** `fileOf` gives a split's annotation file, which is only read when something in it is needed. */
function fileSet(
  where: Pick<AnnotatedSet, 'path' | 'splits' | 'imageFolders'>,
  context: ReadContext,
  fileOf: (split?: string) => string,
  folderOf: (split?: string) => string | undefined = () => undefined,
): AnnotatedSet {
  const opened = new Map<string, CocoAnnotations>();
  const open = (split?: string): CocoAnnotations => {
    const file = fileOf(split);
    if (!opened.has(file)) opened.set(file, openFile(file, context));
    return opened.get(file)!;
  };
  return {
    ...where,
    name: basename(where.path).replace(/\.json$/i, ''),
    get classes() {
      return open().classes;
    },
    get categoryIds() {
      return open().categoryIds;
    },
    images: (split) => withFolder(open(split).images(), folderOf(split)),
  };
}

const openFile = (path: string, context: ReadContext): CocoAnnotations =>
  new CocoAnnotations(path, context, (options) => readJsonFile(path, cocoFile, { ...options, tooLarge: TOO_LARGE }));
const TOO_LARGE = 'divide it, coco:IMAGES,A.json,IMAGES,B.json, or take its "segmentation" out';

const looksLikeCoco = (path: string): boolean => /\.json$/i.test(path) && beginsLikeCoco(beginningOf(path));

/** The annotation files of a folder, in its `annotations` or beside the images of each split, and the split of each. */
function annotationFiles(root: string): { split: string; file: string }[] {
  const list = (folder: string) => {
    try {
      return readdirSync(folder, { withFileTypes: true });
    } catch {
      return [];
    }
  };
  const within = (folder: string): string[] =>
    list(folder)
      .filter((entry) => !entry.isDirectory() && /\.json$/i.test(entry.name))
      .map((entry) => join(folder, entry.name))
      .filter(looksLikeCoco);
  const beneath = list(root)
    .filter((entry) => !entry.isFile() && !entry.name.startsWith('.'))
    .flatMap(({ name }) => within(join(root, name)));
  const found = [...within(root), ...beneath];
  const instances = found.filter((file) => /^instances_/.test(basename(file)));
  return (instances.length > 0 ? instances : found)
    .map((file) => ({ file, split: splitOfFile(file) }))
    .sort((a, b) => (a.split < b.split ? -1 : 1));
}

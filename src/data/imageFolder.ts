/**
 * A folder of images per class, the layout of ImageNet's and many other data sets for classification:
 *
 *   PATH/train/CLASS/*.jpg and PATH/val/CLASS/*.jpg (or another image format), or
 *   PATH/CLASS/*.jpg, of which every tenth of each class, from the first on in the order of names, is for validation
 *
 * Names that begin with a dot do not count.
 */
import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { UserError } from '../engine/errors.ts';
import { isImageFile, IMAGE_EXTENSIONS } from './imageNames.ts';
import { checkImage, checkImages, readImage } from './images.ts';
import type { LabelledOptions, LabelledImage, LabelledImages } from './types.ts';

/** One image in this many is for validation, if the folder has no split for it. */
const VALIDATION_SHARE = 10;

export async function openImageFolder(
  root: string,
  { check }: Pick<LabelledOptions, 'check'>,
): Promise<LabelledImages> {
  if (!existsSync(root))
    throw new UserError(`${root}: no such folder; give one that holds a folder of images per class`);
  const { classes, train, val } = existsSync(join(root, 'train')) ? splitFolders(root) : oneFolder(root);
  if (check) await checkImages([...train, ...val].map(({ path }) => ({ check: () => checkImage(path) })));
  return { name: basename(root), classes, train: train.map(toSample), val: val.map(toSample), augment: true };
}

interface LabelledFile {
  path: string;
  label: number;
}

type Splits = { classes: string[]; train: LabelledFile[]; val: LabelledFile[] };

function splitFolders(root: string): Splits {
  const [train, val] = [join(root, 'train'), join(root, 'val')];
  if (!existsSync(val)) throw new UserError(`${val}: no such folder, though there is ${train}; add it, or rename both`);
  const classes = listClasses(train);
  const unknown = folders(val).find((name) => !classes.includes(name));
  if (unknown)
    throw new UserError(`${join(val, unknown)}: no class of this name in ${train}; add it there or remove it`);
  const filesOf = (folder: string, names: readonly string[]): LabelledFile[] =>
    names.flatMap((name) => listImages(join(folder, name)).map((path) => ({ path, label: classes.indexOf(name) })));
  const validation = filesOf(val, folders(val));
  if (validation.length === 0) throw new UserError(`${val}: holds no class folder; add one, with images, per class`);
  return { classes, train: filesOf(train, classes), val: validation };
}

function oneFolder(root: string): Splits {
  const classes = listClasses(root);
  const files = classes.map((name, label) => {
    const paths = listImages(join(root, name));
    if (paths.length === 1) {
      throw new UserError(`${join(root, name)}: holds one image; add another, one of them is for validation`);
    }
    return paths.map((path) => ({ path, label }));
  });
  const filesOf = (validation: boolean): LabelledFile[] =>
    files.flatMap((ofClass) => ofClass.filter((_, i) => (i % VALIDATION_SHARE === 0) === validation));
  return { classes, train: filesOf(false), val: filesOf(true) };
}

/** The class folders in the order of their names: the order of the classes. */
function listClasses(folder: string): string[] {
  const classes = folders(folder);
  if (classes.length < 2) {
    const found = classes.length === 0 ? 'no class folder' : `one class folder (${classes[0]})`;
    throw new UserError(`${folder}: holds ${found}; a classifier needs two or more, each with images`);
  }
  return classes;
}

function entries(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter(({ name }) => !name.startsWith('.'))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    throw new UserError(
      `${folder}: cannot be listed (${(error as Error).message}); check that it is a folder you can read`,
    );
  }
}

/** Links to folders count, since large data sets are often assembled from links. */
const folders = (folder: string): string[] =>
  entries(folder)
    .filter((entry) => entry.isDirectory() || entry.isSymbolicLink())
    .map(({ name }) => name);

function listImages(folder: string): string[] {
  const paths = entries(folder)
    .filter(({ name }) => isImageFile(name))
    .map(({ name }) => join(folder, name));
  if (paths.length > 0) return paths;
  throw new UserError(`${folder}: holds no image (${IMAGE_EXTENSIONS.join(', ')}); add some or remove the folder`);
}

const toSample = ({ path, label }: LabelledFile): LabelledImage => ({
  id: path,
  label,
  load: () => readImage(path),
});

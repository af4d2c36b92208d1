/** Formats with one or more annotation files in a folder of images: the format reads a single file, the rest is done here. */
import { existsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { UserError } from '../engine/errors.ts';
import type { AnnotatedImage, AnnotatedSet, ReadContext } from './annotated.ts';
import { filesBeneath, folderExists } from './imageFiles.ts';
import { attempt } from './problems.ts';
import { beginningOf } from './textFile.ts';

export interface AnnotationFiles {
  /** The extension of the annotation files, with its dot. */
  extension: string;
  /** Whether a file with this beginning is one of the format. */
  accepts(beginning: string): boolean;
}

/** Files that are read to recognise a folder. */
const LOOKED_AT = 20;
/** Annotation files are looked for in a folder and this many levels beneath it. */
const DEPTH = 3;

const hasExtension = (file: string, extension: string): boolean => file.toLowerCase().endsWith(extension);

/** For `DataFormat.recognises`. */
export function recognisesFiles(
  { extension, accepts }: AnnotationFiles,
  path: string,
  sureness: number,
): number | null {
  const paths = folderExists(path)
    ? filesBeneath(path, DEPTH)
        .filter((file) => hasExtension(file, extension))
        .slice(0, LOOKED_AT)
        .map((file) => join(path, file))
    : hasExtension(path, extension)
      ? [path]
      : [];
  return paths.some((one) => accepts(beginningOf(one))) ? sureness : null;
}

export interface FilesReader extends AnnotationFiles, Pick<AnnotatedSet, 'inclusive'> {
  /** What such a file is, for messages: 'annotation file of labelme'. */
  title: string;
  /** Reads the images of one file. */
  read(path: string): AnnotatedImage[];
  /** The split that an image names; used if the names and folders of the files do not name any. */
  splitOf?(image: AnnotatedImage): string | undefined;
  /** The classes in their order, if a file lists them; it gets all files. */
  classes?(paths: readonly string[]): readonly string[] | undefined;
}

/** The data set of one annotation file, or of all in a folder, whose names or folders may say which split each belongs to. */
export function setOfFiles(path: string, { onProblem }: ReadContext, reader: FilesReader): AnnotatedSet {
  if (!existsSync(path))
    throw new UserError(`${path}: there is no such folder or file; give one with ${reader.title}s`);
  const isFolder = folderExists(path);
  const root = isFolder ? path : dirname(path);
  const names = isFolder
    ? filesBeneath(root, DEPTH).filter(
        (file) => hasExtension(file, reader.extension) && reader.accepts(beginningOf(join(root, file))),
      )
    : [basename(path)];
  if (names.length === 0) throw new UserError(`${path}: holds no ${reader.title}; give another folder`);
  const files = names.map((name) => ({ path: join(root, name), split: splitOf(name) }));
  const known = new Map<string, AnnotatedImage[]>();
  const read = (file: string): AnnotatedImage[] => {
    if (!known.has(file)) known.set(file, attempt(onProblem, () => reader.read(file)) ?? []);
    return known.get(file)!;
  };
  const paths = files.map((file) => file.path);
  const folders = [root, ...paths.map(dirname)];
  const imagesOf = (split?: string): AnnotatedImage[] =>
    files.filter((file) => split === undefined || file.split === split).flatMap((file) => read(file.path));
  const byFile = splitsAmong(files.map((file) => file.split));
  const said = reader.splitOf && byFile.length === 0 ? reader.splitOf.bind(reader) : undefined;
  let classes: readonly string[] | undefined;
  let bySaying: string[] | undefined;
  return {
    name: basename(resolve(path)).replace(/\.\w+$/, ''),
    path,
    get splits() {
      return said ? (bySaying ??= splitsAmong(imagesOf().map(said))) : byFile;
    },
    get classes() {
      return (classes ??= reader.classes?.(paths));
    },
    imageFolders: [...new Set(folders.flatMap((folder) => [folder, ...IMAGES.map((name) => join(folder, name))]))],
    inclusive: reader.inclusive ?? false,
    images: (split) =>
      said && split !== undefined ? imagesOf().filter((image) => said(image) === split) : imagesOf(split),
  };
}

/** The distinct splits, if there are two or more and every file names one. */
function splitsAmong(splits: readonly (string | undefined)[]): string[] {
  const distinct = new Set(splits);
  return distinct.size > 1 && !distinct.has(undefined) ? [...(distinct as Set<string>)].sort() : [];
}

/** The names that tools give to folders of images beside annotation files. */
const IMAGES = ['images', 'img', 'JPEGImages'];

/** The split that a word in a file's name, or else a folder, names; undefined if there is none. */
const splitOf = (file: string): string | undefined =>
  file
    .replace(/\.\w+$/, '')
    .split('/')
    .reverse()
    .flatMap((name) => name.split(/[\s_.-]+/))
    .find((word) => /^(train(ing)?|val(id|idation)?|test(ing)?)$/i.test(word));

/** Formats of which one annotation file or more lie in a folder of pictures: their reader takes one file, the rest is here. */
import { existsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { UserError } from '../engine/errors.ts';
import type { AnnotatedImage, AnnotatedSet, ReadContext } from './annotated.ts';
import { filesBeneath, folderExists } from './pictureFiles.ts';
import { attempt } from './problems.ts';
import { beginningOf } from './textFile.ts';

export interface AnnotationFiles {
  /** Of the annotation files, with its dot. */
  extension: string;
  /** Whether a file with this beginning is one of the format. */
  accepts(beginning: string): boolean;
}

/** Files that are read to recognise a folder. */
const LOOKED_AT = 20;
/** Annotation files are looked for in a folder and so far beneath it. */
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
  /** Of one file. */
  read(path: string): AnnotatedImage[];
  /** The part that an image says it belongs to; asked where neither names nor folders of files say. */
  partOf?(image: AnnotatedImage): string | undefined;
  /** The classes in their order, where a file has them, given all files. */
  classes?(paths: readonly string[]): readonly string[] | undefined;
}

/** The data set of one annotation file, or of all in a folder; their names or folders say which part each is. */
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
  const files = names.map((name) => ({ path: join(root, name), part: partOf(name) }));
  const known = new Map<string, AnnotatedImage[]>();
  const read = (file: string): AnnotatedImage[] => {
    if (!known.has(file)) known.set(file, attempt(onProblem, () => reader.read(file)) ?? []);
    return known.get(file)!;
  };
  const paths = files.map((file) => file.path);
  const folders = [root, ...paths.map(dirname)];
  const imagesOf = (split?: string): AnnotatedImage[] =>
    files.filter(({ part }) => split === undefined || part === split).flatMap((file) => read(file.path));
  const byFile = partsAmong(files.map(({ part }) => part));
  const said = reader.partOf && byFile.length === 0 ? reader.partOf.bind(reader) : undefined;
  let classes: readonly string[] | undefined;
  let bySaying: string[] | undefined;
  return {
    name: basename(resolve(path)).replace(/\.\w+$/, ''),
    path,
    get splits() {
      return said ? (bySaying ??= partsAmong(imagesOf().map(said))) : byFile;
    },
    get classes() {
      return (classes ??= reader.classes?.(paths));
    },
    pictureFolders: [...new Set(folders.flatMap((folder) => [folder, ...PICTURES.map((name) => join(folder, name))]))],
    inclusive: reader.inclusive ?? false,
    images: (split) =>
      said && split !== undefined ? imagesOf().filter((image) => said(image) === split) : imagesOf(split),
  };
}

/** Two or more that all have one. */
function partsAmong(parts: readonly (string | undefined)[]): string[] {
  const distinct = new Set(parts);
  return distinct.size > 1 && !distinct.has(undefined) ? [...(distinct as Set<string>)].sort() : [];
}

/** Folders of pictures beside annotation files, by the tools' names. */
const PICTURES = ['images', 'img', 'JPEGImages'];

/** The part that a file belongs to by a word of its name, or by a folder; undefined: none says. */
const partOf = (file: string): string | undefined =>
  file
    .replace(/\.\w+$/, '')
    .split('/')
    .reverse()
    .flatMap((name) => name.split(/[\s_.-]+/))
    .find((word) => /^(train(ing)?|val(id|idation)?|test(ing)?)$/i.test(word));

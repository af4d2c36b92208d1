/**
 * Pascal VOC, as published and as tools write it:
 *
 *   Annotations/ID.xml   JPEGImages/ID.jpg   ImageSets/Main/SPLIT.txt (one ID per line)
 *
 * or XML files and images in folders of other names, or side by side, without lists (labelImg, Label Studio), with one list
 * of all images (CVAT's default.txt), or in a folder for each split (Roboflow). IDs may contain folders: cam1/0001.
 *
 * Lists of one class (cat_train.txt, lines "ID 1" or "ID -1") are not splits: they repeat the images of a split. The XML files
 * themselves are read by readers/voc.ts.
 */
import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { UserError } from '../../engine/errors.ts';
import type { AnnotatedImage, AnnotatedSet, ReadContext } from '../annotated.ts';
import { annotatedFormat } from '../annotatedFormat.ts';
import { eachPath } from '../format.ts';
import { filesBeneath, folderExists } from '../imageFiles.ts';
import { stemOf } from '../imageNames.ts';
import { attempt } from '../problems.ts';
import { isSplitName } from '../splitNames.ts';
import { readVocXml } from '../readers/voc.ts';
import { printable } from '../text.ts';
import { readLines, readTextBytes } from '../textFile.ts';
import { vocWriter } from '../writers/voc.ts';

export const voc = annotatedFormat({
  name: 'voc',
  usage: 'voc:PATH',
  summary: "Pascal VOC: a folder with XML files; 'voc:PATH,PATH' unites several",
  writer: vocWriter,
  sets: eachPath,
  recognises(path) {
    if (!folderExists(path)) return null;
    const folder = annotationFolder(path);
    if (folder !== undefined) return folder === path ? 0.5 : 0.9;
    return splitFolders(path).length > 0 ? 0.5 : null;
  },
  read: ([root], context) => readVoc(root!, context),
});

/** The folders in which tools put annotations and images; '.' is the data folder itself. */
const ANNOTATIONS = ['Annotations', 'annotations', 'Annotation', 'xml', 'labels', '.'];
const IMAGES = ['JPEGImages', 'images', 'Images', 'JPEGimages', 'image', 'img', 'imgs', 'data', '.'];

const existing = (root: string, names: readonly string[]): string[] =>
  names.map((name) => join(root, name)).filter(folderExists);

const hasXml = (folder: string, depth?: number): boolean =>
  filesBeneath(folder, depth).some((file) => /\.xml$/i.test(file));

/** The first that contains an XML file; in the data folder itself, subfolders do not count. */
const annotationFolder = (root: string): string | undefined =>
  existing(root, ANNOTATIONS.slice(0, -1)).find((folder) => hasXml(folder)) ?? (hasXml(root, 0) ? root : undefined);

/** The folders named after a split that hold XML files, in either of the layouts above. */
function splitFolders(root: string): { split: string; path: string; folder: string }[] {
  let names: string[];
  try {
    names = readdirSync(root).filter(isSplitName).sort();
  } catch {
    return []; // reading says what is wrong
  }
  return names
    .map((split) => ({ split, path: join(root, split) }))
    .filter(({ path }) => folderExists(path))
    .flatMap(({ split, path }) => {
      const folder = annotationFolder(path);
      return folder === undefined ? [] : [{ split, path, folder }];
    });
}

/** Splits that are folders: their images may have the same names. */
function readSplitFolders(
  root: string,
  folders: readonly { split: string; path: string; folder: string }[],
  context: ReadContext,
): AnnotatedSet {
  const annotations = new Map(folders.map(({ split, folder }) => [split, new Annotations(folder, context)]));
  return {
    name: basename(root),
    path: root,
    splits: folders.map(({ split }) => split),
    imageFolders: folders.flatMap(({ path, folder }) => [...existing(path, IMAGES), folder]),
    inclusive: true,
    images: (wanted) =>
      folders
        .filter(({ split }) => wanted === undefined || split === wanted)
        .flatMap(({ split, path }) => {
          const { ids } = annotations.get(split)!;
          const images = ids.flatMap((id) => annotations.get(split)!.read(id));
          const [own] = existing(path, IMAGES);
          return images.map((image) => ({ ...image, ...(own !== undefined && { folder: own }) }));
        }),
  };
}

function readVoc(root: string, context: ReadContext): AnnotatedSet {
  if (!folderExists(root)) throw new UserError(`${root}: no such folder; give one in VOC layout`);
  const folder = annotationFolder(root);
  if (folder === undefined) {
    const folders = splitFolders(root);
    if (folders.length > 0) return readSplitFolders(root, folders, context);
    throw new UserError(
      `${root}: holds no annotation file; VOC layout is Annotations/*.xml, JPEGImages/* and ImageSets/Main/*.txt`,
    );
  }
  const annotations = new Annotations(folder, context);
  const lists = new Lists(root, annotations);
  // CVAT lists all images as 'default' if the user named no splits.
  const listed = lists.names.length === 1 && lists.names[0] === 'default' ? [] : lists.names;
  const splits = listed.length > 0 ? listed : splitsOfIds(annotations.ids);
  let doubted = false;
  const idsOf = (split?: string): readonly string[] => {
    if (split === undefined) return lists.names.length > 0 ? lists.allIds() : annotations.ids;
    return listed.length > 0 ? lists.ids(split) : annotations.ids.filter((id) => id.startsWith(`${split}/`));
  };
  return {
    name: basename(root),
    path: root,
    splits,
    imageFolders: [...new Set([...existing(root, IMAGES), folder])],
    inclusive: true,
    images: (split) => {
      const ids = idsOf(split);
      const images = ids.flatMap((id) => annotations.read(id, split));
      if (!doubted) doubtOrigin(root, images, context);
      doubted = true;
      return images;
    },
  };
}

/** The folders that annotations without lists lie in, if all of them are named after splits: Annotations/train/0001.xml. */
function splitsOfIds(ids: readonly string[]): string[] {
  const folders = new Set(ids.map((id) => id.split('/').slice(0, -1)[0] ?? ''));
  return folders.size > 1 && [...folders].every(isSplitName) ? [...folders].sort() : [];
}

/** A coordinate of 0 shows that the files were written by a tool that counts from 0; reported once per data set. */
function doubtOrigin(root: string, images: readonly AnnotatedImage[], { doubt }: ReadContext): void {
  const objects = images.flatMap(({ objects }) => objects);
  const zero = objects.filter(({ x1, y1 }) => x1 === -1 || y1 === -1);
  if (zero.length === 0) return;
  doubt(
    `${root}: ${zero.length} of ${objects.length} objects begin at pixel 0 where VOC counts from 1: the tool seems to count from 0, so all boxes lie one pixel too far left and up`,
  );
}

/** A line in the list of one class: the image shows it (1), does not (-1), or shows only difficult instances (0). */
const CLASS_LIST_LINE = /^(.*\S)\s+(-1|0|1)$/;

/** The lists in ImageSets/Main. */
class Lists {
  readonly names: readonly string[];
  private readonly folder: string;
  private readonly annotations: Annotations;

  constructor(root: string, annotations: Annotations) {
    this.folder = existing(root, [join('ImageSets', 'Main'), 'ImageSets'])[0] ?? join(root, 'ImageSets', 'Main');
    this.annotations = annotations;
    this.names = !folderExists(this.folder)
      ? []
      : readdirSync(this.folder)
          .filter((file) => /\.txt$/i.test(file))
          .map((file) => file.slice(0, -'.txt'.length))
          .sort();
  }

  /** The images of a list, each only once. */
  ids(split: string): string[] {
    const [path, lines] = [this.path(split), this.lines(split)];
    if (lines.length === 0) {
      throw new UserError(`${path}: lists no image; write one image name per line, without extension`);
    }
    const whole = this.names.find((other) => split.endsWith(`_${other}`));
    const ofClass = lines.every((line) => CLASS_LIST_LINE.test(line) && !this.annotations.has(line));
    if (whole !== undefined && ofClass) {
      throw new UserError(`${path}: lists one class ('${lines[0]}'); its images are those of --split ${whole}`);
    }
    const ids = lines.map((line) => this.idOf(line));
    const once = [...new Set(ids)];
    if (once.length < ids.length) {
      const again = ids.find((id, i) => ids.indexOf(id) < i)!;
      this.annotations.context.note(
        `${path}: ${ids.length - once.length} of its ${ids.length} lines name an image again (the first: ${printable(again)}); each is taken once`,
      );
    }
    return once;
  }

  /** The annotated images of all lists. */
  allIds(): string[] {
    const ids = this.names.flatMap((name) => this.lines(name).map((line) => this.idOf(line)));
    return [...new Set(ids)].filter((id) => this.annotations.has(id));
  }

  private lines(split: string): string[] {
    const path = this.path(split);
    return readLines(existsSync(path) ? path : join(this.folder, `${split}.TXT`));
  }

  private path(split: string): string {
    return join(this.folder, `${split}.txt`);
  }

  /** Lines may have quotes, an extension, backslashes, or a label after the name. */
  private idOf(line: string): string {
    const plain = [line, line.replace(CLASS_LIST_LINE, '$1')].map((text) =>
      text.replace(/^["']|["']$/g, '').replaceAll('\\', '/'),
    );
    const forms = plain.flatMap((text) => [text, stemOf(text)]);
    forms.push(...forms.map((form) => basename(form))); // JPEGImages/0001.jpg
    return forms.find((form) => this.annotations.has(form)) ?? forms[3]!;
  }
}

/** The annotation files, each read once. */
class Annotations {
  readonly folder: string;
  readonly context: ReadContext;
  /** In the order of their names. */
  readonly ids: readonly string[];
  /** The file of each. */
  private readonly files: ReadonlyMap<string, string>;
  private readonly known = new Map<string, AnnotatedImage | undefined>();

  constructor(folder: string, context: ReadContext) {
    this.folder = folder;
    this.context = context;
    const files = filesBeneath(folder).filter((file) => /\.xml$/i.test(file));
    this.files = new Map(files.map((file) => [file.slice(0, -'.xml'.length), join(folder, file)]));
    this.ids = [...this.files.keys()];
  }

  has(id: string): boolean {
    return this.files.has(id);
  }

  /** The annotated image, or nothing if its file has a problem, which has then been reported. */
  read(id: string, split?: string): AnnotatedImage[] {
    if (!this.known.has(id)) {
      this.known.set(
        id,
        attempt(this.context.onProblem, () => {
          const file = this.files.get(id);
          if (file !== undefined) return readVocXml(readTextBytes(file), file, id, this.context);
          throw new UserError(
            `${join(this.folder, `${printable(id)}.xml`)}: missing, though split '${split}' lists ${printable(id)}; add it or drop the line`,
          );
        }),
      );
    }
    const image = this.known.get(id);
    return image ? [image] : [];
  }
}

/**
 * Labels from a data set in one zip file, for a page that takes what it or another tool exported. The readers are those of
 * `--data`. Each is loaded when it is needed, so that a bundler can put it in a file of its own.
 */
import { inOneLine, UserError } from '../engine/errors.ts';
import { openZip } from '../engine/zipFile.ts';
import { BadBoxes, usableBox } from './badBoxes.ts';
import { className } from './classNames.ts';
import { findImage, ImageNames, isImageFile } from './imageNames.ts';
import { LABEL_FORMATS, type LabelFormat } from './labelFiles.ts';
import { Notes } from './notes.ts';
import type { DataFiles, FoundLabels, LabelReader } from './readers/reader.ts';
import { printable } from './text.ts';

/** What could hold labels in each format, and its reader. */
const READERS: Readonly<Record<LabelFormat, { files: RegExp; load(): Promise<LabelReader> }>> = {
  coco: { files: /\.json$/i, load: async () => (await import('./readers/coco.ts')).cocoReader },
  voc: { files: /\.xml$/i, load: async () => (await import('./readers/voc.ts')).vocReader },
  yolo: { files: /\.(txt|ya?ml)$/i, load: async () => (await import('./readers/yolo.ts')).yoloReader },
};

/** Files that are unpacked to look for labels; pictures follow one by one. */
const TEXT = /\.(json|xml|txt|ya?ml|names|labels)$/i;

/** Texts are packed well, pictures hardly; what is packed better than this was made to fill the memory. */
const MOST_EXPANSION = 100;

/** An object with its edges in pixels: 0, 0, 1, 1 is the top-left pixel. */
export interface ImportedObject {
  className: string;
  x1: number;
  y1: number;
  x2: number;
  y2: number;
}

export interface ImportedImage {
  /** The name of its file, without folders. */
  name: string;
  /** The bytes of its file. */
  unpack(): Uint8Array<ArrayBuffer>;
  /** Nobody looked at it yet, as opposed to an image without objects. */
  unlabelled: boolean;
  /** Its objects, once its size is known; boxes that are not usable are left out. */
  objects(size: { width: number; height: number }): ImportedObject[];
}

export interface ImportedLabels {
  format: LabelFormat;
  /** Without the background. */
  classes: string[];
  images: ImportedImage[];
  /** Lines to read once, such as how many boxes were left out; complete when the objects of all images were asked for. */
  notes(): string[];
}

/** Throws a UserError, one line that begins with `source`, where the bytes are not such a file, or something in it cannot be read. */
export async function importLabels(bytes: Uint8Array, source: string): Promise<ImportedLabels> {
  const zip = opened(source, () => openZip(bytes, MOST_EXPANSION, 'far more than pictures and labels'));
  const paths = [...zip.sizes.keys()].filter((path) => !/(^|\/)(\.|__MACOSX\/)|\/$/.test(path)).sort();
  const texts = opened(source, () => zip.unpack((path) => TEXT.test(path)));
  const unpack = (path: string) =>
    opened(`${source}: ${printable(path)}`, () => zip.unpack((other) => other === path).get(path)!);
  const files: DataFiles = { source, paths, read: (path) => texts.get(path) ?? unpack(path) };
  const notes = new Notes();
  for (const [format, { files: kind, load }] of Object.entries(READERS)) {
    if (!paths.some((path) => kind.test(path))) continue;
    const found = (await load()).read(files, { onProblem: undefined, ...notes.context });
    if (found) return imported(format as LabelFormat, found, files, unpack, notes);
  }
  const pictures = paths.some(isImageFile) ? '; to add its pictures without labels, unpack it' : '';
  throw new UserError(
    `${source}: holds no labels that are read here (${Object.values(LABEL_FORMATS).join(', ')})${pictures}`,
  );
}

const opened = <T>(source: string, unpack: () => T): T =>
  inOneLine(source, unpack, (message) => `is not a zip file, or is cut off or damaged (${message}); export it again`);

function imported(
  format: LabelFormat,
  { classes, inclusive = false, images }: FoundLabels,
  { source, paths }: DataFiles,
  unpack: (path: string) => Uint8Array<ArrayBuffer>,
  notes: Notes,
): ImportedLabels {
  const bad = new BadBoxes('skip');
  const { tally } = notes.context;
  const folders = foldersOf(paths.filter(isImageFile));
  const listed = new Map<string, ImageNames>();
  const list = (folder: string): ImageNames => {
    const beneath = () => paths.filter((path) => path.startsWith(folder)).map((path) => path.slice(folder.length));
    if (!listed.has(folder)) listed.set(folder, new ImageNames(`${source}: ${folder}`, beneath()));
    return listed.get(folder)!;
  };
  const names = new Set<string>();
  return {
    format,
    images: images.map(({ file, alternatives = [], source: place, objects, fractions = false, unlabelled = false }) => {
      const found = findImage(folders, list, [file, ...alternatives]);
      if (!found)
        throw new UserError(
          `${place}: its image ${printable(file)} is not in the zip file; add it, or remove its labels`,
        );
      const path = `${found.folder}${found.file}`;
      const named = objects.map((object) => {
        const name = className(object.className, `${place}: ${object.what}`);
        names.add(name);
        if (object.crowd) tally('regions of many objects are left out', place);
        else if (object.difficult) tally('objects that are marked as difficult count like others', place);
        return { ...object, className: name };
      });
      return {
        name: path.split('/').at(-1)!,
        unpack: () => unpack(path),
        unlabelled,
        objects: (size) =>
          named.flatMap((object) => {
            if (object.crowd) return [];
            const box = usableBox(object, size, { inclusive, fractions });
            if (typeof box === 'string') bad.add(`${place}: ${object.what}: ${object.written} ${box}`);
            if (typeof box === 'string') return [];
            const { x1, y1, x2, y2 } = box;
            return [{ className: object.className, x1, y1, x2: x2 + 1, y2: y2 + 1 }];
          }),
      };
    }),
    classes: classes ? [...classes] : [...names].sort(),
    notes: () => [...notes.all, ...bad.notes()],
  };
}

/** The folders that hold these files, and those around them: '' and 'images/' and 'images/train/' for 'images/train/a.jpg'. */
const foldersOf = (paths: readonly string[]): string[] => [
  ...new Set(
    paths.flatMap((path) =>
      path.split('/').map((_, i, parts) =>
        parts
          .slice(0, i)
          .map((part) => `${part}/`)
          .join(''),
      ),
    ),
  ),
];

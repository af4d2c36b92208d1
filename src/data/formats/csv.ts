/**
 * Tables with a row for each object:
 *
 *   path/a.jpg,x1,y1,x2,y2,class                              keras-retinanet; 'path/b.jpg,,,,,' is an image without objects
 *   filename,width,height,class,xmin,ymin,xmax,ymax           TensorFlow's tutorials and Roboflow
 *
 * The first row may name the columns; without such a row, the first form is assumed. A file classes.csv (class,number) beside
 * the table gives the order of the classes. Corners are edges in pixels, counted from 0, as the tools that train on these files
 * read them: keras-retinanet writes COCO's x and x + width, TensorFlow's example divides them by the image's size.
 */
import { basename, dirname, join } from 'node:path';
import { existsSync } from 'node:fs';
import { UserError } from '../../engine/errors.ts';
import type { AnnotatedImage, AnnotatedObject, AnnotatedSet, ReadContext } from '../annotated.ts';
import { annotatedFormat } from '../annotatedFormat.ts';
import { type AnnotationFiles, recognisesFiles, setOfFiles } from '../annotationFiles.ts';
import { type CsvRow, firstCells, readCsv } from '../csvFile.ts';
import { eachPath } from '../format.ts';
import { isImageFile, stemOf } from '../imageNames.ts';
import { attempt } from '../problems.ts';
import { printable } from '../text.ts';
import { csvWriter } from '../writers/csv.ts';

/** The names of a column, in lower case and reduced to letters and digits. */
const COLUMNS = {
  file: ['filename', 'file', 'image', 'imagepath', 'imagename', 'imageid', 'img', 'path', 'filepath', 'imgpath'],
  class: ['class', 'label', 'classname', 'labelname', 'category', 'name'],
  x1: ['xmin', 'x1', 'left', 'bboxxmin'],
  y1: ['ymin', 'y1', 'top', 'bboxymin'],
  x2: ['xmax', 'x2', 'right', 'bboxxmax'],
  y2: ['ymax', 'y2', 'bottom', 'bboxymax'],
  width: ['width', 'imagewidth', 'imgwidth'],
  height: ['height', 'imageheight', 'imgheight'],
} as const;
type Column = keyof typeof COLUMNS;
const REQUIRED: readonly Column[] = ['file', 'x1', 'y1', 'x2', 'y2', 'class'];

/** Which cell holds what; undefined if the row does not name the columns. */
function columnsOf(cells: readonly string[]): Partial<Record<Column, number>> | undefined {
  const tidy = cells.map((cell) => cell.toLowerCase().replace(/[^a-z0-9]/g, ''));
  const found = Object.entries(COLUMNS).flatMap(([column, names]) => {
    const at = tidy.findIndex((cell) => (names as readonly string[]).includes(cell));
    return at < 0 ? [] : [[column, at] as const];
  });
  const columns = Object.fromEntries(found) as Partial<Record<Column, number>>;
  return REQUIRED.every((column) => columns[column] !== undefined) ? columns : undefined;
}

const isPlainRow = (cells: readonly string[]): boolean =>
  cells.length === 6 && isImageFile(cells[0]!) && cells.slice(1, 5).every((cell) => cell === '' || NUMBER.test(cell));
const NUMBER = /^[-+]?\d+([.,]\d*)?$/;

const FILES: AnnotationFiles = {
  extension: '.csv',
  accepts(beginning) {
    const cells = firstCells(beginning);
    return columnsOf(cells) !== undefined || isPlainRow(cells);
  },
};

export const csv = annotatedFormat({
  name: 'csv',
  usage: 'csv:PATH',
  summary:
    'CSV: image,x1,y1,x2,y2,class (keras-retinanet), or with names of columns; a file, or a folder with one for each split',
  writer: csvWriter,
  sets: eachPath,
  recognises: (path) => recognisesFiles(FILES, path, 0.6),
  read: ([path], context) => readTables(path!, context),
});

const readTables = (path: string, context: ReadContext): AnnotatedSet =>
  setOfFiles(path, context, {
    ...FILES,
    title: 'table of objects (image,x1,y1,x2,y2,class)',
    read: (file) => readTable(file, context),
    classes: ([first]) => classList(join(dirname(first!), 'classes.csv')),
  });

/** The names in the order of their numbers. */
function classList(path: string): string[] | undefined {
  if (!existsSync(path)) return undefined;
  return readCsv(path)
    .filter(({ cells }) => cells.length >= 2 && /^\d+$/.test(cells[1]!))
    .sort((a, b) => Number(a.cells[1]) - Number(b.cells[1]))
    .map(({ cells }) => cells[0]!);
}

function readTable(path: string, { onProblem }: ReadContext): AnnotatedImage[] {
  const rows = readCsv(path);
  const named = rows[0] && columnsOf(rows[0].cells);
  const columns = named ?? { file: 0, x1: 1, y1: 2, x2: 3, y2: 4, class: 5 };
  const images = new Map<string, AnnotatedImage>();
  for (const row of named ? rows.slice(1) : rows) {
    attempt(onProblem, () => {
      const cell = (column: Column): string => row.cells[columns[column] ?? Infinity] ?? '';
      const file = cell('file');
      const where = `${path}: line ${row.line}`;
      if (file === '') throw new UserError(`${where}: names no image; fix or remove it`);
      if (!images.has(file)) {
        const [width, height] = [Number(cell('width')), Number(cell('height'))];
        images.set(file, {
          file,
          folder: dirname(path),
          ...(width >= 1 && height >= 1 && Number.isFinite(width * height) && { size: { width, height } }),
          objects: [],
          source: path,
        });
      }
      const corners = (['x1', 'y1', 'x2', 'y2'] as const).map(cell);
      if ([...corners, cell('class')].every((text) => text === '')) return; // an image without an object
      images.get(file)!.objects.push(toObject(corners, cell('class'), row, where));
    });
  }
  if (images.size === 0 && rows.length < 2) throw new UserError(`${path}: ${basename(path)} has no row; add some`);
  return withoutFolder([...images.values()]);
}

/** Named without the folder that all images have in common, as in other formats. */
function withoutFolder(images: AnnotatedImage[]): AnnotatedImage[] {
  const ids = images.map(({ file }) => stemOf(file).replace(/^images\//, ''));
  const fit = images.every(({ file }) => file.startsWith('images/')) && new Set(ids).size === ids.length;
  return fit ? images.map((image, i) => ({ ...image, id: ids[i]! })) : images;
}

function toObject(
  corners: readonly string[],
  className: string,
  { cells, line }: CsvRow,
  where: string,
): AnnotatedObject {
  const wrong = corners.find((text) => !NUMBER.test(text));
  if (wrong !== undefined) {
    const shown = printable(cells.join(',').slice(0, 200));
    throw new UserError(`${where}: '${printable(wrong)}' is not a number (${shown}); fix or remove it`);
  }
  const [x1, y1, x2, y2] = corners.map((text) => Number(text.replace(',', '.'))) as [number, number, number, number];
  return { className, ...{ x1, y1, x2, y2 }, what: `line ${line}`, written: `box (${corners.join(', ')})` };
}

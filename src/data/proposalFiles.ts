/**
 * Proposals of any method, in a CSV file:
 *
 *   image,x1,y1,x2,y2,score        this line first, then one box per line in any order
 *   000005,12,30.5,211,174,0.83
 *
 * `image` is the name of the image in the data set (VOC: the file's name without its extension). Boxes are in pixels of
 * that image, counted from 0, corners inclusive, fractions allowed. A higher score is better; equal ones keep the order of
 * the file.
 */
import { resolve } from 'node:path';
import { UserError } from '../engine/errors.ts';
import { readRegularLines } from '../engine/node/readFile.ts';
import type { Box, ScoredBoxes } from '../kernels/boxes.ts';
import { printable } from './text.ts';
import type { Sample } from './types.ts';

/** The first line. */
export const PROPOSAL_HEADER = 'image,x1,y1,x2,y2,score';

/** x1, y1, x2, y2, score. */
type Row = [...Box, number];
const FIELDS = 5;

/** The files that an option names, separated by commas. */
export const absoluteFiles = (files: string): string[] => files.split(',').map((file) => resolve(file));

/** What a file of proposals is about. */
type Image = Pick<Sample, 'id' | 'width' | 'height'>;

/**
 * The boxes of each image, best first; none if no file has any. Several files count as one. They are read line by line, since
 * a file may be larger than a string can be.
 */
export async function readProposals(paths: readonly string[], images: readonly Image[]): Promise<ScoredBoxes[]> {
  return (await readRows(paths, images)).map((rows) => {
    const order = bestFirst(rows);
    const boxes = new Float32Array(4 * order.length);
    order.forEach((row, i) => boxes.set(rows.slice(row, row + 4), 4 * i));
    return { boxes, scores: Float32Array.from(order, (row) => rows[row + 4]!) };
  });
}

/** The boxes of one file, for which no image may be missing, as they are written. */
export async function readProposalFile(path: string, images: readonly Image[]): Promise<Box[][]> {
  const read = await readRows([path], images);
  assertProposals([path], images, (i) => read[i]!.length);
  return read.map((rows) => bestFirst(rows).map((row) => rows.slice(row, row + 4) as unknown as Box));
}

/** Throws if an image has no box. */
export function assertProposals(
  paths: readonly string[],
  images: readonly Image[],
  boxes: (image: number) => number,
): void {
  const without = images.filter((_, i) => boxes(i) === 0);
  if (without.length === 0) return;
  throw new UserError(
    `${paths.join(', ')}: has no box for ${without.length} of ${images.length} images, the first: ${without[0]!.id}; add them, for an image without proposals the whole image as one box`,
  );
}

/** The numbers of each image's lines, one after the other: millions of boxes are too many for an array each. */
async function readRows(paths: readonly string[], images: readonly Image[]): Promise<number[][]> {
  const read = images.map((image) => ({ image, rows: [] as number[] }));
  const byId = new Map<string, typeof read>();
  // Two data sets may each have an image of this name.
  for (const entry of read) byId.set(entry.image.id, [...(byId.get(entry.image.id) ?? []), entry]);
  for (const path of paths) await readFile(path, byId);
  return read.map(({ rows }) => rows);
}

/** The index at which each row begins, highest score first; equal scores keep the order of the files. */
const bestFirst = (rows: readonly number[]): number[] =>
  Array.from({ length: rows.length / FIELDS }, (_, i) => i * FIELDS).sort((a, b) => rows[b + 4]! - rows[a + 4]!);

/** Adds each line to the rows of its image. */
async function readFile(path: string, byId: ReadonlyMap<string, readonly { image: Image; rows: number[] }[]>) {
  let number = 0;
  const wrong = (what: string): UserError => new UserError(`${path}: line ${number}: ${what}`);
  for await (const text of readRegularLines(path)) {
    number++;
    const line = text.trim();
    if (number === 1) {
      if (line.replace(/^\uFEFF/, '') !== PROPOSAL_HEADER)
        throw wrong(`is not '${PROPOSAL_HEADER}'; put that line first`);
      continue;
    }
    if (line === '') continue;
    const [id, ...fields] = line.split(',');
    const entries = byId.get(id!);
    if (!entries)
      throw wrong(`image '${printable(id!)}' is not in the data; drop its lines, or choose the --split that has it`);
    for (const { image, rows } of entries) {
      const parsed = parseBox(fields, image);
      if (typeof parsed === 'string') throw wrong(parsed);
      rows.push(...parsed);
    }
  }
  if (number === 0) throw new UserError(`${path}: is empty; its first line must be '${PROPOSAL_HEADER}'`);
}

/** The box of a line and its score, or what is wrong with the line. */
function parseBox(fields: string[], { width, height }: Image): Row | string {
  if (fields.length !== 5) return `has ${fields.length + 1} fields, not the 6 of '${PROPOSAL_HEADER}'; fix the line`;
  const bad = fields.find((field) => field.trim() === '' || !Number.isFinite(Number(field)));
  if (bad !== undefined) return `'${printable(bad)}' is not a number; fix the line`;
  const [x1, y1, x2, y2, score] = fields.map(Number) as Row;
  const box = `box (${x1}, ${y1}, ${x2}, ${y2})`;
  if (x2 < x1 || y2 < y1) return `${box} has its corners swapped; the order is x1, y1, x2, y2`;
  // A box from the scaled image may end a fraction of a pixel beyond the last pixel.
  if (x1 < 0 || y1 < 0 || x2 >= width || y2 >= height) {
    return `${box} leaves its ${width}x${height} image; pixels count from 0 and x comes first`;
  }
  return [x1, y1, x2, y2, score];
}

/** Decimals of a pixel in which corners are written. */
const PIXEL_DECIMALS = 2;
const SCORE_DIGITS = 6;

/** The lines of an image. */
export function proposalLines(id: string, { boxes, scores }: ScoredBoxes): string {
  let lines = '';
  for (let i = 0; i < scores.length; i++) {
    const corners = [0, 1, 2, 3].map((k) => Number(boxes[4 * i + k]!.toFixed(PIXEL_DECIMALS)));
    lines += `${id},${corners.join()},${Number(scores[i]!.toPrecision(SCORE_DIGITS))}\n`;
  }
  return lines;
}

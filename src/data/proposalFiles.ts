/**
 * Proposals of other methods (Selective Search, EdgeBoxes...), read from a CSV file:
 *
 *   image,x1,y1,x2,y2,score        this line first, then one box per line in any order
 *   000005,12,30.5,211,174,0.83
 *
 * `image` is the name of the image in the data set (VOC: the file's name without its extension). Boxes are in pixels of
 * that image, counted from 0, corners inclusive, fractions allowed. A higher score is better; equal ones keep the order of
 * the file.
 */
import { UserError } from '../engine/errors.ts';
import { readRegularLines } from '../engine/node/readFile.ts';
import type { Box } from '../kernels/boxes.ts';
import { printable } from './textFile.ts';
import type { Sample } from './types.ts';

const HEADER = 'image,x1,y1,x2,y2,score';

interface ScoredBox {
  box: Box;
  score: number;
}

/** The boxes of each sample, best first. It is read line by line, since the file may be larger than a string can be. */
export async function readProposalFile(path: string, samples: readonly Sample[]): Promise<Box[][]> {
  const byImage = new Map(samples.map((sample) => [sample.id, { sample, boxes: [] as ScoredBox[] }]));
  let number = 0;
  const wrong = (what: string): UserError => new UserError(`${path}: line ${number}: ${what}`);
  for await (const text of readRegularLines(path)) {
    number++;
    const line = text.trim();
    if (number === 1) {
      if (line.replace(/^\uFEFF/, '') !== HEADER) throw wrong(`is not '${HEADER}'; put that line first`);
      continue;
    }
    if (line === '') continue;
    const [id, ...fields] = line.split(',');
    const image = byImage.get(id!);
    if (!image)
      throw wrong(`image '${printable(id!)}' is not in the data; drop its lines, or choose the --split that has it`);
    const parsed = parseBox(fields, image.sample);
    if (typeof parsed === 'string') throw wrong(parsed);
    image.boxes.push(parsed);
  }
  if (number === 0) throw new UserError(`${path}: is empty; its first line must be '${HEADER}'`);
  const without = [...byImage.values()].filter(({ boxes }) => boxes.length === 0);
  if (without.length > 0) {
    throw new UserError(
      `${path}: has no box for ${without.length} of ${samples.length} images, the first: ${without[0]!.sample.id}; add them, for an image without proposals the whole image as one box`,
    );
  }
  return [...byImage.values()].map(({ boxes }) => boxes.sort((a, b) => b.score - a.score).map(({ box }) => box));
}

/** The box of a line, or what is wrong with the line. */
function parseBox(fields: string[], { width, height }: Sample): ScoredBox | string {
  if (fields.length !== 5) return `has ${fields.length + 1} fields, not the 6 of '${HEADER}'; fix the line`;
  const bad = fields.find((field) => field.trim() === '' || !Number.isFinite(Number(field)));
  if (bad !== undefined) return `'${printable(bad)}' is not a number; fix the line`;
  const [x1, y1, x2, y2, score] = fields.map(Number) as [...Box, number];
  const box = `box (${x1}, ${y1}, ${x2}, ${y2})`;
  if (x2 < x1 || y2 < y1) return `${box} has its corners swapped; the order is x1, y1, x2, y2`;
  // A box from the scaled image may end a fraction of a pixel beyond the last pixel.
  if (x1 < 0 || y1 < 0 || x2 >= width || y2 >= height) {
    return `${box} leaves its ${width}x${height} image; pixels count from 0 and x comes first`;
  }
  return { box: [x1, y1, x2, y2], score };
}

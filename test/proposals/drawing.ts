/** Small pictures and edge maps to test proposals on. */
import type { DecodedImage } from '../../src/kernels/imagePrepare.ts';
import type { EdgeMap } from '../../src/proposals/edgeMap.ts';
import type { Segmentation } from '../../src/proposals/graphSegmentation.ts';
import type { Planes } from '../../src/proposals/planes.ts';

/** A picture whose pixel (x, y) has the colour `at(x, y)`. */
export function picture(width: number, height: number, at: (x: number, y: number) => readonly number[]): DecodedImage {
  const rgba = new Uint8Array(4 * width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) rgba.set([...at(x, y), 255], 4 * (y * width + x));
  }
  return { width, height, rgba };
}

/** One channel, written as rows. */
export const plane = (rows: readonly (readonly number[])[]): Planes => ({
  width: rows[0]!.length,
  height: rows.length,
  channels: [Float32Array.from(rows.flat())],
});

/** Regions drawn as digits. */
export function drawn(...rows: string[]): Segmentation {
  const labels = Int32Array.from(rows.flatMap((row) => [...row].map(Number)));
  return { width: rows[0]!.length, height: rows.length, labels, count: Math.max(...labels) + 1 };
}

/** The directions across edges drawn as - | / and \; y points down. */
const ACROSS: Readonly<Record<string, number>> = {
  '|': 0,
  '-': Math.PI / 2,
  '/': Math.PI / 4,
  '\\': (3 * Math.PI) / 4,
};

/** Edges of magnitude 1 drawn as - | / and \. */
export function drawnEdges(...rows: string[]): EdgeMap {
  const pixels = rows.flatMap((row) => [...row]);
  return {
    width: rows[0]!.length,
    height: rows.length,
    magnitudes: Float32Array.from(pixels, (pixel) => (pixel in ACROSS ? 1 : 0)),
    orientations: Float32Array.from(pixels, (pixel) => ACROSS[pixel] ?? 0),
  };
}

/** Of two boxes x1, y1, x2, y2, corners inclusive. */
export function iou(a: readonly number[], b: readonly number[]): number {
  const side = (k: number): number => Math.max(0, Math.min(a[k + 2]!, b[k + 2]!) - Math.max(a[k]!, b[k]!) + 1);
  const area = (c: readonly number[]): number => (c[2]! - c[0]! + 1) * (c[3]! - c[1]! + 1);
  const both = side(0) * side(1);
  return both / (area(a) + area(b) - both);
}

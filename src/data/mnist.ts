/**
 * Images of one handwritten digit each: coloured ink on a coloured background with texture and grain, as in the digit scenes but
 * without strokes. The ink's longer side covers 0.6 to 0.9 of the image.
 *
 * Image i of a split is a pure function of (seed, split, i). Validation uses the last 10 000 training digits, so that the digits
 * of the test scenes stay unseen.
 */
import { Random } from '../kernels/rng.ts';
import { DIGITS, type Glyphs, type GlyphSplit, inkExtent, renderInk, tightBox } from './glyphs.ts';
import { readGlyphs } from './mnistFiles.ts';
import { brighter, CONTRAST, develop, lumaIn, newPainting, paintBackground, stamp } from './painting.ts';
import type { DecodedImage } from '../kernels/imagePrepare.ts';
import type { LabelledOptions, LabelledImage, LabelledImages } from './types.ts';

const COVERED = [0.6, 0.9] as const;
const STRETCH = [0.85, 1.18] as const;
/** Pixels left around a digit for the soft border of its ink. */
const MARGIN = 2;
const STREAMS = { train: 0x40000000, val: 0x50000000 };

export function openMnist({ size, seed }: Pick<LabelledOptions, 'size' | 'seed'>): LabelledImages {
  const imagesOf = (split: keyof typeof STREAMS & GlyphSplit): LabelledImage[] => {
    const glyphs = readGlyphs(split);
    return Array.from(glyphs.labels, (label, i) => ({
      id: `mnist-${split}-${String(i).padStart(5, '0')}`,
      label,
      load: async () => draw(glyphs, i, size, new Random(seed, STREAMS[split] + i)),
    }));
  };
  return { name: 'mnist', classes: [...DIGITS], train: imagesOf('train'), val: imagesOf('val'), augment: false };
}

function draw(glyphs: Glyphs, glyph: number, size: number, random: Random): DecodedImage {
  const painting = newPainting(size);
  paintBackground(painting, random);
  const extent = inkExtent(glyphs, glyph);
  const stretch = random.uniform(...STRETCH);
  const [inkWidth, inkHeight] = [stretch * (extent.x2 - extent.x1 + 1), extent.y2 - extent.y1 + 1];
  const scale = ((size - 2 * MARGIN) * random.uniform(...COVERED)) / Math.max(inkWidth, inkHeight);
  const [width, height] = [inkWidth, inkHeight].map((side) => Math.max(1, Math.round(side * scale))) as [
    number,
    number,
  ];
  const x1 = MARGIN + random.integer(size - 2 * MARGIN - width + 1);
  const y1 = MARGIN + random.integer(size - 2 * MARGIN - height + 1);
  const ink = renderInk(glyphs, glyph, extent, { x1, y1, x2: x1 + width - 1, y2: y1 + height - 1 });
  stamp(painting, ink, brighter(lumaIn(painting, tightBox(ink)), CONTRAST, random));
  return develop(painting, random);
}

/** Lists of annotated boxes: those that count, and those of a mirrored image. */
import type { AnnotatedBox } from './types.ts';

/** The boxes that are trained on and counted: neither difficult nor regions of many objects. */
export const countedBoxes = (boxes: readonly AnnotatedBox[]): AnnotatedBox[] =>
  boxes.filter(({ difficult, crowd }) => !difficult && !crowd);

/** The boxes of the mirrored image: x1' = W - 1 - x2, x2' = W - 1 - x1 (py-faster-rcnn lib/datasets/imdb.py). */
export const flipBoxes = (boxes: readonly AnnotatedBox[], width: number): AnnotatedBox[] =>
  boxes.map((box) => ({ ...box, x1: width - 1 - box.x2, x2: width - 1 - box.x1 }));

/** Which boxes are usable, and what happens to the others: the first one stops, or all are left out with one note. */
import { UserError } from '../engine/errors.ts';
import type { AnnotatedObject } from './annotated.ts';
import type { AnnotatedBox } from './types.ts';

/** A box may cross the image border by this many pixels, as a rounding error, and is clipped; beyond that it is unusable. */
const BORDER_TOLERANCE = 2;

export class BadBoxes {
  readonly #found: string[] = [];
  readonly #action: 'error' | 'skip';

  constructor(action: 'error' | 'skip' = 'error') {
    this.#action = action;
  }

  /** `what` names the file, the box and what is wrong with it. */
  add(what: string): void {
    if (this.#action === 'error') throw new UserError(`${what}; fix or delete it, or pass --skip-bad-boxes`);
    this.#found.push(what);
  }

  notes(): string[] {
    const { length, [0]: first } = this.#found;
    return length === 0 ? [] : [`${length} unusable box${length > 1 ? 'es' : ''} left out, the first: ${first}`];
  }
}

/**
 * The inclusive corners of an object's box, clipped to the image, or what is wrong with it. A box with `bbox` is clipped as in
 * py-faster-rcnn lib/datasets/coco.py: x1 = max(0, x), x2 = min(W - 1, x1 + max(0, width - 1)), and the same for y.
 *
 * `inclusive`: whether a box one pixel wide or high is taken for a slip of the mouse (VOC's xmin = xmax). `fractions`: whether the
 * corners are fractions of the image's width and height.
 */
export function usableBox(
  { x1, y1, x2, y2, bbox }: AnnotatedObject,
  { width, height }: { width: number; height: number },
  { inclusive = false, fractions = false }: { inclusive?: boolean; fractions?: boolean },
): Pick<AnnotatedBox, 'x1' | 'y1' | 'x2' | 'y2'> | string {
  const [across, down] = fractions ? [width, height] : [1, 1];
  const [left, top, right, bottom] = [x1 * across, y1 * down, x2 * across, y2 * down];
  if (![left, top, right, bottom].every(Number.isFinite)) return 'has a value that is not a number';
  const least = inclusive ? 1 : 0;
  const [w, h] = bbox ? [bbox[2], bbox[3]] : [right - left, bottom - top];
  if (!bbox && (w < least || h < least)) return 'has its corners swapped';
  if (!(w > least && h > least)) return 'has no area';
  const beyond = Math.max(-left, -top, right - width, bottom - height);
  if (beyond > BORDER_TOLERANCE) return `lies ${Number(beyond.toFixed(2))} px outside its ${width}x${height} image`;
  const [firstX, firstY] = [Math.max(left, 0), Math.max(top, 0)];
  const last = (start: number, end: number, extent: number, size: number): number =>
    Math.min(size - 1, bbox ? start + Math.max(0, extent - 1) : Math.max(start, end - 1));
  const [lastX, lastY] = [last(firstX, right, w, width), last(firstY, bottom, h, height)];
  if (inclusive ? lastX <= firstX || lastY <= firstY : lastX < firstX || lastY < firstY)
    return `has no area inside its ${width}x${height} image`;
  return { x1: firstX, y1: firstY, x2: lastX, y2: lastY };
}

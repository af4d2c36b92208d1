/** The scales at which an image is computed: one, or those of `input.scales` (image pyramids; paper, table 10). */
import { resizedSize } from '../kernels/imagePrepare.ts';
import { Random } from '../kernels/rng.ts';
import type { InputConfig } from './config.ts';
import type { PreparedImage } from './detector.ts';

const SCALE_STREAM = 0x5ca1;

type Sides = Pick<InputConfig, 'shorterSide' | 'longerSide' | 'scales'>;
interface Size {
  height: number;
  width: number;
}

/** The shorter side of each scale in pixels. */
export const shorterSides = ({ scales, shorterSide }: Omit<Sides, 'longerSide'>): readonly number[] =>
  scales ?? [shorterSide];

/** The size of an image as the network sees it, and its scale; `scale` is the number of one of several scales. */
export const inputSize = ({ height, width }: Size, input: Sides, scale = 0): Size & { scale: number } =>
  resizedSize(height, width, shorterSides(input)[scale]!, input.longerSide);

/** The number of the scale that an image is trained at, drawn for each (Fast R-CNN, section 2.4). */
export function drawnScale(input: Sides, seed: number): number {
  const { length } = shorterSides(input);
  return length === 1 ? 0 : new Random(seed, SCALE_STREAM).integer(length);
}

/** The number of the scale that makes images largest. */
export function largestScale(input: Sides): number {
  const sides = shorterSides(input);
  return sides.indexOf(Math.max(...sides));
}

/** The image at each of its scales. */
export const scalesOf = (image: PreparedImage): readonly PreparedImage[] => image.scales ?? [image];

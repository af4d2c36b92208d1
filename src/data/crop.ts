/** Cuts squares out of images. */
import type { DecodedImage } from '../kernels/imagePrepare.ts';

/** A square of an image, in pixels. */
export interface Crop {
  left: number;
  top: number;
  side: number;
}

export function crop({ width, rgba }: DecodedImage, { left, top, side }: Crop): DecodedImage {
  const part = new Uint8Array(4 * side * side);
  for (let y = 0; y < side; y++) {
    const from = 4 * ((top + y) * width + left);
    part.set(rgba.subarray(from, from + 4 * side), 4 * y * side);
  }
  return { width: side, height: side, rgba: part };
}

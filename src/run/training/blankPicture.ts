import type { DecodedImage } from '../../kernels/imagePrepare.ts';

/** Stands for a picture of this size where a step is measured and nothing is computed (`gpu.measure`). */
export const blankPicture = ({ width, height }: Pick<DecodedImage, 'width' | 'height'>): DecodedImage => ({
  width,
  height,
  rgba: new Uint8Array(4 * width * height),
});

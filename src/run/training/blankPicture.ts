import type { Picture } from '../../data/types.ts';

/** Stands for a picture of this size where a step is measured and nothing is computed (`gpu.measure`). */
export const blankPicture = ({ width, height }: Pick<Picture, 'width' | 'height'>): Picture => ({
  width,
  height,
  rgba: new Uint8Array(4 * width * height),
});

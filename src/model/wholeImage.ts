/** Networks that look at a whole image, resized to a square, instead of at regions of it: classifiers and MultiBox. */
import type { Gpu } from '../engine/gpu.ts';
import { concat } from '../engine/ops/axes.ts';
import { roiPool } from '../engine/ops/rois.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { Backbone } from './backbones/backbone.ts';
import type { ClassifierConfig } from './config.ts';
import type { DecodedImage } from '../kernels/imagePrepare.ts';
import { prepareImage } from './prepareImage.ts';

/** An image of a batch; `flip` mirrors it left to right. */
export interface WholeImage {
  pixels: DecodedImage;
  flip: boolean;
}

/** Uploads images, resizes them, subtracts the mean. @returns [N, 3, size, size] */
export function prepareWhole(gpu: Gpu, images: readonly WholeImage[], input: ClassifierConfig['input']): Tensor {
  const { size } = input;
  // Uploads are freed together: one into a buffer that an earlier one released would have to wait until that is used.
  return gpu.scope(() =>
    concat(
      images.map(({ pixels, flip }) => {
        const placement = { height: size, width: size, perY: pixels.height / size, perX: pixels.width / size, flip };
        return prepareImage(gpu, pixels, placement, input);
      }),
      0,
    ),
  );
}

/**
 * The map of each image is pooled as a single region that covers it, and goes through the region layers.
 *
 * @param images [N, 3, H, W]
 * @param pooled width and height of the pooled map in bins
 * @param training dropout applies, with masks drawn from this seed
 * @returns [N, regionFeatures]
 */
export const wholeImageFeatures = (
  backbone: Backbone,
  images: Tensor,
  pooled: number,
  training: { seed: number } | null,
): Tensor => backbone.regions(pooledWhole(backbone, images, pooled), training);

/** The map of each image, pooled as a single region that covers it. @param images [N, 3, H, W] @returns [N, C, pooled, pooled] */
export function pooledWhole(backbone: Backbone, images: Tensor, pooled: number): Tensor {
  const map = backbone.features(images);
  const [count, , height, width] = map.shape as [number, number, number, number];
  // Whole cells, counted from the map: its padding may have added some to H / stride.
  const [x2, y2] = [(width - 1) * backbone.stride, (height - 1) * backbone.stride];
  const rois = map.gpu.tensor(
    Array.from({ length: count }, (_, image) => [image, 0, 0, x2, y2]).flat(),
    [count, 5],
    'whole images',
  );
  return roiPool(map, rois, { size: pooled, spatialScale: 1 / backbone.stride });
}

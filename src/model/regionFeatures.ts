/** How the vector of a region is computed that the detection head classifies. */
import { maxPool2d } from '../engine/ops/pooling.ts';
import { pyramidPool, regionsAtScales, roiAlign, roiCrop, roiPool, roiWarp } from '../engine/ops/rois.ts';
import type { Tensor } from '../engine/tensor.ts';
import { PYRAMID_BINS } from '../kernels/pyramidPool.ts';
import type { Backbone } from './backbones/backbone.ts';
import type { CropConfig, DetectorConfig } from './config.ts';
import { CONVENTIONS } from './conventions.ts';
import type { ScaleMaps } from './featureExtractor.ts';
import { pooledWhole } from './wholeImage.ts';

/** `F`: the maps that a region is taken from. */
export interface RegionFeatures<F> {
  readonly parameters: Readonly<Record<string, Tensor>>;
  /** Of the vector. */
  readonly length: number;
  /** Of the pooled values of a region. */
  readonly pooledLength: number;
  /** Regions that pass through the layers at once at test time; without it as many as the head takes. */
  readonly atOnce?: number;
  /**
   * rois [R, 5]: image index, or with several scales the number of the one at which it was proposed; x1, y1, x2, y2 in input
   * pixels -> what the region layers take (pool5 of VGG-16): [R, C, ...]
   */
  pool(features: F, rois: Tensor): Tensor;
  /**
   * The region layers: pooled [R, C, ...] -> [R, length]. `training` holds the seed of the dropout masks; null at test time.
   */
  vector(pooled: Tensor, training: { seed: number } | null): Tensor;
}

/** Bytes of the regions that pass through the layers at once, half of what every device binds: ResNet's C4 has 0.8 MB in a region. */
const POOLED_BYTES = 64 * 2 ** 20;

/** The region layers of a backbone after any way of pooling into `bins`. */
const withLayersOf = <F>(backbone: Backbone, bins: number, pool: RegionFeatures<F>['pool']): RegionFeatures<F> => ({
  parameters: backbone.regionParameters,
  length: backbone.regionFeatures,
  pooledLength: backbone.channels * bins,
  pool,
  vector: (pooled, training) => backbone.regions(pooled, training),
});

/** Side, in pixels, of the square whose area a region should have at its scale (SPP-net; Fast R-CNN). */
const SCALE_SIDE = 224;

/**
 * The regions in pixels of the scale that each is taken from: the one at which its area comes nearest to a square's
 * (`head.scaleSide`), or, of dense windows, the one that it belongs to.
 */
function placed({ scales }: ScaleMaps, rois: Tensor, { head, stages, convention }: DetectorConfig): Tensor {
  if (scales.length === 1) return rois;
  const { plusOne } = CONVENTIONS[convention];
  return regionsAtScales(rois, scales, {
    by: stages === 1 ? 'given' : 'area',
    side: head.scaleSide ?? SCALE_SIDE,
    plusOne,
  });
}

/** RoI max pooling, RoIAlign, or RoI warping to twice as many bins and then max pooling; and the backbone's region layers. */
export function pooledRegions(backbone: Backbone, config: DetectorConfig): RegionFeatures<ScaleMaps> {
  const { pooled, pooling, samplingRatio } = config.head;
  const spatialScale = 1 / backbone.stride;
  const largest = backbone.channels * ((pooling === 'warp' ? 2 : 1) * pooled) ** 2;
  const features = withLayersOf<ScaleMaps>(backbone, pooled ** 2, (features, regions) => {
    const { maps } = features;
    const rois = placed(features, regions, config);
    if (pooling === 'align') {
      const spatialScales = maps.map(() => spatialScale);
      const options = { size: pooled, spatialScales, samplingRatio: samplingRatio ?? 0, aligned: true };
      return roiAlign(maps, rois, { ...options, mapOf: 'image' });
    }
    if (pooling !== 'warp') return roiPool(maps, rois, { size: pooled, spatialScale });
    return maxPool2d(roiWarp(maps, rois, { size: 2 * pooled, spatialScale }), { kernel: 2 });
  });
  return { ...features, atOnce: Math.max(1, Math.floor(POOLED_BYTES / (4 * largest))) };
}

/** The bins of SPP-net's pyramid, and the backbone's region layers, which are made for as many. */
export const pyramidRegions = (backbone: Backbone, config: DetectorConfig): RegionFeatures<ScaleMaps> =>
  withLayersOf(backbone, PYRAMID_BINS, (features, rois) =>
    pyramidPool(features.maps, placed(features, rois, config), { spatialScale: 1 / backbone.stride }),
  );

/** Pixels of all crops that pass through the backbone at once: VGG-16's first maps of 8 crops of 224 x 224 take 98 MiB. */
const CROPPED_PIXELS = 8 * 224 * 224;

/** Each region is cropped out of the image and goes through the whole backbone as an image of its own. */
export const croppedRegions = (
  backbone: Backbone,
  { head, convention }: DetectorConfig,
  { size, context }: CropConfig,
): RegionFeatures<Tensor> => ({
  ...withLayersOf<Tensor>(backbone, head.pooled ** 2, (image, rois) => {
    const { plusOne } = CONVENTIONS[convention];
    return pooledWhole(backbone, roiCrop(image, rois, { size, context, plusOne }), head.pooled);
  }),
  atOnce: Math.max(1, Math.floor(CROPPED_PIXELS / size ** 2)),
});

/** How the vector of a region is computed that the detection head classifies. */
import { maxPool2d } from '../engine/ops/pooling.ts';
import { pyramidPool, roiAlign, roiPool, roiWarp } from '../engine/ops/rois.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { Backbone } from './backbones/backbone.ts';
import type { HeadConfig } from './config.ts';

/** `F`: the maps that a region is taken from. */
export interface RegionFeatures<F> {
  readonly parameters: Readonly<Record<string, Tensor>>;
  /** Of the vector. */
  readonly length: number;
  /**
   * rois [R, 5]: image index, x1, y1, x2, y2 in input pixels -> [R, length]. `training` holds the seed of the dropout masks;
   * null at test time.
   */
  regions(features: F, rois: Tensor, training: { seed: number } | null): Tensor;
}

/** RoI max pooling, RoIAlign, or RoI warping to twice as many bins and then max pooling; and the backbone's region layers. */
export function pooledRegions(
  backbone: Backbone,
  { pooled, pooling, samplingRatio }: HeadConfig,
): RegionFeatures<Tensor> {
  const spatialScale = 1 / backbone.stride;
  const pool = (features: Tensor, rois: Tensor): Tensor => {
    if (pooling === 'align') {
      const scales = { size: pooled, spatialScales: [spatialScale], samplingRatio: samplingRatio ?? 0 };
      return roiAlign([features], rois, { ...scales, aligned: true });
    }
    if (pooling !== 'warp') return roiPool(features, rois, { size: pooled, spatialScale });
    return maxPool2d(roiWarp(features, rois, { size: 2 * pooled, spatialScale }), { kernel: 2 });
  };
  return {
    parameters: backbone.regionParameters,
    length: backbone.regionFeatures,
    regions: (features, rois, training) => backbone.regions(pool(features, rois), training),
  };
}

/** The bins of SPP-net's pyramid, and the backbone's region layers, which are made for as many. */
export function pyramidRegions(backbone: Backbone): RegionFeatures<Tensor> {
  const spatialScale = 1 / backbone.stride;
  return {
    parameters: backbone.regionParameters,
    length: backbone.regionFeatures,
    regions: (features, rois, training) => backbone.regions(pyramidPool(features, rois, { spatialScale }), training),
  };
}

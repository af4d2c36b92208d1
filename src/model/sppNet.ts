/**
 * SPP-net (He et al. 2014). It differs from Fast R-CNN in two parts: a region is pooled into the 50 bins of a spatial pyramid,
 * by its own rule from the image to cells, and the convolutional layers stay as they were pre-trained; only what follows the
 * pooling is trained.
 */
import type { Gpu } from '../engine/gpu.ts';
import type { Tensor } from '../engine/tensor.ts';
import { PYRAMID_BINS } from '../kernels/pyramidPool.ts';
import { backboneNamed, detectorBackbone } from './backbones/index.ts';
import type { DetectorConfig } from './config.ts';
import { fixedBackboneMap } from './featureExtractor.ts';
import { DetectionHead } from './head.ts';
import { givenProposals } from './proposalSource.ts';
import { assertPrecision, RegionDetector } from './regionDetector.ts';
import { pyramidRegions } from './regionFeatures.ts';

export function sppNet(gpu: Gpu, config: DetectorConfig, seed: number): RegionDetector<Tensor, null> {
  assertPrecision(gpu, config);
  const backbone = detectorBackbone(gpu, config, seed, PYRAMID_BINS);
  const regions = pyramidRegions(backbone);
  return new RegionDetector<Tensor, null>(gpu, config, {
    extractor: fixedBackboneMap(backbone, backboneNamed(config.backbone).addedLayers),
    source: givenProposals(gpu),
    regions,
    head: new DetectionHead(gpu, config, regions, seed),
  });
}

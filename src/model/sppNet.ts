/**
 * SPP-net (He et al. 2014). It differs from Fast R-CNN in two parts: a region is pooled into the 50 bins of a spatial pyramid,
 * by its own rule from the image to cells, and the convolutional layers stay as they were pre-trained; only what follows the
 * pooling is trained. So an image may have several scales in training too, each region at the one that suits it.
 */
import type { Gpu } from '../engine/gpu.ts';
import { PYRAMID_BINS } from '../kernels/pyramidPool.ts';
import { backboneNamed, detectorBackbone } from './backbones/index.ts';
import type { DetectorConfig } from './config.ts';
import { fixedBackboneMaps, type ScaleMaps } from './featureExtractor.ts';
import { DetectionHead } from './head.ts';
import { givenProposals } from './proposalSource.ts';
import { assertPrecision, RegionDetector } from './regionDetector.ts';
import { pyramidRegions } from './regionFeatures.ts';

export function sppNet(gpu: Gpu, config: DetectorConfig, seed: number): RegionDetector<ScaleMaps, null> {
  assertPrecision(gpu, config);
  const backbone = detectorBackbone(gpu, config, seed, PYRAMID_BINS);
  const regions = pyramidRegions(backbone, config);
  return new RegionDetector<ScaleMaps, null>(gpu, config, {
    extractor: fixedBackboneMaps(backbone, backboneNamed(config.backbone).addedLayers),
    source: givenProposals(gpu),
    regions,
    head: new DetectionHead(gpu, config, regions, seed),
    trainsOnAllScales: true,
  });
}

/**
 * Fast R-CNN (Girshick 2015): one pass of the convolutional layers over the image, RoI pooling and a head that classifies and
 * moves the regions. Unlike Faster R-CNN it proposes no region: each image comes with those of another method.
 */
import type { Gpu } from '../engine/gpu.ts';
import { detectorBackbone } from './backbones/index.ts';
import type { DetectorConfig } from './config.ts';
import { backboneMaps, type ScaleMaps } from './featureExtractor.ts';
import { DetectionHead } from './head.ts';
import { givenProposals } from './proposalSource.ts';
import { assertPrecision, RegionDetector } from './regionDetector.ts';
import { pooledRegions } from './regionFeatures.ts';

export function fastRcnn(gpu: Gpu, config: DetectorConfig, seed: number): RegionDetector<ScaleMaps, null> {
  assertPrecision(gpu, config);
  const backbone = detectorBackbone(gpu, config, seed);
  const regions = pooledRegions(backbone, config);
  return new RegionDetector<ScaleMaps, null>(gpu, config, {
    extractor: backboneMaps(backbone),
    source: givenProposals(gpu),
    regions,
    head: new DetectionHead(gpu, config, regions, seed),
  });
}

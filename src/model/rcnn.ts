/**
 * R-CNN (Girshick et al. 2014). Unlike Fast R-CNN it computes no map of the whole image: each region is cropped out of the image
 * with 16 pixels of context, warped to the input size of a classifier, and goes through all layers by itself. It is fine-tuned
 * by the log loss alone; a softmax does not move the regions.
 */
import { UserError } from '../engine/errors.ts';
import type { Gpu } from '../engine/gpu.ts';
import type { Tensor } from '../engine/tensor.ts';
import { resizedSize } from '../kernels/imagePrepare.ts';
import { detectorBackbone } from './backbones/index.ts';
import type { DetectorConfig } from './config.ts';
import { imageItself } from './featureExtractor.ts';
import { DetectionHead } from './head.ts';
import { givenProposals } from './proposalSource.ts';
import { assertPrecision, RegionDetector } from './regionDetector.ts';
import { croppedRegions } from './regionFeatures.ts';

/** Given proposals are rounded up to a multiple of this: each takes a pass through the whole network. */
const ROWS = 16;

export function rcnn(gpu: Gpu, config: DetectorConfig, seed: number): RegionDetector<Tensor, null> {
  assertPrecision(gpu, config);
  const { crop, input } = config;
  if (!crop) throw new UserError('detector.crop: is missing; R-CNN needs the size of its crops');
  if (input.scales) {
    throw new UserError(
      'detector.input.scales: is not possible with R-CNN, which crops regions out of the picture as it is; leave it out',
    );
  }
  const backbone = detectorBackbone(gpu, config, seed);
  const regions = croppedRegions(backbone, config, crop);
  return new RegionDetector<Tensor, null>(gpu, config, {
    extractor: imageItself(backbone),
    source: givenProposals(gpu, ROWS),
    regions,
    head: new DetectionHead(gpu, config, regions, seed, { movesBoxes: false }),
    // Crops are taken from the picture as it is; only a side beyond `longerSide` is reduced.
    sizeOf: ({ height, width }) => resizedSize(height, width, Math.min(height, width), input.longerSide),
  });
}

/**
 * Faster R-CNN on a feature pyramid (Lin et al. 2017) or, with an RPN of the same kind, on one map, with the arithmetic of
 * torchvision's detectors (models/detection/generalized_rcnn.py and the files beside it) or, where `convention` says so, of
 * detectron2's (modeling/meta_arch/rcnn.py): its rounding of sizes, zeros around the image up to a multiple
 * of 32 pixels, continuous boxes, RoIAlign on the level that the size of a region asks for.
 *
 * Boxes that come in and go out are those of every other detector here: pixels of the original image, both corners inclusive.
 * torchvision's x2 and y2 are larger by 1.
 */
import { UserError } from '../engine/errors.ts';
import type { Gpu } from '../engine/gpu.ts';
import { multiply, subtract } from '../engine/ops/binary.ts';
import { linear } from '../engine/ops/linear.ts';
import { reshape } from '../engine/ops/reshape.ts';
import { roiAlign } from '../engine/ops/rois.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { Picture } from '../kernels/placePicture.ts';
import { type BackboneOptions, ParameterStore } from './backbones/backbone.ts';
import { backboneNamed, backboneOptions } from './backbones/index.ts';
import { convolveNormalised, FROZEN_NORMALISATION, NormalisedStore } from './backbones/normalised.ts';
import { buildPyramid, PYRAMID_CHANNELS, type PyramidDescriptor } from './backbones/pyramid.ts';
import type { DetectorConfig } from './config.ts';
import type {
  Detections,
  GroundTruth,
  ImageGeometry,
  LabelledBox,
  PreparedImage,
  Proposals,
  Sampling,
} from './detector.ts';
import type { FeatureExtractor } from './featureExtractor.ts';
import { DetectionHead } from './head.ts';
import { padTo } from './imageBatch.ts';
import { prepareImage } from './prepareImage.ts';
import type { ProposalSource } from './proposalSource.ts';
import { PyramidRpn, type PyramidRpnOutput } from './pyramidRpn.ts';
import { type Maps, RegionDetector } from './regionDetector.ts';
import { pooledRegions, type RegionFeatures } from './regionFeatures.ts';

/** The sides of the padded image are multiples of this, in pixels, under a pyramid. */
const PADDED_TO = 32;
const REGION_FEATURES = 1024;
/** Convolutions of the region layers of torchvision's second version. */
const REGION_CONVOLUTIONS = 4;

export class PyramidRcnn extends RegionDetector<Tensor[], PyramidRpnOutput> {
  readonly rpn: PyramidRpn;
  /** The sides of a prepared image are multiples of this, in pixels. */
  readonly paddedTo: number;

  constructor(gpu: Gpu, config: DetectorConfig, seed: number) {
    const { pyramid: descriptor } = backboneNamed(config.backbone);
    if (!descriptor) throw new Error(`backbone ${config.backbone} has no pyramid`);
    refuseWhatItHasNot(config);
    const options = backboneOptions(config, seed);
    const { extractor, levelCount, regions } = makeLevels(gpu, config, descriptor, options);
    const rpn = new PyramidRpn(gpu, config, descriptor, levelCount, seed);
    super(gpu, config, {
      extractor,
      source: pyramidProposals(rpn),
      regions,
      head: new DetectionHead(gpu, config, regions, seed),
      constants: rpn.baseAnchors,
    });
    this.rpn = rpn;
    this.paddedTo = descriptor.body ? PADDED_TO : 1;
  }

  /** The sides are rounded as the convention has it, and each axis scaled by its own ratio; then zeros below and right. */
  override prepare(pixels: Picture, flip = false): PreparedImage {
    const { input, convention } = this.config;
    const original = { height: pixels.height, width: pixels.width };
    const sizeOf = convention === 'detectron2' ? nearestSize : flooredSize;
    const { height, width } = sizeOf(original, input.shorterSide, input.longerSide);
    const placement = { height, width, perY: original.height / height, perX: original.width / width, flip };
    const content = prepareImage(this.gpu, pixels, placement, input);
    const [padHeight, padWidth] = [height, width].map((side) => Math.ceil(side / this.paddedTo) * this.paddedTo);
    const tensor = padTo(content, [padHeight!, padWidth!]);
    if (tensor !== content) content.dispose();
    return { tensor: this.stored(tensor), height, width, scale: height / original.height, original };
  }

  override truth(boxes: readonly LabelledBox[], image: ImageGeometry): GroundTruth {
    const [perX, perY] = [image.width / image.original.width, image.height / image.original.height];
    const continuous = boxes.map(({ x1, y1, x2, y2, classIndex }) => ({
      x1: x1 * perX,
      y1: y1 * perY,
      x2: (x2 + 1) * perX,
      y2: (y2 + 1) * perY,
      classIndex,
    }));
    return super.truth(continuous, { ...image, scale: 1 });
  }

  override classify(maps: Maps<Tensor[], PyramidRpnOutput>, proposals: Proposals, image: PreparedImage): Detections {
    const { height, width, original } = image;
    return this.infer(() => {
      const resized = { ...image, scale: 1, original: { height, width } };
      const { rows, count } = super.classify(maps, proposals, resized);
      const [perX, perY] = [original.width / width, original.height / height];
      const scaled = multiply(rows, this.gpu.tensor([perX, perY, perX, perY, 1, 1], [6]));
      return { rows: subtract(scaled, this.gpu.tensor([0, 0, 1, 1, 0, 0], [6])), count };
    });
  }
}

function refuseWhatItHasNot({ backbone, stages, features, head, input }: DetectorConfig): void {
  const refuse = (setting: string, use: string): never => {
    throw new UserError(`detector.${setting}: is not possible with the backbone ${backbone}; use ${use}`);
  };
  if (input.scales) refuse('input.scales', 'detector.input.shorterSide');
  if (stages !== 2) refuse('stages 1', '2');
  if (features !== 'shared') refuse('features unshared', 'shared');
  if (head.pooling !== 'align') refuse(`head.pooling ${head.pooling}`, 'align');
}

interface Levels {
  extractor: FeatureExtractor<Tensor[]>;
  levelCount: number;
  regions: RegionFeatures<Tensor[]>;
}

/** The maps, and the features of a region: of a pyramid, or of the one map of a backbone. */
function makeLevels(gpu: Gpu, config: DetectorConfig, descriptor: PyramidDescriptor, options: BackboneOptions): Levels {
  if (!descriptor.body) {
    const backbone = backboneNamed(config.backbone).build(gpu, options);
    const { pool, ...layers } = pooledRegions(backbone, config);
    return {
      extractor: { parameters: backbone.featureParameters, features: ({ tensor }) => [backbone.features(tensor)] },
      levelCount: 1,
      regions: { ...layers, pool: (maps, rois) => pool({ maps, scales: [1] }, rois) },
    };
  }
  const pyramid = buildPyramid(gpu, descriptor.body, descriptor, options);
  return {
    extractor: { parameters: pyramid.parameters, features: ({ tensor }) => pyramid.levels(tensor) },
    levelCount: pyramid.levelCount,
    regions: alignedRegions(gpu, config, descriptor, options),
  };
}

/** detectron2's (data/transforms, ResizeShortestEdge). */
export function nearestSize(
  { height, width }: { height: number; width: number },
  shorterSide: number,
  longerSide: number,
): { height: number; width: number } {
  const scale = shorterSide / Math.min(height, width);
  let sides = height < width ? [shorterSide, scale * width] : [scale * height, shorterSide];
  const longer = Math.max(...sides);
  if (longer > longerSide) sides = sides.map((side) => side * (longerSide / longer));
  const [h, w] = sides.map((side) => Math.max(1, Math.floor(side + 0.5)));
  return { height: h!, width: w! };
}

/** The size of the resized image in pixels. PyTorch divides a number by a tensor as the product with its reciprocal. */
export function flooredSize(
  { height, width }: { height: number; width: number },
  shorterSide: number,
  longerSide: number,
): { height: number; width: number } {
  const [shorter, longer] = [Math.min(height, width), Math.max(height, width)];
  const quotient = (side: number, n: number) => Math.fround(side * Math.fround(1 / n));
  const scale = Math.min(quotient(shorterSide, shorter), quotient(longerSide, longer));
  const side = (n: number) => Math.max(1, Math.floor(n * scale));
  return { height: side(height), width: side(width) };
}

function pyramidProposals(rpn: PyramidRpn): ProposalSource<Tensor[], PyramidRpnOutput> {
  return {
    parameters: rpn.parameters,
    forward: (batch, features) => rpn.forward(features(), batch),
    losses: (output, image: ImageGeometry, truth: GroundTruth, sampling: Sampling) =>
      rpn.losses(output, truth, image, sampling),
    propose: (output, image, limits) => rpn.proposals(output, image, limits),
    connect: ({ rois }) => rois,
  };
}

/** RoIAlign on the levels, then the region layers. */
function alignedRegions(
  gpu: Gpu,
  { head, convention }: DetectorConfig,
  { levelStrides, regionLevels, regionLayers }: PyramidDescriptor,
  { seed, normalisation = FROZEN_NORMALISATION }: BackboneOptions,
): RegionFeatures<Tensor[]> {
  const { pooled, samplingRatio = 0 } = head;
  const store = new ParameterStore(gpu, seed);
  const layers = regionLayers === 'connected' ? twoConnected(store, pooled) : convolutional();
  return {
    parameters: store.parameters,
    length: REGION_FEATURES,
    pooledLength: PYRAMID_CHANNELS * pooled * pooled,
    pool: (levels, rois) => {
      const maps = levels.slice(0, regionLevels);
      const spatialScales = levelStrides.slice(0, regionLevels).map((stride) => 1 / stride);
      return roiAlign(maps, rois, { size: pooled, spatialScales, samplingRatio, aligned: convention === 'detectron2' });
    },
    vector: layers,
  };

  function convolutional(): (x: Tensor) => Tensor {
    const normalised = new NormalisedStore(gpu, seed, normalisation, store.parameters);
    const convolutions = Array.from({ length: REGION_CONVOLUTIONS }, (_, i) =>
      normalised.layer(`box_head.${i}.0`, `box_head.${i}.1`, [PYRAMID_CHANNELS, PYRAMID_CHANNELS, 3, 3]),
    );
    // Between them stands torchvision's Flatten.
    const last = store.layer(`box_head.${REGION_CONVOLUTIONS + 1}`, [
      REGION_FEATURES,
      PYRAMID_CHANNELS * pooled * pooled,
    ]);
    return (region) => {
      const map = convolutions.reduce((x, layer) => convolveNormalised(x, layer, { padding: 1, relu: true }), region);
      return linear(reshape(map, [map.shape[0]!, -1]), last.weight, last.bias, { relu: true });
    };
  }
}

function twoConnected(store: ParameterStore, pooled: number): (x: Tensor) => Tensor {
  const fc6 = store.layer('fc6', [REGION_FEATURES, PYRAMID_CHANNELS * pooled * pooled]);
  const fc7 = store.layer('fc7', [REGION_FEATURES, REGION_FEATURES]);
  return (region) => {
    const x = linear(reshape(region, [region.shape[0]!, -1]), fc6.weight, fc6.bias, { relu: true });
    return linear(x, fc7.weight, fc7.bias, { relu: true });
  };
}

/**
 * What training, evaluation and detection (src/run) need of a network that finds objects in images. A kind of detector is a
 * class with this interface and a line in detectors.ts; regionDetector.ts has what those share that classify regions.
 */
import { UserError } from '../engine/errors.ts';
import type { Gpu } from '../engine/gpu.ts';
import type { Plans } from '../engine/plans.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { Box, ScoredBoxes } from '../kernels/boxes.ts';
import type { DetectorConfig, ProposalConfig } from './config.ts';
import type { Picture } from '../kernels/placePicture.ts';

/** A labelled box, pixels of the original image, 0-based and inclusive. */
export interface LabelledBox {
  x1: number;
  y1: number;
  x2: number;
  y2: number;
  classIndex: number;
}

export interface ImageGeometry {
  /** Size of the network's input, pixels, and its scale from the original image. */
  height: number;
  width: number;
  scale: number;
  original: { height: number; width: number };
}

/** The image on the GPU, [1, 3, height, width], and its geometry. */
export interface PreparedImage extends ImageGeometry {
  tensor: Tensor;
  /** The image at each of several scales, this one first, in whose pixels boxes are; absent where it has one scale. */
  scales?: readonly PreparedImage[];
  /** Regions that the image comes with, in input pixels, mirrored if the image is. */
  proposals?: ScoredBoxes;
}

/** Ground truth of one image: rows of x1, y1, x2, y2, class in input pixels, of which the first `count` are used. */
export interface GroundTruth {
  boxes: Tensor;
  count: number;
}

/** The random choices of one step. Parity tests turn them off: then the first candidates by index are taken, without dropout. */
export interface Sampling {
  random: boolean;
  seed: number;
  /** False turns off dropout alone, for a loss that is measured but not minimised. */
  dropout?: boolean;
}

/** Regions of an image that may hold an object. */
export interface Proposals {
  /**
   * [capacity, 5]: image index, x1, y1, x2, y2 in input pixels, best first; zero beyond the count. Of an image at several scales
   * the index is the number of the scale that it was found at.
   */
  rois: Tensor;
  scores: Tensor;
  /** i32 [capacity]: the index of the anchor that each proposal was decoded from; -1 if from none. */
  anchors: Tensor;
  /** One integer on the GPU. */
  count: Tensor;
}

/** Rows [max, 6] of x1, y1, x2, y2 (pixels of the original image), score, class, best first; `count`: how many are valid. */
export interface Detections {
  rows: Tensor;
  count: Tensor;
}

/** An image of a training step. */
export interface TrainingImage {
  image: PreparedImage;
  truth: GroundTruth;
  sampling: Sampling;
}

export const LOSS_TERMS = ['rpn_cls', 'rpn_box', 'head_cls', 'head_box'] as const;
export type LossTerm = (typeof LOSS_TERMS)[number];
/** A term that a detector does not have is zero. */
export type Losses = Record<LossTerm, Tensor>;

/** What a parameter belongs to: convolutional layers, region layers (fc6, fc7), the RPN's own layers, the head's own. */
export type Part = 'features' | 'regions' | 'rpn' | 'head';

/** `Maps`: the results of its convolutions. */
export interface Detector<Maps = unknown> {
  readonly gpu: Gpu;
  readonly config: DetectorConfig;
  /** The choice of kernels for this network, which does not depend on other networks of the device. */
  readonly plans: Plans;
  /** Every parameter by its name. */
  readonly parameters: Readonly<Record<string, Tensor>>;

  /** The part that a parameter belongs to; undefined if there is no such parameter, or it is in no part that is trained alone. */
  partOf(name: string): Part | undefined;

  /**
   * Uploads an image, resizes it, subtracts the mean. `flip` mirrors it left to right. `proposals`: regions of the image in
   * its own pixels, which a detector without a network for proposals classifies. `scale`: the number of the one of several
   * scales (`input.scales`) to train at, where the detector is not trained at all of them; without it all.
   */
  prepare(pixels: Picture, flip?: boolean, proposals?: ScoredBoxes, scale?: number): PreparedImage;
  /** Uploads ground truth, scaled as the image was. */
  truth(boxes: readonly LabelledBox[], image: ImageGeometry): GroundTruth;

  /** The terms that are minimised, for one image. */
  losses(image: PreparedImage, truth: GroundTruth, sampling: Sampling): Losses;
  /**
   * The same of each of several images, which go through the convolutions and the head together: the smaller ones with zeros below
   * and to the right. Anchors, proposals and mini-batches are each image's own; one mask of dropout, the first image's, is that of all.
   */
  batchLosses(batch: readonly TrainingImage[]): Losses[];
  /** The sum of the terms of an image. */
  total(losses: Losses): Tensor;
  /**
   * The objects found in an image (`detect`) and the losses on its ground truth, both from one pass through the convolutional
   * layers, without gradients and dropout. `seed` draws the mini-batches.
   */
  validate(image: PreparedImage, truth: GroundTruth, seed: number): Detections & { losses: Losses };

  /** The objects in an image. `seed`: see `propose`. */
  detect(image: PreparedImage, seed?: number): Detections;
  /** The first part of a detection: the convolutions. */
  convolve(image: PreparedImage): Maps;
  /** The second part: the regions that are classified, as at test time. `seed`: see `propose`. */
  proposeOn(maps: Maps, image: PreparedImage, seed?: number): Proposals;
  /** The third part: the detection head on every region, then the best of its detections. */
  classify(maps: Maps, proposals: Proposals, image: PreparedImage): Detections;

  /** Frees the parameters. */
  dispose(): void;

  // What only some kinds of detector can do; see `capability`.

  /**
   * Proposals for an image, as at test time unless `limits` says otherwise. `seed` draws the ranking of an RPN without scores
   * (`without: 'cls'`), and should then differ from image to image.
   */
  propose?(image: PreparedImage, limits?: ProposalConfig, seed?: number): Proposals;
  /** The terms of the RPN alone; the others are zero. */
  rpnLosses?(image: PreparedImage, truth: GroundTruth, sampling: Sampling): Losses;
  /** The terms of the detection head on given proposals, Fast R-CNN's; the others are zero. */
  detectorLosses?(
    image: PreparedImage,
    truth: GroundTruth,
    proposals: Pick<Proposals, 'rois' | 'count'>,
    sampling: Sampling,
  ): Losses;
  /**
   * What a scorer sees of regions at test time, a row each: `pooled`, what the region layers take, or `vector`, what they give.
   *
   * @param boxes x1, y1, x2, y2 of each, in pixels of the original image
   */
  regionValues?(maps: Maps, image: PreparedImage, boxes: Float32Array, of: 'pooled' | 'vector'): Tensor;
  /** The anchors of an image of this size that lie inside it, in input pixels, in the order of their index. */
  anchorsInside?(image: ImageGeometry): Promise<Box[]>;
}

/** The kind of detector that a configuration asks for. */
export const systemOf = ({ system = 'faster-rcnn' }: Pick<DetectorConfig, 'system'>): string => system;

export type Capability = 'propose' | 'rpnLosses' | 'detectorLosses' | 'regionValues' | 'anchorsInside';

/** What each capability is called in a message. */
const CAPABILITIES: Readonly<Record<Capability, string>> = {
  propose: 'no network that proposes regions',
  rpnLosses: 'no Region Proposal Network to train',
  detectorLosses: 'no detection head that is trained alone',
  regionValues: 'no regions that are classified one by one',
  anchorsInside: 'no anchors',
};

/** The detector, known to have a capability. Throws a UserError where it has not. */
export function capable<K extends Capability>(
  detector: Detector,
  capability: K,
): Detector & Required<Pick<Detector, K>> {
  if (detector[capability]) return detector as Detector & Required<Pick<Detector, K>>;
  throw new UserError(
    `detector.system ${systemOf(detector.config)}: has ${CAPABILITIES[capability]}; take a run of another system`,
  );
}

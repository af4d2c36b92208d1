/**
 * Faster R-CNN (Ren, He, Girshick, Sun 2015): shared convolutional layers, the Region Proposal Network and the Fast R-CNN
 * head on one map.
 *
 * Joint training adds the four losses. To the head, the proposals are constants ("approximate") or, with RoI warping,
 * functions of the RPN's deltas ("non-approximate"). The parts are trained one at a time by `rpnLosses` and
 * `detectorLosses` (alternating training, src/run/training/trainRun.ts). A step uploads an image and its boxes and records one
 * sequence of dispatches; nothing is read back in between.
 */
import { UserError } from '../engine/errors.ts';
import type { Gpu } from '../engine/gpu.ts';
import { add } from '../engine/ops/arithmetic.ts';
import { Plans } from '../engine/plans.ts';
import { wholeName } from '../engine/shards.ts';
import type { Tensor } from '../engine/tensor.ts';
import { resizedSize } from '../kernels/imagePrepare.ts';
import { backboneNamed } from './backbones/index.ts';
import { type Backbone, backboneParameters } from './backbones/backbone.ts';
import type { DetectorConfig } from './config.ts';
import { DetectionHead, type RoiBatch } from './head.ts';
import { type Pixels, prepareImage } from './prepareImage.ts';
import {
  type GroundTruth,
  type ImageGeometry,
  type Proposals,
  RegionProposalNetwork,
  type RpnOutput,
  type Sampling,
} from './rpn.ts';

/** A labelled box, pixels of the original image, 0-based and inclusive. */
export interface LabelledBox {
  x1: number;
  y1: number;
  x2: number;
  y2: number;
  classIndex: number;
}

/** The image on the GPU, [1, 3, height, width], and its geometry. */
export interface PreparedImage extends ImageGeometry {
  tensor: Tensor;
}

/** The results of a detection's convolutions; `rpn` is null in one-stage detection. */
export interface Maps {
  features: Tensor;
  rpn: RpnOutput | null;
}

export const LOSS_TERMS = ['rpn_cls', 'rpn_box', 'head_cls', 'head_box'] as const;
export type LossTerm = (typeof LOSS_TERMS)[number];
export type Losses = Record<LossTerm, Tensor>;

/** What a parameter belongs to: convolutional layers, region layers (fc6, fc7), the RPN's own layers, the head's own. */
export type Part = 'features' | 'regions' | 'rpn' | 'head';

/** The prefix of the RPN's own convolutional layers, if features are not shared. */
export const PROPOSAL_NETWORK = 'proposal_network.';

/** The rows of a ground-truth buffer are rounded up to a multiple of this, so that few sizes occur. */
const TRUTH_ROWS = 16;

export class FasterRcnn {
  readonly gpu: Gpu;
  readonly config: DetectorConfig;
  /** Which kernels compute this network, whatever others on the device were tuned to. */
  readonly plans: Plans;
  readonly backbone: Backbone;
  /** The convolutional layers below the RPN: `backbone` itself if features are shared. */
  readonly proposalBackbone: Backbone;
  readonly rpn: RegionProposalNetwork;
  readonly head: DetectionHead;
  /** Every parameter by its name. */
  readonly parameters: Readonly<Record<string, Tensor>>;
  private readonly parts = new Map<string, Part>();

  /** `build` makes another backbone than `config.backbone` names. */
  constructor(gpu: Gpu, config: DetectorConfig, seed: number, build = backboneNamed(config.backbone).build) {
    if (config.precision === 'f16' && !gpu.hasHalf) {
      throw new UserError(
        `--precision f16: ${gpu.adapter.description} does not have it (WebGPU's feature shader-f16); use --precision f32`,
      );
    }
    this.gpu = gpu;
    this.config = config;
    this.plans = new Plans(gpu.plans.device);
    const options = { pooled: config.head.pooled, seed, frozenStages: config.frozenStages };
    const unshared = config.features === 'unshared';
    this.backbone = build(gpu, options);
    this.proposalBackbone = unshared ? build(gpu, options) : this.backbone;
    this.rpn = new RegionProposalNetwork(gpu, config, this.proposalBackbone, seed);
    this.head = new DetectionHead(gpu, config, this.backbone, seed);
    const { featureParameters, regionParameters } = this.backbone;
    this.parameters = {
      ...featureParameters,
      ...regionParameters,
      ...(unshared && prefixed(backboneParameters(this.proposalBackbone))),
      ...this.rpn.parameters,
      ...this.head.parameters,
    };
    const parts = {
      features: featureParameters,
      regions: regionParameters,
      rpn: this.rpn.parameters,
      head: this.head.parameters,
    };
    for (const [part, parameters] of Object.entries(parts)) {
      for (const name of Object.keys(parameters)) this.parts.set(wholeName(name), part as Part);
    }
  }

  /** What a parameter belongs to; undefined if there is no such parameter, or it is in an RPN's own convolutional layers. */
  partOf(name: string): Part | undefined {
    return this.parts.get(wholeName(name));
  }

  /** Uploads an image, resizes it, subtracts the mean. `flip` mirrors it left to right. */
  prepare(pixels: Pixels, flip = false): PreparedImage {
    const { input } = this.config;
    const { width, height, scale } = resizedSize(pixels.height, pixels.width, input.shorterSide, input.longerSide);
    const placement = { height, width, perY: 1 / scale, perX: 1 / scale, flip };
    const whole = prepareImage(this.gpu, pixels, placement, input);
    const tensor = this.config.precision === 'f16' ? whole.inDtype('f16') : whole;
    if (tensor !== whole) whole.dispose();
    return { tensor, height, width, scale, original: { height: pixels.height, width: pixels.width } };
  }

  /** Uploads ground truth, scaled as the image was. */
  truth(boxes: readonly LabelledBox[], image: ImageGeometry): GroundTruth {
    const rows = Math.max(1, Math.ceil(boxes.length / TRUTH_ROWS)) * TRUTH_ROWS;
    const data = new Float32Array(rows * 5);
    boxes.forEach(({ x1, y1, x2, y2, classIndex }, i) => {
      data.set([x1 * image.scale, y1 * image.scale, x2 * image.scale, y2 * image.scale, classIndex], i * 5);
    });
    return { boxes: this.gpu.tensor(data, [rows, 5], 'ground truth'), count: boxes.length };
  }

  /** The four terms of the joint loss for one image. */
  losses(image: PreparedImage, truth: GroundTruth, sampling: Sampling): Losses {
    return this.gpu.withPlans(this.plans, () => this.lossesOn(this.maps(image), image, truth, sampling));
  }

  /**
   * The objects found in an image (`detect`) and the four terms of the joint loss on its ground truth, both from one pass
   * through the convolutional layers, without gradients and dropout. `seed` draws the mini-batches.
   */
  validate(image: PreparedImage, truth: GroundTruth, seed: number): { rows: Tensor; count: Tensor; losses: Losses } {
    return this.infer(() => {
      const maps = this.maps(image);
      const losses = this.lossesOn(maps, image, truth, { random: true, seed, dropout: false });
      return { ...this.classify(maps, this.proposeOn(maps, image, seed), image), losses };
    });
  }

  private infer<T>(fn: () => T): T {
    return this.gpu.withPlans(this.plans, () => this.gpu.withoutGradients(fn));
  }

  private maps({ tensor }: PreparedImage): Maps {
    const features = this.backbone.features(tensor);
    if (this.config.stages === 1) return { features, rpn: null };
    const shared = this.proposalBackbone === this.backbone;
    return { features, rpn: this.rpn.forward(shared ? features : this.proposalBackbone.features(tensor)) };
  }

  private lossesOn(
    { features, rpn: output }: Maps,
    image: PreparedImage,
    truth: GroundTruth,
    sampling: Sampling,
  ): Losses {
    if (output === null) {
      const windows = this.rpn.slidingWindows(features, image);
      return { ...this.noLosses(), ...this.headLosses(features, this.head.sample(windows, truth, sampling), sampling) };
    }
    const rpn = this.rpn.losses(output, truth, image, sampling);
    const proposals = this.rpn.proposals(output, image, this.config.rpn.train, sampling.seed);
    const sampled = this.head.sample(proposals, truth, sampling);
    const batch =
      this.config.head.pooling === 'warp'
        ? { ...sampled, rois: this.rpn.connectRois(sampled, proposals, output, image) }
        : sampled;
    return { rpn_cls: rpn.cls, rpn_box: rpn.box, ...this.headLosses(features, batch, sampling) };
  }

  /** The terms of the RPN alone; the others are zero. */
  rpnLosses(image: PreparedImage, truth: GroundTruth, sampling: Sampling): Losses {
    return this.gpu.withPlans(this.plans, () => {
      const output = this.rpn.forward(this.proposalBackbone.features(image.tensor));
      const { cls, box } = this.rpn.losses(output, truth, image, sampling);
      return { ...this.noLosses(), rpn_cls: cls, rpn_box: box };
    });
  }

  /** The terms of the detection head on given proposals, Fast R-CNN's; the others are zero. */
  detectorLosses(
    image: PreparedImage,
    truth: GroundTruth,
    proposals: Pick<Proposals, 'rois' | 'count'>,
    sampling: Sampling,
  ): Losses {
    return this.gpu.withPlans(this.plans, () => {
      const features = this.backbone.features(image.tensor);
      const batch = this.head.sample(proposals, truth, sampling);
      return { ...this.noLosses(), ...this.headLosses(features, batch, sampling) };
    });
  }

  /** Frees the parameters. */
  dispose(): void {
    for (const parameter of Object.values(this.parameters)) parameter.dispose();
    this.rpn.anchors.dispose();
  }

  private headLosses(features: Tensor, batch: RoiBatch, sampling: Sampling) {
    const output = this.head.forward(features, batch.rois, (sampling.dropout ?? sampling.random) ? sampling : null);
    const { cls, box } = this.head.losses(output, batch);
    return { head_cls: cls, head_box: box };
  }

  private noLosses(): Losses {
    const zero = this.gpu.zeros([1], 'no loss');
    return { rpn_cls: zero, rpn_box: zero, head_cls: zero, head_box: zero };
  }

  /** The sum of the terms: each has weight 1, and lambda is inside the RPN's box term. */
  total(losses: Losses): Tensor {
    return add(losses.rpn_cls, losses.rpn_box, losses.head_cls, losses.head_box);
  }

  /**
   * The objects in an image: rows [max, 6] of x1, y1, x2, y2 (pixels of the original image), score, class, best first, of
   * which `count` (one integer on the GPU) are valid. The RoIs' own objectness is not used again. `seed`: see `propose`.
   */
  detect(image: PreparedImage, seed = 0): { rows: Tensor; count: Tensor } {
    return this.infer(() => {
      const maps = this.maps(image);
      return this.classify(maps, this.proposeOn(maps, image, seed), image);
    });
  }

  /** The first part of a detection: the convolutions of the backbone, and of the RPN unless detection has one stage. */
  convolve(image: PreparedImage): Maps {
    return this.infer(() => this.maps(image));
  }

  /** The second part: proposals as at test time, or all anchors in one-stage detection. `seed`: see `propose`. */
  proposeOn({ features, rpn }: Maps, image: PreparedImage, seed = 0): Proposals {
    return this.infer(() =>
      rpn ? this.rpn.proposals(rpn, image, this.config.rpn.test, seed) : this.rpn.slidingWindows(features, image),
    );
  }

  /** The third part: the detection head on every proposal, then the best of its detections. */
  classify({ features }: Maps, proposals: Proposals, image: PreparedImage): { rows: Tensor; count: Tensor } {
    return this.infer(() => this.head.detections(this.head.score(features, proposals.rois), proposals, image));
  }

  /**
   * Proposals for an image, as at test time unless `limits` says otherwise. `seed` draws the ranking of an RPN without scores
   * (`without: 'cls'`), and should then differ from image to image.
   */
  propose(image: PreparedImage, limits = this.config.rpn.test, seed = 0): Proposals {
    return this.infer(() => {
      const features = this.proposalBackbone.features(image.tensor);
      return this.rpn.proposals(this.rpn.forward(features), image, limits, seed);
    });
  }
}

const prefixed = (parameters: Readonly<Record<string, Tensor>>): Record<string, Tensor> =>
  Object.fromEntries(Object.entries(parameters).map(([name, tensor]) => [PROPOSAL_NETWORK + name, tensor]));

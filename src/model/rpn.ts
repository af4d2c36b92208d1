/**
 * Region Proposal Network (paper, section 3.1): a 3x3 convolution over the shared map, then two 1x1 convolutions that give
 * for each of A anchors at each cell two class scores (background, object) and four box deltas.
 *
 *   logits [1, 2A, H, W]: A background channels, then A object channels     deltas [1, 4A, H, W]: channel a*4 + k
 */
import type { Bindable } from '../engine/memory.ts';
import type { Gpu } from '../engine/gpu.ts';
import { softmaxLogLoss, smoothL1Loss } from '../engine/ops/losses.ts';
import { reshape } from '../engine/ops/pointwise.ts';
import { scratch } from '../engine/scratch.ts';
import type { Tensor } from '../engine/tensor.ts';
import { anchorLabelsScratch, recordAnchorLabels } from '../kernels/anchorLabels.ts';
import { proposalsScratch, recordProposals } from '../kernels/proposals.ts';
import { baseAnchors } from './anchors.ts';
import { type Backbone, convolve, ParameterStore } from './backbones/backbone.ts';
import { CONVENTIONS, type DetectorConfig } from './config.ts';

/** Streams of random numbers: one for each purpose. */
const ANCHOR_STREAM = 0xa11c;

export interface ImageGeometry {
  /** Size of the network's input, pixels, and its scale from the original image. */
  height: number;
  width: number;
  scale: number;
  original: { height: number; width: number };
}

/** Ground truth of one image: rows x1, y1, x2, y2, class in input pixels; `count` of them are used. */
export interface GroundTruth {
  boxes: Tensor;
  count: number;
}

/** Draws of one step: off in parity tests, where the first candidates in index order are taken and nothing is dropped. */
export interface Sampling {
  random: boolean;
  seed: number;
}

export interface RpnOutput {
  logits: Tensor;
  deltas: Tensor;
}

export interface Proposals {
  /** [postNms, 5]: image index, x1, y1, x2, y2 in input pixels, best first; zero beyond the count. */
  rois: Tensor;
  scores: Tensor;
  /** One integer on the GPU. */
  count: Tensor;
}

export class RegionProposalNetwork {
  readonly parameters: Readonly<Record<string, Tensor>>;
  /** [A, 4] at cell (0, 0). */
  readonly anchors: Tensor;
  private readonly gpu: Gpu;
  private readonly config: DetectorConfig;
  private readonly stride: number;
  private readonly layers: Record<'conv' | 'cls' | 'box', { weight: Tensor; bias: Tensor }>;

  constructor(gpu: Gpu, config: DetectorConfig, backbone: Backbone, seed: number) {
    this.gpu = gpu;
    this.config = config;
    this.stride = backbone.stride;
    const { sizes, ratios } = config.anchors;
    const scales = sizes.map((size) => size / backbone.stride);
    const base = baseAnchors({ baseSize: backbone.stride, scales, ratios });
    const count = base.length / 4;
    this.anchors = gpu.tensor(base, [count, 4], 'anchors');
    this.anchors.persistent = true;
    const store = new ParameterStore(gpu, seed);
    const { channels } = config.rpn;
    this.layers = {
      conv: store.layer('rpn.conv', [channels, backbone.channels, 3, 3], { gaussian: { std: 0.01, fanIn: 512 * 9 } }),
      cls: store.layer('rpn.cls_score', [2 * count, channels, 1, 1], { gaussian: { std: 0.01, fanIn: 512 } }),
      box: store.layer('rpn.bbox_pred', [4 * count, channels, 1, 1], { gaussian: { std: 0.01, fanIn: 512 } }),
    };
    this.parameters = store.parameters;
  }

  forward(features: Tensor): RpnOutput {
    const hidden = convolve(features, this.layers.conv, { padding: 1, relu: true });
    return { logits: convolve(hidden, this.layers.cls), deltas: convolve(hidden, this.layers.box) };
  }

  /** The RPN's two terms of equation 1. */
  losses(
    output: RpnOutput,
    truth: GroundTruth,
    image: ImageGeometry,
    sampling: Sampling,
  ): { cls: Tensor; box: Tensor } {
    const { logits, deltas } = output;
    const { gpu } = this;
    const { rpn, convention } = this.config;
    const [, channels, height, width] = deltas.shape as [number, number, number, number];
    const anchorCount = channels / 4;
    const labels = gpu.empty([1, anchorCount * height * width], 'i32', 'anchor labels');
    const [targets, insideWeights, outsideWeights] = ['anchor targets', 'inside weights', 'outside weights'].map(
      (name) => gpu.empty(deltas.shape, 'f32', name),
    ) as [Tensor, Tensor, Tensor];
    const grid = { anchorCount, height, width, stride: this.stride };
    const working = scratch(gpu, anchorLabelsScratch({ ...grid, g: truth.boxes.shape[0]! }));
    recordAnchorLabels<Bindable>(
      gpu.run.bind(gpu),
      { ...working.tensors, anchors: this.anchors, gt: truth.boxes, labels, targets, insideWeights, outsideWeights },
      {
        ...grid,
        g: truth.count,
        imageHeight: image.height,
        imageWidth: image.width,
        allowedBorder: 0,
        plusOne: CONVENTIONS[convention].plusOne,
        positiveThreshold: rpn.positiveOverlap,
        negativeThreshold: rpn.negativeOverlap,
        clobber: false,
        batch: rpn.batch,
        fgFraction: rpn.positiveFraction,
        random: sampling.random,
        seed: sampling.seed,
        stream: ANCHOR_STREAM,
        outsideMode: rpn.normalisation === 'examples' ? 'examples' : 'constant',
        outsideValue: rpn.normalisation === 'examples' ? rpn.lambda : rpn.lambda / (height * width),
      },
    );
    working.dispose();
    return {
      cls: softmaxLogLoss(reshape(logits, [1, 2, anchorCount * height * width]), labels, { ignoreLabel: -1 }),
      box: smoothL1Loss(deltas, targets, { sigma: rpn.sigma, insideWeights, outsideWeights }),
    };
  }

  /** The best boxes after suppression. They are constants: no gradient passes ("approximate joint training"). */
  proposals({ logits, deltas }: RpnOutput, image: ImageGeometry, mode: 'train' | 'test'): Proposals {
    const { gpu } = this;
    const { rpn, convention } = this.config;
    const [, channels, height, width] = deltas.shape as [number, number, number, number];
    const anchorCount = channels / 4;
    const total = anchorCount * height * width;
    const { preNms, postNms } = rpn[mode];
    const params = {
      anchorCount,
      height,
      width,
      stride: this.stride,
      imageHeight: image.height,
      imageWidth: image.width,
      ...CONVENTIONS[convention],
      minSize: rpn.minSize * image.scale,
      preNms: Math.min(preNms, total),
      threshold: rpn.nmsThreshold,
      postNms,
    };
    const rois = gpu.empty([postNms, 5], 'f32', 'proposals');
    const scores = gpu.empty([postNms], 'f32', 'proposal scores');
    const count = gpu.empty([1], 'i32', 'proposal count');
    const working = scratch(gpu, proposalsScratch(params));
    recordProposals<Bindable>(
      gpu.run.bind(gpu),
      { ...working.tensors, anchors: this.anchors, logits, deltas, rois, roiScores: scores, roiCount: count },
      params,
    );
    working.dispose();
    return { rois, scores, count };
  }
}

/**
 * Region Proposal Network (paper, section 3.1): a 3x3 convolution over the shared map, then two 1x1 convolutions that give
 * for each of A anchors at each cell two class scores (background, object) and four box deltas.
 *
 * With `rpn.filters`, a pyramid of filters (figure 1b): each aspect ratio of the anchors has a convolution of a size of its own in
 * place of the 3x3 one, with its own scores and deltas for the anchors of that ratio.
 *
 *   logits [N, 2A, H, W]: A background channels, then A object channels     deltas [N, 4A, H, W]: channel a*4 + k
 * Losses and proposals are those of one image, N = 1.
 */
import { operation, onTape } from '../engine/autograd.ts';
import type { Bindable } from '../engine/memory.ts';
import type { Gpu } from '../engine/gpu.ts';
import { softmaxLogLoss, smoothL1Loss } from '../engine/ops/losses.ts';
import { concat, slice } from '../engine/ops/axes.ts';
import { reshape } from '../engine/ops/reshape.ts';
import { scratch } from '../engine/scratch.ts';
import type { Tensor } from '../engine/tensor.ts';
import { stageVariant } from '../kernels/planner.ts';
import { type ProposalParams, proposalsScratch, recordProposals } from '../kernels/proposals.ts';
import { decodeProposalsBackward } from '../kernels/proposalsBackward.ts';
import { Random } from '../kernels/rng.ts';
import { baseAnchors } from './anchors.ts';
import { anchorTargets } from './anchorTargets.ts';
import { type Backbone, convolve, type Layer, ParameterStore } from './backbones/backbone.ts';
import type { DetectorConfig, ProposalConfig } from './config.ts';
import { CONVENTIONS } from './conventions.ts';
import type { GroundTruth, ImageGeometry, Proposals, Sampling } from './detector.ts';
import { partOf } from './imageBatch.ts';

/** The stream of random numbers by which proposals without scores are ranked. */
const RANKING_STREAM = 0x4a9d;

export interface RpnOutput {
  logits: Tensor;
  deltas: Tensor;
}

/** The output for image `k` of a batch. */
export const outputOf = ({ logits, deltas }: RpnOutput, k: number): RpnOutput => ({
  logits: partOf(logits, k),
  deltas: partOf(deltas, k),
});

type DecodeSaved = {
  buffers: Record<'anchors' | 'deltas' | 'roiAnchors' | 'selected', Tensor>;
  uniforms: Record<keyof (typeof decodeProposalsBackward)['uniforms'], number>;
};

const sampledProposals = operation<DecodeSaved>('sampledProposals', ({ dy }, { buffers, uniforms }) => {
  const ddeltas = dy.gpu.zeros(buffers.deltas.shape, 'd deltas');
  dy.gpu.run(decodeProposalsBackward, { ...buffers, drois: dy, ddeltas }, uniforms);
  return [ddeltas];
});

type FilterSize = readonly [height: number, width: number];

/** A convolution on the map, and the scores and deltas of some anchors. */
type Predictor = Readonly<Record<'conv' | 'cls' | 'box', Layer>>;

/** Convolution and ReLU to a map of the same size; the sides of the filter are odd. */
function sameSize(x: Tensor, layer: Layer): Tensor {
  const [, , kh, kw] = layer.weight.shape as [number, number, number, number];
  const padding = (Math.max(kh, kw) - 1) / 2;
  const y = convolve(x, layer, { padding, relu: true });
  if (kh === kw) return y;
  // The padding of the longer side is too much for the shorter one.
  const [axis, shorter] = kh < kw ? [2, kh] : [3, kw];
  const surplus = padding - (shorter - 1) / 2;
  return slice(y, axis, surplus, y.shape[axis]! - surplus);
}

/** An IoU that no two boxes exceed. */
export const NO_SUPPRESSION = 2;

export class RegionProposalNetwork {
  readonly parameters: Readonly<Record<string, Tensor>>;
  /** [A, 4] at cell (0, 0). */
  readonly anchors: Tensor;
  readonly gpu: Gpu;
  private readonly config: DetectorConfig;
  private readonly stride: number;
  /** One for all anchors, or one for each ratio in the order of the anchors. */
  private readonly predictors: readonly Predictor[];

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
    const { channels, filters } = config.rpn;
    const predictor = (name: string, [kh, kw]: FilterSize, anchors: number): Predictor => ({
      conv: store.layer(`${name}.conv`, [channels, backbone.channels, kh, kw], {
        gaussian: { std: 0.01, fanIn: 512 * 9 },
      }),
      cls: store.layer(`${name}.cls_score`, [2 * anchors, channels, 1, 1], { gaussian: { std: 0.01, fanIn: 512 } }),
      box: store.layer(`${name}.bbox_pred`, [4 * anchors, channels, 1, 1], { gaussian: { std: 0.01, fanIn: 512 } }),
    });
    this.predictors = filters
      ? filters.map((size, i) => predictor(`rpn.filter${i}`, size, sizes.length))
      : [predictor('rpn', [3, 3], count)];
    this.parameters = store.parameters;
  }

  forward(features: Tensor): RpnOutput {
    const outputs = this.predictors.map(({ conv, cls, box }) => {
      const hidden = sameSize(features, conv);
      // Whatever the features are computed in: scores and boxes are float32.
      return { logits: convolve(hidden, cls, { dtype: 'f32' }), deltas: convolve(hidden, box, { dtype: 'f32' }) };
    });
    const [first] = outputs as [RpnOutput, ...RpnOutput[]];
    if (outputs.length === 1) return first;
    const half = first.logits.shape[1]! / 2;
    const part = (from: number): Tensor[] => outputs.map(({ logits }) => slice(logits, 1, from, from + half));
    return {
      logits: concat([...part(0), ...part(half)], 1),
      deltas: concat(
        outputs.map(({ deltas }) => deltas),
        1,
      ),
    };
  }

  /** The RPN's two terms of equation 1. */
  losses(
    output: RpnOutput,
    truth: GroundTruth,
    image: ImageGeometry,
    sampling: Sampling,
  ): { cls: Tensor; box: Tensor } {
    const { logits, deltas } = output;
    const { rpn } = this.config;
    const [, channels, height, width] = deltas.shape as [number, number, number, number];
    const anchorCount = channels / 4;
    const grid = { anchorCount, height, width, stride: this.stride };
    const { labels, targets, insideWeights, outsideWeights } = anchorTargets(
      this.config,
      this.anchors,
      grid,
      deltas,
      truth,
      image,
      sampling,
      rpn.normalisation === 'examples'
        ? { outsideMode: 'examples', outsideValue: rpn.lambda }
        : { outsideMode: 'constant', outsideValue: rpn.lambda / (height * width) },
    );
    return {
      cls: softmaxLogLoss(reshape(logits, [1, 2, anchorCount * height * width]), labels, { ignoreLabel: -1 }),
      box: smoothL1Loss(deltas, targets, { sigma: rpn.sigma, insideWeights, outsideWeights }),
    };
  }

  /**
   * The best boxes after suppression. No gradient flows through them; see `connectRois`. `seed` draws the ranking that
   * replaces the scores if `limits` leave them out.
   */
  proposals(output: RpnOutput, image: ImageGeometry, limits: ProposalConfig, seed: number): Proposals {
    return this.decoded(output, image, limits, seed, this.nmsThreshold(limits));
  }

  /** What enters the suppression, by descending score, of one of several scales. */
  candidates(output: RpnOutput, image: ImageGeometry, limits: ProposalConfig, seed: number): Proposals {
    const most = Math.min(limits.preNms, output.deltas.size / 4);
    return this.decoded(output, image, { ...limits, preNms: most, postNms: most }, seed, NO_SUPPRESSION);
  }

  /** IoU above which the lower-scoring proposal is suppressed. */
  nmsThreshold({ without }: Pick<ProposalConfig, 'without'>): number {
    return without === 'cls' || without === 'nms' ? NO_SUPPRESSION : this.config.rpn.nmsThreshold;
  }

  private decoded(
    { logits, deltas }: RpnOutput,
    image: ImageGeometry,
    limits: ProposalConfig,
    seed: number,
    nmsThreshold: number,
  ): Proposals {
    const { rpn } = this.config;
    const { without, ...numbers } = limits;
    return this.select(
      {
        logits: without === 'cls' ? this.randomScores(logits, seed) : logits,
        deltas: without === 'reg' ? this.gpu.zeros(deltas.shape) : deltas,
      },
      image,
      {
        ...numbers,
        nmsThreshold,
        minSize: rpn.minSize * image.scale,
      },
    );
  }

  /** All anchors, clipped to the image, in place of proposals: one-stage detection (paper, table 10). */
  slidingWindows(features: Tensor, image: ImageGeometry): Proposals {
    const [, , height, width] = features.shape as [number, number, number, number];
    const anchorCount = this.anchors.shape[0]!;
    const total = anchorCount * height * width;
    const maps = {
      logits: this.gpu.zeros([1, 2 * anchorCount, height, width]),
      deltas: this.gpu.zeros([1, 4 * anchorCount, height, width]),
    };
    return this.select(maps, image, { preNms: total, postNms: total, nmsThreshold: NO_SUPPRESSION, minSize: 1 });
  }

  /**
   * The same RoIs on the tape: their gradients reach the deltas that they were decoded from (`head.pooling` 'warp').
   * `selected` says which proposal each row is.
   */
  connectRois(
    { rois, selected }: { rois: Tensor; selected: Tensor },
    proposals: Proposals,
    { deltas }: RpnOutput,
    image: ImageGeometry,
  ): Tensor {
    const { rpn, head } = this.config;
    const geometry = this.geometry(deltas, image);
    const counted = rpn.normalisation === 'examples' ? rpn.batch : geometry.height * geometry.width;
    return onTape(sampledProposals, [deltas], rois.view(rois.shape), {
      buffers: { anchors: this.anchors, deltas, roiAnchors: proposals.anchors, selected },
      uniforms: {
        ...geometry,
        batch: rois.shape[0]!,
        capacity: proposals.rois.shape[0]!,
        limit: (head.warpLimit * rpn.lambda) / counted,
      },
    });
  }

  private geometry({ shape }: Tensor, image: ImageGeometry) {
    const [, channels, height, width] = shape as [number, number, number, number];
    return {
      anchorCount: channels / 4,
      height,
      width,
      stride: this.stride,
      imageHeight: image.height,
      imageWidth: image.width,
      ...CONVENTIONS[this.config.convention],
    };
  }

  /** Decodes, sorts and suppresses. */
  private select(
    { logits, deltas }: RpnOutput,
    image: ImageGeometry,
    limits: Pick<ProposalParams, 'preNms' | 'postNms' | 'nmsThreshold' | 'minSize'>,
  ): Proposals {
    const { gpu } = this;
    const { postNms } = limits;
    const geometry = this.geometry(deltas, image);
    const total = geometry.anchorCount * geometry.height * geometry.width;
    const variant = stageVariant(gpu.plans.device);
    const params = { ...geometry, ...limits, preNms: Math.min(limits.preNms, total), variant };
    const rois = gpu.empty([postNms, 5], 'f32', 'proposals');
    const scores = gpu.empty([postNms], 'f32', 'proposal scores');
    const roiAnchors = gpu.empty([postNms], 'i32', 'anchors of proposals');
    const count = gpu.empty([1], 'i32', 'proposal count');
    const working = scratch(gpu, proposalsScratch(params));
    recordProposals<Bindable>(
      gpu.run.bind(gpu),
      {
        ...working.tensors,
        anchors: this.anchors,
        logits,
        deltas,
        rois,
        roiScores: scores,
        roiAnchors,
        roiCount: count,
      },
      params,
    );
    working.dispose();
    return { rois, scores, anchors: roiAnchors, count };
  }

  /** Random scores in place of the network's. */
  private randomScores({ shape, size }: Tensor, seed: number): Tensor {
    const random = new Random(seed, RANKING_STREAM);
    return this.gpu.tensor(
      Float32Array.from({ length: size }, () => random.uniform(-1, 1)),
      shape,
      'random scores',
    );
  }
}

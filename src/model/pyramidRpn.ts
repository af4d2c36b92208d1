/**
 * The Region Proposal Network on the levels of a feature pyramid (Lin et al. 2017, section 4.1): the same layers on every level,
 * anchors of other sizes on each, one logit an anchor. The arithmetic is torchvision's (models/detection/rpn.py).
 *
 * Of all levels one after another: logits [N], deltas [N, 4], anchors [N, 4], an anchor's number first + (h*W + w)*A + a.
 */
import type { Gpu } from '../engine/gpu.ts';
import type { Bindable } from '../engine/memory.ts';
import { concat, permute } from '../engine/ops/axes.ts';
import { sigmoidLogLoss, smoothL1Loss } from '../engine/ops/losses.ts';
import { reshape } from '../engine/ops/reshape.ts';
import { scratch } from '../engine/scratch.ts';
import type { Tensor } from '../engine/tensor.ts';
import { UserError } from '../engine/errors.ts';
import { stageVariant } from '../kernels/planner.ts';
import { levelAnchors, pyramidProposalsScratch, recordPyramidProposals } from '../kernels/pyramidProposals.ts';
import { anchorsOf } from './anchors.ts';
import { anchorTargets } from './anchorTargets.ts';
import { convolve, type Layer, ParameterStore } from './backbones/backbone.ts';
import { levelStrides, type PyramidDescriptor } from './backbones/pyramid.ts';
import type { DetectorConfig, ProposalConfig } from './config.ts';
import { CONVENTIONS } from './conventions.ts';
import type { GroundTruth, ImageGeometry, PreparedImage, Proposals, Sampling } from './detector.ts';
import { partOf } from './imageBatch.ts';

/** More pixels than any anchor crosses the border of an image by: all of them are trained. */
const ANY_BORDER = 1e9;

export interface PyramidRpnOutput {
  /** Of each level, of all images of the batch, before they stand one after another: logits [N, A, H, W], deltas [N, 4A, H, W]. */
  maps: readonly { logits: Tensor; deltas: Tensor }[];
  logits: Tensor;
  deltas: Tensor;
  anchors: Tensor;
  /** Anchors of each level. */
  counts: readonly number[];
}

export class PyramidRpn {
  readonly parameters: Readonly<Record<string, Tensor>>;
  /** [A, 4] around the origin, of each level. */
  readonly baseAnchors: readonly Tensor[];
  private readonly gpu: Gpu;
  private readonly config: DetectorConfig;
  private readonly convolutions: readonly Layer[];
  private readonly layers: Record<'cls' | 'box', Layer>;
  /** Pixels per cell of each level, rounding aside. */
  private readonly strides: readonly number[];

  /** `levels`: how many the pyramid has. */
  constructor(gpu: Gpu, config: DetectorConfig, descriptor: PyramidDescriptor, levels: number, seed: number) {
    this.gpu = gpu;
    this.config = config;
    const { sizes, ratios } = config.anchors;
    const own = descriptor.anchorSizes === 'own';
    if (own && sizes.length !== levels) {
      throw new UserError(
        `detector.anchors.sizes: ${sizes.length} given, backbone ${config.backbone} takes ${levels}, one for each level of its pyramid`,
      );
    }
    this.baseAnchors = Array.from({ length: levels }, (_, level) => {
      const base = anchorsOf(config.convention)(own ? [sizes[level]!] : sizes, ratios);
      const tensor = gpu.tensor(base, [base.length / 4, 4], `anchors of level ${level}`);
      tensor.persistent = true;
      return tensor;
    });
    const anchorCount = this.baseAnchors[0]!.shape[0]!;
    const { channels } = descriptor;
    this.strides = levelStrides(descriptor);
    const store = new ParameterStore(gpu, seed);
    const make = (name: string, [outputs, inputs, side]: readonly [number, number, number]): Layer =>
      store.layer(name, [outputs, inputs, side, side], { gaussian: { std: 0.01, fanIn: inputs * side * side } });
    this.convolutions = Array.from({ length: descriptor.rpnConvolutions }, (_, i) =>
      make(`rpn.conv.${i}.0`, [channels, channels, 3]),
    );
    this.layers = {
      cls: make('rpn.cls_logits', [anchorCount, channels, 1]),
      box: make('rpn.bbox_pred', [4 * anchorCount, channels, 1]),
    };
    this.parameters = store.parameters;
  }

  /**
   * The outputs for each image of a batch.
   * @param levels [N, C, H, W] each, of images as they were prepared, with their padding
   */
  forward(levels: readonly Tensor[], { tensor }: PreparedImage): PyramidRpnOutput[] {
    const outputs = levels.map((level) => {
      const hidden = this.convolutions.reduce((x, layer) => convolve(x, layer, { padding: 1, relu: true }), level);
      const [logits, deltas] = [this.layers.cls, this.layers.box].map((layer) =>
        convolve(hidden, layer, { dtype: 'f32' }),
      ) as [Tensor, Tensor];
      const [images, anchorCount, height, width] = logits.shape as [number, number, number, number];
      const count = anchorCount * height * width;
      return {
        maps: { logits, deltas },
        logits: reshape(permute(logits, [0, 2, 3, 1]), [images, count]),
        deltas: reshape(permute(deltas, [0, 2, 3, 1]), [images, count, 4]),
        height,
        width,
        count,
      };
    });
    const counts = outputs.map(({ count }) => count);
    const anchors = this.gpu.empty([counts.reduce((sum, count) => sum + count, 0), 4], 'f32', 'anchors');
    const [images, , imageHeight, imageWidth] = tensor.shape as [number, number, number, number];
    let first = 0;
    outputs.forEach(({ height, width, count }, level) => {
      const base = this.baseAnchors[level]!;
      // Whole pixels, rounded down, as torchvision has it: of 25 cells of 32 pixels, 13 of the level above are 61 apart.
      const fixed = this.fixedStride(level);
      const strideY = fixed ?? Math.floor(imageHeight / height);
      const strideX = fixed ?? Math.floor(imageWidth / width);
      const uniforms = { anchorCount: base.shape[0]!, height, width, first, strideY, strideX };
      this.gpu.run(levelAnchors, { base, anchors }, uniforms);
      first += count;
    });
    const logits = concat(
      outputs.map(({ logits }) => logits),
      1,
    );
    const deltas = concat(
      outputs.map(({ deltas }) => deltas),
      1,
    );
    const maps = outputs.map(({ maps }) => maps);
    return Array.from({ length: images }, (_, k) => ({
      maps,
      logits: reshape(partOf(logits, k), [-1]),
      deltas: reshape(partOf(deltas, k), [-1, 4]),
      anchors,
      counts,
    }));
  }

  /** Pixels per cell of a level where they do not depend on the image, which is as detectron2 has it; else null. */
  fixedStride(level: number): number | null {
    return this.config.convention === 'detectron2' ? this.strides[level]! : null;
  }

  /** The log loss of the mini-batch and the box loss of its positives, both divided by its size. */
  losses(
    { logits, deltas, anchors }: PyramidRpnOutput,
    truth: GroundTruth,
    image: ImageGeometry,
    sampling: Sampling,
  ): { cls: Tensor; box: Tensor } {
    const { rpn } = this.config;
    // A map of one cell that has every anchor: then the order of the maps is that of the list.
    const grid = { anchorCount: logits.size, height: 1, width: 1, stride: 0 };
    const { labels, targets, insideWeights, outsideWeights } = anchorTargets(
      this.config,
      anchors,
      grid,
      deltas,
      truth,
      image,
      sampling,
      { border: ANY_BORDER, outsideMode: 'examples', outsideValue: rpn.lambda },
    );
    return {
      cls: sigmoidLogLoss(logits, reshape(labels, [-1])),
      box: smoothL1Loss(deltas, targets, { sigma: rpn.sigma, insideWeights, outsideWeights }),
    };
  }

  /** The best boxes after suppression in each level. No gradient flows through them. */
  proposals(
    { logits, deltas, anchors, counts }: PyramidRpnOutput,
    image: ImageGeometry,
    { preNms, postNms, without }: ProposalConfig,
  ): Proposals {
    const { gpu } = this;
    const { rpn, convention } = this.config;
    if (without !== 'nothing')
      throw new UserError(`detector.rpn: without ${without} is not possible with a feature pyramid; use nothing`);
    const params = {
      levels: counts,
      imageHeight: image.height,
      imageWidth: image.width,
      ...CONVENTIONS[convention],
      minSize: rpn.minSize * image.scale,
      scoreThreshold: rpn.scoreThreshold ?? 0,
      nmsThreshold: rpn.nmsThreshold,
      preNms,
      postNms,
      variant: stageVariant(gpu.plans.device),
    };
    const rois = gpu.empty([postNms, 5], 'f32', 'proposals');
    const scores = gpu.empty([postNms], 'f32', 'proposal scores');
    const count = gpu.empty([1], 'i32', 'proposal count');
    const none = gpu.tensor(new Int32Array(postNms).fill(-1), [postNms], 'anchors of proposals');
    const working = scratch(gpu, pyramidProposalsScratch(params));
    recordPyramidProposals<Bindable>(
      gpu.run.bind(gpu),
      { ...working.tensors, anchors, logits, deltas, rois, roiScores: scores, roiCount: count },
      params,
    );
    working.dispose();
    return { rois, scores, anchors: none, count };
  }
}

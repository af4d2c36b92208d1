/**
 * Faster R-CNN (Ren, He, Girshick, Sun 2015): shared convolutional layers, the Region Proposal Network and the Fast R-CNN
 * head on one map.
 *
 * Joint training adds the four losses. To the head, the proposals are constants ("approximate") or, with RoI warping,
 * functions of the RPN's deltas ("non-approximate"). The parts are trained one at a time by `rpnLosses` and
 * `detectorLosses` (alternating training, src/run/training/trainRun.ts).
 */
import type { Gpu } from '../engine/gpu.ts';
import type { Tensor } from '../engine/tensor.ts';
import { anchorAt } from '../kernels/anchorGrid.ts';
import { isInside } from '../kernels/anchorLabels.ts';
import type { Box } from '../kernels/boxes.ts';
import { detectorBackbone } from './backbones/index.ts';
import { type Backbone, backboneParameters } from './backbones/backbone.ts';
import type { DetectorConfig } from './config.ts';
import type { GroundTruth, ImageGeometry, Losses, PreparedImage, Proposals, Sampling } from './detector.ts';
import { backboneMaps, type ScaleMaps } from './featureExtractor.ts';
import { DetectionHead } from './head.ts';
import { type ProposalSource, rpnProposals, slidingWindows } from './proposalSource.ts';
import { assertPrecision, type DetectorParts, RegionDetector } from './regionDetector.ts';
import { pooledRegions } from './regionFeatures.ts';
import { RegionProposalNetwork, type RpnOutput } from './rpn.ts';

/** The prefix of the RPN's own convolutional layers, if features are not shared. */
export const PROPOSAL_NETWORK = 'proposal_network.';

export class FasterRcnn extends RegionDetector<ScaleMaps, readonly RpnOutput[] | ScaleMaps> {
  readonly backbone: Backbone;
  readonly rpn: RegionProposalNetwork;
  private readonly rpnSource: ProposalSource<ScaleMaps, readonly RpnOutput[]>;

  constructor(gpu: Gpu, config: DetectorConfig, seed: number) {
    const { backbone, rpn, rpnSource, parts } = compose(gpu, config, seed);
    super(gpu, config, parts);
    this.backbone = backbone;
    this.rpn = rpn;
    this.rpnSource = rpnSource;
  }

  rpnLosses(image: PreparedImage, truth: GroundTruth, sampling: Sampling): Losses {
    return this.planned(() => {
      const { cls, box } = this.rpnSource.losses(this.rpnOutput(image), image, truth, sampling)!;
      return { ...this.noLosses(), rpn_cls: cls, rpn_box: box };
    });
  }

  propose(image: PreparedImage, limits = this.config.rpn.test, seed = 0): Proposals {
    return this.infer(() => this.rpnSource.propose(this.rpnOutput(image), image, limits, seed));
  }

  async anchorsInside(image: ImageGeometry): Promise<Box[]> {
    const base = Float64Array.from(await this.rpn.anchors.read());
    const { height, width } = this.mapSize(image);
    const grid = { height, width, anchorCount: base.length / 4, stride: this.backbone.stride };
    const size = { imageHeight: image.height, imageWidth: image.width };
    return Array.from({ length: grid.anchorCount * height * width }, (_, i) => anchorAt(base, i, grid)).filter(
      (anchor) => isInside(anchor, size),
    );
  }

  private rpnOutput(image: PreparedImage): readonly RpnOutput[] {
    return this.rpnSource.forward(image, () => this.extractor.features(image))[0]!;
  }

  /** The size of an image's map in cells; nothing is computed. */
  private mapSize(image: ImageGeometry): { height: number; width: number } {
    let size = { height: 0, width: 0 };
    this.gpu.measure(() =>
      this.infer(() => {
        const input = this.gpu.empty([1, 3, image.height, image.width]);
        const [, , height, width] = this.backbone.features(input).shape;
        size = { height: height!, width: width! };
      }),
    );
    return size;
  }
}

/** The parts: in one-stage detection all anchors take the place of the RPN's proposals. */
function compose(gpu: Gpu, config: DetectorConfig, seed: number) {
  assertPrecision(gpu, config);
  const backbone = detectorBackbone(gpu, config, seed);
  const ownBackbone =
    config.features === 'unshared' ? detectorBackbone(gpu, { ...config, ranks: undefined }, seed) : null;
  const rpn = new RegionProposalNetwork(gpu, config, ownBackbone ?? backbone, seed);
  const rpnSource = rpnProposals(rpn, config, ownBackbone);
  const regions = pooledRegions(backbone, config);
  const parts: DetectorParts<ScaleMaps, readonly RpnOutput[] | ScaleMaps> = {
    extractor: backboneMaps(backbone),
    source: config.stages === 1 ? slidingWindows(rpn, config) : rpnSource,
    regions,
    head: new DetectionHead(gpu, config, regions, seed),
    ...(ownBackbone && { others: prefixed(backboneParameters(ownBackbone)) }),
    constants: [rpn.anchors],
  };
  return { backbone, rpn, rpnSource, parts };
}

const prefixed = (parameters: Readonly<Record<string, Tensor>>): Record<string, Tensor> =>
  Object.fromEntries(Object.entries(parameters).map(([name, tensor]) => [PROPOSAL_NETWORK + name, tensor]));

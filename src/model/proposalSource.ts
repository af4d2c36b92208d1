/** Where the regions come from that a detector classifies. */
import { UserError } from '../engine/errors.ts';
import type { Gpu } from '../engine/gpu.ts';
import type { Tensor } from '../engine/tensor.ts';
import { seedOf } from '../kernels/rng.ts';
import type { Backbone } from './backbones/backbone.ts';
import type { DetectorConfig, ProposalConfig } from './config.ts';
import type { GroundTruth, ImageGeometry, PreparedImage, Proposals, Sampling } from './detector.ts';
import type { ScaleMaps } from './featureExtractor.ts';
import type { RoiBatch } from './head.ts';
import { scalesOf } from './inputScales.ts';
import { NO_SUPPRESSION, outputOf, type RegionProposalNetwork, type RpnOutput } from './rpn.ts';
import { uniteScales } from './uniteScales.ts';

/** `F`: the maps of the detector's feature extractor; `S`: what the source computes of an image before it proposes. */
export interface ProposalSource<F, S> {
  /** Its own layers. */
  readonly parameters: Readonly<Record<string, Tensor>>;
  /**
   * Its convolutions, on a batch of images (`batchOf`); what it gives for each. `features()`: the maps of the detector; a source that
   * does not ask for them saves computing them.
   */
  forward(batch: PreparedImage, features: () => F): readonly S[];
  /** The losses of its own layers; null if it has none to train. */
  losses(state: S, image: ImageGeometry, truth: GroundTruth, sampling: Sampling): { cls: Tensor; box: Tensor } | null;
  /** The best regions, by `limits`. `seed`: see `Detector.propose`. */
  propose(state: S, image: PreparedImage, limits: ProposalConfig, seed: number): Proposals;
  /** The RoIs of a mini-batch, on the tape where gradients shall reach what proposed them. */
  connect(batch: RoiBatch, proposals: Proposals, state: S, image: ImageGeometry): Tensor;
}

/**
 * The proposals of an RPN on the maps of the detector or, where it has a backbone of its own, on the maps of that. Those of
 * several scales are united before the suppression.
 */
export function rpnProposals(
  rpn: RegionProposalNetwork,
  { head, convention }: DetectorConfig,
  ownBackbone: Backbone | null,
): ProposalSource<ScaleMaps, readonly RpnOutput[]> {
  const { gpu } = rpn;
  return {
    parameters: rpn.parameters,
    forward(batch, features) {
      const maps = ownBackbone ? scalesOf(batch).map(({ tensor }) => ownBackbone.features(tensor)) : features().maps;
      const outputs = maps.map((map) => rpn.forward(map));
      return imagesOf(batch, (k) => outputs.map((output) => outputOf(output, k)));
    },
    losses: ([output], image, truth, sampling) => rpn.losses(output!, truth, image, sampling),
    propose(outputs, image, limits, seed) {
      if (!image.scales) return rpn.proposals(outputs[0]!, image, limits, seed);
      return uniteScales(
        gpu,
        outputs.map((output, k) => rpn.candidates(output, image.scales![k]!, limits, seedOf(seed, k))),
        image,
        { ...limits, nmsThreshold: rpn.nmsThreshold(limits), convention },
      );
    },
    // An RPN is trained through its proposals at the one scale that a training step has.
    connect: (batch, proposals, outputs, image) =>
      head.pooling === 'warp' && outputs.length === 1
        ? rpn.connectRois(batch, proposals, outputs[0]!, image)
        : batch.rois,
  };
}

/** What `of` gives for each image of a batch, by its number. */
const imagesOf = <T>({ tensor }: PreparedImage, of: (k: number) => T): T[] =>
  Array.from({ length: tensor.shape[0]! }, (_, k) => of(k));

/** All anchors of all scales, clipped to the image: one-stage detection (paper, table 10). The layers of the RPN are not used. */
export function slidingWindows(
  rpn: RegionProposalNetwork,
  { convention }: DetectorConfig,
): ProposalSource<ScaleMaps, ScaleMaps> {
  return {
    parameters: rpn.parameters,
    forward(batch, features) {
      const maps = features();
      return imagesOf(batch, () => maps);
    },
    losses: () => null,
    propose({ maps }, image) {
      const windows = maps.map((map, k) => rpn.slidingWindows(map, scalesOf(image)[k]!));
      if (windows.length === 1) return windows[0]!;
      const all = windows.reduce((sum, { rois }) => sum + rois.shape[0]!, 0);
      return uniteScales(rpn.gpu, windows, image, {
        preNms: all,
        postNms: all,
        nmsThreshold: NO_SUPPRESSION,
        convention,
      });
    },
    connect: ({ rois }) => rois,
  };
}

const GIVEN_ROWS = 128;

/**
 * The regions that an image comes with, the first `limits.postNms` of them: another method has proposed them. The rows of their
 * buffer are a multiple of `rowsOf`, so that few sizes occur.
 */
export function givenProposals(gpu: Gpu, rowsOf = GIVEN_ROWS): ProposalSource<unknown, null> {
  return {
    parameters: {},
    forward: (batch) => imagesOf(batch, () => null),
    losses: () => null,
    propose(_state, { proposals }, limits) {
      if (!proposals)
        throw new UserError('the detector classifies proposals of another method: pass some with the image');
      const found = Math.min(proposals.scores.length, limits.postNms);
      const rows = Math.max(1, Math.ceil(found / rowsOf)) * rowsOf;
      const [rois, scores] = [new Float32Array(rows * 5), new Float32Array(rows)];
      for (let i = 0; i < found; i++) rois.set(proposals.boxes.subarray(4 * i, 4 * i + 4), 5 * i + 1);
      scores.set(proposals.scores.subarray(0, found));
      return {
        rois: gpu.tensor(rois, [rows, 5], 'given proposals'),
        scores: gpu.tensor(scores, [rows], 'their scores'),
        anchors: gpu.tensor(new Int32Array(rows).fill(-1), [rows], 'their anchors'),
        count: gpu.tensor(Int32Array.of(found), [1], 'proposal count'),
      };
    },
    connect: ({ rois }) => rois,
  };
}

/** What the anchors of an image are to learn: the mini-batch of an RPN and its targets (kernels/anchorLabels.ts). */
import type { Bindable } from '../engine/memory.ts';
import { scratch } from '../engine/scratch.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { AnchorGrid } from '../kernels/anchorGrid.ts';
import { type AnchorLabelParams, anchorLabelsScratch, recordAnchorLabels } from '../kernels/anchorLabels.ts';
import { stageVariant } from '../kernels/planner.ts';
import type { DetectorConfig } from './config.ts';
import { CONVENTIONS } from './conventions.ts';
import type { GroundTruth, ImageGeometry, Sampling } from './detector.ts';

/** The stream of random numbers from which the examples are drawn. */
const ANCHOR_STREAM = 0xa11c;

export interface AnchorTargets {
  /** [1, number of anchors]: 1 object, 0 background, -1 not in the mini-batch. */
  labels: Tensor;
  /** Of the shape of the deltas, as are the weights. */
  targets: Tensor;
  insideWeights: Tensor;
  outsideWeights: Tensor;
}

/** `deltas`: those that the targets are for. `weighted`: how positives weigh, and which anchors take part. */
export function anchorTargets(
  { rpn, convention }: Pick<DetectorConfig, 'rpn' | 'convention'>,
  anchors: Tensor,
  grid: AnchorGrid,
  deltas: Tensor,
  truth: GroundTruth,
  image: ImageGeometry,
  sampling: Sampling,
  weighted: Pick<AnchorLabelParams, 'outsideMode' | 'outsideValue' | 'border'>,
): AnchorTargets {
  const { gpu } = deltas;
  const labels = gpu.empty([1, grid.anchorCount * grid.height * grid.width], 'i32', 'anchor labels');
  const [targets, insideWeights, outsideWeights] = ['anchor targets', 'inside weights', 'outside weights'].map((name) =>
    gpu.empty(deltas.shape, 'f32', name),
  ) as [Tensor, Tensor, Tensor];
  const made = { labels, targets, insideWeights, outsideWeights };
  const variant = stageVariant(gpu.plans.device);
  const working = scratch(gpu, anchorLabelsScratch({ ...grid, g: truth.boxes.shape[0]!, variant }));
  recordAnchorLabels<Bindable>(
    gpu.run.bind(gpu),
    { ...working.tensors, anchors, gt: truth.boxes, ...made },
    {
      ...grid,
      ...weighted,
      variant,
      g: truth.count,
      imageHeight: image.height,
      imageWidth: image.width,
      plusOne: CONVENTIONS[convention].plusOne,
      positiveOverlap: rpn.positiveOverlap,
      negativeOverlap: rpn.negativeOverlap,
      batch: rpn.batch,
      positiveFraction: rpn.positiveFraction,
      random: sampling.random,
      seed: sampling.seed,
      stream: ANCHOR_STREAM,
    },
  );
  working.dispose();
  return made;
}

/** The regions that were found at several scales of an image, as those of one image. */
import type { Gpu } from '../engine/gpu.ts';
import type { Bindable } from '../engine/memory.ts';
import { scratch } from '../engine/scratch.ts';
import { stageVariant } from '../kernels/planner.ts';
import { recordScaleProposals, type ScaleProposalParams, scaleProposalsScratch } from '../kernels/scaleProposals.ts';
import type { DetectorConfig } from './config.ts';
import { CONVENTIONS } from './conventions.ts';
import type { PreparedImage, Proposals } from './detector.ts';
import { scalesOf } from './inputScales.ts';

type Limits = Pick<ScaleProposalParams, 'preNms' | 'postNms' | 'nmsThreshold'> & Pick<DetectorConfig, 'convention'>;

/**
 * The best `preNms` of all scales by score, without those that overlap a better one by more than `nmsThreshold`; boxes in pixels
 * of the first scale. Frees what it was given.
 * @param found of each scale in its own pixels
 */
export function uniteScales(
  gpu: Gpu,
  found: readonly Proposals[],
  image: PreparedImage,
  { convention, preNms, postNms, nmsThreshold }: Limits,
): Proposals {
  const params: ScaleProposalParams = {
    scales: scalesOf(image).map(({ scale }, k) => ({
      capacity: found[k]!.rois.shape[0]!,
      factor: image.scale / scale,
    })),
    imageHeight: image.height,
    imageWidth: image.width,
    plusOne: CONVENTIONS[convention].plusOne,
    preNms,
    nmsThreshold,
    postNms,
    variant: stageVariant(gpu.plans.device),
  };
  const rois = gpu.empty([postNms, 5], 'f32', 'proposals');
  const scores = gpu.empty([postNms], 'f32', 'proposal scores');
  const anchors = gpu.empty([postNms], 'i32', 'anchors of proposals');
  const count = gpu.empty([1], 'i32', 'proposal count');
  const working = scratch(gpu, scaleProposalsScratch(params));
  const outputs = { rois, roiScores: scores, roiAnchors: anchors, roiCount: count };
  recordScaleProposals<Bindable>(gpu.run.bind(gpu), found, { ...working.tensors, ...outputs }, params);
  working.dispose();
  for (const { rois, scores, anchors, count } of found) {
    for (const tensor of [rois, scores, anchors, count]) tensor.dispose();
  }
  return { rois, scores, anchors, count };
}

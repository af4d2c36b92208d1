/**
 * Proposals of an image at several scales: those of all scales together, by one suppression.
 *
 *   for each scale, whose `count` proposals are rois [capacity,5] in its pixels, with scores and anchors:
 *     place_proposals  boxes [N,4] in pixels of the first scale, clipped to it; scores [N], NaN beyond the count; origins
 *                      [N,2]: the anchor, and the number of the scale
 *   nms_keys, radix sort, gather_sorted   the first preNms by score, equal scores in the order of the scales
 *   nms_removed, nms_mask, nms_sweep      suppression, the first postNms (nms.ts)
 *   gather_rois, proposal_origins         rois [postNms,5] (scale number, x1, y1, x2, y2), scores, anchors; 0, 0 and -1 beyond the
 *                                         count
 */
import { BOXES_WGSL, type Box, boxAt, clipBox } from './boxes.ts';
import { kernel } from './kernel.ts';
import { gatherSorted, nmsKeys, recordSuppress, suppressReference, suppressScratch } from './nms.ts';
import { gatherRois } from './proposals.ts';
import { radixSortScratch, recordRadixSort } from './radixSort.ts';
import type { Run, StageBuffers, StageVariant } from './sequence.ts';

export const placeProposals = kernel({
  name: 'place_proposals',
  buffers: {
    rois: 'read',
    roiScores: 'read',
    roiAnchors: 'read i32',
    roiCount: 'read u32',
    boxes: 'write vec4f',
    scores: 'write',
    origins: 'write i32',
  },
  uniforms: {
    capacity: 'u32',
    /** Row of the result where the scale's proposals begin. */
    first: 'u32',
    scale: 'i32',
    /** Pixels of the first scale per pixel of this one. */
    factor: 'f32',
    imageHeight: 'f32',
    imageWidth: 'f32',
    plusOne: 'f32',
  },
  each: 'capacity',
  functions: BOXES_WGSL,
  body: /* wgsl */ `
  let to = u.first + i;
  let present = i < roiCount[0];
  let r = i * 5u;
  let box = vec4f(rois[r + 1u], rois[r + 2u], rois[r + 3u], rois[r + 4u]) * u.factor;
  boxes[to] = select(vec4f(0.0), clip_box(box, u.imageHeight, u.imageWidth, u.plusOne), present);
  // From bits in memory: compilers may fold an expression that is NaN into anything.
  scores[to] = bitcast<f32>(select(0x7fc00000u, bitcast<u32>(roiScores[i]), present));
  origins[2u * to] = roiAnchors[i];
  origins[2u * to + 1u] = u.scale;`,
});

/** roiAnchors: rows of origins, -1 beyond the count -> the anchors; column 0 of rois: the scales. */
export const proposalOrigins = kernel({
  name: 'proposal_origins',
  buffers: { origins: 'read i32', rois: 'read_write', roiAnchors: 'read_write i32' },
  uniforms: { capacity: 'u32' },
  each: 'capacity',
  body: /* wgsl */ `
  let row = roiAnchors[i];
  if (row < 0) { return; }
  roiAnchors[i] = origins[2 * row];
  rois[5u * i] = f32(origins[2 * row + 1]);`,
});

/** The image at one of its scales. */
export interface ProposalScale {
  /** Rows of its proposals. */
  capacity: number;
  /** Pixels of the first scale per pixel of this one. */
  factor: number;
}

export interface ScaleProposalParams {
  scales: readonly ProposalScale[];
  /** Size of the image at the first scale in pixels. */
  imageHeight: number;
  imageWidth: number;
  plusOne: number;
  /** Boxes taken into the suppression (fewer if there are fewer). */
  preNms: number;
  nmsThreshold: number;
  /** Rows of the output. */
  postNms: number;
  /** Default `narrow`. */
  variant?: StageVariant;
}

type Sizes = Pick<ScaleProposalParams, 'scales' | 'preNms' | 'postNms'>;
const totalOf = ({ scales }: Pick<Sizes, 'scales'>): number => scales.reduce((sum, { capacity }) => sum + capacity, 0);
const suppressed = (sizes: Sizes): number => Math.min(sizes.preNms, totalOf(sizes));

export const scaleProposalsScratch = (sizes: Sizes) => {
  const n = totalOf(sizes);
  return {
    ...radixSortScratch({ n }),
    ...suppressScratch({ capacity: suppressed(sizes), maxOutput: sizes.postNms }),
    boxes: 4 * n,
    scores: n,
    origins: 2 * n,
    keys: n,
    order: n,
    sorted: 4 * suppressed(sizes),
    sortedCount: 1,
  };
};

/** The proposals of one scale. */
export interface FoundProposals<H> {
  rois: H;
  scores: H;
  anchors: H;
  count: H;
}

/** -> rois [postNms,5], roiScores [postNms], roiAnchors i32 [postNms], roiCount u32 [1]. */
export function recordScaleProposals<H>(
  run: Run<H>,
  found: readonly FoundProposals<H>[],
  buffers: StageBuffers<H, 'rois' | 'roiScores' | 'roiAnchors' | 'roiCount', typeof scaleProposalsScratch>,
  params: ScaleProposalParams,
): void {
  const { boxes, scores, origins, keys, order, sorted, sortedCount, kept } = buffers;
  const { rois, roiScores, roiAnchors, roiCount } = buffers;
  const { scales, imageHeight, imageWidth, plusOne, nmsThreshold, postNms, variant } = params;
  let first = 0;
  scales.forEach(({ capacity, factor }, scale) => {
    const { rois, scores: roiScores, anchors: roiAnchors, count: roiCount } = found[scale]!;
    run(
      placeProposals,
      { rois, roiScores, roiAnchors, roiCount, boxes, scores, origins },
      { capacity, first, scale, factor, imageHeight, imageWidth, plusOne },
    );
    first += capacity;
  });
  const capacity = suppressed(params);
  run(nmsKeys, { scores, keys, order }, { n: first });
  recordRadixSort(run, { ...buffers, values: order }, { n: first, variant });
  run(gatherSorted, { keys, order, boxes, sorted, counts: sortedCount }, { n: first, capacity, slices: 1 });
  recordSuppress(
    run,
    { ...buffers, counts: sortedCount, keptCounts: roiCount },
    { capacity, threshold: nmsThreshold, plusOne, maxOutput: postNms, variant },
  );
  run(gatherRois, { sorted, order, scores, kept, roiCount, rois, roiScores, roiAnchors }, { capacity: postNms });
  run(proposalOrigins, { origins, rois, roiAnchors }, { capacity: postNms });
}

export interface ScaleProposal {
  box: Box;
  score: number;
  anchor: number;
  scale: number;
}

/** The whole stage, of the proposals of each scale in its pixels: one entry a proposal, best first. */
export function scaleProposalsReference(
  found: readonly (readonly Omit<ScaleProposal, 'scale'>[])[],
  { scales, imageHeight, imageWidth, plusOne, preNms, nmsThreshold, postNms }: ScaleProposalParams,
): ScaleProposal[] {
  const all = found.flatMap((proposals, scale) =>
    proposals.map(({ box, ...proposal }): ScaleProposal => {
      const scaled = box.map((value) => value * scales[scale]!.factor) as unknown as Box;
      return { ...proposal, scale, box: clipBox(scaled, imageHeight, imageWidth, plusOne) };
    }),
  );
  const best = all.sort((a, b) => b.score - a.score).slice(0, preNms);
  const boxes = Float64Array.from(best.flatMap(({ box }) => [...box]));
  return suppressReference(boxes, nmsThreshold, plusOne, postNms).map((k) => ({
    ...best[k]!,
    box: boxAt(boxes, 4 * k),
  }));
}

/**
 * Proposals (paper, sections 3.1 and 3.3; py-faster-rcnn lib/rpn/proposal_layer.py): the RPN's maps -> RoIs.
 *
 *   decode_proposals  box i = (h*W + w)*A + a: anchor decoded by its deltas, clipped to the image, dropped where a side is
 *                     below minSize; score = softmax probability of foreground = sigmoid(fg - bg)
 *   top k, radix sort (topK.ts, radixSort.ts)   the first preNms, descending by fg - bg, which orders as the score does but
 *                     does not saturate; ties by i
 *   gather_sorted, nms_removed, nms_mask, nms_sweep (nms.ts)   suppression, the first postNms
 *   gather_rois       rois [postNms,5] (image index 0, x1, y1, x2, y2), their scores, zero beyond the count; the number i of
 *                     the anchor of each, -1 beyond the count
 *
 * logits [2A,H,W]: A background channels, then A foreground channels; deltas [4A,H,W]: channel a*4 + k. An anchor whose
 * logits or deltas are not finite is dropped. Gradients of the boxes: proposalsBackward.ts.
 */
import { ANCHOR_GRID, ANCHOR_WGSL, anchorAt, type AnchorGrid } from './anchorGrid.ts';
import { BOXES_WGSL, clipBox, decodeBox, type Box } from './boxes.ts';
import { IEEE_WGSL } from './ieee.ts';
import { kernel } from './kernel.ts';
import { gatherSorted, recordSuppress, suppressReference, suppressScratch } from './nms.ts';
import { radixSortScratch, recordRadixSort, SORT_KEY_WGSL } from './radixSort.ts';
import type { Run, StageBuffers, StageVariant } from './sequence.ts';
import { recordTopK, topKScratch } from './topK.ts';

/** What it takes to decode an anchor: the grid, the image, the convention. */
export const DECODE_UNIFORMS = {
  ...ANCHOR_GRID,
  imageHeight: 'f32',
  imageWidth: 'f32',
  plusOne: 'f32',
  decodeShrink: 'f32',
} as const;

/** ANCHOR_WGSL and `deltas_of(anchor)`: the four deltas of an anchor in the maps [4A,H,W] of the buffer `deltas`. */
export const ANCHOR_DELTAS_WGSL = /* wgsl */ `${ANCHOR_WGSL}
fn first_delta(anchor: Anchor) -> u32 { return anchor.number * 4u * u.height * u.width + anchor.cell; }
fn deltas_of(anchor: Anchor) -> vec4f {
  let cells = u.height * u.width;
  let first = first_delta(anchor);
  return vec4f(deltas[first], deltas[first + cells], deltas[first + 2u * cells], deltas[first + 3u * cells]);
}
`;

export const decodeProposals = kernel({
  name: 'decode_proposals',
  buffers: {
    anchors: 'read vec4f',
    logits: 'read',
    deltas: 'read',
    boxes: 'write vec4f',
    scores: 'write',
    keys: 'write u32',
  },
  uniforms: { ...DECODE_UNIFORMS, minSize: 'f32' },
  each: ['anchorCount', 'height', 'width'],
  lanes: 256,
  functions: IEEE_WGSL + BOXES_WGSL + SORT_KEY_WGSL + ANCHOR_DELTAS_WGSL,
  body: /* wgsl */ `
  let cells = u.height * u.width;
  let anchor = anchor_of_proposal(i);
  let bg = logits[anchor.number * cells + anchor.cell];
  let fg = logits[(u.anchorCount + anchor.number) * cells + anchor.cell];
  let t = deltas_of(anchor);
  var box = decode_box(anchor.box, t, u.plusOne, u.decodeShrink);
  var key = LAST_KEY;
  var score = 0.0;
  if (is_finite(bg) && is_finite(fg) && is_finite4(t) && is_finite4(box)) {
    box = clip_box(box, u.imageHeight, u.imageWidth, u.plusOne);
    if (all(box.zw - box.xy + u.plusOne >= vec2f(u.minSize))) {
      key = sort_key(fg - bg);
      score = 1.0 / (1.0 + exp(clamp(bg - fg, -80.0, 80.0)));
    }
  }
  boxes[i] = select(vec4f(0.0), box, key != LAST_KEY);
  scores[i] = score;
  keys[i] = key;`,
});

export const gatherRois = kernel({
  name: 'gather_rois',
  buffers: {
    sorted: 'read vec4f',
    order: 'read u32',
    scores: 'read',
    kept: 'read u32',
    roiCount: 'read u32',
    rois: 'write',
    roiScores: 'write',
    roiAnchors: 'write i32',
  },
  uniforms: { capacity: 'u32' },
  each: 'capacity',
  lanes: 256,
  body: /* wgsl */ `
  var box = vec4f(0.0);
  var score = 0.0;
  var anchor = -1;
  if (i < roiCount[0]) {
    box = sorted[kept[i]];
    anchor = i32(order[kept[i]]);
    score = scores[anchor];
  }
  rois[i * 5u] = 0.0;
  for (var k = 0u; k < 4u; k++) { rois[i * 5u + 1u + k] = box[k]; }
  roiScores[i] = score;
  roiAnchors[i] = anchor;`,
});

export interface ProposalParams extends AnchorGrid {
  imageHeight: number;
  imageWidth: number;
  plusOne: number;
  decodeShrink: number;
  /** Smallest side in pixels of the scaled image. */
  minSize: number;
  /** Boxes taken into the suppression (fewer if there are fewer anchors). */
  preNms: number;
  nmsThreshold: number;
  /** Rows of the output. */
  postNms: number;
  /** Default `narrow`. */
  variant?: StageVariant;
}

type Sizes = Pick<ProposalParams, 'anchorCount' | 'height' | 'width' | 'preNms' | 'postNms' | 'variant'>;
const anchorTotal = ({ anchorCount, height, width }: Sizes) => anchorCount * height * width;
const suppressed = (sizes: Sizes) => Math.min(sizes.preNms, anchorTotal(sizes));

export const proposalsScratch = (sizes: Sizes) => ({
  ...topKScratch({ n: anchorTotal(sizes), variant: sizes.variant }),
  ...radixSortScratch({ n: suppressed(sizes) }),
  ...suppressScratch({ capacity: suppressed(sizes), maxOutput: sizes.postNms }),
  boxes: anchorTotal(sizes) * 4,
  scores: anchorTotal(sizes),
  keys: anchorTotal(sizes),
  topKeys: suppressed(sizes),
  topOrder: suppressed(sizes),
  sorted: suppressed(sizes) * 4,
  sortedCount: 1,
});

/** anchors [A,4], logits, deltas -> rois [postNms,5], roiScores [postNms], roiAnchors i32 [postNms], roiCount u32 [1]. */
export function recordProposals<H>(
  run: Run<H>,
  buffers: StageBuffers<
    H,
    'anchors' | 'logits' | 'deltas' | 'rois' | 'roiScores' | 'roiAnchors' | 'roiCount',
    typeof proposalsScratch
  >,
  params: ProposalParams,
): void {
  const { anchors, logits, deltas, boxes, scores, keys, sorted, sortedCount, kept, rois, roiCount } = buffers;
  const { roiScores, roiAnchors } = buffers;
  const { anchorCount, height, width, stride, imageHeight, imageWidth, plusOne, decodeShrink, minSize, variant } =
    params;
  const n = anchorTotal(params);
  const capacity = suppressed(params);
  run(
    decodeProposals,
    { anchors, logits, deltas, boxes, scores, keys },
    { anchorCount, height, width, stride, imageHeight, imageWidth, plusOne, decodeShrink, minSize },
  );
  const { topKeys, topOrder } = buffers;
  recordTopK(run, { ...buffers, keysOut: topKeys, indicesOut: topOrder }, { n, k: capacity, variant });
  recordRadixSort(run, { ...buffers, keys: topKeys, values: topOrder }, { n: capacity, variant });
  run(
    gatherSorted,
    { keys: topKeys, order: topOrder, boxes, sorted, counts: sortedCount },
    { n: capacity, capacity, slices: 1 },
  );
  recordSuppress(
    run,
    { ...buffers, counts: sortedCount, keptCounts: roiCount },
    { capacity, threshold: params.nmsThreshold, plusOne, maxOutput: params.postNms, variant },
  );
  run(
    gatherRois,
    { sorted, order: topOrder, scores, kept, roiCount, rois, roiScores, roiAnchors },
    { capacity: params.postNms },
  );
}

/** Boxes [N,4] and scores [N] in the order (h*W + w)*A + a; score -1 marks a dropped box, which is zero. */
export function decodeProposalsReference(
  anchors: Float64Array,
  logits: Float64Array,
  deltas: Float64Array,
  params: Omit<ProposalParams, 'preNms' | 'nmsThreshold' | 'postNms'>,
): { boxes: Float64Array; scores: Float64Array } {
  const { anchorCount, height, width, plusOne } = params;
  const cells = height * width;
  const boxes = new Float64Array(anchorCount * cells * 4);
  const scores = new Float64Array(anchorCount * cells).fill(-1);
  for (let i = 0; i < anchorCount * cells; i++) {
    const a = i % anchorCount;
    const cell = Math.floor(i / anchorCount);
    const bg = logits[a * cells + cell]!;
    const fg = logits[(anchorCount + a) * cells + cell]!;
    const t = [0, 1, 2, 3].map((k) => deltas[(a * 4 + k) * cells + cell]!) as unknown as Box;
    if (![bg, fg, ...t].every(Number.isFinite)) continue;
    const decoded = decodeBox(anchorAt(anchors, a * cells + cell, params), t, plusOne, params.decodeShrink);
    const box = clipBox(decoded, params.imageHeight, params.imageWidth, plusOne);
    if (box[2] - box[0] + plusOne < params.minSize || box[3] - box[1] + plusOne < params.minSize) continue;
    boxes.set(box, i * 4);
    scores[i] = 1 / (1 + Math.exp(bg - fg));
  }
  return { boxes, scores };
}

/** The whole stage: one entry per proposal, best first. */
export function proposalsReference(
  anchors: Float64Array,
  logits: Float64Array,
  deltas: Float64Array,
  params: ProposalParams,
): { box: number[]; score: number; index: number }[] {
  const { boxes, scores } = decodeProposalsReference(anchors, logits, deltas, params);
  const order = [...scores.keys()].filter((i) => scores[i]! >= 0).sort((i, j) => scores[j]! - scores[i]! || i - j);
  const first = order.slice(0, params.preNms);
  const box = (i: number) => [...boxes.subarray(i * 4, i * 4 + 4)];
  const kept = suppressReference(
    Float64Array.from(first.flatMap(box)),
    params.nmsThreshold,
    params.plusOne,
    params.postNms,
  );
  return kept.map((k) => ({ box: box(first[k]!), score: scores[first[k]!]!, index: first[k]! }));
}

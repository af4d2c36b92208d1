/**
 * Proposals of a feature pyramid (Lin et al. 2017, section 4.1; torchvision's RegionProposalNetwork.filter_proposals): the best
 * of every level by themselves, suppression within each level, the best of all levels.
 *
 *   anchors [N,4], logits [N], deltas [N,4]: all levels one after another, one logit an anchor
 *   for each level (its anchors are `first`, `first + 1`, ...):
 *     level_keys     keys of its logits
 *     top k          the first preNms (topK.ts)
 *     level_boxes    slice of boxes and keys [levels,preNms]: each decoded by its deltas and clipped to the image; absent where
 *                    a side is below minSize or the score, sigmoid of the logit, below scoreThreshold
 *   suppression      level by level, then the survivors of all levels as one list (sliceSuppression.ts)
 *   write_proposals  rois [postNms,5] (image index 0, x1, y1, x2, y2) and their scores, zero beyond the count
 *
 * As in torchvision and otherwise than in proposals.ts, small boxes are dropped once the first preNms have been taken. An anchor
 * whose logit or deltas are not finite is dropped.
 */
import { BOXES_WGSL, type Box, boxAt, clipBox, decodeBox } from './boxes.ts';
import { IEEE_WGSL } from './ieee.ts';
import { kernel } from './kernel.ts';
import { suppressReference } from './nms.ts';
import { SORT_KEY_WGSL } from './radixSort.ts';
import type { Run, StageBuffers, StageVariant } from './sequence.ts';
import { recordSliceSuppression, sliceSuppressionScratch } from './sliceSuppression.ts';
import { recordTopK, topKScratch } from './topK.ts';

/** base [A,4] -> the anchors of a level of height x width cells in anchors [N,4]: `first` + (h*W + w)*A + a. */
export const levelAnchors = kernel({
  name: 'level_anchors',
  buffers: { base: 'read vec4f', anchors: 'write vec4f' },
  uniforms: {
    anchorCount: 'u32',
    height: 'u32',
    width: 'u32',
    first: 'u32',
    /** Pixels of the image per cell: the axes of a coarse level may differ. */
    strideY: 'f32',
    strideX: 'f32',
  },
  each: ['height', 'width', 'anchorCount'],
  body: /* wgsl */ `
  let cell = i / u.anchorCount;
  let shift = vec2f(f32(cell % u.width) * u.strideX, f32(cell / u.width) * u.strideY);
  anchors[u.first + i] = base[i % u.anchorCount] + vec4f(shift, shift);`,
});

export const levelKeys = kernel({
  name: 'level_keys',
  buffers: { logits: 'read', keys: 'write u32' },
  uniforms: { first: 'u32', n: 'u32' },
  each: 'n',
  lanes: 256,
  functions: SORT_KEY_WGSL,
  body: 'keys[i] = sort_key(logits[u.first + i]);',
});

/** topKeys, topOrder [k] -> boxes, keys and order of slice `level` of [levels,capacity]. */
export const levelBoxes = kernel({
  name: 'level_boxes',
  buffers: {
    anchors: 'read vec4f',
    deltas: 'read vec4f',
    topKeys: 'read u32',
    topOrder: 'read u32',
    boxes: 'write vec4f',
    sliceKeys: 'write u32',
    sliceOrder: 'write u32',
  },
  uniforms: {
    first: 'u32',
    k: 'u32',
    level: 'u32',
    capacity: 'u32',
    imageHeight: 'f32',
    imageWidth: 'f32',
    plusOne: 'f32',
    decodeShrink: 'f32',
    minSize: 'f32',
    scoreThreshold: 'f32',
  },
  each: 'capacity',
  functions: IEEE_WGSL + BOXES_WGSL + SORT_KEY_WGSL,
  body: /* wgsl */ `
  var box = vec4f(0.0);
  var key = LAST_KEY;
  if (i < u.k && topKeys[min(i, u.k - 1u)] != LAST_KEY) {
    let anchor = u.first + topOrder[i];
    let t = deltas[anchor];
    let decoded = decode_box(anchors[anchor], t, u.plusOne, u.decodeShrink);
    if (is_finite4(t) && is_finite4(decoded)) {
      let clipped = clip_box(decoded, u.imageHeight, u.imageWidth, u.plusOne);
      let score = 1.0 / (1.0 + exp(clamp(-key_score(topKeys[i]), -80.0, 80.0)));
      if (all(clipped.zw - clipped.xy + u.plusOne >= vec2f(u.minSize)) && score >= u.scoreThreshold) {
        box = clipped;
        key = topKeys[i];
      }
    }
  }
  let to = u.level * u.capacity + i;
  boxes[to] = box;
  sliceKeys[to] = key;
  sliceOrder[to] = i;`,
});

/** ranks, places [n] sorted; sorted [levels,capacity,4]. */
export const writeProposals = kernel({
  name: 'write_proposals',
  buffers: {
    ranks: 'read u32',
    places: 'read u32',
    sorted: 'read vec4f',
    rois: 'write',
    roiScores: 'write',
    roiCount: 'write u32',
  },
  uniforms: { n: 'u32', postNms: 'u32' },
  each: 'postNms',
  functions: /* wgsl */ `${SORT_KEY_WGSL}
fn is_written(k: u32) -> bool { return k < min(u.n, u.postNms) && ranks[min(k, u.n - 1u)] != LAST_KEY; }
`,
  body: /* wgsl */ `
  var box = vec4f(0.0);
  var score = 0.0;
  let written = is_written(i);
  if (written) {
    box = sorted[places[i]];
    score = 1.0 / (1.0 + exp(clamp(-key_score(ranks[i]), -80.0, 80.0)));
  }
  rois[i * 5u] = 0.0;
  for (var k = 0u; k < 4u; k++) { rois[i * 5u + 1u + k] = box[k]; }
  roiScores[i] = score;
  if (written && !is_written(i + 1u)) { roiCount[0] = i + 1u; }
  if (i == 0u && !written) { roiCount[0] = 0u; }`,
});

export interface PyramidProposalParams {
  /** Anchors of each level, in order. */
  levels: readonly number[];
  imageHeight: number;
  imageWidth: number;
  plusOne: number;
  decodeShrink: number;
  /** Smallest side in pixels of the scaled image. */
  minSize: number;
  /** Lowest score, 0 to 1. */
  scoreThreshold: number;
  /** Boxes of each level taken into the suppression. */
  preNms: number;
  nmsThreshold: number;
  /** Rows of the output, of all levels together. */
  postNms: number;
  /** Default `narrow`. */
  variant?: StageVariant;
}

type Sizes = Pick<PyramidProposalParams, 'levels' | 'preNms' | 'variant'>;

/** Boxes of a slice: the most that any level gives. */
const sliceSize = ({ levels, preNms }: Sizes): number => Math.min(preNms, Math.max(...levels));

export const pyramidProposalsScratch = (sizes: Sizes) => {
  const capacity = sliceSize(sizes);
  const most = Math.max(...sizes.levels);
  return {
    ...topKScratch({ n: most, variant: sizes.variant }),
    ...sliceSuppressionScratch({ slices: sizes.levels.length, capacity }),
    levelKeys: most,
    topKeys: capacity,
    topOrder: capacity,
  };
};

/** anchors [N,4], logits [N], deltas [N,4] -> rois [postNms,5], roiScores [postNms], roiCount u32 [1]. */
export function recordPyramidProposals<H>(
  run: Run<H>,
  buffers: StageBuffers<
    H,
    'anchors' | 'logits' | 'deltas' | 'rois' | 'roiScores' | 'roiCount',
    typeof pyramidProposalsScratch
  >,
  params: PyramidProposalParams,
): void {
  const { anchors, logits, deltas, topKeys, topOrder, boxes, keys, order, sorted, ranks, places } = buffers;
  const { rois, roiScores, roiCount } = buffers;
  const { levels, imageHeight, imageWidth, plusOne, decodeShrink, minSize, scoreThreshold, postNms, variant } = params;
  const capacity = sliceSize(params);
  const slices = levels.length;
  let first = 0;
  for (const [level, n] of levels.entries()) {
    const k = Math.min(n, capacity);
    run(levelKeys, { logits, keys: buffers.levelKeys }, { first, n });
    recordTopK(run, { ...buffers, keys: buffers.levelKeys, keysOut: topKeys, indicesOut: topOrder }, { n, k, variant });
    run(
      levelBoxes,
      { anchors, deltas, topKeys, topOrder, boxes, sliceKeys: keys, sliceOrder: order },
      { first, k, level, capacity, imageHeight, imageWidth, plusOne, decodeShrink, minSize, scoreThreshold },
    );
    first += n;
  }
  recordSliceSuppression(run, buffers, { slices, capacity, threshold: params.nmsThreshold, plusOne, variant });
  run(writeProposals, { ranks, places, sorted, rois, roiScores, roiCount }, { n: slices * capacity, postNms });
}

/** The anchors [h*W*A, 4] of one level. */
export function levelAnchorsReference(
  base: Float64Array,
  { height, width, strideY, strideX }: { height: number; width: number; strideY: number; strideX: number },
): Float64Array {
  const anchors: number[] = [];
  for (let h = 0; h < height; h++)
    for (let w = 0; w < width; w++)
      for (let a = 0; a < base.length / 4; a++) {
        const [x1, y1, x2, y2] = boxAt(base, 4 * a);
        anchors.push(x1 + w * strideX, y1 + h * strideY, x2 + w * strideX, y2 + h * strideY);
      }
  return Float64Array.from(anchors);
}

/** The box of an anchor, or null where it is dropped. */
export function levelBoxReference(
  anchors: Float64Array,
  logits: Float64Array,
  deltas: Float64Array,
  anchor: number,
  params: Omit<PyramidProposalParams, 'levels' | 'preNms' | 'postNms' | 'nmsThreshold'>,
): Box | null {
  const t = boxAt(deltas, anchor * 4);
  if (![logits[anchor]!, ...t].every(Number.isFinite)) return null;
  const { imageHeight, imageWidth, plusOne, decodeShrink, minSize, scoreThreshold } = params;
  const box = clipBox(
    decodeBox(boxAt(anchors, anchor * 4), t, plusOne, decodeShrink),
    imageHeight,
    imageWidth,
    plusOne,
  );
  const [x1, y1, x2, y2] = box;
  const large = x2 - x1 + plusOne >= minSize && y2 - y1 + plusOne >= minSize;
  return large && 1 / (1 + Math.exp(-logits[anchor]!)) >= scoreThreshold ? box : null;
}

/** The whole stage: one entry per proposal, best first. */
export function pyramidProposalsReference(
  anchors: Float64Array,
  logits: Float64Array,
  deltas: Float64Array,
  params: PyramidProposalParams,
): { box: Box; score: number }[] {
  const all: { box: Box; logit: number }[] = [];
  let first = 0;
  for (const n of params.levels) {
    const order = Array.from({ length: n }, (_, i) => first + i)
      .filter((i) => Number.isFinite(logits[i]!))
      .sort((a, b) => logits[b]! - logits[a]! || a - b)
      .slice(0, params.preNms);
    const valid = order.flatMap((i) => {
      const box = levelBoxReference(anchors, logits, deltas, i, params);
      return box ? [{ box, logit: logits[i]! }] : [];
    });
    const boxes = Float64Array.from(valid.flatMap(({ box }) => [...box]));
    const kept = suppressReference(boxes, params.nmsThreshold, params.plusOne, valid.length);
    all.push(...kept.map((k) => valid[k]!));
    first += n;
  }
  return all
    .sort((a, b) => b.logit - a.logit)
    .slice(0, params.postNms)
    .map(({ box, logit }) => ({ box, score: 1 / (1 + Math.exp(-logit)) }));
}

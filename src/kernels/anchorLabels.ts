/**
 * Anchor labels and regression targets for the RPN (paper, section 3.1.2; py-faster-rcnn lib/rpn/anchor_target_layer.py).
 *
 * A base anchors [A,4] over an H x W grid of `stride` pixels; anchor j = (a*H + h)*W + w, the order of the RPN's maps, so
 * labels are [A,H,W] and targets and weights [4A,H,W] with channel a*4 + k. gt is [G,5]: x1, y1, x2, y2, class.
 *
 *   anchor_overlaps   overlaps [G,N]: IoU; -1 for anchors that cross the border of the image by more than `border` pixels
 *   gt_best           best [G]: each ground truth's largest overlap
 *   anchor_labels     negative: max overlap < 0.3; positive: overlap equal to the best of some ground truth (all ties), or
 *                     max overlap >= 0.7; else -1; argmax: the first ground truth of largest overlap
 *   select_random     twice: at most positiveFraction * batch positives, then negatives up to `batch`; the rest becomes -1
 *   anchor_targets    t of every positive towards its own argmax; inside weights 1 for positives; outside weights
 *                     outsideValue / #examples where the label is 0 or 1 ('examples', py-faster-rcnn), or outsideValue
 *                     where it is 1 ('constant': lambda / N_reg of equation 1, which the MATLAB code uses)
 *
 * The rule "equal to the best" compares floats for equality, so row and column maxima both come from the one stored matrix:
 * computed again in another shader an overlap may differ in its last bit. A ground truth that overlaps no anchor matches
 * none (the original makes every anchor positive then), and without ground truth all anchors inside are negatives.
 */
import { ANCHOR_GRID, ANCHOR_WGSL, anchorAt, type AnchorGrid } from './anchorGrid.ts';
import { BOXES_WGSL, boxAt, encodeBox, iou, type Box } from './boxes.ts';
import { kernel } from './kernel.ts';
import { recordSelectRandom, selectRandomScratch } from './selectRandom.ts';
import type { Run, StageBuffers, StageVariant } from './sequence.ts';
import { vec4At } from './text.ts';

const INSIDE_WGSL = /* wgsl */ `
fn is_inside(box: vec4f) -> bool {
  return all(box.xy >= vec2f(-u.border)) && all(box.zw < vec2f(u.imageWidth, u.imageHeight) + u.border);
}
`;

const IMAGE = { imageHeight: 'f32', imageWidth: 'f32', border: 'f32' } as const;

/** One invocation per anchor: it computes the anchor's box once and compares it with every ground truth. */
export const anchorOverlaps = kernel({
  name: 'anchor_overlaps',
  buffers: { anchors: 'read vec4f', gt: 'read', overlaps: 'write' },
  uniforms: { ...ANCHOR_GRID, ...IMAGE, g: 'u32', plusOne: 'f32' },
  each: ['anchorCount', 'height', 'width'],
  functions: BOXES_WGSL + ANCHOR_WGSL + INSIDE_WGSL,
  body: /* wgsl */ `
  let n = u.anchorCount * u.height * u.width;
  let box = anchor_in_maps(i).box;
  let inside = is_inside(box);
  for (var t = 0u; t < u.g; t++) {
    let truth = ${vec4At('gt', 't * 5u')};
    overlaps[t * n + i] = select(-1.0, iou(box, truth, u.plusOne), inside);
  }`,
});

/** overlaps [G,N] -> best [G], one workgroup per row. */
export const gtBest = kernel({
  name: 'gt_best',
  buffers: { overlaps: 'read', best: 'write' },
  uniforms: { n: 'u32', g: 'u32' },
  eachWorkgroup: 'g',
  lanes: 256,
  functions: 'var<workgroup> partial: array<f32, 256>;',
  body: /* wgsl */ `
  var largest = -1.0;
  for (var i = lane; i < u.n; i += 256u) { largest = max(largest, overlaps[item * u.n + i]); }
  partial[lane] = largest;
  for (var half = 128u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (lane < half) { partial[lane] = max(partial[lane], partial[lane + half]); }
  }
  if (lane == 0u) { best[item] = partial[0]; }`,
});

export const anchorLabels = kernel({
  name: 'anchor_labels',
  buffers: { anchors: 'read vec4f', overlaps: 'read', best: 'read', labels: 'write i32', argmax: 'write i32' },
  uniforms: { ...ANCHOR_GRID, ...IMAGE, g: 'u32', positiveOverlap: 'f32', negativeOverlap: 'f32' },
  each: ['anchorCount', 'height', 'width'],
  lanes: 256,
  functions: ANCHOR_WGSL + INSIDE_WGSL,
  body: /* wgsl */ `
  let n = u.anchorCount * u.height * u.width;
  var inside = is_inside(anchor_in_maps(i).box);
  if (u.g > 0u) { inside = overlaps[i] >= 0.0; }
  var largest = 0.0;
  var which = 0;
  var is_best = false;
  for (var t = 0u; t < u.g; t++) {
    let overlap = overlaps[t * n + i];
    if (overlap > largest) {
      largest = overlap;
      which = i32(t);
    }
    if (overlap > 0.0 && overlap == best[t]) { is_best = true; }
  }
  var label = -1;
  if (inside) {
    if (largest < u.negativeOverlap) { label = 0; }
    if (is_best || largest >= u.positiveOverlap) { label = 1; }
  }
  labels[i] = label;
  argmax[i] = which;`,
});

/** counts u32 [2]: positives and negatives that stayed. One invocation per anchor, for its four channels. */
export const anchorTargets = kernel({
  name: 'anchor_targets',
  buffers: {
    anchors: 'read vec4f',
    gt: 'read',
    labels: 'read i32',
    argmax: 'read i32',
    counts: 'read u32',
    targets: 'write',
    insideWeights: 'write',
    outsideWeights: 'write',
  },
  uniforms: { ...ANCHOR_GRID, plusOne: 'f32', outsideConstant: 'u32', outsideValue: 'f32' },
  each: ['anchorCount', 'height', 'width'],
  lanes: 256,
  functions: BOXES_WGSL + ANCHOR_WGSL,
  body: /* wgsl */ `
  let cells = u.height * u.width;
  let anchor = anchor_in_maps(i);
  let label = labels[i];
  var t = vec4f(0.0);
  if (label == 1) {
    let g = u32(argmax[i]) * 5u;
    t = encode_box(anchor.box, ${vec4At('gt', 'g')}, u.plusOne);
  }
  var weight = 0.0;
  if (u.outsideConstant != 0u) {
    weight = select(0.0, u.outsideValue, label == 1);
  } else if (label >= 0) {
    weight = u.outsideValue / f32(counts[0] + counts[1]);
  }
  for (var k = 0u; k < 4u; k++) {
    let place = (anchor.number * 4u + k) * cells + anchor.cell;
    targets[place] = t[k];
    insideWeights[place] = select(0.0, 1.0, label == 1);
    outsideWeights[place] = weight;
  }`,
});

export interface AnchorLabelParams extends AnchorGrid {
  /** G: ground-truth boxes in use; their buffer may be longer. */
  g: number;
  imageHeight: number;
  imageWidth: number;
  /** Pixels by which an anchor may cross the border of the image: 0 in the paper; torchvision takes all anchors. Default 0. */
  border?: number;
  plusOne: number;
  positiveOverlap: number;
  negativeOverlap: number;
  /** Anchors in a mini-batch, and the largest share of positives. */
  batch: number;
  positiveFraction: number;
  /** If false, the first ones in index order are taken instead of a random choice. */
  random: boolean;
  seed: number;
  stream: number;
  outsideMode: 'examples' | 'constant';
  outsideValue: number;
  /** Default `narrow`. */
  variant?: StageVariant;
}

/** `g` is here the largest number of ground-truth boxes that the buffers must hold. */
export const anchorLabelsScratch = ({
  anchorCount,
  height,
  width,
  g,
  variant,
}: Pick<AnchorLabelParams, 'anchorCount' | 'height' | 'width' | 'g' | 'variant'>) => ({
  ...selectRandomScratch(anchorCount * height * width, variant),
  overlaps: Math.max(1, g) * anchorCount * height * width,
  best: Math.max(1, g),
  argmax: anchorCount * height * width,
  counts: 2,
});

/** anchors [A,4], gt [G,5] -> labels i32 [A,H,W]; targets, insideWeights, outsideWeights [4A,H,W]; counts u32 [2]. */
export function recordAnchorLabels<H>(
  run: Run<H>,
  buffers: StageBuffers<
    H,
    'anchors' | 'gt' | 'labels' | 'targets' | 'insideWeights' | 'outsideWeights',
    typeof anchorLabelsScratch
  >,
  params: AnchorLabelParams,
): void {
  const { anchors, gt, overlaps, best, labels, argmax, counts, targets, insideWeights, outsideWeights } = buffers;
  const { anchorCount, height, width, stride, g, imageHeight, imageWidth, plusOne, batch, seed, stream, variant } =
    params;
  const n = anchorCount * height * width;
  const grid = { anchorCount, height, width, stride };
  const image = { imageHeight, imageWidth, border: params.border ?? 0 };
  if (g > 0) {
    run(anchorOverlaps, { anchors, gt, overlaps }, { ...grid, ...image, g, plusOne });
    run(gtBest, { overlaps, best }, { n, g });
  }
  const { positiveOverlap, negativeOverlap } = params;
  run(
    anchorLabels,
    { anchors, overlaps, best, labels, argmax },
    { ...grid, ...image, g, positiveOverlap, negativeOverlap },
  );
  const choice = { n, otherwise: -1, random: Number(params.random), seed, stream };
  const positives = Math.floor(params.positiveFraction * batch);
  const chosen = { ...buffers, flags: labels };
  const first = { ...choice, value: 1, limit: positives, subtract: -1, slot: 0 };
  recordSelectRandom(run, chosen, first, variant);
  recordSelectRandom(run, chosen, { ...choice, value: 0, limit: batch, subtract: 0, slot: 1 }, variant);
  run(
    anchorTargets,
    { anchors, gt, labels, argmax, counts, targets, insideWeights, outsideWeights },
    { ...grid, plusOne, outsideConstant: Number(params.outsideMode === 'constant'), outsideValue: params.outsideValue },
  );
}

type Labelling = Pick<
  AnchorLabelParams,
  keyof AnchorGrid | 'imageHeight' | 'imageWidth' | 'border' | 'plusOne' | 'positiveOverlap' | 'negativeOverlap'
>;

/** Whether an anchor lies within the image and `border` pixels around it. */
export function isInside(
  [x1, y1, x2, y2]: Box,
  { imageHeight, imageWidth, border = 0 }: Pick<Labelling, 'imageHeight' | 'imageWidth' | 'border'>,
): boolean {
  return x1 >= -border && y1 >= -border && x2 < imageWidth + border && y2 < imageHeight + border;
}

/** overlaps [G,N], -1 for anchors that are not inside. */
export function anchorOverlapsReference(anchors: Float64Array, gt: Float64Array, params: Labelling): Float64Array {
  const n = params.anchorCount * params.height * params.width;
  const g = gt.length / 5;
  const overlaps = new Float64Array(g * n);
  for (let t = 0; t < g; t++)
    for (let j = 0; j < n; j++) {
      const anchor = anchorAt(anchors, j, params);
      overlaps[t * n + j] = isInside(anchor, params) ? iou(anchor, boxAt(gt, t * 5), params.plusOne) : -1;
    }
  return overlaps;
}

export function gtBestReference(overlaps: Float64Array, g: number): Float64Array {
  const n = overlaps.length / g;
  return Float64Array.from({ length: g }, (_, t) =>
    overlaps.subarray(t * n, (t + 1) * n).reduce((best, overlap) => Math.max(best, overlap), -Infinity),
  );
}

/** Labels before subsampling, and the ground truth of each anchor. */
export function anchorLabelsReference(
  anchors: Float64Array,
  overlaps: Float64Array,
  g: number,
  params: Labelling,
): { labels: Int32Array; argmax: Int32Array } {
  const n = params.anchorCount * params.height * params.width;
  const best = g > 0 ? gtBestReference(overlaps, g) : [];
  const labels = new Int32Array(n).fill(-1);
  const argmax = new Int32Array(n);
  for (let j = 0; j < n; j++) {
    const row = Array.from({ length: g }, (_, t) => overlaps[t * n + j]!);
    const largest = Math.max(0, ...row);
    if (largest > 0) argmax[j] = row.indexOf(largest);
    if (!isInside(anchorAt(anchors, j, params), params)) continue;
    if (largest < params.negativeOverlap) labels[j] = 0;
    if (row.some((overlap, t) => overlap > 0 && overlap === best[t])) labels[j] = 1;
    if (largest >= params.positiveOverlap) labels[j] = 1;
  }
  return { labels, argmax };
}

/** Targets and weights [4A,H,W] of final labels. */
export function anchorTargetsReference(
  anchors: Float64Array,
  gt: Float64Array,
  labels: Int32Array,
  argmax: Int32Array,
  params: AnchorGrid & Pick<AnchorLabelParams, 'plusOne' | 'outsideMode' | 'outsideValue'>,
): Record<'targets' | 'insideWeights' | 'outsideWeights', Float64Array> {
  const cells = params.height * params.width;
  const examples = labels.filter((label) => label >= 0).length;
  const targets = new Float64Array(4 * labels.length);
  const insideWeights = new Float64Array(4 * labels.length);
  const outsideWeights = new Float64Array(4 * labels.length);
  labels.forEach((label, j) => {
    for (let k = 0; k < 4; k++) {
      const i = (Math.floor(j / cells) * 4 + k) * cells + (j % cells);
      if (label === 1) {
        targets[i] = encodeBox(anchorAt(anchors, j, params), boxAt(gt, argmax[j]! * 5), params.plusOne)[k]!;
        insideWeights[i] = 1;
      }
      if (params.outsideMode === 'examples' && label >= 0) outsideWeights[i] = params.outsideValue / examples;
      if (params.outsideMode === 'constant' && label === 1) outsideWeights[i] = params.outsideValue;
    }
  });
  return { targets, insideWeights, outsideWeights };
}

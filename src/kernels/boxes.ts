/**
 * Boxes: intersection over union, the transform between a box and its regression targets t, and clipping.
 *
 *   w = x2 - x1 + plusOne,  cx = x1 + w/2                                   (h, cy alike)
 *   encode   t = ((cx* - cx)/w, (cy* - cy)/h, log(w* / w), log(h* / h))       Faster R-CNN, section 3.1.2
 *   decode   cx' = tx w + cx,  w' = w exp(min(tw, log(1000/16)))
 *            x1' = cx' - w'/2,  x2' = cx' + w'/2 - decodeShrink
 *   clip     to [0, W - plusOne] x [0, H - plusOne]
 *
 * Conventions, chosen once per run:  plusOne = 1: a box includes its last pixel (py-faster-rcnn, the MATLAB code);
 * plusOne = 0: continuous coordinates (torchvision, detectron2).  decodeShrink = 0: py-faster-rcnn, whose round trip gives
 * x2 and y2 one larger; decodeShrink = 1: the MATLAB code, whose centre lies half a pixel before ours, the exact inverse
 * for plusOne = 1. Targets are the same under both. The bound on tw, th is detectron2's; healthy runs never reach it.
 */
import { kernel } from './kernel.ts';
import { vec4At } from './text.ts';

export type Box = readonly [x1: number, y1: number, x2: number, y2: number];

/** Boxes of one image with a score each, best first. */
export interface ScoredBoxes {
  /** x1, y1, x2, y2 of each, inclusive corners. */
  readonly boxes: Float32Array;
  readonly scores: Float32Array;
}

/** log(1000/16): no box grows more than 62.5-fold, so exp never overflows. */
export const MAX_LOG_SCALE = 4.135166556742356;

/** `iou`, `encode_box`, `decode_box` and `clip_box` for shaders. Boxes are vec4f(x1, y1, x2, y2). */
export const BOXES_WGSL = /* wgsl */ `
fn intersection_area(a: vec4f, b: vec4f, plus_one: f32) -> f32 {
  let size = max(min(a.zw, b.zw) - max(a.xy, b.xy) + plus_one, vec2f(0.0));
  return size.x * size.y;
}
fn box_area(a: vec4f, plus_one: f32) -> f32 {
  let size = a.zw - a.xy + plus_one;
  return size.x * size.y;
}
// A positive intersection implies two boxes of positive area, so the quotient is always defined.
fn iou(a: vec4f, b: vec4f, plus_one: f32) -> f32 {
  let inter = intersection_area(a, b, plus_one);
  if (inter <= 0.0) { return 0.0; }
  return inter / (box_area(a, plus_one) + box_area(b, plus_one) - inter);
}
fn encode_box(a: vec4f, b: vec4f, plus_one: f32) -> vec4f {
  let size = a.zw - a.xy + plus_one;
  let goal = b.zw - b.xy + plus_one;
  return vec4f((b.xy + 0.5 * goal - a.xy - 0.5 * size) / size, log(goal / size));
}
fn decode_box(a: vec4f, t: vec4f, plus_one: f32, shrink: f32) -> vec4f {
  let size = a.zw - a.xy + plus_one;
  let centre = t.xy * size + a.xy + 0.5 * size;
  let half = 0.5 * size * exp(min(t.zw, vec2f(${MAX_LOG_SCALE})));
  return vec4f(centre - half, centre + half - shrink);
}
fn clip_box(a: vec4f, height: f32, width: f32, plus_one: f32) -> vec4f {
  let last = vec2f(width, height) - plus_one;
  return clamp(a, vec4f(0.0), vec4f(last, last));
}
`;

/** The deviations by which regression targets are divided (`head.targetStds`): uniforms, and their vector. */
export const STD_UNIFORMS = { stdX: 'f32', stdY: 'f32', stdW: 'f32', stdH: 'f32' } as const;
export const STD_WGSL = 'vec4f(u.stdX, u.stdY, u.stdW, u.stdH)';

export function stdUniforms(stds: readonly number[]): Record<keyof typeof STD_UNIFORMS, number> {
  const [stdX, stdY, stdW, stdH] = stds as [number, number, number, number];
  return { stdX, stdY, stdW, stdH };
}

/** The box whose four numbers start at `offset`. */
export const boxAt = (data: ArrayLike<number>, offset: number): Box => [
  data[offset]!,
  data[offset + 1]!,
  data[offset + 2]!,
  data[offset + 3]!,
];

/** Intersection over union in [0, 1]; 0 where the boxes do not meet or one has no area. */
export function iou(a: Box, b: Box, plusOne: number): number {
  const w = Math.min(a[2], b[2]) - Math.max(a[0], b[0]) + plusOne;
  const h = Math.min(a[3], b[3]) - Math.max(a[1], b[1]) + plusOne;
  if (w <= 0 || h <= 0) return 0;
  const area = (c: Box) => (c[2] - c[0] + plusOne) * (c[3] - c[1] + plusOne);
  return (w * h) / (area(a) + area(b) - w * h);
}

/** Regression targets (tx, ty, tw, th) that take `box` to `goal`; both need a positive area. py-faster-rcnn `bbox_transform`. */
export function encodeBox(box: Box, goal: Box, plusOne: number): Box {
  const w = box[2] - box[0] + plusOne;
  const h = box[3] - box[1] + plusOne;
  const goalW = goal[2] - goal[0] + plusOne;
  const goalH = goal[3] - goal[1] + plusOne;
  return [
    (goal[0] + 0.5 * goalW - (box[0] + 0.5 * w)) / w,
    (goal[1] + 0.5 * goalH - (box[1] + 0.5 * h)) / h,
    Math.log(goalW / w),
    Math.log(goalH / h),
  ];
}

/** The inverse of `encodeBox` (see the header for decodeShrink). py-faster-rcnn `bbox_transform_inv`. */
export function decodeBox(box: Box, t: Box, plusOne: number, decodeShrink: number): Box {
  const w = box[2] - box[0] + plusOne;
  const h = box[3] - box[1] + plusOne;
  const cx = t[0] * w + box[0] + 0.5 * w;
  const cy = t[1] * h + box[1] + 0.5 * h;
  const halfW = 0.5 * w * Math.exp(Math.min(t[2], MAX_LOG_SCALE));
  const halfH = 0.5 * h * Math.exp(Math.min(t[3], MAX_LOG_SCALE));
  return [cx - halfW, cy - halfH, cx + halfW - decodeShrink, cy + halfH - decodeShrink];
}

/** The box moved into an image of `height` x `width` pixels. */
export function clipBox(box: Box, height: number, width: number, plusOne: number): Box {
  const clip = (x: number, last: number) => Math.max(0, Math.min(x, last));
  const right = width - plusOne;
  const bottom = height - plusOne;
  return [clip(box[0], right), clip(box[1], bottom), clip(box[2], right), clip(box[3], bottom)];
}

/**
 * overlaps [G,N]: IoU of every ground truth with every box. boxes is [N,stride], its boxes at column `offset` (4 and 0, or
 * 5 and 1 for RoIs with an image index); gt is [G,5].
 */
export const iouMatrix = kernel({
  name: 'iou_matrix',
  buffers: { boxes: 'read', gt: 'read', overlaps: 'write' },
  uniforms: { n: 'u32', g: 'u32', stride: 'u32', offset: 'u32', plusOne: 'f32' },
  each: ['n', 'g'],
  lanes: 256,
  functions: BOXES_WGSL,
  body: /* wgsl */ `
  let b = (i % u.n) * u.stride + u.offset;
  let t = (i / u.n) * 5u;
  overlaps[i] = iou(${vec4At('boxes', 'b')}, ${vec4At('gt', 't')}, u.plusOne);`,
});

/** boxes [N,stride] and gt [G,5] -> overlaps [G,N]. */
export function iouMatrixReference(
  boxes: Float64Array,
  gt: Float64Array,
  { stride, offset, plusOne }: { stride: number; offset: number; plusOne: number },
): Float64Array {
  const n = boxes.length / stride;
  const g = gt.length / 5;
  const overlaps = new Float64Array(g * n);
  for (let t = 0; t < g; t++)
    for (let b = 0; b < n; b++) overlaps[t * n + b] = iou(boxAt(boxes, b * stride + offset), boxAt(gt, t * 5), plusOne);
  return overlaps;
}

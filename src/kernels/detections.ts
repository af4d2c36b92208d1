/**
 * Detections from the head's outputs at test time (py-faster-rcnn lib/fast_rcnn/test.py), all classes at once.
 *
 *   decode_detections  for each class c >= 1 (a slice) and RoI r: the RoI in original image coordinates (divided by the
 *                      image scale), moved by its class's deltas * std, clipped to the original image; it takes part
 *                      if its probability > scoreThreshold and neither side is below minSize
 *   suppression        class by class, then the survivors of all classes as one list (sliceSuppression.ts)
 *   write_detections   detections [capacity,6] = x1, y1, x2, y2, score, class by descending score: the best
 *                      `maxDetections`, and those that tie with the last of them while rows last; zero beyond count
 *
 * rois [R,5] in the scaled image, of which roiCount u32 [1] are valid; probabilities [R,K], deltas [R,4K]; class 0 is the
 * background. Equal scores: lower class first, then the better-ranked box of the class. A box that is not finite is dropped.
 */
import { BOXES_WGSL, type Box, boxAt, clipBox, decodeBox, STD_UNIFORMS, STD_WGSL, stdUniforms } from './boxes.ts';
import { IEEE_WGSL } from './ieee.ts';
import { kernel } from './kernel.ts';
import { nmsReference } from './nms.ts';
import { SORT_KEY_WGSL } from './radixSort.ts';
import type { Run, StageBuffers, StageVariant } from './sequence.ts';
import { recordSliceSuppression, sliceSuppressionScratch } from './sliceSuppression.ts';
import { vec4At } from './text.ts';

/** boxes [K-1,R,4], keys and order u32 [K-1,R]; order counts within its slice. */
export const decodeDetections = kernel({
  name: 'decode_detections',
  buffers: {
    rois: 'read',
    roiCount: 'read u32',
    probabilities: 'read',
    deltas: 'read',
    boxes: 'write vec4f',
    keys: 'write u32',
    order: 'write u32',
  },
  uniforms: {
    capacity: 'u32',
    /** Classes without the background. */
    slices: 'u32',
    scale: 'f32',
    imageHeight: 'f32',
    imageWidth: 'f32',
    plusOne: 'f32',
    decodeShrink: 'f32',
    scoreThreshold: 'f32',
    minSize: 'f32',
    ...STD_UNIFORMS,
  },
  each: ['slices', 'capacity'],
  functions: IEEE_WGSL + BOXES_WGSL + SORT_KEY_WGSL,
  body: /* wgsl */ `
  let r = i % u.capacity;
  let column = r * (u.slices + 1u) + i / u.capacity + 1u;
  let score = probabilities[column];
  var box = vec4f(0.0);
  var key = LAST_KEY;
  if (r < roiCount[0] && is_finite(score) && score > u.scoreThreshold) {
    let roi = ${vec4At('rois', 'r * 5u + 1u')} / u.scale;
    let raw = ${vec4At('deltas', 'column * 4u')};
    let decoded = decode_box(roi, raw * ${STD_WGSL}, u.plusOne, u.decodeShrink);
    let clipped = clip_box(decoded, u.imageHeight, u.imageWidth, u.plusOne);
    let large = all(clipped.zw - clipped.xy + u.plusOne >= vec2f(u.minSize));
    if (is_finite4(raw) && is_finite4(decoded) && large) {
      box = clipped;
      key = sort_key(score);
    }
  }
  boxes[i] = box;
  keys[i] = key;
  order[i] = r;`,
});

/** ranks, places [n] sorted; sorted [slices,sliceSize,4]. */
export const writeDetections = kernel({
  name: 'write_detections',
  buffers: { ranks: 'read u32', places: 'read u32', sorted: 'read vec4f', detections: 'write', count: 'write u32' },
  uniforms: { n: 'u32', sliceSize: 'u32', maxDetections: 'u32', capacity: 'u32' },
  each: 'capacity',
  functions: /* wgsl */ `${SORT_KEY_WGSL}
fn is_written(k: u32) -> bool {
  if (k >= min(u.n, u.capacity)) { return false; }
  if (ranks[k] == LAST_KEY) { return false; }
  return k < u.maxDetections || ranks[k] == ranks[u.maxDetections - 1u];
}
`,
  body: /* wgsl */ `
  let written = is_written(i);
  var box = vec4f(0.0);
  var score = 0.0;
  var label = 0.0;
  if (written) {
    box = sorted[places[i]];
    score = key_score(ranks[i]);
    label = f32(places[i] / u.sliceSize + 1u);
  }
  for (var k = 0u; k < 4u; k++) { detections[i * 6u + k] = box[k]; }
  detections[i * 6u + 4u] = score;
  detections[i * 6u + 5u] = label;
  if (written && !is_written(i + 1u)) { count[0] = i + 1u; }
  if (i == 0u && !written) { count[0] = 0u; }`,
});

export interface DetectionParams {
  /** R: rows of rois. */
  roiCapacity: number;
  /** K: classes with the background. */
  classes: number;
  /** Scaled image / original image. */
  scale: number;
  /** Of the original image, pixels. */
  imageHeight: number;
  imageWidth: number;
  plusOne: number;
  decodeShrink: number;
  /** A detection scores more than this: 0.05. */
  scoreThreshold: number;
  /** Smallest side of a detection, pixels of the original image: torchvision drops smaller ones. */
  minSize: number;
  /** IoU above which the lower score goes: 0.3. */
  nmsThreshold: number;
  targetStds: readonly number[];
  /** Detections per image over all classes (ties with the last may exceed it): 100. */
  maxDetections: number;
  /** Rows of the output, at least `maxDetections`. */
  outputRows: number;
  /** Default `narrow`. */
  variant?: StageVariant;
}

type Sizes = Pick<DetectionParams, 'roiCapacity' | 'classes'>;

export const detectionsScratch = ({ roiCapacity, classes }: Sizes) =>
  sliceSuppressionScratch({ slices: classes - 1, capacity: roiCapacity });

/** rois, roiCount, probabilities, deltas -> detections [outputRows,6], count u32 [1]. */
export function recordDetections<H>(
  run: Run<H>,
  buffers: StageBuffers<
    H,
    'rois' | 'roiCount' | 'probabilities' | 'deltas' | 'detections' | 'count',
    typeof detectionsScratch
  >,
  params: DetectionParams,
): void {
  const { rois, roiCount, probabilities, deltas, boxes, keys, order, sorted, ranks, places, detections, count } =
    buffers;
  const {
    roiCapacity: capacity,
    classes,
    scale,
    imageHeight,
    imageWidth,
    plusOne,
    decodeShrink,
    targetStds,
    variant,
  } = params;
  const slices = classes - 1;
  const image = { scale, imageHeight, imageWidth, plusOne, decodeShrink };
  const { scoreThreshold, minSize } = params;
  run(
    decodeDetections,
    { rois, roiCount, probabilities, deltas, boxes, keys, order },
    { capacity, slices, ...image, scoreThreshold, minSize, ...stdUniforms(targetStds) },
  );
  recordSliceSuppression(run, buffers, { slices, capacity, threshold: params.nmsThreshold, plusOne, variant });
  run(
    writeDetections,
    { ranks, places, sorted, detections, count },
    { n: slices * capacity, sliceSize: capacity, maxDetections: params.maxDetections, capacity: params.outputRows },
  );
}

export interface ReferenceDetection {
  box: Box;
  score: number;
  class: number;
}

/** Box of RoI r for class c in the original image, or null where it does not take part. */
export function decodeDetectionReference(
  rois: Float64Array,
  probabilities: Float64Array,
  deltas: Float64Array,
  r: number,
  c: number,
  params: Omit<DetectionParams, 'nmsThreshold' | 'maxDetections' | 'outputRows'>,
): Box | null {
  const column = r * params.classes + c;
  if (!(probabilities[column]! > params.scoreThreshold)) return null;
  const t = boxAt(deltas, column * 4).map((d, k) => d * params.targetStds[k]!) as unknown as Box;
  if (!t.every(Number.isFinite)) return null;
  const roi = boxAt(rois, r * 5 + 1).map((x) => x / params.scale) as unknown as Box;
  const decoded = decodeBox(roi, t, params.plusOne, params.decodeShrink);
  const box = clipBox(decoded, params.imageHeight, params.imageWidth, params.plusOne);
  const sides = [box[2] - box[0] + params.plusOne, box[3] - box[1] + params.plusOne];
  return sides.every((side) => side >= params.minSize) ? box : null;
}

/** The whole stage, with `count` valid RoIs; best detection first. */
export function detectionsReference(
  rois: Float64Array,
  count: number,
  probabilities: Float64Array,
  deltas: Float64Array,
  params: DetectionParams,
): ReferenceDetection[] {
  const all: ReferenceDetection[] = [];
  for (let c = 1; c < params.classes; c++) {
    const candidates: ReferenceDetection[] = [];
    for (let r = 0; r < count; r++) {
      const box = decodeDetectionReference(rois, probabilities, deltas, r, c, params);
      if (box) candidates.push({ box, score: probabilities[r * params.classes + c]!, class: c });
    }
    const boxes = Float64Array.from(candidates.flatMap(({ box }) => [...box]));
    const scores = Float64Array.from(candidates, ({ score }) => score);
    const kept = nmsReference(boxes, scores, params.nmsThreshold, params.plusOne, candidates.length);
    for (const i of kept) all.push(candidates[i]!);
  }
  all.sort((a, b) => b.score - a.score);
  const last = all[params.maxDetections - 1]?.score ?? 0;
  return all.filter(({ score }) => score >= last).slice(0, params.outputRows);
}

/** Checks of the last stage at test time: from the head's outputs to the ranked list of detections. */
import { stdUniforms } from '../boxes.ts';
import { rankSurvivors, rankSurvivorsReference } from '../sliceSuppression.ts';
import * as detection from '../detections.ts';
import * as radix from '../radixSort.ts';
import { Random } from '../rng.ts';
import { EXACT, type KernelCheck } from './check.ts';
import { doubles, normals, pixelBoxes, unsigned } from './inputs.ts';

export const DETECTIONS: detection.DetectionParams = {
  roiCapacity: 70,
  classes: 5,
  scale: 1.6,
  imageHeight: 140,
  imageWidth: 200,
  plusOne: 1,
  decodeShrink: 0,
  scoreThreshold: 0.05,
  minSize: 0,
  nmsThreshold: 0.3,
  targetStds: [0.1, 0.1, 0.2, 0.2],
  maxDetections: 100,
  outputRows: 128,
};

/** Outputs of the head for R RoIs; one delta and one probability are not finite. */
export function headOutputs(
  roiCapacity: number,
  classes: number,
): Record<'rois' | 'probabilities' | 'deltas', Float32Array> {
  const logits = normals(roiCapacity * classes, 33, 2);
  const probabilities = logits.map((logit, i) => {
    const first = i - (i % classes);
    return Math.exp(logit) / logits.subarray(first, first + classes).reduce((sum, other) => sum + Math.exp(other), 0);
  });
  const deltas = normals(roiCapacity * classes * 4, 34);
  probabilities[2] = NaN;
  deltas[classes * 4 + 5] = Infinity;
  return { rois: pixelBoxes(roiCapacity, 35, 1, 20, 160), probabilities, deltas };
}

export function decodeDetectionsCheck(count: number, minSize = 0): KernelCheck {
  const params = { ...DETECTIONS, minSize };
  const { roiCapacity: capacity, classes } = params;
  const outputs = headOutputs(capacity, classes);
  const [rois, probabilities, deltas] = [outputs.rois, outputs.probabilities, outputs.deltas].map(doubles) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  const n = capacity * (classes - 1);
  const boxes = new Float64Array(4 * n);
  const keys = new Uint32Array(n).fill(radix.LAST_KEY);
  for (let c = 1; c < classes; c++)
    for (let r = 0; r < count; r++) {
      const box = detection.decodeDetectionReference(rois, probabilities, deltas, r, c, params);
      if (!box) continue;
      boxes.set(box, ((c - 1) * capacity + r) * 4);
      keys[(c - 1) * capacity + r] = radix.sortKey(probabilities[r * classes + c]!);
    }
  return {
    name: `decode_detections ${count} of ${capacity} RoIs${minSize ? `, sides from ${minSize}` : ''}`,
    kernel: detection.decodeDetections,
    buffers: {
      ...outputs,
      roiCount: unsigned([count]),
      boxes: new Float32Array(4 * n).fill(7),
      keys: new Uint32Array(n),
      order: new Uint32Array(n),
    },
    uniforms: {
      capacity,
      slices: classes - 1,
      scale: DETECTIONS.scale,
      imageHeight: DETECTIONS.imageHeight,
      imageWidth: DETECTIONS.imageWidth,
      plusOne: 1,
      decodeShrink: 0,
      scoreThreshold: 0.05,
      minSize,
      ...stdUniforms(DETECTIONS.targetStds),
    },
    expected: { boxes, keys, order: Uint32Array.from({ length: n }, (_, i) => i % capacity) },
    atol: 2e-4,
    rtol: 1e-5,
  };
}

export function rankSurvivorsCheck(capacity: number, counts: readonly number[]): KernelCheck {
  const slices = counts.length;
  const keys = Uint32Array.from({ length: slices * capacity }, (_, i) => 10 * i + 1);
  const kept = Uint32Array.from({ length: slices * capacity }, (_, i) => (3 * i) % capacity);
  const { ranks, places } = rankSurvivorsReference(keys, kept, counts);
  return {
    name: `rank_survivors ${counts} of ${capacity}`,
    kernel: rankSurvivors,
    buffers: {
      keys,
      kept,
      keptCounts: unsigned([...counts]),
      ranks: new Uint32Array(ranks.length),
      places: new Uint32Array(ranks.length).fill(7),
    },
    uniforms: { capacity, slices },
    expected: { ranks, places },
    ...EXACT,
  };
}

/** `valid` ranked boxes whose scores come in groups of four equal ones. */
export function writeDetectionsCheck(
  valid: number,
  maxDetections: number,
  capacity: number,
  expectedCount: number,
): KernelCheck {
  const [n, sliceSize] = [60, 20];
  const sorted = pixelBoxes(n, 36);
  const places = unsigned(new Random(37).permutation(n));
  const score = (k: number) => Math.fround(1 - Math.floor(k / 4) / 20);
  const ranks = Uint32Array.from({ length: n }, (_, k) => (k < valid ? radix.sortKey(score(k)) : radix.LAST_KEY));
  const detections = new Float64Array(capacity * 6);
  for (let k = 0; k < expectedCount; k++) {
    const place = places[k]!;
    detections.set([...sorted.subarray(place * 4, place * 4 + 4), score(k), Math.floor(place / sliceSize) + 1], k * 6);
  }
  return {
    name: `write_detections ${valid} ranked, at most ${maxDetections}, room ${capacity}`,
    kernel: detection.writeDetections,
    buffers: { ranks, places, sorted, detections: new Float32Array(capacity * 6).fill(7), count: unsigned([7]) },
    uniforms: { n, sliceSize, maxDetections, capacity },
    expected: { detections, count: unsigned([expectedCount]) },
    ...EXACT,
  };
}

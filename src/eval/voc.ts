/**
 * Average precision of Pascal VOC, as py-faster-rcnn lib/datasets/voc_eval.py computes it.
 *
 * The detections of a class over all images are taken by descending score. Each is compared with the object of its image and
 * class that it overlaps most (IoU with inclusive pixels):
 *   IoU > threshold (strictly): a difficult object counts neither way; an object not yet found is a true positive;
 *                               one already found makes a false positive, even if another free object overlaps too;
 *   otherwise:                  a false positive.
 * recall = cumulated TP / non-difficult objects, precision = cumulated TP / (TP + FP). Then
 *   voc07: mean over t = 0, 0.1, ..., 1 of the best precision at recall >= t, or 0;
 *   voc10: area under precision made monotone from the right.
 * Equal scores keep the order of images and of detections within one (the original's sort leaves it open).
 */
import { type Box, iou } from '../kernels/boxes.ts';

/** One detected object, corners in inclusive 0-based pixels of the original image. */
export interface Detection {
  x1: number;
  y1: number;
  x2: number;
  y2: number;
  /** 1..K-1. */
  classIndex: number;
  score: number;
}

/** An object that detections are compared with, as data sets have them. */
export interface GroundTruthBox {
  x1: number;
  y1: number;
  x2: number;
  y2: number;
  classIndex: number;
  difficult: boolean;
}

export type VocMetric = 'voc07' | 'voc10';

export interface VocOptions {
  metric: VocMetric;
  /** A match needs a greater IoU than this. */
  iouThreshold?: number;
}

export interface VocResult {
  /** Mean over the classes that have ground truth; NaN if none has. */
  mAP: number;
  /** By class name, without the background; null for a class without ground truth here. */
  ap: Record<string, number | null>;
}

/** `detections[i]` and `groundTruth[i]` belong to image i; `classes[0]` is the background. */
export function evaluateVoc(
  detections: readonly (readonly Detection[])[],
  groundTruth: readonly (readonly GroundTruthBox[])[],
  classes: readonly string[],
  { metric, iouThreshold = 0.5 }: VocOptions,
): VocResult {
  const ap: Record<string, number | null> = {};
  let sum = 0;
  let counted = 0;
  for (let k = 1; k < classes.length; k++) {
    const ofClass = <T extends { classIndex: number }>(images: readonly (readonly T[])[]): T[][] =>
      images.map((boxes) => boxes.filter((box) => box.classIndex === k));
    const { recall, precision, positives } = matchClass(ofClass(detections), ofClass(groundTruth), iouThreshold);
    if (positives === 0) {
      ap[classes[k]!] = null;
      continue;
    }
    const value = averagePrecision(recall, precision, metric);
    ap[classes[k]!] = value;
    sum += value;
    counted++;
  }
  return { mAP: sum / counted, ap };
}

export interface ClassMatches {
  /** One entry per detection, by descending score: 1 for a true or a false positive, and 0 in both lists at a difficult object. */
  truePositive: number[];
  falsePositive: number[];
  recall: number[];
  precision: number[];
  /** How many objects are not difficult. */
  positives: number;
}

/** Matches the detections of one class, given per image. Throws a RangeError on a score that is not a number. */
export function matchClass(
  detections: readonly (readonly Detection[])[],
  groundTruth: readonly (readonly GroundTruthBox[])[],
  iouThreshold: number,
): ClassMatches {
  if (detections.length !== groundTruth.length) {
    throw new RangeError(`detections of ${detections.length} images, ground truth of ${groundTruth.length}`);
  }
  const ranked = detections.flatMap((list, image) => list.map((detection) => ({ detection, image })));
  const bad = ranked.find(({ detection }) => Number.isNaN(detection.score));
  if (bad !== undefined) throw new RangeError(`image ${bad.image}: a detection's score is NaN`);
  ranked.sort((a, b) => b.detection.score - a.detection.score);

  const found = groundTruth.map((boxes) => boxes.map(() => false));
  const positives = groundTruth.flat().filter((truth) => !truth.difficult).length;
  const matches: ClassMatches = { truePositive: [], falsePositive: [], recall: [], precision: [], positives };
  let trueCount = 0;
  let falseCount = 0;
  for (const { detection, image } of ranked) {
    let best = -1;
    let bestOverlap = -Infinity;
    groundTruth[image]!.forEach((truth, j) => {
      const overlap = iou(corners(detection), corners(truth), 1);
      if (overlap > bestOverlap) [best, bestOverlap] = [j, overlap];
    });
    let isTrue = false;
    let isFalse = true;
    if (bestOverlap > iouThreshold) {
      const ignored = groundTruth[image]![best]!.difficult;
      isTrue = !ignored && !found[image]![best]!;
      isFalse = !ignored && found[image]![best]!;
      if (isTrue) found[image]![best] = true;
    }
    trueCount += Number(isTrue);
    falseCount += Number(isFalse);
    matches.truePositive.push(Number(isTrue));
    matches.falsePositive.push(Number(isFalse));
    matches.recall.push(trueCount / positives);
    matches.precision.push(trueCount / Math.max(trueCount + falseCount, Number.EPSILON));
  }
  return matches;
}

/** AP of a curve; `recall` ascends, and both hold one entry per detection. */
export function averagePrecision(recall: readonly number[], precision: readonly number[], metric: VocMetric): number {
  // best[i]: the highest precision at recall[i] or beyond.
  const best = [...precision];
  for (let i = best.length - 2; i >= 0; i--) best[i] = Math.max(best[i]!, best[i + 1]!);
  if (metric === 'voc07') {
    let sum = 0;
    for (let i = 0; i <= 10; i++) {
      const threshold = i * 0.1; // as numpy.arange has it: 0.30000000000000004 and not 0.3
      const first = recall.findIndex((value) => value >= threshold);
      sum += first < 0 ? 0 : best[first]!;
    }
    return sum / 11;
  }
  let area = 0;
  for (let i = 0; i < recall.length; i++) area += (recall[i]! - (recall[i - 1] ?? 0)) * best[i]!;
  return area;
}

const corners = (box: { x1: number; y1: number; x2: number; y2: number }): Box => [box.x1, box.y1, box.x2, box.y2];

/**
 * Recall of proposals, as py-faster-rcnn lib/datasets/imdb.py evaluate_recall measures it.
 *
 * In each image the pair (object, proposal) of the greatest IoU (inclusive pixels) is recorded and both are removed, until
 * the objects are used up. recall(t) = recorded overlaps >= t / objects; the average recall is the mean over
 * t = 0.5, 0.55, ..., 0.95. An object left without a proposal records -1, where the original stops on an assertion.
 */
import { type Box, iou } from '../kernels/boxes.ts';

export interface RecallOptions {
  /** Only the first `limit` proposals of an image take part; they are in descending order of score. */
  limit?: number;
  thresholds?: readonly number[];
}

export interface RecallResult {
  thresholds: number[];
  /** NaN if there is no object. */
  recalls: number[];
  averageRecall: number;
  /** The recorded overlap of every object of every image, ascending. */
  overlaps: number[];
}

/**
 * 0.5, 0.55, ..., 0.95 as numpy.arange(0.5, 0.95 + 1e-5, 0.05) has them: multiples of the rounded difference of the first
 * two. The third is 0.6000000000000001, so an overlap of exactly 0.6 does not reach it.
 */
const RECALL_THRESHOLDS: readonly number[] = Array.from({ length: 10 }, (_, i) => 0.5 + i * (0.5 + 0.05 - 0.5));

/** `proposals[i]` and `groundTruth[i]` are boxes (x1, y1, x2, y2) of image i. */
export function evaluateRecall(
  proposals: readonly (readonly Box[])[],
  groundTruth: readonly (readonly Box[])[],
  { limit = Infinity, thresholds = RECALL_THRESHOLDS }: RecallOptions = {},
): RecallResult {
  const overlaps = groundTruth
    .flatMap((objects, image) => greedyOverlaps(proposals[image]!.slice(0, limit), objects))
    .sort((a, b) => a - b);
  const recalls = thresholds.map((t) => recallAt(overlaps, t));
  const averageRecall = recalls.reduce((sum, value) => sum + value, 0) / recalls.length;
  return { thresholds: [...thresholds], recalls, averageRecall, overlaps };
}

/** The share of the recorded overlaps that reach a threshold. */
export const recallAt = (overlaps: readonly number[], threshold: number): number =>
  overlaps.filter((overlap) => overlap >= threshold).length / overlaps.length;

function greedyOverlaps(proposals: readonly Box[], objects: readonly Box[]): number[] {
  const pairs = objects.flatMap((object, g) =>
    proposals.map((proposal, p) => ({ g, p, overlap: iou(object, proposal, 1) })),
  );
  pairs.sort((a, b) => b.overlap - a.overlap);
  const recorded = new Map<number, number>();
  const used = new Set<number>();
  for (const { g, p, overlap } of pairs) {
    if (recorded.has(g) || used.has(p)) continue;
    recorded.set(g, overlap);
    used.add(p);
  }
  return objects.map((_, g) => recorded.get(g) ?? -1);
}

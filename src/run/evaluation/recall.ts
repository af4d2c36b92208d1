/**
 * Recall of proposals against IoU (paper, section 4.1 and Figure 4): for each method and number of proposals, the share of
 * objects that some proposal overlaps enough. Methods: the proposals of a trained network, and its plain anchors.
 */
import type { Sample } from '../../data/types.ts';
import { countedBoxes } from '../../data/boxes.ts';
import { Prefetcher } from '../../data/prefetcher.ts';
import { UserError } from '../../engine/errors.ts';
import { evaluateRecall, recallAt } from '../../eval/recall.ts';
import type { Box } from '../../kernels/boxes.ts';
import { Random } from '../../kernels/rng.ts';
import type { ProposalConfig } from '../../model/config.ts';
import { capable, type Detector } from '../../model/detector.ts';
import { inputSize } from '../../model/inputScales.ts';
import { proposeImage } from './detect.ts';

/** The stream of random numbers that orders the anchors of the first image; the second image has the next stream. */
const ORDER_STREAM = 0x0de70000;

/** The IoU thresholds of the curves, 0.5 to 1. */
export const RECALL_CURVE: readonly number[] = Array.from({ length: 51 }, (_, i) => (50 + i) / 100);

export interface RecallRow {
  method: string;
  /** At most this many proposals per image are used, best first. */
  proposals: number;
  /** The mean number of proposals used per image. */
  meanProposals: number;
  /** Recall at IoU 0.5 and 0.7, its mean over 0.5, 0.55, ..., 0.95, and recall at each IoU of `RECALL_CURVE`. */
  recall50: number;
  recall70: number;
  averageRecall: number;
  curve: number[];
}

/** The objects of each image that count: all but difficult objects and crowds, as in the evaluation of VOC. */
export function countedObjects(samples: readonly Sample[]): Box[][] {
  const objects = samples.map(({ boxes }) => countedBoxes(boxes).map(({ x1, y1, x2, y2 }): Box => [x1, y1, x2, y2]));
  if (objects.every(({ length }) => length === 0)) {
    throw new UserError(
      'the data has no object that counts (difficult ones do not); choose a --split with annotations',
    );
  }
  return objects;
}

/** A row for each number in `counts`; `proposals[i]` are those of image i, best first. */
export function recallRows(
  method: string,
  proposals: readonly (readonly Box[])[],
  objects: readonly (readonly Box[])[],
  counts: readonly number[],
): RecallRow[] {
  return counts.map((limit) => {
    const { overlaps, averageRecall } = evaluateRecall(proposals, objects, { limit });
    const used = proposals.reduce((sum, { length }) => sum + Math.min(length, limit), 0);
    return {
      method,
      proposals: limit,
      meanProposals: used / proposals.length,
      recall50: recallAt(overlaps, 0.5),
      recall70: recallAt(overlaps, 0.7),
      averageRecall,
      curve: RECALL_CURVE.map((threshold) => recallAt(overlaps, threshold)),
    };
  });
}

/**
 * Settings of the network that leave up to `count` proposals of an image. As in py-faster-rcnn, 6000 boxes enter the
 * suppression at test time; in training it is six times as many as leave it. A smaller `count` gives the first of these.
 */
const enoughProposals = (count: number): ProposalConfig => ({
  preNms: Math.max(6000, 6 * count),
  postNms: count,
  without: 'nothing',
});

/** Up to `count` proposals per image, best first by the network's objectness. */
export async function networkProposals(
  model: Detector,
  samples: readonly Sample[],
  count: number,
  onImage?: (done: number) => void,
): Promise<Box[][]> {
  const proposals: Box[][] = [];
  const pictures = Prefetcher.inOrder(samples, (sample) => sample.load());
  while (proposals.length < samples.length) {
    const found = await proposeImage(model, await pictures.next(), { limits: enoughProposals(count) });
    proposals.push(found.map(({ x1, y1, x2, y2 }) => [x1, y1, x2, y2]));
    onImage?.(proposals.length);
  }
  return proposals;
}

/**
 * The anchors of the network that lie inside the image, neither scored nor moved: `count` of them per image, drawn at random
 * without replacement. A smaller `count` gives the first ones of a larger.
 */
export async function randomAnchors(
  model: Detector,
  samples: readonly Sample[],
  count: number,
  seed: number,
): Promise<Box[][]> {
  const anchored = capable(model, 'anchorsInside');
  const { input } = model.config;
  const proposals: Box[][] = [];
  for (const [i, sample] of samples.entries()) {
    const original = { height: sample.height, width: sample.width };
    const image = { ...inputSize(sample, input), original };
    const inside = await anchored.anchorsInside(image);
    const drawn = new Random(seed, ORDER_STREAM + i).permutation(inside.length).slice(0, count);
    proposals.push(
      drawn.map((k): Box => {
        const [x1, y1, x2, y2] = inside[k]!;
        return [x1 / image.scale, y1 / image.scale, x2 / image.scale, y2 / image.scale];
      }),
    );
  }
  return proposals;
}

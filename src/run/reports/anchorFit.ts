/**
 * How well anchors fit the objects of a data set: for each object, the highest IoU with an anchor that lies inside the image
 * as the network sees it (paper, section 3.1.2: only those anchors are trained). Objects that no anchor overlaps well give
 * the RPN few and poor examples.
 */
import type { Sample } from '../../data/types.ts';
import { countedBoxes } from '../../data/boxes.ts';
import { boxAt, iou, type Box } from '../../kernels/boxes.ts';
import { anchorsOf, baseAnchors } from '../../model/anchors.ts';
import { levelStrides } from '../../model/backbones/pyramid.ts';
import { backboneNamed } from '../../model/backbones/index.ts';
import type { DetectorConfig } from '../../model/config.ts';
import { CONVENTIONS } from '../../model/conventions.ts';
import { inputSize } from '../../model/inputScales.ts';

/** An object and its image in pixels of the network's input. */
export interface InputObject {
  classIndex: number;
  box: Box;
  image: { width: number; height: number };
}

/** The objects that are trained on, as the network sees them. */
export const inputObjects = (samples: readonly Sample[], { input }: Pick<DetectorConfig, 'input'>): InputObject[] =>
  samples.flatMap(({ width, height, boxes }) => {
    const { scale, ...image } = inputSize({ height, width }, input);
    return countedBoxes(boxes).map(({ classIndex, x1, y1, x2, y2 }) => ({
      classIndex,
      box: [x1 * scale, y1 * scale, x2 * scale, y2 * scale] as const,
      image,
    }));
  });

/** The side of a square of the object's area, and its height over width: the measures of an anchor. */
export const sizeOf = ({ box: [x1, y1, x2, y2] }: InputObject): number => Math.sqrt((x2 - x1 + 1) * (y2 - y1 + 1));
export const ratioOf = ({ box: [x1, y1, x2, y2] }: InputObject): number => (y2 - y1 + 1) / (x2 - x1 + 1);

type AnchorSettings = Pick<DetectorConfig, 'anchors' | 'backbone' | 'convention'>;

/** For each object, the highest IoU with an anchor inside its image; 0 if none overlaps it. */
export function bestOverlaps(objects: readonly InputObject[], config: AnchorSettings): number[] {
  const { plusOne } = CONVENTIONS[config.convention];
  const shapes = anchorShapes(config);
  return objects.map(({ box, image }) => {
    let best = 0;
    for (const {
      box: [x1, y1, x2, y2],
      stride,
    } of shapes) {
      const across = bestShift([x1, x2], [box[0], box[2]], image.width, stride);
      const down = bestShift([y1, y2], [box[1], box[3]], image.height, stride);
      if (across === null || down === null) continue;
      best = Math.max(best, iou([x1 + across, y1 + down, x2 + across, y2 + down], box, plusOne));
    }
    return best;
  });
}

/** The anchors at the first cell, and how far apart the cells are: under a feature pyramid, of every level. */
function anchorShapes({
  anchors: { sizes, ratios },
  backbone,
  convention,
}: AnchorSettings): { box: Box; stride: number }[] {
  const { stride, pyramid } = backboneNamed(backbone);
  const boxes = (base: Float32Array, cells: number) =>
    Array.from({ length: base.length / 4 }, (_, a) => ({ box: boxAt(Float64Array.from(base), 4 * a), stride: cells }));
  if (!pyramid) {
    return boxes(baseAnchors({ baseSize: stride, scales: sizes.map((size) => size / stride), ratios }), stride);
  }
  return levelStrides(pyramid).flatMap((cells, level) =>
    boxes(anchorsOf(convention)(pyramid.anchorSizes === 'own' ? sizes.slice(level, level + 1) : sizes, ratios), cells),
  );
}

/**
 * The shift by whole cells that gives an interval, kept inside 0..size - 1, the largest overlap with another. The overlap
 * falls on both sides of the shift that aligns the centres, so the nearest allowed shift is the best; as this holds on either
 * axis, the two shifts together give the greatest intersection, and IoU, for an anchor's shape.
 */
function bestShift(
  [from, to]: readonly [number, number],
  [first, last]: readonly [number, number],
  size: number,
  stride: number,
): number | null {
  const least = Math.max(0, Math.ceil(-from / stride));
  const most = Math.min(Math.ceil(size / stride), Math.ceil((size - to) / stride)) - 1;
  if (least > most) return null;
  const aligned = Math.round((first + last - from - to) / 2 / stride);
  return stride * Math.min(Math.max(aligned, least), most);
}

export interface AnchorFit {
  objects: number;
  /** The shares of objects whose greatest IoU is at least 0.5 and at least 0.7. */
  iou50: number;
  iou70: number;
}

export const fitOf = (overlaps: readonly number[]): AnchorFit => {
  const share = (least: number): number => overlaps.filter((overlap) => overlap >= least).length / overlaps.length;
  return { objects: overlaps.length, iou50: share(0.5), iou70: share(0.7) };
};

export interface AnchorAdvice extends AnchorFit {
  anchors: DetectorConfig['anchors'];
}

/** Below these shares the fit is poor: for many objects, only the nearest anchor is positive. */
const POOR: Pick<AnchorFit, 'iou50' | 'iou70'> = { iou50: 0.9, iou70: 0.5 };
/** Other anchors are recommended only if they add at least this much to the sum of both shares. */
const WORTH = 0.05;
/** Anchors are compared on at most this many objects, evenly spaced. */
const COMPARED = 4000;
/** More anchors would slow the RPN down. */
const MOST_ANCHORS = 12;

export const isPoor = ({ iou50, iou70 }: AnchorFit): boolean => iou50 < POOR.iou50 || iou70 < POOR.iou70;

/**
 * Anchors that would fit better than the given ones (whose overlaps are `overlaps`); null if those fit well, or if none of the
 * candidates fits better. Candidates are sizes in equal logarithmic steps between the 5 % and 95 % quantiles of the objects'
 * sizes, and at quantiles between, with ratios 0.5, 1, 2 or at quantiles of the objects' ratios.
 */
export function betterAnchors(
  objects: readonly InputObject[],
  overlaps: readonly number[],
  config: AnchorSettings,
): AnchorAdvice | null {
  const present = fitOf(overlaps);
  if (objects.length === 0 || !isPoor(present)) return null;
  const every = Math.ceil(objects.length / COMPARED);
  const some = objects.filter((_, i) => i % every === 0);
  const [sides, shapes] = [objects.map(sizeOf), objects.map(ratioOf)];
  const [least, most] = quantiles(sides, [0.05, 0.95]) as [number, number];
  const steps = [3, 4, 5].flatMap((count) => [
    Array.from({ length: count }, (_, i) => least * (most / least) ** (i / (count - 1))),
    quantiles(
      sides,
      Array.from({ length: count }, (_, i) => (i + 0.5) / count),
    ),
  ]);
  const ratiosTried = [[0.5, 1, 2], quantiles(shapes, [0.25, 0.75]), quantiles(shapes, [1 / 6, 1 / 2, 5 / 6])];
  const tried = steps.flatMap((sizes) =>
    ratiosTried.map((ratios) => ({ sizes: distinct(sizes, 0), ratios: distinct(ratios, 1) })),
  );
  const score = ({ iou50, iou70 }: AnchorFit): number => iou50 + iou70;
  const [best] = tried
    .filter(({ sizes, ratios }) => sizes.length * ratios.length <= MOST_ANCHORS)
    .map((anchors) => ({ anchors, score: score(fitOf(bestOverlaps(some, { ...config, anchors }))) }))
    .sort((a, b) => b.score - a.score);
  const fit = fitOf(bestOverlaps(objects, { ...config, anchors: best!.anchors }));
  return score(fit) < score(present) + WORTH ? null : { ...fit, anchors: best!.anchors };
}

/** Rounded, without duplicates. */
const distinct = (values: readonly number[], digits: number): number[] => [
  ...new Set(values.map((value) => Math.max(10 ** -digits, Number(value.toFixed(digits))))),
];

/** The values at these quantiles, 0 to 1. */
export function quantiles(values: readonly number[], shares: readonly number[]): number[] {
  const sorted = [...values].sort((a, b) => a - b);
  return shares.map((share) => sorted[Math.round(share * (sorted.length - 1))]!);
}

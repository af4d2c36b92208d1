/**
 * Average precision and recall of COCO for boxes, as cocoapi's pycocotools/cocoeval.py computes them.
 *
 * For each class, area range and IoU threshold t = 0.5, 0.55, ..., 0.95, in each image:
 *   take the detections by descending score, at most 100, and the objects with those to ignore last: crowds, and objects
 *   whose area is out of the range. A detection matches the object that it overlaps most, if that IoU is at least t; among equal
 *   overlaps, the later object. It is right if that object counts and ignored if not. An object that is not a crowd is matched
 *   once, and an object to ignore only if none that counts can be matched. A detection without a match is wrong, or ignored
 *   if its own area is out of the range.
 * Over all images, by descending score: recall = right / objects that count, precision = right / (right + wrong), made
 * monotone from the right and read at recalls 0, 0.01, ..., 1; 0 beyond the last.
 *   AP: the mean over thresholds, recalls and classes with an object; AR: the mean of the last recall over thresholds and
 *   classes.
 *
 * Boxes are x, y, width, height without any +1. IoU with a crowd = intersection / area of the detection. Equal scores keep
 * the order of the images (cocoeval orders these by id) and of the detections in an image.
 */
import type { Detection, GroundTruthBox } from './voc.ts';

/** x, y, width, height. */
export type CocoBox = readonly [x: number, y: number, width: number, height: number];

/** An object that detections are compared with, as data sets have them. Difficult objects are treated as crowds. */
export interface CocoGroundTruthBox extends GroundTruthBox {
  crowd?: boolean;
  /** As annotated; by default they follow from the corners. */
  bbox?: CocoBox;
  area?: number;
}

/** The twelve numbers, under the names of COCO's leaderboard; s, m and l stand for small, medium and large objects; -1 means that there are none. */
export interface CocoSummary {
  /** IoU 0.5 to 0.95; 0.5; 0.75; the area below 32², to 96², and above. */
  AP: number;
  AP50: number;
  AP75: number;
  APs: number;
  APm: number;
  APl: number;
  /** With at most 1, 10 and 100 detections of a class in an image. */
  AR1: number;
  AR10: number;
  AR100: number;
  ARs: number;
  ARm: number;
  ARl: number;
}

export interface CocoResult {
  summary: CocoSummary;
  /** AP by class; null for a class without objects. */
  ap: Record<string, number | null>;
}

/** The results of one class at each of the ten thresholds. */
export interface CocoCurve {
  /** [threshold][recall], at recalls 0, 0.01, ..., 1. */
  precision: number[][];
  /** The last recall. */
  recall: number[];
}

/** The curves of one class; null if none of its objects counts. */
export interface CocoCurves {
  all: CocoCurve | null;
  small: CocoCurve | null;
  medium: CocoCurve | null;
  large: CocoCurve | null;
  /** For all areas, with the best detection of each image, and with the ten best. */
  first1: CocoCurve | null;
  first10: CocoCurve | null;
}

/** As numpy.linspace computes them. */
const linspace = (start: number, stop: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => (i === count - 1 ? stop : start + i * ((stop - start) / (count - 1))));

const THRESHOLDS = linspace(0.5, 0.95, 10);
const RECALLS = linspace(0, 1, 101);
const MOST_DETECTIONS = 100;
/** Ranges of the area in pixels of the image, both ends included. */
export const AREAS = {
  all: [0, 1e10],
  small: [0, 32 ** 2],
  medium: [32 ** 2, 96 ** 2],
  large: [96 ** 2, 1e10],
} as const;

/** Inclusive corners as a COCO box, as py-faster-rcnn writes results: width = x2 - x1 + 1. */
export const toCocoBox = ({ x1, y1, x2, y2 }: { x1: number; y1: number; x2: number; y2: number }): CocoBox => [
  x1,
  y1,
  x2 - x1 + 1,
  y2 - y1 + 1,
];

/** `detections[i]` and `groundTruth[i]` belong to image i; `classes[0]` is the background. */
export function evaluateCoco(
  detections: readonly (readonly Detection[])[],
  groundTruth: readonly (readonly CocoGroundTruthBox[])[],
  classes: readonly string[],
): CocoResult {
  const curves = cocoCurves(detections, groundTruth, classes.length);
  const of = (kind: keyof CocoCurves): CocoCurve[] => curves.flatMap((ofClass) => ofClass[kind] ?? []);
  const precision = (kind: keyof CocoCurves): number => mean(of(kind).flatMap((curve) => curve.precision.flat()));
  const precisionAt = (t: number): number => mean(of('all').flatMap((curve) => curve.precision[t]!));
  const recall = (kind: keyof CocoCurves): number => mean(of(kind).flatMap((curve) => curve.recall));
  return {
    summary: {
      AP: precision('all'),
      AP50: precisionAt(0),
      AP75: precisionAt(5),
      APs: precision('small'),
      APm: precision('medium'),
      APl: precision('large'),
      AR1: recall('first1'),
      AR10: recall('first10'),
      AR100: recall('all'),
      ARs: recall('small'),
      ARm: recall('medium'),
      ARl: recall('large'),
    },
    ap: Object.fromEntries(classes.slice(1).map((name, k) => [name, meanPrecision(curves[k]!.all)])),
  };
}

const meanPrecision = (curve: CocoCurve | null): number | null => curve && mean(curve.precision.flat());

/** The mean; -1 if there are no values. */
const mean = (values: readonly number[]): number =>
  values.length === 0 ? -1 : values.reduce((sum, value) => sum + value, 0) / values.length;

/** The curves of each class but the background, of `classCount` with it. Throws a RangeError on a score that is NaN. */
export function cocoCurves(
  detections: readonly (readonly Detection[])[],
  groundTruth: readonly (readonly CocoGroundTruthBox[])[],
  classCount: number,
): CocoCurves[] {
  if (detections.length !== groundTruth.length) {
    throw new RangeError(`detections of ${detections.length} images, ground truth of ${groundTruth.length}`);
  }
  return byClass(detections, groundTruth, classCount).map((images) => {
    const matched = (range: Range) => images.map((image) => match(image, range));
    const all = matched(AREAS.all);
    return {
      all: curveOf(all, MOST_DETECTIONS),
      small: curveOf(matched(AREAS.small), MOST_DETECTIONS),
      medium: curveOf(matched(AREAS.medium), MOST_DETECTIONS),
      large: curveOf(matched(AREAS.large), MOST_DETECTIONS),
      first1: curveOf(all, 1),
      first10: curveOf(all, 10),
    };
  });
}

type Range = readonly [low: number, high: number];

interface Truth {
  crowd: boolean;
  area: number;
}

/** The detections and objects of one class in an image. */
interface ClassImage {
  /** Descending. */
  scores: number[];
  /** The areas of the detections. */
  areas: number[];
  truths: Truth[];
  /** IoU of [detection][truth]. */
  overlaps: number[][];
}

/** For each class but the background, the images that contain or claim an object of it, in order. */
function byClass(
  detections: readonly (readonly Detection[])[],
  groundTruth: readonly (readonly CocoGroundTruthBox[])[],
  classCount: number,
): ClassImage[][] {
  const classes: ClassImage[][] = Array.from({ length: classCount - 1 }, () => []);
  groundTruth.forEach((truths, i) => {
    const bad = detections[i]!.find(({ score }) => Number.isNaN(score));
    if (bad !== undefined) throw new RangeError(`image ${i}: a detection's score is NaN`);
    const here = new Set([...detections[i]!, ...truths].map(({ classIndex }) => classIndex));
    for (const k of here) {
      const ofClass = <T extends { classIndex: number }>(boxes: readonly T[]): T[] =>
        boxes.filter(({ classIndex }) => classIndex === k);
      classes[k - 1]!.push(compare(ofClass(detections[i]!), ofClass(truths)));
    }
  });
  return classes;
}

function compare(detections: readonly Detection[], groundTruth: readonly CocoGroundTruthBox[]): ClassImage {
  const ranked = [...detections].sort((a, b) => b.score - a.score).slice(0, MOST_DETECTIONS);
  const boxes = ranked.map(toCocoBox);
  const truths = groundTruth.map((truth) => {
    const box = truth.bbox ?? toCocoBox(truth);
    return { box, crowd: truth.crowd === true || truth.difficult, area: truth.area ?? box[2] * box[3] };
  });
  return {
    scores: ranked.map(({ score }) => score),
    areas: boxes.map(([, , width, height]) => width * height),
    truths,
    overlaps: boxes.map((box) => truths.map((truth) => overlap(box, truth.box, truth.crowd))),
  };
}

/** IoU, or for a crowd the share of the detection that lies in it. */
function overlap(detection: CocoBox, truth: CocoBox, crowd: boolean): number {
  const width = Math.min(detection[2] + detection[0], truth[2] + truth[0]) - Math.max(detection[0], truth[0]);
  const height = Math.min(detection[3] + detection[1], truth[3] + truth[1]) - Math.max(detection[1], truth[1]);
  if (width <= 0 || height <= 0) return 0;
  const intersection = width * height;
  const area = detection[2] * detection[3];
  return intersection / (crowd ? area : area + truth[2] * truth[3] - intersection);
}

const WRONG = 0;
const RIGHT = 1;
const IGNORED = 2;

/** What became of the detections in an image. */
interface Matched {
  scores: number[];
  /** [threshold][detection]: WRONG, RIGHT or IGNORED, all in one array. */
  outcomes: Uint8Array;
  /** How many objects count. */
  positives: number;
}

function match({ scores, areas, truths, overlaps }: ClassImage, [low, high]: Range): Matched {
  const outside = (area: number): boolean => area < low || area > high;
  const ignored = truths.map(({ crowd, area }) => crowd || outside(area));
  const indices = truths.map((_, g) => g);
  const counted = indices.filter((g) => !ignored[g]);
  const order = [...counted, ...indices.filter((g) => ignored[g])];
  const outcomes = new Uint8Array(THRESHOLDS.length * scores.length);
  THRESHOLDS.forEach((threshold, t) => {
    const taken = truths.map(() => false);
    for (let d = 0; d < scores.length; d++) {
      let best = Math.min(threshold, 1 - 1e-10);
      let found = -1;
      for (const g of order) {
        if (taken[g] && !truths[g]!.crowd) continue;
        if (found >= 0 && !ignored[found] && ignored[g]) break;
        if (overlaps[d]![g]! < best) continue;
        best = overlaps[d]![g]!;
        found = g;
      }
      if (found >= 0) taken[found] = true;
      const ignore = found >= 0 ? ignored[found] : outside(areas[d]!);
      outcomes[t * scores.length + d] = ignore ? IGNORED : found >= 0 ? RIGHT : WRONG;
    }
  });
  return { scores, outcomes, positives: counted.length };
}

/** The curve over all images, from the `most` best detections in each. */
function curveOf(images: readonly Matched[], most: number): CocoCurve | null {
  const positives = images.reduce((sum, image) => sum + image.positives, 0);
  if (positives === 0) return null;
  const ranked = images.flatMap((image) =>
    image.scores.slice(0, most).map((score, detection) => ({ score, image, detection })),
  );
  ranked.sort((a, b) => b.score - a.score);
  const curve: CocoCurve = { precision: [], recall: [] };
  THRESHOLDS.forEach((_, t) => {
    const [recall, precision]: [number[], number[]] = [[], []];
    let [right, wrong] = [0, 0];
    for (const { image, detection } of ranked) {
      const outcome = image.outcomes[t * image.scores.length + detection]!;
      if (outcome === IGNORED) continue;
      if (outcome === RIGHT) right++;
      else wrong++;
      recall.push(right / positives);
      precision.push(right / (right + wrong));
    }
    for (let i = precision.length - 2; i >= 0; i--) precision[i] = Math.max(precision[i]!, precision[i + 1]!);
    let first = 0;
    curve.precision.push(
      RECALLS.map((least) => {
        while (first < recall.length && recall[first]! < least) first++;
        return precision[first] ?? 0;
      }),
    );
    curve.recall.push(recall.at(-1) ?? 0);
  });
  return curve;
}

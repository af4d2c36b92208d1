/**
 * What is wrong with detections: errors by kind and what each costs (TIDE: Bolya, Foley, Hays, Hoffman 2020), confusion of
 * classes, precision by size, calibration of scores. Matching and AP are VOC's (voc.ts): an IoU above 0.5, area under the curve.
 */
import { type Box, iou } from '../kernels/boxes.ts';
import { AREAS } from './coco.ts';
import { averagePrecision, type Detection, evaluateVoc, type GroundTruthBox, matchClass } from './voc.ts';

/**
 * Why a detection is wrong, decided in this order, by its IoU with objects that no detection has found yet unless said otherwise:
 *   location    an object of its class, 0.1 to 0.5
 *   class       an object of another class, above 0.5
 *   duplicate   an object of its class that a better detection has found, above 0.5
 *   background  no object at all, below 0.1
 *   both        what is left: wrong class and place, or too near an object that was found already
 * and `missed`: an object without a detection, not even one with a wrong class or place.
 */
export const ERROR_KINDS = ['location', 'class', 'duplicate', 'background', 'both', 'missed'] as const;
export type ErrorKind = (typeof ERROR_KINDS)[number];

const FOREGROUND = 0.5;
const BACKGROUND = 0.1;

export interface JudgedDetection extends Detection {
  image: number;
  /** `ignored`: on an object marked difficult, which counts neither way. */
  verdict: 'correct' | 'ignored' | Exclude<ErrorKind, 'missed'>;
  /** The object that it is judged by: its index in the image; null for background. */
  truth: number | null;
  /** IoU with that object; for background the largest with any. */
  overlap: number;
}

export interface MissedObject {
  image: number;
  truth: number;
}

export interface CalibrationBin {
  /** Scores in [from, to). */
  from: number;
  to: number;
  detections: number;
  meanScore: number;
  /** Share of correct ones; NaN for an empty bin, as the mean. */
  correct: number;
}

export interface ClassCurve {
  name: string;
  /** Objects that are not difficult. */
  objects: number;
  /** null without objects. */
  ap: number | null;
  recall: number[];
  precision: number[];
}

export const SIZES = ['small', 'medium', 'large'] as const;
export type Size = (typeof SIZES)[number];

export interface Analysis {
  /** Mean AP over classes with objects. */
  mAP: number;
  curves: ClassCurve[];
  /** All detections, by descending score. */
  detections: JudgedDetection[];
  missed: MissedObject[];
  /** How often, and how much higher the mAP would be without this kind of error. */
  errors: Record<ErrorKind, { count: number; gain: number }>;
  /**
   * confusion[t][p]: objects of class t found as class p among detections that score `threshold` or more, whatever the class. Row 0:
   * detections on no object; column 0: objects not found.
   */
  confusion: number[][];
  threshold: number;
  bySize: Record<Size, { objects: number; mAP: number }>;
  calibration: CalibrationBin[];
}

/** `detections[i]` and `groundTruth[i]` belong to image i; `classes[0]` is the background. */
export function analyse(
  detections: readonly (readonly Detection[])[],
  groundTruth: readonly (readonly GroundTruthBox[])[],
  classes: readonly string[],
  threshold = 0.5,
): Analysis {
  const { judged, found } = judge(detections, groundTruth);
  const blamed = new Set(
    judged
      .filter(({ verdict }) => verdict === 'location' || verdict === 'class')
      .map(({ image, truth }) => `${image} ${truth}`),
  );
  const missed = groundTruth.flatMap((truths, image) =>
    truths.flatMap(({ difficult }, truth) =>
      difficult || found[image]![truth] || blamed.has(`${image} ${truth}`) ? [] : [{ image, truth }],
    ),
  );
  const { mAP } = evaluateVoc(detections, groundTruth, classes, { metric: 'voc10' });
  const gain = (kind: ErrorKind): number => {
    const [fixed, truths] = without(kind, judged, missed, groundTruth, found);
    return evaluateVoc(fixed, truths, classes, { metric: 'voc10' }).mAP - mAP;
  };
  const count = (kind: ErrorKind): number =>
    kind === 'missed' ? missed.length : judged.filter(({ verdict }) => verdict === kind).length;
  const errors = {} as Analysis['errors'];
  for (const kind of ERROR_KINDS) errors[kind] = { count: count(kind), gain: count(kind) === 0 ? 0 : gain(kind) };
  const bySize = {} as Analysis['bySize'];
  for (const size of SIZES) bySize[size] = ofSize(size, detections, groundTruth, classes);
  return {
    mAP,
    curves: classes.slice(1).map((name, i) => curveOf(name, i + 1, detections, groundTruth)),
    detections: judged,
    missed,
    errors,
    confusion: confusionOf(detections, groundTruth, classes.length, threshold),
    threshold,
    bySize,
    calibration: calibrationOf(judged),
  };
}

const corners = ({ x1, y1, x2, y2 }: { x1: number; y1: number; x2: number; y2: number }): Box => [x1, y1, x2, y2];
const overlapOf = (a: Detection, b: GroundTruthBox): number => iou(corners(a), corners(b), 1);
const areaOf = ({ x1, y1, x2, y2 }: { x1: number; y1: number; x2: number; y2: number }): number =>
  (x2 - x1 + 1) * (y2 - y1 + 1);

/** The most overlapped of the objects that `of` admits, and how much. */
function best(
  detection: Detection,
  truths: readonly GroundTruthBox[],
  of: (truth: GroundTruthBox, i: number) => boolean,
): { truth: number; overlap: number } {
  let result = { truth: -1, overlap: 0 };
  truths.forEach((truth, i) => {
    if (!of(truth, i)) return;
    const overlap = overlapOf(detection, truth);
    if (result.truth < 0 || overlap > result.overlap) result = { truth: i, overlap };
  });
  return result;
}

function judge(detections: readonly (readonly Detection[])[], groundTruth: readonly (readonly GroundTruthBox[])[]) {
  const found = groundTruth.map((truths) => truths.map(() => false));
  const ranked = detections
    .flatMap((list, image) => list.map((detection) => ({ ...detection, image })))
    .sort((a, b) => b.score - a.score);
  // First who is right, as in voc.ts; then why the others are not, when it is known which objects were found.
  const matches = ranked.map((detection) => {
    const { image, classIndex } = detection;
    const match = best(detection, groundTruth[image]!, (truth) => truth.classIndex === classIndex);
    if (!(match.overlap > FOREGROUND)) return null;
    const { difficult } = groundTruth[image]![match.truth]!;
    if (difficult) return { ...match, verdict: 'ignored' as const };
    if (found[image]![match.truth]) return null;
    found[image]![match.truth] = true;
    return { ...match, verdict: 'correct' as const };
  });
  const judged = ranked.map((detection, i): JudgedDetection => {
    const match = matches[i];
    if (match) return { ...detection, ...match };
    const { image, classIndex } = detection;
    const truths = groundTruth[image]!;
    const isOwn = ({ classIndex: other }: GroundTruthBox): boolean => other === classIndex;
    const isFound = (at: number): boolean => found[image]![at]!;
    const own = best(detection, truths, (truth, at) => isOwn(truth) && !isFound(at));
    if (own.overlap >= BACKGROUND && own.overlap <= FOREGROUND) return { ...detection, ...own, verdict: 'location' };
    const other = best(detection, truths, (truth, at) => !isOwn(truth) && !isFound(at));
    if (other.overlap > FOREGROUND) return { ...detection, ...other, verdict: 'class' };
    const taken = best(detection, truths, (truth, at) => isOwn(truth) && isFound(at));
    if (taken.overlap > FOREGROUND) return { ...detection, ...taken, verdict: 'duplicate' };
    const any = best(detection, truths, () => true);
    if (any.overlap < BACKGROUND) return { ...detection, truth: null, overlap: any.overlap, verdict: 'background' };
    return { ...detection, ...any, verdict: 'both' };
  });
  return { judged, found };
}

/** Detections and objects as they would be if a kind of error did not occur. */
function without(
  kind: ErrorKind,
  judged: readonly JudgedDetection[],
  missed: readonly MissedObject[],
  groundTruth: readonly (readonly GroundTruthBox[])[],
  found: readonly (readonly boolean[])[],
): [Detection[][], (readonly GroundTruthBox[])[]] {
  if (kind === 'missed') {
    const gone = new Set(missed.map(({ image, truth }) => `${image} ${truth}`));
    const left = groundTruth.map((truths, image) => truths.filter((_, i) => !gone.has(`${image} ${i}`)));
    return [perImage(judged, groundTruth.length), left];
  }
  // The best of those that point at an object is put right, so that the object is found once; the others are left out.
  const corrected = new Set<string>();
  const fixed = judged.flatMap((one): JudgedDetection[] => {
    if (one.verdict !== kind) return [one];
    if (kind !== 'class' && kind !== 'location') return [];
    const { image, truth } = one;
    const key = `${image} ${truth}`;
    if (found[image]![truth!] || corrected.has(key)) return [];
    corrected.add(key);
    const { x1, y1, x2, y2, classIndex } = groundTruth[image]![truth!]!;
    return [kind === 'class' ? { ...one, classIndex } : { ...one, x1, y1, x2, y2 }];
  });
  return [perImage(fixed, groundTruth.length), [...groundTruth]];
}

function perImage(judged: readonly JudgedDetection[], images: number): Detection[][] {
  const lists = Array.from({ length: images }, (): Detection[] => []);
  for (const one of judged) lists[one.image]!.push(one);
  return lists;
}

function curveOf(
  name: string,
  classIndex: number,
  detections: readonly (readonly Detection[])[],
  groundTruth: readonly (readonly GroundTruthBox[])[],
): ClassCurve {
  const ofClass = <T extends { classIndex: number }>(images: readonly (readonly T[])[]): T[][] =>
    images.map((list) => list.filter((one) => one.classIndex === classIndex));
  const { recall, precision, positives } = matchClass(ofClass(detections), ofClass(groundTruth), FOREGROUND);
  const ap = positives === 0 ? null : averagePrecision(recall, precision, 'voc10');
  return { name, objects: positives, ap, recall, precision };
}

/** As COCO: objects of other sizes count neither way, nor do detections of other sizes that match none. */
function ofSize(
  size: Size,
  detections: readonly (readonly Detection[])[],
  groundTruth: readonly (readonly GroundTruthBox[])[],
  classes: readonly string[],
): { objects: number; mAP: number } {
  const [least, most] = AREAS[size];
  const isIn = (box: Detection | GroundTruthBox): boolean => areaOf(box) >= least && areaOf(box) <= most;
  const truths = groundTruth.map((list) =>
    list.map((truth) => ({ ...truth, difficult: truth.difficult || !isIn(truth) })),
  );
  const counted = detections.map((list, image) =>
    list.filter(
      (one) =>
        isIn(one) ||
        best(one, groundTruth[image]!, ({ classIndex }) => classIndex === one.classIndex).overlap > FOREGROUND,
    ),
  );
  return {
    objects: truths.flat().filter(({ difficult }) => !difficult).length,
    mAP: evaluateVoc(counted, truths, classes, { metric: 'voc10' }).mAP,
  };
}

function confusionOf(
  detections: readonly (readonly Detection[])[],
  groundTruth: readonly (readonly GroundTruthBox[])[],
  classes: number,
  threshold: number,
): number[][] {
  const counts = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
  detections.forEach((list, image) => {
    const truths = groundTruth[image]!;
    const taken = new Set<number>();
    const sure = list.filter(({ score }) => score >= threshold).sort((a, b) => b.score - a.score);
    for (const detection of sure) {
      const match = best(detection, truths, (_, i) => !taken.has(i));
      const isOn = match.overlap > FOREGROUND;
      if (isOn) taken.add(match.truth);
      if (isOn && truths[match.truth]!.difficult) continue;
      counts[isOn ? truths[match.truth]!.classIndex : 0]![detection.classIndex]!++;
    }
    truths.forEach(({ classIndex, difficult }, i) => {
      if (!difficult && !taken.has(i)) counts[classIndex]![0]!++;
    });
  });
  return counts;
}

const BINS = 10;

function calibrationOf(judged: readonly JudgedDetection[]): CalibrationBin[] {
  const counted = judged.filter(({ verdict }) => verdict !== 'ignored');
  return Array.from({ length: BINS }, (_, i) => {
    const inBin = counted.filter(({ score }) => Math.min(BINS - 1, Math.floor(score * BINS)) === i);
    const mean = (value: (one: JudgedDetection) => number): number =>
      inBin.reduce((sum, one) => sum + value(one), 0) / inBin.length;
    return {
      from: i / BINS,
      to: (i + 1) / BINS,
      detections: inBin.length,
      meanScore: mean(({ score }) => score),
      correct: mean(({ verdict }) => Number(verdict === 'correct')),
    };
  });
}

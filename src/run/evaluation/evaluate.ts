/** The average precision of a trained network on a data set, or of given detections. */
import type { TileOptions } from '../../data/tiles.ts';
import type { Dataset, Sample } from '../../data/types.ts';
import type { Processes } from '../../distributed/processes.ts';
import { type CocoSummary, evaluateCoco } from '../../eval/coco.ts';
import { type Detection, evaluateVoc, type VocMetric } from '../../eval/voc.ts';
import type { DecodedImage } from '../../kernels/imagePrepare.ts';
import type { Detector } from '../../model/detector.ts';
import { detectImage } from './detect.ts';
import { detectTiled } from './detectTiled.ts';
import { eachImage } from './eachImage.ts';

export type Metric = VocMetric | 'coco';

/** What `rcnn eval --json` writes. */
export interface EvaluationReport {
  metric: Metric;
  /** COCO's AP with the coco metric. NaN if the split has no object. */
  mAP: number;
  /** By class; null for a class of which the split has no object. */
  ap: Record<string, number | null>;
  images: number;
  seconds: number;
  coco?: CocoSummary;
}

export interface Evaluation {
  report: EvaluationReport;
  /** By image, in the order of the data set. */
  detections: Detection[][];
}

export interface EvaluateOptions {
  onImage?(done: number): void;
  /** Each detects objects in its share of the images, and all have the evaluation. */
  processes?: Processes | undefined;
  /** Objects are looked for in tiles of each image too. */
  tiles?: TileOptions | undefined;
}

export async function evaluate(
  model: Detector,
  dataset: Dataset,
  metric: Metric,
  { onImage, processes, tiles }: EvaluateOptions = {},
): Promise<Evaluation> {
  const started = performance.now();
  const work = ({ proposals }: Sample, image: DecodedImage, i: number): Promise<Detection[]> =>
    tiles ? detectTiled(model, image, tiles, i) : detectImage(model, image, i, proposals);
  const detections = (await eachImage(dataset.samples, work, { processes, onImage: (done) => onImage?.(done) }))!;
  return { report: evaluateDetections(detections, dataset, metric, started), detections };
}

/** `detections[i]` belongs to image i; `started`: when the work began, by `performance.now()`. */
export function evaluateDetections(
  detections: readonly (readonly Detection[])[],
  { samples, classes }: Dataset,
  metric: Metric,
  started: number,
): EvaluationReport {
  const report = (mAP: number, ap: EvaluationReport['ap']): EvaluationReport => ({
    metric,
    mAP,
    ap,
    images: samples.length,
    seconds: Math.round(performance.now() - started) / 1000,
  });
  if (metric === 'coco') {
    const truths = samples.map(({ boxes }) => boxes);
    const { summary, ap } = evaluateCoco(detections, truths, classes);
    return { ...report(summary.AP < 0 ? NaN : summary.AP, ap), coco: summary };
  }
  // VOC has no crowds, so they are treated like difficult objects, which count neither way.
  const truths = samples.map(({ boxes }) => boxes.map((box) => (box.crowd ? { ...box, difficult: true } : box)));
  const { mAP, ap } = evaluateVoc(detections, truths, classes, { metric });
  return report(mAP, ap);
}

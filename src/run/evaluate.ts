/** Average precision of a trained network on a data set. */
import type { Dataset, Picture, Sample } from '../data/dataset.ts';
import { type Detection, evaluateVoc, type VocMetric } from '../eval/voc.ts';
import type { FasterRcnn } from '../model/fasterRcnn.ts';
import { detectImage } from './detect.ts';

/** What `rcnn eval --json` writes. */
export interface EvaluationReport {
  metric: VocMetric;
  mAP: number;
  /** By class; null where the split has no object of it. */
  ap: Record<string, number | null>;
  images: number;
  seconds: number;
}

export interface Evaluation {
  report: EvaluationReport;
  /** By image, in the order of the data set. */
  detections: Detection[][];
}

export async function evaluate(
  model: FasterRcnn,
  dataset: Dataset,
  metric: VocMetric,
  onImage?: (done: number) => void,
): Promise<Evaluation> {
  const started = performance.now();
  const detections: Detection[][] = [];
  let next = load(dataset.samples[0]);
  for (const [i, sample] of dataset.samples.entries()) {
    const picture = (await next) ?? (await sample.load());
    next = load(dataset.samples[i + 1]);
    next.catch(() => {}); // reported when its turn comes
    detections.push(await detectImage(model, picture));
    onImage?.(i + 1);
  }
  const truths = dataset.samples.map((sample) => sample.boxes);
  const { mAP, ap } = evaluateVoc(detections, truths, dataset.classes, { metric });
  const seconds = Math.round(performance.now() - started) / 1000;
  return { report: { metric, mAP, ap, images: dataset.samples.length, seconds }, detections };
}

/** The picture of the next image is decoded while the device works on this one. */
const load = async (sample: Sample | undefined): Promise<Picture | undefined> => sample?.load();

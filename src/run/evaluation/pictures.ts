/** The pictures that a run leaves behind, composed from src/draw. */
import type { Dataset } from '../../data/types.ts';
import { type Canvas } from '../../draw/canvas.ts';
import { contactSheet, drawDetections, drawProposals } from '../../draw/pictures.ts';
import type { Detection } from '../../eval/voc.ts';
import type { Detector } from '../../model/detector.ts';
import { proposeImage } from './detect.ts';

/** Detections with a lower score are not drawn. */
const SHOWN_SCORE = 0.5;
export const COLUMNS = 4;
/** How many images are drawn on a sheet of detections or ground truth, and on one of proposals. */
const DETECTIONS = 12;
const PROPOSALS = 8;
/** How many of the best proposals are drawn in an image. */
const SHOWN_PROPOSALS = 40;
/** On a sheet, images are enlarged until the shorter side has about this many pixels. */
const SHEET_SIDE = 320;

export const enlargement = (width: number, height: number): number =>
  Math.max(1, Math.round(SHEET_SIDE / Math.min(width, height)));

/** The first images with what was found in them (`detections[i]` belongs to image i) and the ground truth, dashed. */
export async function detectionsSheet(dataset: Dataset, detections: readonly Detection[][]): Promise<Canvas> {
  const samples = dataset.samples.slice(0, DETECTIONS);
  const canvases = await Promise.all(
    samples.map(async (sample, i) =>
      drawDetections(
        await sample.load(),
        detections[i]!.filter(({ score }) => score >= SHOWN_SCORE),
        dataset.classes,
        { groundTruth: sample.boxes, scale: enlargement(sample.width, sample.height) },
      ),
    ),
  );
  return contactSheet(canvases, COLUMNS, {
    title: `Detections that score ${SHOWN_SCORE} or more; dashed: ground truth`,
  });
}

/** Some images, evenly spaced, with their objects and the objects' classes. */
export async function truthSheet({ name, classes, samples }: Dataset): Promise<Canvas> {
  const some = samples.filter((_, i) => (i * DETECTIONS) % samples.length < DETECTIONS).slice(0, DETECTIONS);
  const canvases = await Promise.all(
    some.map(async (sample) => {
      const scale = enlargement(sample.width, sample.height);
      return drawDetections(await sample.load(), [], classes, { groundTruth: sample.boxes, scale });
    }),
  );
  return contactSheet(canvases, COLUMNS, {
    title: `${name}: ${some.length} of ${samples.length} images with their objects`,
    captions: some.map(({ id }) => id),
  });
}

/** The first images with the best proposals of the network, and the ground truth, dashed. */
export async function proposalsSheet(model: Detector, dataset: Dataset): Promise<Canvas> {
  const canvases: Canvas[] = [];
  for (const sample of dataset.samples.slice(0, PROPOSALS)) {
    const picture = await sample.load();
    const proposals = (await proposeImage(model, picture, { proposals: sample.proposals })).slice(0, SHOWN_PROPOSALS);
    canvases.push(
      drawProposals(
        picture,
        proposals.map(({ x1, y1, x2, y2 }) => [x1, y1, x2, y2]),
        proposals.map(({ score }) => score),
        sample.boxes,
        enlargement(sample.width, sample.height),
      ),
    );
  }
  return contactSheet(canvases, COLUMNS, {
    title: `The ${SHOWN_PROPOSALS} best proposals, violet (objectness 0) to yellow (1); dashed: ground truth`,
  });
}

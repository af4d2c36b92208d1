/** After a training run: average precision on the test split, and the pictures that show what was learnt. */
import { join } from 'node:path';
import type { Dataset } from '../data/dataset.ts';
import { writePng } from '../draw/canvas.ts';
import { plotLosses } from '../draw/losses.ts';
import type { FasterRcnn } from '../model/fasterRcnn.ts';
import { evaluate, type EvaluationReport } from './evaluate.ts';
import { detectionsSheet, proposalsSheet } from './pictures.ts';
import type { RunDirectory } from './runDirectory.ts';

export interface Showing {
  report: EvaluationReport;
  /** Paths of the pictures, with what they show. */
  pictures: Record<'detections' | 'proposals' | 'losses', string>;
}

export async function showResults(
  model: FasterRcnn,
  test: Dataset,
  directory: RunDirectory,
  onImage?: (done: number) => void,
): Promise<Showing> {
  const { report, detections } = await evaluate(model, test, 'voc10', onImage);
  const inRun = (name: string): string => join(directory.path, name);
  const pictures = {
    detections: inRun('detections.png'),
    proposals: inRun('proposals.png'),
    losses: inRun('losses.png'),
  };
  await writePng(pictures.detections, await detectionsSheet(test, detections));
  await writePng(pictures.proposals, await proposalsSheet(model, test));
  await writePng(pictures.losses, plotLosses(directory.readMetrics()));
  return { report, pictures };
}

/** The pictures that show what a training run has learnt. */
import { join } from 'node:path';
import type { Dataset } from '../data/dataset.ts';
import { writePng } from '../draw/canvas.ts';
import { plotLosses } from '../draw/losses.ts';
import type { Detection } from '../eval/voc.ts';
import type { FasterRcnn } from '../model/fasterRcnn.ts';
import { detectionsSheet, proposalsSheet } from './pictures.ts';
import type { RunDirectory } from './runDirectory.ts';

/**
 * Draws into the folder `out` the first images of `test` with what was detected (`detections[i]` belongs to image i) and
 * with the best proposals, and the curves of the run's losses. Returns what each picture shows, and its path.
 */
export async function drawResults(
  model: FasterRcnn,
  test: Dataset,
  detections: readonly Detection[][],
  run: RunDirectory,
  out: string,
): Promise<Record<string, string>> {
  const metrics = run.readMetrics();
  const pictures = {
    detections: await detectionsSheet(test, detections),
    proposals: await proposalsSheet(model, test),
    ...(metrics.length > 0 && { losses: plotLosses(metrics) }),
  };
  const paths: Record<string, string> = {};
  for (const [name, canvas] of Object.entries(pictures)) {
    paths[name] = join(out, `${name}.png`);
    await writePng(paths[name], canvas);
  }
  return paths;
}

/** Draws the pictures that show what a training run has learnt. */
import { join } from 'node:path';
import type { Dataset } from '../../data/types.ts';
import { type Canvas, writePng } from '../../draw/canvas.ts';
import { plotLosses } from '../../draw/losses.ts';
import type { Detection } from '../../eval/voc.ts';
import type { Detector } from '../../model/detector.ts';
import { detectionsSheet, proposalsSheet } from './pictures.ts';
import type { RunDirectory } from '../storage/runDirectory.ts';
import { hasDetector, stagesOfRun } from '../config/stages.ts';

/**
 * Draws into the folder `out` the first images of `test` with what was detected (`detections[i]` belongs to image i) and
 * with the best proposals, and the curves of the losses of the run or of each of its stages. Returns what each picture shows,
 * and its path.
 */
export async function drawResults(
  model: Detector,
  test: Dataset,
  detections: readonly Detection[][],
  run: RunDirectory | undefined,
  out: string,
): Promise<Record<string, string>> {
  const pictures: Record<string, Canvas> = {
    detections: await detectionsSheet(test, detections),
    proposals: await proposalsSheet(model, test),
  };
  const validated = run && stagesOfRun(run.readConfig()).find(hasDetector)?.name;
  for (const [stage, directory] of run ? [['', run] as const, ...run.stages] : []) {
    const metrics = directory.readMetrics();
    if (metrics.length === 0) continue;
    const title = `Training losses${stage && `, stage ${stage}`}`;
    const validation = stage === validated ? run!.readValidation() : [];
    pictures[stage ? `losses-${stage}` : 'losses'] = plotLosses(metrics, title, validation);
  }
  const paths: Record<string, string> = {};
  for (const [name, canvas] of Object.entries(pictures)) {
    paths[name] = join(out, `${name}.png`);
    await writePng(paths[name], canvas);
  }
  return paths;
}

/** The kernels of a run, timed on its device before it starts (engine/tuner.ts). */
import type { Sample } from '../../data/types.ts';
import { readTuningCache, saveTuningCache } from '../../engine/node/tuningCache.ts';
import type { Choices } from '../../engine/plans.ts';
import { tune, type TuneReport } from '../../engine/tuner.ts';
import type { Detector } from '../../model/detector.ts';
import { type DetectorTask, measureStep } from './trainDetector.ts';

export interface TuningEvents {
  /** Shapes whose kernels were timed, of those met so far. */
  onTune?(done: number, total: number): void;
  onTuned?(report: TuneReport): void;
}

/** Pictures whose shapes are tuned for: data sets have few sizes, and the planner's choice serves the others. */
const TUNED_PICTURES = 3;

/**
 * Meets the shapes of a training step on the first pictures, times those that the user's cache does not know, and takes the
 * fastest kernels for the model. Returns all choices that the model now has.
 */
export async function tuneModel(
  model: Detector,
  task: DetectorTask,
  samples: readonly Sample[],
  events: TuningEvents,
): Promise<Choices> {
  const { gpu, plans } = model;
  plans.use(readTuningCache(gpu));
  for (const sample of samples.slice(0, TUNED_PICTURES)) measureStep(model, task, sample, { first: 0, end: 1 });
  const report = await tune(gpu, { plans, onShape: (done, total) => events.onTune?.(done, total) });
  if (report.timed > 0) saveTuningCache(gpu, plans.export());
  events.onTuned?.(report);
  return plans.export();
}

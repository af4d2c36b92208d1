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

/** Shapes are tuned for this many images. Data sets have few sizes, and for other sizes the planner chooses. */
const TUNED_IMAGES = 3;

/**
 * Collects the shapes of a training step on the first images, times those that the user's cache does not contain, and chooses
 * the fastest kernels for the model. Returns all choices that the model now has. `microBatch`: images of a pass.
 */
export async function tuneModel(
  model: Detector,
  task: DetectorTask,
  samples: readonly Sample[],
  microBatch: number,
  events: TuningEvents,
): Promise<Choices> {
  const { gpu, plans } = model;
  plans.use(readTuningCache(gpu));
  for (const sample of samples.slice(0, TUNED_IMAGES)) {
    const batch = Array.from({ length: microBatch }, () => sample);
    measureStep(model, task, batch, { first: 0, end: 1 });
  }
  const report = await tune(gpu, { plans, onShape: (done, total) => events.onTune?.(done, total) });
  if (report.timed > 0) saveTuningCache(gpu, plans.export());
  events.onTuned?.(report);
  return plans.export();
}

/** How long the parts of a detection take on some images. */
import type { Sample } from '../data/types.ts';
import type { Detector } from '../model/detector.ts';
import { detectInStages, type StagedDetection, STAGES } from '../run/evaluation/detect.ts';
import { median } from './statistics.ts';

/** Milliseconds of each part, the median over the images; the first image is detected once before, to warm up. */
export async function stageTimes(
  model: Detector,
  images: readonly Pick<Sample, 'load' | 'proposals'>[],
): Promise<StagedDetection['milliseconds']> {
  const times: StagedDetection['milliseconds'][] = [];
  for (const image of [...images.slice(0, 1), ...images]) {
    times.push((await detectInStages(model, await image.load(), image.proposals)).milliseconds);
  }
  const entries = STAGES.map((stage) => [stage, median(times.slice(1).map((time) => time[stage]))] as const);
  return Object.fromEntries(entries) as StagedDetection['milliseconds'];
}

/**
 * Repeat factor sampling (Gupta et al. 2019, LVIS): with f(c) the share of the images that have class c, an image is shown
 *   r = max over its classes of max(1, sqrt(threshold / f(c)))
 * times as often. The fraction of r is rounded up or down by chance, once for a run.
 */
import { Random } from '../kernels/rng.ts';
import { countedBoxes } from './boxes.ts';
import type { Sample } from './types.ts';

/** Keeps these draws apart from other uses of the run's seed. */
const OVERSAMPLING_STREAM = 0x05a30000;

/** The indices of the samples, each as often as it is to be shown. */
export function repeatedSamples(samples: readonly Pick<Sample, 'boxes'>[], threshold: number, seed: number): number[] {
  const classes = samples.map(({ boxes }) => new Set(countedBoxes(boxes).map(({ classIndex }) => classIndex)));
  const images = new Map<number, number>();
  for (const found of classes) for (const one of found) images.set(one, (images.get(one) ?? 0) + 1);
  const random = new Random(seed, OVERSAMPLING_STREAM);
  return classes.flatMap((found, index) => {
    const factors = [...found].map((one) => Math.sqrt((threshold * samples.length) / images.get(one)!));
    const times = Math.max(1, ...factors);
    const whole = Math.floor(times) + (random.next() < times % 1 ? 1 : 0);
    return Array<number>(whole).fill(index);
  });
}

import type { TrainingConfig } from '../../model/config.ts';

/** How much of the rate is left at a step, without the warm-up. */
const SCHEDULES: Record<
  NonNullable<TrainingConfig['rateSchedule']>,
  (step: number, config: TrainingConfig) => number
> = {
  steps: (step, { milestones, gamma }) => gamma ** milestones.filter((milestone) => step >= milestone).length,
  cosine: (step, { steps }) => (1 + Math.cos((Math.PI * step) / steps)) / 2,
  polynomial: (step, { steps, power = 0.9 }) => (1 - step / steps) ** power,
};

/** The learning rate at a step, from 0 to `steps` - 1: what its schedule leaves of it, and a linear warm-up. */
export function learningRate(step: number, config: TrainingConfig): number {
  const { warmup, warmupFactor = 0.1, rateSchedule = 'steps' } = config;
  const rate = config.learningRate * SCHEDULES[rateSchedule](step, config);
  if (step >= warmup) return rate;
  return rate * (warmupFactor + ((1 - warmupFactor) * step) / warmup);
}

import type { TrainingConfig } from '../../model/config.ts';

/**
 * The learning rate at a step: a linear warm-up, then a factor of `gamma` for every milestone passed. `warmupFactor` is the
 * share of the rate at which the warm-up begins (detectron2, whose numbers a test compares with, begins at 0.001).
 */
export function learningRate(step: number, config: TrainingConfig, warmupFactor = 0.1): number {
  const passed = config.milestones.filter((milestone) => step >= milestone).length;
  const rate = config.learningRate * config.gamma ** passed;
  if (step >= config.warmup) return rate;
  return rate * (warmupFactor + ((1 - warmupFactor) * step) / config.warmup);
}

import { Adam, AdamW } from '../../engine/adam.ts';
import type { Optimizer, ParameterGroup } from '../../engine/optimizer.ts';
import { Sgd } from '../../engine/sgd.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { TrainingConfig } from '../../model/config.ts';

/** The name of a bias, or of a shard of one. */
const BIAS = /\.bias(\[\d+:\d+\])?$/;

type Others = Readonly<Record<string, Omit<ParameterGroup, 'parameter'>>>;

const OPTIMISERS = { sgd: Sgd, adam: Adam, adamw: AdamW } as const;

/** The optimiser of a training, with its multipliers for biases, and others for the parameters that `others` names. */
export const makeOptimizer = (
  parameters: Readonly<Record<string, Tensor>>,
  training: TrainingConfig,
  others: Others = {},
): Optimizer => new OPTIMISERS[training.optimizer ?? 'sgd'](parameterGroups(parameters, training, others), training);

/** The parameters with the multipliers that `makeOptimizer` gives them. */
export function parameterGroups(
  parameters: Readonly<Record<string, Tensor>>,
  training: TrainingConfig,
  others: Others = {},
): ParameterGroup[] {
  const biases = { rateMultiplier: training.biasRate, decayMultiplier: training.biasDecay };
  return Object.entries(parameters).map(([name, parameter]) => ({
    parameter,
    ...(BIAS.test(name) && biases),
    ...others[name],
  }));
}

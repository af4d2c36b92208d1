import { type ParameterGroup, Sgd } from '../../engine/sgd.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { TrainingConfig } from '../../model/config.ts';

/** The name of a bias, or of a shard of one. */
const BIAS = /\.bias(\[\d+:\d+\])?$/;

/** The optimiser with Caffe's multipliers for biases, and others for the parameters that `others` names. */
export function caffeSgd(
  parameters: Readonly<Record<string, Tensor>>,
  training: TrainingConfig,
  others: Readonly<Record<string, Omit<ParameterGroup, 'parameter'>>> = {},
): Sgd {
  const biases = { rateMultiplier: training.biasRate, decayMultiplier: training.biasDecay };
  const groups = Object.entries(parameters).map(([name, parameter]) => ({
    parameter,
    ...(BIAS.test(name) && biases),
    ...others[name],
  }));
  return new Sgd(groups, training);
}

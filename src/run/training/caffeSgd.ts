import { type ParameterGroup, Sgd } from '../../engine/sgd.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { TrainingConfig } from '../../model/config.ts';

/** The name of a bias, or of a shard of one. */
const BIAS = /\.bias(\[\d+:\d+\])?$/;

type Others = Readonly<Record<string, Omit<ParameterGroup, 'parameter'>>>;

/** The optimiser with Caffe's multipliers for biases, and others for the parameters that `others` names. */
export const caffeSgd = (
  parameters: Readonly<Record<string, Tensor>>,
  training: TrainingConfig,
  others: Others = {},
): Sgd => new Sgd(caffeGroups(parameters, training, others), training);

/** The parameters with the multipliers that `caffeSgd` gives them. */
export function caffeGroups(
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

import { adamRule, adamWRule } from '../../engine/adam.ts';
import { Optimizer, type ParameterGroup, type UpdateRule } from '../../engine/optimizer.ts';
import { sgdRule } from '../../engine/sgd.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { TrainingConfig } from '../../model/config.ts';

/** The name of a bias, or of a shard of one. */
const BIAS = /\.bias(\[\d+:\d+\])?$/;

type Others = Readonly<Record<string, Omit<ParameterGroup, 'parameter'>>>;

const RULES = { sgd: sgdRule, adam: adamRule, adamw: adamWRule } as const;

/** The rule of a training's optimiser. */
export const ruleOf = (training: TrainingConfig): UpdateRule => RULES[training.optimizer ?? 'sgd'](training);

/** The optimiser of a training, with its multipliers for biases, and others for the parameters that `others` names. */
export const makeOptimizer = (
  parameters: Readonly<Record<string, Tensor>>,
  training: TrainingConfig,
  others: Others = {},
): Optimizer => new Optimizer(parameterGroups(parameters, training, others), ruleOf(training), training.learningRate);

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

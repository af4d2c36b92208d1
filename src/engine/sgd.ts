/**
 * Stochastic gradient descent with momentum and weight decay, Caffe's rule:
 *   g = gradient / divisor + weightDecay * decayMultiplier * w;   h = momentum * h + learningRate * rateMultiplier * g;
 *   w -= h
 * The learning rate is inside the momentum buffer (PyTorch keeps it outside): the two differ when it changes.
 */
import { sgdSets, sgdSteps } from '../kernels/sgd.ts';
import { expectRate, Optimizer, type ParameterGroup, type UpdateRule } from './optimizer.ts';
import { runSets } from './sets.ts';
import type { Tensor } from './tensor.ts';

export interface SgdOptions {
  /** May be changed later: `sgd.learningRate = 0.01`. */
  learningRate: number;
  momentum?: number;
  weightDecay?: number;
}

/** Caffe's rule, which keeps the momentum h. */
export function sgdRule({ momentum = 0, weightDecay = 0 }: Omit<SgdOptions, 'learningRate'>): UpdateRule<'momentum'> {
  const name = 'Sgd';
  expectRate(name, 'momentum', momentum);
  expectRate(name, 'weightDecay', weightDecay);
  return {
    name,
    states: ['momentum'],
    apply: (updates, { learningRate, divisor }) =>
      runSets(
        updates.map(({ weights, grad, state, rate, decay }) => ({
          buffers: { w: weights, h: state.momentum, grad },
          uniforms: { lr: learningRate * rate, weightDecay: weightDecay * decay },
        })),
        sgdSets,
        sgdSteps,
        { uniforms: { momentum, gradScale: 1 / divisor } },
      ),
  };
}

export class Sgd extends Optimizer<'momentum'> {
  constructor(parameters: readonly (Tensor | ParameterGroup)[], { learningRate, ...settings }: SgdOptions) {
    super(parameters, sgdRule(settings), learningRate);
  }
}

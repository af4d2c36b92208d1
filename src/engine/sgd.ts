/**
 * Stochastic gradient descent with momentum and weight decay, Caffe's rule:
 *   g = gradient / divisor + weightDecay * decayMultiplier * w;   h = momentum * h + learningRate * rateMultiplier * g;
 *   w -= h
 * The learning rate is inside the momentum buffer (PyTorch keeps it outside): the two differ when it changes.
 */
import { sgdSets, sgdSteps } from '../kernels/sgd.ts';
import { expectRate, expectStep, Optimizer, type ParameterGroup, type Slot } from './optimizer.ts';
import { runSets } from './sets.ts';
import type { Tensor } from './tensor.ts';

export interface SgdOptions {
  /** May be changed later: `sgd.learningRate = 0.01`. */
  learningRate: number;
  momentum?: number;
  weightDecay?: number;
}

/** What one rule is applied to: weights, their momentum and their gradient, and Caffe's multipliers. */
export interface SgdSet {
  w: Tensor;
  h: Tensor;
  grad: Tensor;
  rate: number;
  decay: number;
}

/** A step of `sets`, several in a dispatch. */
export function sgdStep(
  sets: readonly SgdSet[],
  { learningRate, momentum, weightDecay }: Required<SgdOptions>,
  divisor: number,
): void {
  expectStep('Sgd', learningRate, divisor);
  runSets(
    sets.map(({ w, h, grad, rate, decay }) => ({
      buffers: { w, h, grad },
      uniforms: { lr: learningRate * rate, weightDecay: weightDecay * decay },
    })),
    sgdSets,
    sgdSteps,
    { uniforms: { momentum, gradScale: 1 / divisor } },
  );
}

/** What it keeps is the momentum h of each parameter. */
export class Sgd extends Optimizer<'momentum'> {
  readonly momentum: number;
  readonly weightDecay: number;

  constructor(
    parameters: readonly (Tensor | ParameterGroup)[],
    { learningRate, momentum = 0, weightDecay = 0 }: SgdOptions,
  ) {
    super('Sgd', parameters, ['momentum'], learningRate);
    this.momentum = momentum;
    this.weightDecay = weightDecay;
    for (const field of ['momentum', 'weightDecay'] as const) expectRate('Sgd', field, this[field]);
  }

  protected update(ready: readonly Slot<'momentum'>[], divisor: number): void {
    const sets = ready.map(({ parameter, state, ...slot }) => ({
      ...slot,
      w: parameter,
      h: state.momentum,
      grad: parameter.grad!,
    }));
    sgdStep(sets, this, divisor);
  }
}

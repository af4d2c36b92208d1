/**
 * Stochastic gradient descent with momentum and weight decay, Caffe's rule:
 *   g = gradient / divisor + weightDecay * decayMultiplier * w;   h = momentum * h + learningRate * rateMultiplier * g;
 *   w -= h
 * The learning rate is inside the momentum buffer (PyTorch keeps it outside): the two differ when it changes.
 */
import { fill } from '../kernels/elementwise.ts';
import { sgdStep } from '../kernels/sgd.ts';
import type { Tensor } from './tensor.ts';

export interface SgdOptions {
  learningRate: number;
  momentum?: number;
  weightDecay?: number;
}

/** A parameter with multipliers of its own: Caffe's lr_mult and decay_mult. */
export interface ParameterGroup {
  parameter: Tensor;
  rateMultiplier?: number;
  decayMultiplier?: number;
}

export class Sgd {
  learningRate: number;
  readonly momentum: number;
  readonly weightDecay: number;
  /** Parameters and their momentum buffers h, in the order given. */
  readonly slots: readonly { parameter: Tensor; h: Tensor; rate: number; decay: number }[];

  /** Parameters that require no gradient are left alone. */
  constructor(parameters: readonly (Tensor | ParameterGroup)[], options: SgdOptions) {
    this.learningRate = options.learningRate;
    this.momentum = options.momentum ?? 0;
    this.weightDecay = options.weightDecay ?? 0;
    this.slots = parameters
      .map((item) => ('parameter' in item ? item : { parameter: item }))
      .filter(({ parameter }) => parameter.requiresGrad)
      .map(({ parameter, rateMultiplier = 1, decayMultiplier = 1 }) => {
        const h = parameter.gpu.zeros(parameter.shape, `momentum ${parameter.name}`);
        h.persistent = true;
        return { parameter, h, rate: rateMultiplier, decay: decayMultiplier };
      });
  }

  /** Updates every parameter that has a gradient. `divisor`: images whose gradients were accumulated (Caffe's iter_size). */
  step(divisor = 1): void {
    for (const { parameter, h, rate, decay } of this.slots) {
      if (!parameter.grad) continue;
      parameter.gpu.run(
        sgdStep,
        { w: parameter, h, grad: parameter.grad },
        {
          n: parameter.size,
          lr: this.learningRate * rate,
          momentum: this.momentum,
          weightDecay: this.weightDecay * decay,
          gradScale: 1 / divisor,
        },
      );
    }
  }

  /** Sets the gradients to zero. */
  zeroGrad(): void {
    for (const { parameter } of this.slots) {
      if (parameter.grad) parameter.gpu.run(fill, { y: parameter.grad }, { n: parameter.size, value: 0 });
    }
  }
}

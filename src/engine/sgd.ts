/**
 * Stochastic gradient descent with momentum and weight decay, Caffe's rule:
 *   g = gradient / divisor + weightDecay * decayMultiplier * w;   h = momentum * h + learningRate * rateMultiplier * g;
 *   w -= h
 * The learning rate is inside the momentum buffer (PyTorch keeps it outside): the two differ when it changes.
 */
import { clearFour } from '../kernels/elementwise.ts';
import { sgdStep } from '../kernels/sgd.ts';
import type { Bindable } from './memory.ts';
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
    for (const [one, two] of inGroups(this.slots.filter(hasGradient), 2)) {
      const { gpu } = one!.parameter;
      // An odd one goes alone: the second place is bound to buffers of which nothing is used.
      const spare = (name: string): Bindable => gpu.workspace(`sgd spare ${name}`, 16);
      gpu.run(
        sgdStep,
        {
          w: one!.parameter,
          h: one!.h,
          grad: one!.parameter.grad!,
          w2: two?.parameter ?? spare('w'),
          h2: two?.h ?? spare('h'),
          grad2: two?.parameter.grad ?? spare('grad'),
        },
        {
          n: one!.parameter.size,
          m: two?.parameter.size ?? 0,
          rate: this.learningRate * one!.rate,
          decay: this.weightDecay * one!.decay,
          rate2: this.learningRate * (two?.rate ?? 0),
          decay2: this.weightDecay * (two?.decay ?? 0),
          momentum: this.momentum,
          gradScale: 1 / divisor,
        },
      );
    }
  }

  /** Sets the gradients to zero. */
  zeroGrad(): void {
    for (const group of inGroups(this.slots.filter(hasGradient), 4)) {
      const { gpu } = group[0]!.parameter;
      const at = (i: number): Bindable => group[i]?.parameter.grad ?? gpu.workspace(`clear spare ${i}`, 16);
      const size = (i: number): number => group[i]?.parameter.size ?? 0;
      gpu.run(
        clearFour,
        { a: at(0), b: at(1), c: at(2), d: at(3) },
        { na: size(0), nb: size(1), nc: size(2), nd: size(3) },
      );
    }
  }
}

type Slot = Sgd['slots'][number];

const hasGradient = ({ parameter }: Slot): boolean => parameter.grad !== null;

const inGroups = (slots: readonly Slot[], size: number): Slot[][] =>
  Array.from({ length: Math.ceil(slots.length / size) }, (_, i) => slots.slice(i * size, (i + 1) * size));

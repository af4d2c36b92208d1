/**
 * Stochastic gradient descent with momentum and weight decay, Caffe's rule:
 *   g = gradient / divisor + weightDecay * decayMultiplier * w;   h = momentum * h + learningRate * rateMultiplier * g;
 *   w -= h
 * The learning rate is inside the momentum buffer (PyTorch keeps it outside): the two differ when it changes.
 */
import { sgdSets, sgdSteps } from '../kernels/sgd.ts';
import type { Tensor } from './tensor.ts';

export interface SgdOptions {
  /** May be changed later: `sgd.learningRate = 0.01`. */
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

function expectRate(name: string, value: number): void {
  if (!(value >= 0 && value < Infinity)) throw new Error(`Sgd: ${name} is ${value}, expected a number from 0 on`);
}

export class Sgd {
  learningRate: number;
  readonly momentum: number;
  readonly weightDecay: number;
  /** Parameters and their momentum buffers h, in the order given. */
  readonly slots: readonly { parameter: Tensor; h: Tensor; rate: number; decay: number }[];

  /** Parameters that do not require a gradient are left alone. */
  constructor(parameters: readonly (Tensor | ParameterGroup)[], options: SgdOptions) {
    this.learningRate = options.learningRate;
    this.momentum = options.momentum ?? 0;
    this.weightDecay = options.weightDecay ?? 0;
    for (const field of ['learningRate', 'momentum', 'weightDecay'] as const) expectRate(field, this[field]);
    const groups = parameters.map((item) => ('parameter' in item ? item : { parameter: item }));
    const twice = groups.find(({ parameter }, i) => groups.some((other, j) => j < i && other.parameter === parameter));
    if (twice) throw new Error(`Sgd: parameter ${twice.parameter.name} is given twice`);
    this.slots = groups
      .filter(({ parameter }) => parameter.requiresGrad)
      .map(({ parameter, rateMultiplier = 1, decayMultiplier = 1 }) => {
        const h = parameter.gpu.zeros(parameter.shape, `momentum ${parameter.name}`);
        h.persistent = true;
        return { parameter, h, rate: rateMultiplier, decay: decayMultiplier };
      });
  }

  /** Updates every parameter that has a gradient. `divisor`: images whose gradients were accumulated (Caffe's iter_size). */
  step(divisor = 1): void {
    expectRate('learningRate', this.learningRate);
    if (!(divisor > 0)) throw new Error(`Sgd: the divisor is ${divisor}, expected a number above 0`);
    const ready = this.slots.filter(({ parameter }) => parameter.grad);
    if (ready.length === 0 && this.slots.length > 0) {
      throw new Error('Sgd: no parameter has a gradient; call backward() on a loss that depends on them first');
    }
    const count = ready[0] ? sgdSets(ready[0].parameter.gpu.device.limits.maxStorageBuffersPerShaderStage) : 1;
    for (let first = 0; first < ready.length; first += count) {
      const sets = ready.slice(first, first + count);
      const buffers: Record<string, Tensor> = {};
      const uniforms: Record<string, number> = { momentum: this.momentum, gradScale: 1 / divisor };
      sets.forEach(({ parameter, h, rate, decay }, k) => {
        buffers[`w${k}`] = parameter;
        buffers[`h${k}`] = h;
        buffers[`grad${k}`] = parameter.grad!;
        uniforms[`n${k}`] = parameter.size;
        uniforms[`lr${k}`] = this.learningRate * rate;
        uniforms[`weightDecay${k}`] = this.weightDecay * decay;
      });
      sets[0]!.parameter.gpu.run(sgdSteps(sets.length), buffers, uniforms);
      sets.forEach(({ parameter }) => parameter.changed());
    }
  }

  /** Frees the momentum and the gradients. */
  dispose(): void {
    for (const { parameter, h } of this.slots) {
      h.dispose();
      parameter.freeGrad();
    }
  }

  /** Sets the gradients to zero. Read `grad` again afterwards: it holds zeros, or what has been added since. */
  zeroGrad(): void {
    for (const { parameter } of this.slots) parameter.clearGrad();
  }
}

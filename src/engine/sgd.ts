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
  expectStep(learningRate, divisor);
  const gpu = sets[0]?.w.gpu;
  if (!gpu) return;
  const count = sgdSets(gpu.device.limits.maxStorageBuffersPerShaderStage);
  for (let first = 0; first < sets.length; first += count) {
    const together = sets.slice(first, first + count);
    const buffers: Record<string, Tensor> = {};
    const uniforms: Record<string, number> = { momentum, gradScale: 1 / divisor };
    together.forEach(({ w, h, grad, rate, decay }, k) => {
      buffers[`w${k}`] = w;
      buffers[`h${k}`] = h;
      buffers[`grad${k}`] = grad;
      uniforms[`n${k}`] = w.size;
      uniforms[`lr${k}`] = learningRate * rate;
      uniforms[`weightDecay${k}`] = weightDecay * decay;
    });
    gpu.run(sgdSteps(together.length), buffers, uniforms);
  }
}

function expectRate(name: string, value: number): void {
  if (!(value >= 0 && value < Infinity)) throw new Error(`Sgd: ${name} is ${value}, expected a number from 0 on`);
}

/** A parameter that is trained, with its multipliers. */
export interface TrainedParameter {
  parameter: Tensor;
  rate: number;
  decay: number;
}

/** Those that require a gradient. */
export function trained(parameters: readonly (Tensor | ParameterGroup)[]): TrainedParameter[] {
  const groups = parameters.map((item) => ('parameter' in item ? item : { parameter: item }));
  const twice = groups.find(({ parameter }, i) => groups.some((other, j) => j < i && other.parameter === parameter));
  if (twice) throw new Error(`Sgd: parameter ${twice.parameter.name} is given twice`);
  return groups
    .filter(({ parameter }) => parameter.requiresGrad)
    .map(({ parameter, rateMultiplier = 1, decayMultiplier = 1 }) => ({
      parameter,
      rate: rateMultiplier,
      decay: decayMultiplier,
    }));
}

function expectStep(learningRate: number, divisor: number): void {
  expectRate('learningRate', learningRate);
  if (!(divisor > 0)) throw new Error(`Sgd: the divisor is ${divisor}, expected a number above 0`);
}

export class Sgd {
  learningRate: number;
  readonly momentum: number;
  readonly weightDecay: number;
  /** Parameters and their momentum buffers h, in the order given. */
  readonly slots: readonly (TrainedParameter & { h: Tensor })[];

  /** Parameters that do not require a gradient are left alone. */
  constructor(parameters: readonly (Tensor | ParameterGroup)[], options: SgdOptions) {
    this.learningRate = options.learningRate;
    this.momentum = options.momentum ?? 0;
    this.weightDecay = options.weightDecay ?? 0;
    for (const field of ['learningRate', 'momentum', 'weightDecay'] as const) expectRate(field, this[field]);
    this.slots = trained(parameters).map((slot) => {
      const h = slot.parameter.gpu.zeros(slot.parameter.shape, `momentum ${slot.parameter.name}`);
      h.persistent = true;
      return { ...slot, h };
    });
  }

  /** Updates every parameter that has a gradient. `divisor`: images whose gradients were accumulated (Caffe's iter_size). */
  step(divisor = 1): void {
    expectStep(this.learningRate, divisor);
    const ready = this.slots.filter(({ parameter }) => parameter.grad);
    if (ready.length === 0 && this.slots.length > 0) {
      throw new Error('Sgd: no parameter has a gradient; call backward() on a loss that depends on them first');
    }
    sgdStep(
      ready.map(({ parameter, ...slot }) => ({ ...slot, w: parameter, grad: parameter.grad! })),
      this,
      divisor,
    );
    ready.forEach(({ parameter }) => parameter.changed());
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

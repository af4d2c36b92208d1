/** A linear layer with its weight and bias. */
import type { Gpu } from '../gpu.ts';
import { heNormal, zeros } from '../initializers.ts';
import { linear } from '../ops/linear.ts';
import { reshape } from '../ops/reshape.ts';
import type { Tensor } from '../tensor.ts';
import { Module, nextSeed } from './module.ts';

export interface LinearModuleOptions {
  /** Default true. */
  bias?: boolean;
  /** Of the initial weight; default: another one for each module of the device. */
  seed?: number;
}

export class Linear extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor | null;

  /** weight [outputs, inputs], of He's normal distribution; bias [outputs], zeros */
  constructor(gpu: Gpu, inputs: number, outputs: number, options: LinearModuleOptions = {}) {
    super();
    const { bias = true, seed = nextSeed(gpu) } = options;
    this.weight = this.add('weight', gpu.parameter(heNormal(seed), [outputs, inputs], 'weight'));
    this.bias = bias ? this.add('bias', gpu.parameter(zeros, [outputs], 'bias')) : null;
  }

  /** x [.., inputs] → [.., outputs] */
  forward(x: Tensor): Tensor {
    const [outputs, inputs] = this.weight.shape as [number, number];
    if (x.shape.at(-1) !== inputs) throw new Error(`Linear: x has shape [${x.shape}], expected [..,${inputs}]`);
    if (x.shape.length === 2) return linear(x, this.weight, this.bias);
    return reshape(linear(reshape(x, [-1, inputs]), this.weight, this.bias), [...x.shape.slice(0, -1), outputs]);
  }
}

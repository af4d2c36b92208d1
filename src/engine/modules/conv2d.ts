/** A convolution with its filters and bias. */
import type { Gpu } from '../gpu.ts';
import { heNormal, zeros } from '../initializers.ts';
import { conv2d, type Conv2dOptions } from '../ops/conv2d.ts';
import type { Tensor } from '../tensor.ts';
import type { LinearModuleOptions } from './linear.ts';
import { Module, nextSeed } from './module.ts';

export type Conv2dModuleOptions = LinearModuleOptions &
  Pick<Conv2dOptions, 'stride' | 'padding' | 'groups' | 'dilation'>;

export class Conv2d extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor | null;
  private readonly options: Conv2dOptions;

  /** weight [outputs, inputs / groups, kernel, kernel], of He's normal distribution; bias [outputs], zeros */
  constructor(gpu: Gpu, inputs: number, outputs: number, kernel: number, options: Conv2dModuleOptions = {}) {
    super();
    const { bias = true, seed = nextSeed(gpu), ...convolution } = options;
    const shape = [outputs, inputs / (convolution.groups ?? 1), kernel, kernel];
    this.weight = this.add('weight', gpu.parameter(heNormal(seed), shape, 'weight'));
    this.bias = bias ? this.add('bias', gpu.parameter(zeros, [outputs], 'bias')) : null;
    this.options = convolution;
  }

  /** x [N, inputs, H, W] → [N, outputs, OH, OW] */
  forward(x: Tensor): Tensor {
    return conv2d(x, this.weight, this.bias, this.options);
  }
}

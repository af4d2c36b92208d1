/** Batch normalisation with its parameters and running statistics. */
import type { Gpu } from '../gpu.ts';
import { constant, zeros } from '../initializers.ts';
import { batchNorm, type BatchNormOptions } from '../ops/batchNorm.ts';
import type { Tensor } from '../tensor.ts';
import { Module } from './module.ts';

export type BatchNorm2dOptions = Pick<BatchNormOptions, 'momentum' | 'epsilon'>;

export class BatchNorm2d extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor;
  private readonly running: { mean: Tensor; variance: Tensor };
  private readonly options: BatchNorm2dOptions;

  constructor(gpu: Gpu, channels: number, options: BatchNorm2dOptions = {}) {
    super();
    this.weight = this.add('weight', gpu.parameter(constant(1), [channels], 'weight'));
    this.bias = this.add('bias', gpu.parameter(zeros, [channels], 'bias'));
    const mean = this.add('running_mean', gpu.parameter(zeros, [channels], 'running_mean'));
    const variance = this.add('running_var', gpu.parameter(constant(1), [channels], 'running_var'));
    mean.requiresGrad = variance.requiresGrad = false;
    this.running = { mean, variance };
    this.options = options;
  }

  /** x [N, channels, ...]; by the batch's statistics while `training`, then by the running ones */
  forward(x: Tensor): Tensor {
    return batchNorm(x, this.weight, this.bias, this.running, { ...this.options, training: this.training });
  }
}

/** Layer normalisation with its parameters. */
import type { Gpu } from '../gpu.ts';
import { constant, zeros } from '../initializers.ts';
import { layerNorm } from '../ops/normalisation.ts';
import type { Shape, Tensor } from '../tensor.ts';
import { Module } from './module.ts';

export class LayerNorm extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor;
  private readonly epsilon: number;

  /** `shape`: the extent of the last axis, or of the last axes. */
  constructor(gpu: Gpu, shape: number | Shape, epsilon = 1e-5) {
    super();
    const axes = [shape].flat();
    this.weight = this.add('weight', gpu.parameter(constant(1), axes, 'weight'));
    this.bias = this.add('bias', gpu.parameter(zeros, axes, 'bias'));
    this.epsilon = epsilon;
  }

  forward(x: Tensor): Tensor {
    return layerNorm(x, this.weight, this.bias, this.epsilon);
  }
}

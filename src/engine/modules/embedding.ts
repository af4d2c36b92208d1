/** A table of vectors. */
import type { Gpu } from '../gpu.ts';
import { gaussian } from '../initializers.ts';
import { embedding } from '../ops/gather.ts';
import type { Tensor } from '../tensor.ts';
import { Module, nextSeed } from './module.ts';

export interface EmbeddingOptions {
  /** Standard deviation of the initial table; default 1, as PyTorch's. */
  std?: number;
  /** Default: another one for each module of the device. */
  seed?: number;
}

export class Embedding extends Module {
  readonly weight: Tensor;

  /** weight [rows, columns] */
  constructor(gpu: Gpu, rows: number, columns: number, { std = 1, seed = nextSeed(gpu) }: EmbeddingOptions = {}) {
    super();
    this.weight = this.add('weight', gpu.parameter(gaussian(std, seed), [rows, columns], 'weight'));
  }

  /** indices i32, any shape → [.., columns] */
  forward(indices: Tensor): Tensor {
    return embedding(this.weight, indices);
  }
}

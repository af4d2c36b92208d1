/**
 * Convolutions without bias, each followed by batch normalisation: what residual networks and MobileNets are made of. The
 * statistics are parameters that no gradient reaches. Frozen, as detectors on few images leave them (torchvision, detectron2),
 * they are folded into the filters, once for as long as neither changes; trained, they are those of the batch, and what was seen is stored for test time.
 */
import type { Gpu } from '../../engine/gpu.ts';
import { constant, heNormal, zeros } from '../../engine/initializers.ts';
import { batchNorm, foldBatchNorm } from '../../engine/ops/batchNorm.ts';
import { conv2d } from '../../engine/ops/conv2d.ts';
import { relu } from '../../engine/ops/pointwise.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { hash } from './backbone.ts';

export interface Normalisation {
  /** Whether weights and statistics of the normalisation are trained, in layers that are. */
  trained: boolean;
  /** Added to the variance. */
  epsilon: number;
}

/** Frozen statistics, and torchvision's number. */
export const FROZEN_NORMALISATION: Normalisation = { trained: false, epsilon: 1e-5 };

/** A convolution and the normalisation of its result. */
export interface NormalisedLayer {
  filters: Tensor;
  weight: Tensor;
  bias: Tensor;
  mean: Tensor;
  variance: Tensor;
  normalisation: Normalisation;
}

export interface NormalisedOptions {
  stride?: number;
  padding?: number;
  groups?: number;
  relu?: boolean;
}

/** Makes layers by the names that torchvision gives their tensors. */
export class NormalisedStore {
  readonly parameters: Record<string, Tensor>;
  private readonly gpu: Gpu;
  private readonly seed: number;
  private readonly normalisation: Normalisation;

  /** Adds what it makes to `parameters`. */
  constructor(gpu: Gpu, seed: number, normalisation: Normalisation, parameters: Record<string, Tensor> = {}) {
    this.gpu = gpu;
    this.seed = seed;
    this.normalisation = normalisation;
    this.parameters = parameters;
  }

  /**
   * `<conv>.weight` by He's rule; `<norm>.weight` 1, `.bias` 0, `.running_mean` 0 and `.running_var` 1.
   * @param shape [outputs, inputs of a group, height, width] of the filters
   */
  layer(conv: string, norm: string, shape: readonly number[], { frozen = false } = {}): NormalisedLayer {
    const channels = [shape[0]!];
    const make = (
      name: string,
      init: Parameters<Gpu['parameter']>[0],
      of: readonly number[],
      trained: boolean,
    ): Tensor => {
      const tensor = this.gpu.parameter(init, of, name);
      tensor.requiresGrad = trained;
      this.parameters[name] = tensor;
      return tensor;
    };
    const trained = !frozen && this.normalisation.trained;
    return {
      filters: make(`${conv}.weight`, heNormal(hash(conv) ^ this.seed), shape, !frozen),
      weight: make(`${norm}.weight`, constant(1), channels, trained),
      bias: make(`${norm}.bias`, zeros, channels, trained),
      mean: make(`${norm}.running_mean`, zeros, channels, false),
      variance: make(`${norm}.running_var`, constant(1), channels, false),
      normalisation: { ...this.normalisation, trained },
    };
  }
}

/** @param x [N, C, H, W] */
export function convolveNormalised(x: Tensor, layer: NormalisedLayer, options: NormalisedOptions = {}): Tensor {
  const { filters, weight, bias, mean, variance, normalisation } = layer;
  const { epsilon, trained } = normalisation;
  const { relu: rectified = false, ...shape } = options;
  // A stage of training may hold the layer fixed: then its statistics stay as well.
  if (trained && filters.requiresGrad && x.gpu.gradientsEnabled) {
    const y = batchNorm(conv2d(x, filters, null, shape), weight, bias, { mean, variance }, { training: true, epsilon });
    return rectified ? relu(y) : y;
  }
  const fold = () => foldBatchNorm(filters, weight, bias, { mean, variance }, epsilon);
  const onTape = x.gpu.tracing !== null || (filters.requiresGrad && x.gpu.gradientsEnabled);
  const [folded, shift] = onTape
    ? fold()
    : filters.derive('folded normalisation', [weight, bias, mean, variance], fold);
  return conv2d(x, folded!, shift!, { ...shape, relu: rectified });
}

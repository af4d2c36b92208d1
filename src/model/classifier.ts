/**
 * An image classifier on a detector's backbone, for pre-training: the map of an image is pooled as a single region that covers
 * it and goes through the backbone's region layers to a linear layer `classifier`. All other layers fit the detector.
 */
import type { Gpu } from '../engine/gpu.ts';
import { linear } from '../engine/ops/linear.ts';
import { softmaxLogLoss } from '../engine/ops/losses.ts';
import { Plans } from '../engine/plans.ts';
import type { Tensor } from '../engine/tensor.ts';
import { type Backbone, backboneParameters, type Layer, ParameterStore } from './backbones/backbone.ts';
import { backboneNamed } from './backbones/index.ts';
import type { ClassifierConfig } from './config.ts';
import { prepareWhole, type WholeImage, wholeImageFeatures } from './wholeImage.ts';

export class Classifier {
  readonly gpu: Gpu;
  readonly config: ClassifierConfig;
  /** The choice of kernels for this network, which does not depend on other networks of the device. */
  readonly plans: Plans;
  readonly backbone: Backbone;
  /** Every parameter by its name. */
  readonly parameters: Readonly<Record<string, Tensor>>;
  private readonly layer: Layer;

  constructor(gpu: Gpu, config: ClassifierConfig, seed: number) {
    this.gpu = gpu;
    this.config = config;
    this.plans = new Plans(gpu.plans.device);
    this.backbone = backboneNamed(config.backbone).build(gpu, { bins: config.pooled ** 2, seed, frozenStages: 0 });
    const store = new ParameterStore(gpu, seed);
    this.layer = store.layer('classifier', [config.classes.length, this.backbone.regionFeatures], {
      gaussian: { std: 0.01, fanIn: 4096 },
    });
    this.parameters = { ...backboneParameters(this.backbone), ...store.parameters };
  }

  /** Uploads images, resizes them, subtracts the mean. @returns [N, 3, size, size] */
  prepare(images: readonly WholeImage[]): Tensor {
    return prepareWhole(this.gpu, images, this.config.input);
  }

  /** images [N, 3, H, W] -> [N, classes]. `training`: dropout applies, with masks drawn from this seed. */
  logits(images: Tensor, training: { seed: number } | null): Tensor {
    return this.gpu.withPlans(this.plans, () => this.forward(images, training));
  }

  private forward(images: Tensor, training: { seed: number } | null): Tensor {
    const features = wholeImageFeatures(this.backbone, images, this.config.pooled, training);
    return linear(features, this.layer.weight, this.layer.bias);
  }

  /** The mean log loss of a batch. */
  loss(images: Tensor, labels: readonly number[], seed: number): Tensor {
    const truth = this.gpu.tensor(Int32Array.from(labels), [labels.length], 'labels');
    return softmaxLogLoss(this.logits(images, { seed }), truth);
  }

  /** Frees the parameters. */
  dispose(): void {
    for (const parameter of Object.values(this.parameters)) parameter.dispose();
  }
}

/**
 * An image classifier on a detector's backbone, for pre-training: the map of an image is pooled as a single region that covers
 * it and goes through the backbone's region layers to a linear layer `classifier`. All other layers fit the detector.
 */
import type { Gpu } from '../engine/gpu.ts';
import { linear } from '../engine/ops/linear.ts';
import { softmaxLogLoss } from '../engine/ops/losses.ts';
import { concat } from '../engine/ops/axes.ts';
import { roiPool } from '../engine/ops/rois.ts';
import { Plans } from '../engine/plans.ts';
import type { Tensor } from '../engine/tensor.ts';
import { type Backbone, backboneParameters, type Layer, ParameterStore } from './backbones/backbone.ts';
import { backboneNamed } from './backbones/index.ts';
import type { ClassifierConfig } from './config.ts';
import type { DecodedImage } from '../kernels/imagePrepare.ts';
import { prepareImage } from './prepareImage.ts';

/** An image of a batch; `flip` mirrors it left to right. */
export interface ClassifierImage {
  pixels: DecodedImage;
  flip: boolean;
}

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
  prepare(images: readonly ClassifierImage[]): Tensor {
    // Uploads are freed together: one into a buffer that an earlier one released would have to wait until that is used.
    return this.gpu.scope(() =>
      concat(
        images.map((image) => this.prepareOne(image)),
        0,
      ),
    );
  }

  private prepareOne({ pixels, flip }: ClassifierImage): Tensor {
    const { input } = this.config;
    const { size } = input;
    const placement = { height: size, width: size, perY: pixels.height / size, perX: pixels.width / size, flip };
    return prepareImage(this.gpu, pixels, placement, input);
  }

  /** images [N, 3, H, W] -> [N, classes]. `training`: dropout applies, with masks drawn from this seed. */
  logits(images: Tensor, training: { seed: number } | null): Tensor {
    return this.gpu.withPlans(this.plans, () => this.forward(images, training));
  }

  private forward(images: Tensor, training: { seed: number } | null): Tensor {
    const { backbone, gpu } = this;
    const map = backbone.features(images);
    const [count, , height, width] = map.shape as [number, number, number, number];
    // Whole cells, counted from the map: its padding may have added some to H / stride.
    const [x2, y2] = [(width - 1) * backbone.stride, (height - 1) * backbone.stride];
    const rois = gpu.tensor(
      Array.from({ length: count }, (_, image) => [image, 0, 0, x2, y2]).flat(),
      [count, 5],
      'whole images',
    );
    const pooled = roiPool(map, rois, { size: this.config.pooled, spatialScale: 1 / backbone.stride });
    return linear(backbone.regions(pooled, training), this.layer.weight, this.layer.bias);
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

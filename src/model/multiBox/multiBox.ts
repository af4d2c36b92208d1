/**
 * MultiBox (Erhan et al. 2014; Szegedy et al. 2014): proposals from one look at the whole image. One layer on its features gives, for
 * each of a fixed set of priors, four offsets and a confidence. Unlike anchors, the priors have their places in the image, so the layer
 * has (4 + 1) P weights for each feature, and an object that moves is another object to it.
 */
import type { Gpu } from '../../engine/gpu.ts';
import { linear } from '../../engine/ops/linear.ts';
import { sigmoid } from '../../engine/ops/pointwise.ts';
import { Plans } from '../../engine/plans.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { ScoredBoxes } from '../../kernels/boxes.ts';
import type { DecodedImage } from '../../kernels/imagePrepare.ts';
import { type Backbone, backboneParameters, type Layer, ParameterStore } from '../backbones/backbone.ts';
import { backboneNamed } from '../backbones/index.ts';
import type { ClassifierConfig } from '../config.ts';
import { prepareWhole, type WholeImage, wholeImageFeatures } from '../wholeImage.ts';
import { multiBoxLoss, multiBoxTargets } from './multiBoxLoss.ts';
import type { RelativeBox } from './priors.ts';

export interface MultiBoxConfig extends ClassifierConfig {
  /** Left, top, right and bottom of each prior, as shares of the image's width and height. */
  priors: number[];
  /** Weight of the locations in the loss; published: 0.3. */
  alpha: number;
}

/** Weights of the output layer, without biases: the paper compares 6.1 million of GoogLeNet's with the RPN's 28 thousand. */
export const multiBoxOutputWeights = (features: number, priors: number): number => features * (4 + 1) * priors;

/**
 * Boxes begin at about their priors, and confidences at about their bias. Confidences that differ before anything is learnt are
 * noise that the loss, a sum over all priors, takes back fastest by switching off the features: with a deviation of 0.01 on
 * digits, half of fc6 gave nothing after 100 steps, and the length of its output had fallen from 19 to 4.
 */
const OUTPUTS = { gaussian: { std: 0.001, fanIn: 4096 } };

export class MultiBox {
  readonly gpu: Gpu;
  readonly config: MultiBoxConfig;
  /** The choice of kernels for this network, which does not depend on other networks of the device. */
  readonly plans: Plans;
  readonly backbone: Backbone;
  /** Every parameter by its name. */
  readonly parameters: Readonly<Record<string, Tensor>>;
  private readonly locations: Layer;
  private readonly confidences: Layer;

  constructor(gpu: Gpu, config: MultiBoxConfig, seed: number) {
    this.gpu = gpu;
    this.config = config;
    this.plans = new Plans(gpu.plans.device);
    this.backbone = backboneNamed(config.backbone).build(gpu, { bins: config.pooled ** 2, seed, frozenStages: 0 });
    const store = new ParameterStore(gpu, seed);
    const { regionFeatures } = this.backbone;
    this.locations = store.layer('multibox.locations', [config.priors.length, regionFeatures], OUTPUTS);
    this.confidences = store.layer('multibox.confidences', [config.priors.length / 4, regionFeatures], OUTPUTS);
    this.parameters = { ...backboneParameters(this.backbone), ...store.parameters };
  }

  /** Sets every confidence to its share of `objects` in an image, from which training starts. */
  expectObjects(objects: number): void {
    const { bias } = this.confidences;
    const share = Math.min(Math.max(objects / bias.size, 0.001), 0.5);
    bias.write(new Float32Array(bias.size).fill(Math.log(share / (1 - share))));
  }

  /** Uploads images, resizes them, subtracts the mean. @returns [N, 3, size, size] */
  prepare(images: readonly WholeImage[]): Tensor {
    return prepareWhole(this.gpu, images, this.config.input);
  }

  /** images [N, 3, H, W] -> offsets [N, 4 P] from the priors, logits [N, P] of the confidences. */
  forward(images: Tensor, training: { seed: number } | null): { offsets: Tensor; logits: Tensor } {
    return this.gpu.withPlans(this.plans, () => {
      const features = wholeImageFeatures(this.backbone, images, this.config.pooled, training);
      return {
        offsets: linear(features, this.locations.weight, this.locations.bias),
        logits: linear(features, this.confidences.weight, this.confidences.bias),
      };
    });
  }

  /** Both terms of the loss, means over the batch. @param objects of each image, mirrored where it is */
  losses(
    images: Tensor,
    objects: readonly (readonly RelativeBox[])[],
    seed: number,
  ): { location: Tensor; confidence: Tensor } {
    const { offsets, logits } = this.forward(images, { seed });
    const { priors, alpha } = this.config;
    const targets = objects.map((boxes) => multiBoxTargets(priors, boxes));
    return this.gpu.withPlans(this.plans, () => multiBoxLoss(offsets, logits, targets, alpha));
  }

  /** The boxes of all priors in pixels of the image, clipped to it, by descending confidence. */
  async propose(image: DecodedImage): Promise<ScoredBoxes> {
    const { gpu } = this;
    const { priors } = this.config;
    const { offsets, confidences } = gpu.scope(() =>
      gpu.withoutGradients(() => {
        const { offsets, logits } = this.forward(this.prepare([{ pixels: image, flip: false }]), null);
        return { offsets, confidences: sigmoid(logits) };
      }),
    );
    const [moved, scores] = [await offsets.read(), await confidences.read()];
    offsets.dispose();
    confidences.dispose();
    const order = Array.from(scores, (_, prior) => prior).sort((a, b) => scores[b]! - scores[a]!);
    const boxes = new Float32Array(4 * order.length);
    order.forEach((prior, i) => {
      const side = (k: number): number => Math.min(1, Math.max(0, priors[4 * prior + k]! + moved[4 * prior + k]!));
      const x1 = Math.min(image.width - 1, side(0) * image.width);
      const y1 = Math.min(image.height - 1, side(1) * image.height);
      // An edge is the end of the last pixel, of which corners are inclusive.
      boxes.set([x1, y1, Math.max(x1, side(2) * image.width - 1), Math.max(y1, side(3) * image.height - 1)], 4 * i);
    });
    return { boxes, scores: Float32Array.from(order, (prior) => scores[prior]!) };
  }

  /** Frees the parameters. */
  dispose(): void {
    for (const parameter of Object.values(this.parameters)) parameter.dispose();
  }
}

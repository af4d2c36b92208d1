/** The convolutional layers of a detector. */
import type { Tensor } from '../engine/tensor.ts';
import type { Backbone } from './backbones/backbone.ts';

/** `F`: their maps. */
export interface FeatureExtractor<F> {
  readonly parameters: Readonly<Record<string, Tensor>>;
  /** image [1, 3, H, W] -> its maps */
  features(image: Tensor): F;
}

/** The one map of a backbone whose convolutions stay as they are, but for layers that were `added` to the pre-trained network. */
export function fixedBackboneMap(backbone: Backbone, added: readonly string[] = []): FeatureExtractor<Tensor> {
  for (const [name, parameter] of Object.entries(backbone.featureParameters)) {
    if (!added.includes(name.slice(0, name.lastIndexOf('.')))) parameter.requiresGrad = false;
  }
  return backboneMap(backbone);
}

/** The one map of a backbone. */
export const backboneMap = (backbone: Backbone): FeatureExtractor<Tensor> => ({
  parameters: backbone.featureParameters,
  features: (image) => backbone.features(image),
});

/** No map: each region goes through the convolutions by itself (R-CNN). */
export const imageItself = (backbone: Backbone): FeatureExtractor<Tensor> => ({
  parameters: backbone.featureParameters,
  features: (image) => image,
});

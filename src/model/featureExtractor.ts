/** The convolutional layers of a detector. */
import type { Tensor } from '../engine/tensor.ts';
import type { Backbone } from './backbones/backbone.ts';

/** `F`: their maps. */
export interface FeatureExtractor<F> {
  readonly parameters: Readonly<Record<string, Tensor>>;
  /** image [1, 3, H, W] -> its maps */
  features(image: Tensor): F;
}

/** The one map of a backbone whose convolutions stay as they are. */
export function fixedBackboneMap(backbone: Backbone): FeatureExtractor<Tensor> {
  for (const parameter of Object.values(backbone.featureParameters)) parameter.requiresGrad = false;
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

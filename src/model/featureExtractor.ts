/** The convolutional layers of a detector. */
import type { Tensor } from '../engine/tensor.ts';
import type { Backbone } from './backbones/backbone.ts';
import type { PreparedImage } from './detector.ts';
import { scalesOf } from './inputScales.ts';

/** `F`: their maps. */
export interface FeatureExtractor<F> {
  readonly parameters: Readonly<Record<string, Tensor>>;
  features(image: PreparedImage): F;
}

/** One map of each scale of an image. */
export interface ScaleMaps {
  maps: readonly Tensor[];
  /** Pixels of each scale per pixel of the original image. */
  scales: readonly number[];
}

/** The map of a backbone whose convolutions stay as they are, but for layers that were `added` to the pre-trained network. */
export function fixedBackboneMaps(backbone: Backbone, added: readonly string[] = []): FeatureExtractor<ScaleMaps> {
  for (const [name, parameter] of Object.entries(backbone.featureParameters)) {
    if (!added.includes(name.slice(0, name.lastIndexOf('.')))) parameter.requiresGrad = false;
  }
  return backboneMaps(backbone);
}

/** The map of a backbone, of each scale of an image. */
export const backboneMaps = (backbone: Backbone): FeatureExtractor<ScaleMaps> => ({
  parameters: backbone.featureParameters,
  features(image) {
    const scales = scalesOf(image);
    return {
      maps: scales.map(({ tensor }) => backbone.features(tensor)),
      scales: scales.map(({ scale }) => scale),
    };
  },
});

/** No map: each region goes through the convolutions by itself (R-CNN). */
export const imageItself = (backbone: Backbone): FeatureExtractor<Tensor> => ({
  parameters: backbone.featureParameters,
  features: ({ tensor }) => tensor,
});

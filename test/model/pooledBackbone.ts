/** A network without parameters, for tests of what stands on it: the map is the image's largest values of every 4 x 4 pixels. */
import { maxPool2d, PRESETS, reshape, type DetectorConfig, type Tensor } from '../../src/index.ts';
import type { BackboneBuilder } from '../../src/model/backbones/backbone.ts';
import { registered } from './registered.ts';

type Regions = (flat: Tensor, training: { seed: number } | null) => Tensor;

/** A region is its pooled map as it is, or what `regions` makes of that. */
export const pooledBackbone =
  (regions: Regions = (flat) => flat): BackboneBuilder =>
  (_, { bins }) => ({
    stride: 4,
    channels: 3,
    regionFeatures: 3 * bins,
    featureParameters: {},
    regionParameters: {},
    features: (image) => maxPool2d(image, { kernel: 4 }),
    regions: (region, training) => regions(reshape(region, [region.shape[0]!, -1]), training),
  });

const { detector } = PRESETS['digits']!;

/** A detector of two classes on a region's map as it is: anchors of 16 pixels, coordinates that decode exactly, nothing suppressed. */
export const POOLED_DETECTOR: DetectorConfig = {
  ...detector,
  backbone: registered(pooledBackbone()),
  convention: 'matlab',
  classes: ['__background__', 'a', 'b'],
  input: { shorterSide: 32, longerSide: 1000, channels: 'rgb', mean: [0, 0, 0], factor: [1, 1, 1] },
  anchors: { sizes: [16], ratios: [1] },
  rpn: { ...detector.rpn, channels: 4 },
  head: { ...detector.head, pooled: 2, batch: 32 },
  test: { scoreThreshold: 0.05, nmsThreshold: 1, maxDetections: 64 },
};

/** Grey from 0 to 255, left to right. */
export function ramp(width: number, height: number): { width: number; height: number; rgba: Uint8Array } {
  const grey = (i: number): number => Math.round((255 * (i % width)) / (width - 1));
  const rgba = Uint8Array.from({ length: 4 * width * height }, (_, i) => (i % 4 === 3 ? 255 : grey(i >> 2)));
  return { width, height, rgba };
}

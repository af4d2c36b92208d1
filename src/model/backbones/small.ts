/**
 * A small network for small images (the digit scenes), stride 4 so that an object of 18 pixels still covers 4 cells:
 *   conv1 5x5/2 16 - pool 2/2 - conv2 3x3 48 - conv3 3x3 64 - conv4 3x3 64, all followed by ReLU;
 *   regions: fc6 128, followed by ReLU.
 * A stage is one convolution.
 */
import { reshape } from '../../engine/ops/reshape.ts';
import { maxPool2d } from '../../engine/ops/pooling.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { type BackboneBuilder, type BackboneDescriptor, chain, convolve, ParameterStore } from './backbone.ts';

const STRIDE = 4;
const CHANNELS = 64;
const FEATURES = 128;

const build: BackboneBuilder = (gpu, { bins, seed, frozenStages, ranks = {} }) => {
  const [convolutions, regions] = [new ParameterStore(gpu, seed), new ParameterStore(gpu, seed)];
  const conv = (stage: number, outputs: number, inputs: number, side: number) =>
    convolutions.layer(`conv${stage}`, [outputs, inputs, side, side], { frozen: stage <= frozenStages });
  const conv1 = conv(1, 16, 3, 5);
  const conv2 = conv(2, 48, 16, 3);
  const conv3 = conv(3, CHANNELS, 48, 3);
  const conv4 = conv(4, CHANNELS, CHANNELS, 3);
  const fc6 = regions.regionLayer('fc6', [FEATURES, CHANNELS * bins], ranks.fc6);
  return {
    stride: STRIDE,
    channels: CHANNELS,
    regionFeatures: FEATURES,
    featureParameters: convolutions.parameters,
    regionParameters: regions.parameters,
    features: (image) =>
      chain(image, [
        (x) => convolve(x, conv1, { stride: 2, padding: 2, relu: true }),
        (x) => maxPool2d(x, { kernel: 2, ceilMode: true }),
        ...[conv2, conv3, conv4].map((layer) => (x: Tensor) => convolve(x, layer, { padding: 1, relu: true })),
      ]),
    regions: (region) => fc6(reshape(region, [region.shape[0]!, -1])),
  };
};

export const small: BackboneDescriptor = {
  name: 'small',
  title: 'four convolutions, stride 4, for small images; learns from random weights',
  build,
  stride: STRIDE,
  input: { channels: 'rgb', mean: [110, 110, 110], factor: [1 / 64, 1 / 64, 1 / 64] },
  frozenStages: 0,
  pooled: 6,
  regionLayers: { fc6: 'fc6' },
  learnsFromRandom: true,
  pretraining: { size: 48, batch: 32, learningRate: 0.01 },
};

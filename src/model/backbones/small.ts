/**
 * A small network for small images (the digit scenes), stride 8:
 *   conv1 5x5/2 16 - conv2 3x3 32 - pool - conv3 3x3 64 - pool - conv4 3x3 96 - conv5 3x3 96, all followed by ReLU;
 *   a region: fc6 128 - fc7 128, followed by ReLU.
 * A stage is one convolution.
 */
import { linear } from '../../engine/ops/linear.ts';
import { relu, reshape } from '../../engine/ops/pointwise.ts';
import { maxPool2d } from '../../engine/ops/pooling.ts';
import { type BackboneBuilder, convolve, ParameterStore } from './backbone.ts';

const CHANNELS = 96;
const FEATURES = 128;

export const small: BackboneBuilder = (gpu, { pooled, seed, frozenStages }) => {
  const store = new ParameterStore(gpu, seed);
  const conv = (stage: number, out: number, inputs: number, side: number) =>
    store.layer(`conv${stage}`, [out, inputs, side, side], { frozen: stage <= frozenStages });
  const conv1 = conv(1, 16, 3, 5);
  const conv2 = conv(2, 32, 16, 3);
  const conv3 = conv(3, 64, 32, 3);
  const conv4 = conv(4, CHANNELS, 64, 3);
  const conv5 = conv(5, CHANNELS, CHANNELS, 3);
  const fc6 = store.layer('fc6', [FEATURES, CHANNELS * pooled * pooled]);
  const fc7 = store.layer('fc7', [FEATURES, FEATURES]);
  return {
    stride: 8,
    channels: CHANNELS,
    regionFeatures: FEATURES,
    parameters: store.parameters,
    features(image) {
      let x = relu(convolve(image, conv1, { stride: 2, padding: 2 }));
      x = relu(convolve(x, conv2, { padding: 1 }));
      x = maxPool2d(x, { kernel: 2, ceilMode: true });
      x = relu(convolve(x, conv3, { padding: 1 }));
      x = maxPool2d(x, { kernel: 2, ceilMode: true });
      x = relu(convolve(x, conv4, { padding: 1 }));
      return relu(convolve(x, conv5, { padding: 1 }));
    },
    regions(region) {
      const x = relu(linear(reshape(region, [region.shape[0]!, -1]), fc6.weight, fc6.bias));
      return relu(linear(x, fc7.weight, fc7.bias));
    },
  };
};

/**
 * SqueezeNet 1.1 (Iandola et al. 2016), stride 16, parameters named as in torchvision so that its weights load:
 *   conv1 3x3/2 64 - pool - fire2, fire3 128 - pool - fire4, fire5 256 - pool - fire6, fire7 384, fire8, fire9 512,
 * pools 3/2 in ceil mode. `neck`, a 1x1 convolution to 256 channels, keeps the layers after it affordable without a GPU.
 * Regions: fc6 256 - fc7 256, each followed by ReLU.
 * Stages that can be frozen: conv1, fire2, fire3, fire4, ..., fire9.
 */
import { reshape } from '../../engine/ops/reshape.ts';
import { maxPool2d } from '../../engine/ops/pooling.ts';
import { concat } from '../../engine/ops/axes.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { type BackboneBuilder, type BackboneDescriptor, chain, convolve, ParameterStore } from './backbone.ts';

/**
 * SqueezeNet was trained without padding, so cell i of its map is centred on pixel 16 i + 15, while anchors and RoI pooling
 * assume 16 i + 7.5, as in VGG: half a cell off, which matters for small objects. A margin of the mean colour around the
 * image, as the first convolution's padding, moves the centre to 16 i + 7.
 */
const MARGIN = 8;
const STRIDE = 16;
const CHANNELS = 256;
const FEATURES = 256;
/** torchvision's index of each fire module, its squeeze width, the width of each expand half; null is a pool. */
const FIRES: readonly (readonly [index: number, squeeze: number, expand: number] | null)[] = [
  null,
  [3, 16, 64],
  [4, 16, 64],
  null,
  [6, 32, 128],
  [7, 32, 128],
  null,
  [9, 48, 192],
  [10, 48, 192],
  [11, 64, 256],
  [12, 64, 256],
];

const build: BackboneBuilder = (gpu, { bins, seed, frozenStages, ranks = {} }) => {
  const [convolutions, regions] = [new ParameterStore(gpu, seed), new ParameterStore(gpu, seed)];
  const conv1 = convolutions.layer('features.0', [64, 3, 3, 3], { frozen: frozenStages >= 1 });
  let stage = 1;
  let inputs = 64;
  const body = FIRES.map((fire) => {
    if (!fire) return (x: Tensor) => maxPool2d(x, { kernel: 3, stride: 2, ceilMode: true });
    const [index, narrow, wide] = fire;
    const frozen = ++stage <= frozenStages;
    const squeeze = convolutions.layer(`features.${index}.squeeze`, [narrow, inputs, 1, 1], { frozen });
    const expand1 = convolutions.layer(`features.${index}.expand1x1`, [wide, narrow, 1, 1], { frozen });
    const expand3 = convolutions.layer(`features.${index}.expand3x3`, [wide, narrow, 3, 3], { frozen });
    inputs = 2 * wide;
    return (x: Tensor) => {
      const squeezed = convolve(x, squeeze, { relu: true });
      const narrow = convolve(squeezed, expand1, { relu: true });
      return concat([narrow, convolve(squeezed, expand3, { padding: 1, relu: true })], 1);
    };
  });
  // fire9's values are several units large; He's rule would keep them that large, this brings the map to about one.
  const neck = convolutions.layer('neck', [CHANNELS, inputs, 1, 1], { gaussian: { std: 0.01, fanIn: 512 } });
  const fc6 = regions.regionLayer('fc6', [FEATURES, CHANNELS * bins], ranks.fc6);
  const fc7 = regions.regionLayer('fc7', [FEATURES, FEATURES], ranks.fc7);
  return {
    stride: STRIDE,
    channels: CHANNELS,
    regionFeatures: FEATURES,
    featureParameters: convolutions.parameters,
    regionParameters: regions.parameters,
    features: (image) =>
      chain(image, [
        (x) => convolve(x, conv1, { stride: 2, padding: MARGIN, relu: true }),
        ...body,
        (x) => convolve(x, neck, { relu: true }),
      ]),
    regions: (region) => fc7(fc6(reshape(region, [region.shape[0]!, -1]))),
  };
};

export const squeezenet: BackboneDescriptor = {
  name: 'squeezenet1_1',
  title: 'SqueezeNet 1.1, stride 16, for photographs without a GPU',
  build,
  stride: STRIDE,
  // As its authors trained it (github.com/forresti/SqueezeNet): B, G, R in 0..255 minus the mean of ImageNet. Their weights
  // and torchvision's have the same names.
  input: { channels: 'bgr', mean: [104, 117, 123], factor: [1, 1, 1] },
  addedLayers: ['neck'],
  frozenStages: 3,
  pooled: 7,
  regionLayers: { fc6: 'fc6', fc7: 'fc7' },
  learnsFromRandom: false,
  pretraining: { size: 224, batch: 16, learningRate: 0.001 },
};

/**
 * SqueezeNet 1.1 (Iandola et al. 2016), stride 16, parameters named as in torchvision so that its weights load:
 *   conv1 3x3/2 64 - pool - fire2, fire3 128 - pool - fire4, fire5 256 - pool - fire6, fire7 384, fire8, fire9 512,
 * pools 3/2 in ceil mode. `neck`, a 1x1 convolution to 256 channels, keeps the layers behind it affordable without a GPU.
 * A region: fc6 256 - fc7 256, followed by ReLU.
 * Stages that can be frozen: conv1, fire2, fire3, fire4, ..., fire9.
 */
import { linear } from '../../engine/ops/linear.ts';
import { reshape } from '../../engine/ops/reshape.ts';
import { maxPool2d } from '../../engine/ops/pooling.ts';
import { concat } from '../../engine/ops/axes.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { type BackboneBuilder, chain, convolve, ParameterStore } from './backbone.ts';

/**
 * Trained without padding, SqueezeNet sees in cell i of its map what lies around pixel 16 i + 15, while anchors and RoI
 * pooling take it to be at 16 i + 7.5, as in VGG: half a cell, which small objects do not forgive. A margin of the mean
 * colour around the image, as the first convolution's padding, puts it at 16 i + 7.
 */
const MARGIN = 8;
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

export const squeezenet: BackboneBuilder = (gpu, { pooled, seed, frozenStages }) => {
  const store = new ParameterStore(gpu, seed);
  const conv1 = store.layer('features.0', [64, 3, 3, 3], { frozen: frozenStages >= 1 });
  let stage = 1;
  let inputs = 64;
  const body = FIRES.map((fire) => {
    if (!fire) return (x: Tensor) => maxPool2d(x, { kernel: 3, stride: 2, ceilMode: true });
    const [index, narrow, wide] = fire;
    const frozen = ++stage <= frozenStages;
    const squeeze = store.layer(`features.${index}.squeeze`, [narrow, inputs, 1, 1], { frozen });
    const expand1 = store.layer(`features.${index}.expand1x1`, [wide, narrow, 1, 1], { frozen });
    const expand3 = store.layer(`features.${index}.expand3x3`, [wide, narrow, 3, 3], { frozen });
    inputs = 2 * wide;
    return (x: Tensor) => {
      const squeezed = convolve(x, squeeze, { relu: true });
      const narrow = convolve(squeezed, expand1, { relu: true });
      return concat([narrow, convolve(squeezed, expand3, { padding: 1, relu: true })], 1);
    };
  });
  // fire9's values are several units large: He's rule would keep them so, this brings the map to about one.
  const neck = store.layer('neck', [CHANNELS, inputs, 1, 1], { gaussian: { std: 0.01, fanIn: 512 } });
  const fc6 = store.layer('fc6', [FEATURES, CHANNELS * pooled * pooled]);
  const fc7 = store.layer('fc7', [FEATURES, FEATURES]);
  return {
    stride: 16,
    channels: CHANNELS,
    regionFeatures: FEATURES,
    parameters: store.parameters,
    features: (image) =>
      chain(image, [
        (x) => convolve(x, conv1, { stride: 2, padding: MARGIN, relu: true }),
        ...body,
        (x) => convolve(x, neck, { relu: true }),
      ]),
    regions(region) {
      const x = linear(reshape(region, [region.shape[0]!, -1]), fc6.weight, fc6.bias, { relu: true });
      return linear(x, fc7.weight, fc7.bias, { relu: true });
    },
  };
};

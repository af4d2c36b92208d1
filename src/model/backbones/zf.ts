/**
 * ZF, the fast network of Zeiler and Fergus 2014, as py-faster-rcnn has it (models/pascal_voc/ZF); stride 16:
 *   conv1 7x7/2 96 - LRN - pool 3/2 - conv2 5x5/2 256 - LRN - pool 3/2 - conv3 384 - conv4 384 - conv5 256 (3x3, padding 1),
 * ReLU after every convolution, before the normalisation (within channels, 3x3, alpha 5e-5, beta 0.75); pools have padding 1
 * and round up, as in Caffe.
 * Regions: 6x6 bins, then fullyConnected.ts.
 * A stage is one convolution; the paper trains all of them.
 */
import { localResponseNorm } from '../../engine/ops/localResponseNorm.ts';
import { maxPool2d } from '../../engine/ops/pooling.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { CAFFE_INPUT } from '../inputForms.ts';
import { type BackboneBuilder, type BackboneDescriptor, chain, convolve, ParameterStore } from './backbone.ts';
import { FC_FEATURES, fullyConnectedRegions } from './fullyConnected.ts';

const STRIDE = 16;
const CHANNELS = 256;

const normalise = (x: Tensor): Tensor => localResponseNorm(x, { size: 3, alpha: 5e-5, beta: 0.75, mode: 'within' });
const pool = (x: Tensor): Tensor => maxPool2d(x, { kernel: 3, stride: 2, padding: 1, ceilMode: true });

const build: BackboneBuilder = (gpu, { bins, seed, frozenStages, ranks }) => {
  const [convolutions, fullyConnected] = [new ParameterStore(gpu, seed), new ParameterStore(gpu, seed)];
  const conv = (stage: number, outputs: number, inputs: number, side: number) =>
    convolutions.layer(`conv${stage}`, [outputs, inputs, side, side], { frozen: stage <= frozenStages });
  const conv1 = conv(1, 96, 3, 7);
  const conv2 = conv(2, 256, 96, 5);
  const rest = [conv(3, 384, 256, 3), conv(4, 384, 384, 3), conv(5, CHANNELS, 384, 3)];
  const regions = fullyConnectedRegions(fullyConnected, ['fc6', 'fc7'], CHANNELS * bins, ranks);
  return {
    stride: STRIDE,
    channels: CHANNELS,
    regionFeatures: FC_FEATURES,
    featureParameters: convolutions.parameters,
    regionParameters: fullyConnected.parameters,
    features: (image) =>
      chain(image, [
        (x) => convolve(x, conv1, { stride: 2, padding: 3, relu: true }),
        normalise,
        pool,
        (x) => convolve(x, conv2, { stride: 2, padding: 2, relu: true }),
        normalise,
        pool,
        ...rest.map((layer) => (x: Tensor) => convolve(x, layer, { padding: 1, relu: true })),
      ]),
    regions,
  };
};

export const zf: BackboneDescriptor = {
  name: 'zf',
  title: "ZF, stride 16, the paper's fast network",
  build,
  stride: STRIDE,
  input: CAFFE_INPUT,
  frozenStages: 0,
  pooled: 6,
  regionLayers: { fc6: 'fc6', fc7: 'fc7' },
  learnsFromRandom: false,
  pretraining: { size: 224, batch: 16, learningRate: 0.001 }, // as vgg16.ts
};

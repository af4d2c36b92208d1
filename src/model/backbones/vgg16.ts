/**
 * VGG-16 (Simonyan and Zisserman 2015) as in the paper, section 4.1: thirteen 3x3 convolutions with padding 1, each followed
 * by ReLU, in five blocks with a 2x2 pool after each but the last; stride 16. Pools round up, as in Caffe.
 *   64 64 - pool - 128 128 - pool - 256 256 256 - pool - 512 512 512 - pool - 512 512 512
 * Regions: 7x7 bins, then fullyConnected.ts.
 * The maps of the first block are the largest (600x1000 pixels: 146 MiB, more than WebGPU's default binding): it runs in
 * bands of rows where they do not fit.
 * Parameters are named as in torchvision. A stage is a block: the paper freezes the first two.
 */
import { maxPool2d } from '../../engine/ops/pooling.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { type Bands, inBands } from './bands.ts';
import { CAFFE_INPUT } from '../inputForms.ts';
import { type BackboneBuilder, type BackboneDescriptor, chain, convolve, ParameterStore } from './backbone.ts';
import { FC_FEATURES, fullyConnectedRegions } from './fullyConnected.ts';

const BLOCKS = [
  [64, 64],
  [128, 128],
  [256, 256, 256],
  [512, 512, 512],
  [512, 512, 512],
];
const FIRST_BLOCK: Bands = { channels: 64, stride: 2, reach: 2 };

const STRIDE = 16;
const REGION_LAYERS = { fc6: 'classifier.0', fc7: 'classifier.3' };

const build: BackboneBuilder = (gpu, { bins, seed, frozenStages, ranks }) => {
  const [convolutions, fullyConnected] = [new ParameterStore(gpu, seed), new ParameterStore(gpu, seed)];
  let inputs = 3;
  let index = 0; // torchvision's: a convolution and its ReLU count one each, a pool one
  const [first, ...others] = BLOCKS.map((block, stage) => {
    const layers = block.map((outputs) => {
      const layer = convolutions.layer(`features.${index}`, [outputs, inputs, 3, 3], { frozen: stage < frozenStages });
      inputs = outputs;
      index += 2;
      return (x: Tensor) => convolve(x, layer, { padding: 1, relu: true });
    });
    index++;
    const last = stage === BLOCKS.length - 1;
    return last ? layers : [...layers, (x: Tensor) => maxPool2d(x, { kernel: 2, ceilMode: true })];
  });
  const { fc6, fc7 } = REGION_LAYERS;
  const regions = fullyConnectedRegions(fullyConnected, [fc6, fc7], inputs * bins, ranks);
  return {
    stride: STRIDE,
    channels: inputs,
    regionFeatures: FC_FEATURES,
    featureParameters: convolutions.parameters,
    regionParameters: fullyConnected.parameters,
    features: (image) => chain(image, [(x) => inBands(x, first!, FIRST_BLOCK), ...others.flat()]),
    regions,
  };
};

export const vgg16: BackboneDescriptor = {
  name: 'vgg16',
  title: "VGG-16, stride 16, the paper's deep network",
  build,
  stride: STRIDE,
  input: CAFFE_INPUT,
  frozenStages: 2,
  pooled: 7,
  regionLayers: REGION_LAYERS,
  learnsFromRandom: false,
  // The paper's networks were trained at side 224; without normalisation and with small batches they need a low rate.
  pretraining: { size: 224, batch: 8, learningRate: 0.001 },
  // Caffe's names; torchvision's are the parameters' own, except that its detectors call the region layers fc6 and fc7.
  publishedNames: {
    conv1_1: 'features.0',
    conv1_2: 'features.2',
    conv2_1: 'features.5',
    conv2_2: 'features.7',
    conv3_1: 'features.10',
    conv3_2: 'features.12',
    conv3_3: 'features.14',
    conv4_1: 'features.17',
    conv4_2: 'features.19',
    conv4_3: 'features.21',
    conv5_1: 'features.24',
    conv5_2: 'features.26',
    conv5_3: 'features.28',
    ...REGION_LAYERS,
  },
  torchvisionNamesTellInput: true,
};

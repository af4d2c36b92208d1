/**
 * VGG-16 (Simonyan and Zisserman 2015) as in the paper, section 4.1: thirteen 3x3 convolutions with padding 1, each followed
 * by ReLU, in five blocks with a 2x2 pool behind each but the last; stride 16. Pools round up, as in Caffe.
 *   64 64 - pool - 128 128 - pool - 256 256 256 - pool - 512 512 512 - pool - 512 512 512
 * A region: 7x7 bins, then fullyConnected.ts.
 * The maps of the first block are the largest (600x1000 pixels: 146 MiB, more than WebGPU's default binding): it runs in
 * bands of rows where they do not fit.
 * Parameters are named as in torchvision. A stage is a block: the paper freezes the first two.
 */
import { maxPool2d } from '../../engine/ops/pooling.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { type Bands, inBands } from './bands.ts';
import { type BackboneBuilder, chain, convolve, ParameterStore } from './backbone.ts';
import { FC_FEATURES, fullyConnectedRegions } from './fullyConnected.ts';

const BLOCKS = [
  [64, 64],
  [128, 128],
  [256, 256, 256],
  [512, 512, 512],
  [512, 512, 512],
];
const FIRST_BLOCK: Bands = { channels: 64, stride: 2, reach: 2 };

export const vgg16: BackboneBuilder = (gpu, { pooled, seed, frozenStages }) => {
  const store = new ParameterStore(gpu, seed);
  let inputs = 3;
  let index = 0; // torchvision's: a convolution and its ReLU count one each, a pool one
  const [first, ...others] = BLOCKS.map((block, stage) => {
    const layers = block.map((outputs) => {
      const layer = store.layer(`features.${index}`, [outputs, inputs, 3, 3], { frozen: stage < frozenStages });
      inputs = outputs;
      index += 2;
      return (x: Tensor) => convolve(x, layer, { padding: 1, relu: true });
    });
    index++;
    const last = stage === BLOCKS.length - 1;
    return last ? layers : [...layers, (x: Tensor) => maxPool2d(x, { kernel: 2, ceilMode: true })];
  });
  const regions = fullyConnectedRegions(store, ['classifier.0', 'classifier.3'], inputs * pooled * pooled);
  return {
    stride: 16,
    channels: inputs,
    regionFeatures: FC_FEATURES,
    parameters: store.parameters,
    features: (image) => chain(image, [(x) => inBands(x, first!, FIRST_BLOCK), ...others.flat()]),
    regions,
  };
};

/**
 * MobileNetV3-Large (Howard et al. 2019, table 1), parameters named as in torchvision so that its weights load:
 *   features.0 3x3/2 16 - fifteen inverted residuals, features.1 to .15 - features.16 1x1 960.
 * An inverted residual widens the map by a 1x1 convolution, convolves each channel alone, weighs the channels by what they hold on
 * the whole (squeeze and excitation) and narrows it again; it is added to its input where both have one size. Every convolution
 * but those of the weights is followed by batch normalisation, of which the detectors' has epsilon 1e-5 and the classifier's 1e-3.
 *
 * Alone, it is a map of stride 16 up to the last inverted residual of that stride; what follows are the region layers. Stages that
 * can be frozen: those that torchvision counts, which begin where the stride grows.
 */
import type { Gpu } from '../../engine/gpu.ts';
import { add } from '../../engine/ops/arithmetic.ts';
import { multiply } from '../../engine/ops/binary.ts';
import { hardSigmoid, hardSwish } from '../../engine/ops/pointwise.ts';
import { mean } from '../../engine/ops/sums.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { TORCHVISION_INPUT } from '../inputForms.ts';
import {
  type BackboneBuilder,
  type BackboneDescriptor,
  type BackboneOptions,
  chain,
  convolve,
  ParameterStore,
} from './backbone.ts';
import { convolveNormalised, FROZEN_NORMALISATION, NormalisedStore } from './normalised.ts';
import { PYRAMID_CHANNELS, type PyramidDescriptor, type PyramidStages } from './pyramid.ts';

type Layer = (x: Tensor) => Tensor;

/** Of an inverted residual: the side of its filters, its widened and its own channels, whether it weighs them, ReLU or hard swish, stride. */
type Block = readonly [
  side: number,
  wide: number,
  channels: number,
  weighs: boolean,
  activation: 'relu' | 'swish',
  stride: 1 | 2,
];

const BLOCKS: readonly Block[] = [
  [3, 16, 16, false, 'relu', 1],
  [3, 64, 24, false, 'relu', 2],
  [3, 72, 24, false, 'relu', 1],
  [5, 72, 40, true, 'relu', 2],
  [5, 120, 40, true, 'relu', 1],
  [5, 120, 40, true, 'relu', 1],
  [3, 240, 80, false, 'swish', 2],
  [3, 200, 80, false, 'swish', 1],
  [3, 184, 80, false, 'swish', 1],
  [3, 184, 80, false, 'swish', 1],
  [3, 480, 112, true, 'swish', 1],
  [3, 672, 112, true, 'swish', 1],
  [5, 672, 160, true, 'swish', 2],
  [5, 960, 160, true, 'swish', 1],
  [5, 960, 160, true, 'swish', 1],
];
const STEM = 16;
const LAST = 960;
/** Where torchvision's stages begin, as indices of `features`: each after the first at a larger stride, the last at the end. */
const STAGES = [0, 2, 4, 7, 13, 16];
/** The first of `features` beyond stride 16. */
const REGION_FROM = 13;

/** Channels rounded to a multiple of 8, never a tenth smaller. */
function divisible(channels: number): number {
  const rounded = Math.max(8, Math.floor((channels + 4) / 8) * 8);
  return rounded < 0.9 * channels ? rounded + 8 : rounded;
}

/** The layers `from` to `to` of `features`, the last not included; their parameters are added to the store. */
function layersOf(
  gpu: Gpu,
  { seed, frozenStages, normalisation = FROZEN_NORMALISATION }: BackboneOptions,
  from: number,
  to: number,
): { parameters: Record<string, Tensor>; layers: Layer[] } {
  const plain = new ParameterStore(gpu, seed);
  const store = new NormalisedStore(gpu, seed, normalisation, plain.parameters);
  const trainedFrom = frozenStages >= STAGES.length ? BLOCKS.length + 2 : STAGES[frozenStages]!;
  const layers = Array.from({ length: to - from }, (_, i): Layer => {
    const index = from + i;
    const frozen = index < trainedFrom;
    const convolution = (name: string, shape: readonly number[]) =>
      store.layer(`features.${index}.${name}0`, `features.${index}.${name}1`, shape, { frozen });
    if (index === 0) {
      const layer = convolution('', [STEM, 3, 3, 3]);
      return (x) => hardSwish(convolveNormalised(x, layer, { stride: 2, padding: 1 }));
    }
    if (index > BLOCKS.length) {
      const layer = convolution('', [LAST, BLOCKS.at(-1)![2], 1, 1]);
      return (x) => hardSwish(convolveNormalised(x, layer));
    }
    const [side, wide, channels, weighs, activation, stride] = BLOCKS[index - 1]!;
    const inputs = index === 1 ? STEM : BLOCKS[index - 2]![2];
    let part = 0;
    const next = (shape: readonly number[]) => convolution(`block.${part++}.`, shape);
    const widen = wide === inputs ? null : next([wide, inputs, 1, 1]);
    const own = next([wide, 1, side, side]);
    const weights = weighs ? excitation(plain, `features.${index}.block.${part++}`, wide, frozen) : null;
    const narrow = next([channels, wide, 1, 1]);
    const activate = (x: Tensor, layer: typeof own, options: { stride?: number; padding?: number; groups?: number }) =>
      activation === 'relu'
        ? convolveNormalised(x, layer, { ...options, relu: true })
        : hardSwish(convolveNormalised(x, layer, options));
    return (x) => {
      const widened = widen ? activate(x, widen, {}) : x;
      const convolved = activate(widened, own, { stride, padding: (side - 1) / 2, groups: wide });
      const result = convolveNormalised(weights ? multiply(convolved, weights(convolved)) : convolved, narrow);
      return stride === 1 && inputs === channels ? add(result, x) : result;
    };
  });
  return { parameters: plain.parameters, layers };
}

/** Squeeze and excitation: the weight of every channel [N, C, 1, 1], from the means of all. */
function excitation(store: ParameterStore, name: string, channels: number, frozen: boolean): Layer {
  const squeezed = divisible(channels / 4);
  const fc1 = store.layer(`${name}.fc1`, [squeezed, channels, 1, 1], { frozen });
  const fc2 = store.layer(`${name}.fc2`, [channels, squeezed, 1, 1], { frozen });
  return (x) => hardSigmoid(convolve(convolve(mean(x, [2, 3], { keepDims: true }), fc1, { relu: true }), fc2));
}

const ALL = BLOCKS.length + 2;

const body = (gpu: Gpu, options: BackboneOptions): PyramidStages => {
  const { parameters, layers } = layersOf(gpu, options, 0, ALL);
  // torchvision takes the maps after features.13, the first of stride 32, and after the last.
  return {
    parameters,
    channels: [BLOCKS[REGION_FROM - 1]![2], LAST],
    stages: [layers.slice(0, REGION_FROM + 1), layers.slice(REGION_FROM + 1)],
  };
};

const build: BackboneBuilder = (gpu, options) => {
  const features = layersOf(gpu, options, 0, REGION_FROM);
  const regions = layersOf(gpu, options, REGION_FROM, ALL);
  return {
    stride: 16,
    channels: BLOCKS[REGION_FROM - 2]![2],
    regionFeatures: LAST,
    featureParameters: features.parameters,
    regionParameters: regions.parameters,
    features: (image) => chain(image, features.layers),
    regions: (region) => mean(chain(region, regions.layers), [2, 3]),
  };
};

export const mobilenet: BackboneDescriptor = {
  name: 'mobilenet_v3_large',
  title: 'MobileNetV3-Large, stride 16, its last stage on every region',
  build,
  stride: 16,
  input: TORCHVISION_INPUT,
  frozenStages: 3,
  batchNorm: true,
  pooled: 14,
  learnsFromRandom: false,
  pretraining: { size: 224, batch: 16, learningRate: 0.01 },
  torchvisionNamesTellInput: true,
};

const pyramid: PyramidDescriptor = {
  body,
  channels: PYRAMID_CHANNELS,
  marks: {
    torchvision: { 'backbone.body.16.0.weight': [LAST, 160, 1, 1], 'roi_heads.box_head.fc6.weight': [1024, 12544] },
  },
  normalised: false,
  anchorSizes: 'all',
  rpnConvolutions: 1,
  regionLayers: 'connected',
  levelStrides: [32, 32],
  // Both have one stride, so the size of a region asks for the first alone.
  regionLevels: 1,
};

export const mobilenetFpn: BackboneDescriptor = {
  ...mobilenet,
  name: 'mobilenet_v3_large_fpn',
  title: "MobileNetV3-Large under a feature pyramid: torchvision's fasterrcnn_mobilenet_v3_large_fpn",
  stride: 32,
  pooled: 7,
  pyramid,
};

export const mobilenet320Fpn: BackboneDescriptor = {
  ...mobilenetFpn,
  name: 'mobilenet_v3_large_320_fpn',
  title: "the same for small images: torchvision's fasterrcnn_mobilenet_v3_large_320_fpn",
  pyramid: { ...pyramid, detection: { shorterSide: 320, longerSide: 640, proposals: 150, scoreThreshold: 0.05 } },
};

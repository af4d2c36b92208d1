/**
 * Residual networks (He, Zhang, Ren, Sun 2016), parameters named as in torchvision so that its weights load:
 *   conv1 7x7/2 64 - pool 3/2 - layer1 ... layer4, blocks of two 3x3 convolutions (ResNet-18, -34) or of 1x1, 3x3, 1x1 (-50,
 *   -101), each block added to its input; every convolution is followed by batch normalisation.
 * The stride of a stage is in the first block's 3x3 convolution, as in torchvision; in the original, `originalStride`, in its
 * first 1x1.
 *
 * Alone, a network is a map of stride 16, and its last stage the region layers (the paper above, section A; detectron2's C4).
 * A stage that can be frozen: conv1, layer1, layer2, layer3 and, under a pyramid, layer4.
 */
import type { Gpu } from '../../engine/gpu.ts';
import { maxPool2d } from '../../engine/ops/pooling.ts';
import { addRelu } from '../../engine/ops/pointwise.ts';
import { mean } from '../../engine/ops/sums.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { TORCHVISION_INPUT } from '../inputForms.ts';
import { type BackboneBuilder, type BackboneDescriptor, type BackboneOptions, chain } from './backbone.ts';
import { convolveNormalised, FROZEN_NORMALISATION, type NormalisedLayer, NormalisedStore } from './normalised.ts';
import type { PyramidBody } from './pyramid.ts';

type Layer = (x: Tensor) => Tensor;

interface Architecture {
  /** Blocks of layer1 to layer4. */
  blocks: readonly [number, number, number, number];
  /** Whether a block is of 1x1, 3x3 and 1x1 convolutions, the last four times as wide. */
  bottleneck: boolean;
}

const ARCHITECTURES = {
  resnet18: { blocks: [2, 2, 2, 2], bottleneck: false },
  resnet34: { blocks: [3, 4, 6, 3], bottleneck: false },
  resnet50: { blocks: [3, 4, 6, 3], bottleneck: true },
  resnet101: { blocks: [3, 4, 23, 3], bottleneck: true },
} satisfies Record<string, Architecture>;

export type ResnetName = keyof typeof ARCHITECTURES;

const STEM_CHANNELS = 64;

/** Channels after layer `stage`, 1 to 4. */
const channelsOf = ({ bottleneck }: Architecture, stage: number): number =>
  STEM_CHANNELS * 2 ** (stage - 1) * (bottleneck ? 4 : 1);

const pool: Layer = (x) => maxPool2d(x, { kernel: 3, stride: 2, padding: 1 });

function stem(store: NormalisedStore, frozen: boolean): Layer[] {
  const conv1 = store.layer('conv1', 'bn1', [STEM_CHANNELS, 3, 7, 7], { frozen });
  return [(x) => convolveNormalised(x, conv1, { stride: 2, padding: 3, relu: true }), pool];
}

/** The blocks of layer `stage`. */
function stageOf(
  store: NormalisedStore,
  architecture: Architecture,
  stage: number,
  frozen: boolean,
  originalStride: boolean,
): Layer[] {
  const { blocks, bottleneck } = architecture;
  const width = STEM_CHANNELS * 2 ** (stage - 1);
  const outputs = channelsOf(architecture, stage);
  return Array.from({ length: blocks[stage - 1]! }, (_, i): Layer => {
    const name = `layer${stage}.${i}`;
    const inputs = i > 0 ? outputs : stage === 1 ? STEM_CHANNELS : channelsOf(architecture, stage - 1);
    const stride = i === 0 && stage > 1 ? 2 : 1;
    const layer = (n: number, shape: readonly number[]): NormalisedLayer =>
      store.layer(`${name}.conv${n}`, `${name}.bn${n}`, shape, { frozen });
    const first = layer(1, bottleneck ? [width, inputs, 1, 1] : [width, inputs, 3, 3]);
    const second = layer(2, [width, width, 3, 3]);
    const third = bottleneck ? layer(3, [outputs, width, 1, 1]) : null;
    const shortcut =
      stride > 1 || inputs !== outputs
        ? store.layer(`${name}.downsample.0`, `${name}.downsample.1`, [outputs, inputs, 1, 1], { frozen })
        : null;
    const strides = bottleneck && !originalStride ? [1, stride] : [stride, 1];
    return (x) => {
      const a = convolveNormalised(x, first, { stride: strides[0]!, padding: bottleneck ? 0 : 1, relu: true });
      const b = convolveNormalised(a, second, { stride: strides[1]!, padding: 1, relu: bottleneck });
      const c = third ? convolveNormalised(b, third) : b;
      return addRelu(c, shortcut ? convolveNormalised(x, shortcut, { stride }) : x);
    };
  });
}

/** The four stages below a feature pyramid, maps of stride 4, 8, 16 and 32. */
export const resnetBody =
  (name: ResnetName): PyramidBody =>
  (gpu: Gpu, { seed, frozenStages, normalisation = FROZEN_NORMALISATION, originalStride = false }: BackboneOptions) => {
    const architecture: Architecture = ARCHITECTURES[name];
    const store = new NormalisedStore(gpu, seed, normalisation);
    const first = stem(store, frozenStages >= 1);
    const stages = [1, 2, 3, 4].map((stage) =>
      stageOf(store, architecture, stage, frozenStages > stage, originalStride),
    );
    return {
      parameters: store.parameters,
      channels: [1, 2, 3, 4].map((stage) => channelsOf(architecture, stage)),
      stages: stages.map((blocks, i) => (i === 0 ? [...first, ...blocks] : blocks)),
    };
  };

/** The network alone: layer3's map, and layer4 on pooled regions. */
const buildC4 =
  (name: ResnetName): BackboneBuilder =>
  (gpu, { seed, frozenStages, normalisation = FROZEN_NORMALISATION, originalStride = false }) => {
    const architecture: Architecture = ARCHITECTURES[name];
    const [store, regions] = [0, 1].map(() => new NormalisedStore(gpu, seed, normalisation)) as [
      NormalisedStore,
      NormalisedStore,
    ];
    const layers = [
      ...stem(store, frozenStages >= 1),
      ...[1, 2, 3].flatMap((stage) => stageOf(store, architecture, stage, frozenStages > stage, originalStride)),
    ];
    const last = stageOf(regions, architecture, 4, false, originalStride);
    return {
      stride: 16,
      channels: channelsOf(architecture, 3),
      regionFeatures: channelsOf(architecture, 4),
      featureParameters: store.parameters,
      regionParameters: regions.parameters,
      features: (image) => chain(image, layers),
      regions: (region) => mean(chain(region, last), [2, 3]),
    };
  };

const describe = (name: ResnetName, title: string): BackboneDescriptor => ({
  name,
  title,
  build: buildC4(name),
  stride: 16,
  input: TORCHVISION_INPUT,
  frozenStages: 2,
  batchNorm: true,
  bottlenecks: ARCHITECTURES[name].bottleneck,
  pooled: 14,
  learnsFromRandom: false,
  pretraining: { size: 224, batch: 16, learningRate: 0.01 },
  torchvisionNamesTellInput: true,
});

export const resnet18 = describe('resnet18', 'ResNet-18, stride 16, its last stage on every region');
export const resnet34 = describe('resnet34', 'ResNet-34, stride 16, its last stage on every region');
export const resnet50 = describe('resnet50', 'ResNet-50, stride 16, its last stage on every region (C4)');
export const resnet101 = describe('resnet101', 'ResNet-101, stride 16, its last stage on every region (C4)');

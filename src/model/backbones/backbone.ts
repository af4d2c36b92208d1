/**
 * What Faster R-CNN asks of a network: shared convolutional layers, and the layers that turn a pooled region into a
 * feature vector (fc6 and fc7 of the paper's networks). A backbone is a descriptor in a file of its own and a line in
 * index.ts; everything that depends on which backbone it is reads the descriptor.
 */
import { UserError } from '../../engine/errors.ts';
import type { Gpu } from '../../engine/gpu.ts';
import { gaussian, heNormal, zeros } from '../../engine/initializers.ts';
import { conv2d, type Conv2dOptions } from '../../engine/ops/conv2d.ts';
import { linear } from '../../engine/ops/linear.ts';
import { concat } from '../../engine/ops/axes.ts';
import { shardName, shardRows } from '../../engine/shards.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { InputForm } from '../inputForms.ts';
import type { Normalisation } from './normalised.ts';
import type { PyramidDescriptor } from './pyramid.ts';

export interface Backbone {
  /** Pixels of the image per cell of the map. */
  readonly stride: number;
  /** Channels of the map. */
  readonly channels: number;
  /** Length of a region's feature vector. */
  readonly regionFeatures: number;
  /** Parameters of the convolutional layers by name, the first layer's first. Those of frozen stages have `requiresGrad` false. */
  readonly featureParameters: Readonly<Record<string, Tensor>>;
  /** Parameters of the region layers (fc6, fc7) by name: alternating training continues with them when it fixes the features. */
  readonly regionParameters: Readonly<Record<string, Tensor>>;
  /** image [1, 3, H, W] -> map [1, C, H / stride, W / stride] */
  features(image: Tensor): Tensor;
  /**
   * pooled [R, C, P, P], or [R, C, bins] of a spatial pyramid -> [R, regionFeatures]. `training`: dropout applies, with masks
   * drawn from this seed.
   */
  regions(pooled: Tensor, training: { seed: number } | null): Tensor;
}

export interface BackboneOptions {
  /** Values of a channel in a pooled region: its width times its height, or the bins of a spatial pyramid. */
  bins: number;
  seed: number;
  frozenStages: number;
  /** Of networks with batch normalisation; by default frozen. */
  normalisation?: Normalisation;
  /** ResNet: the stride of a stage is in its first 1x1 convolution instead of its 3x3. */
  originalStride?: boolean;
  /** Ranks of region layers that are kept as a truncated singular value decomposition (`ParameterStore.regionLayer`). */
  ranks?: RegionRanks | undefined;
}

/** By the paper's names of the region layers. */
export interface RegionRanks {
  fc6?: number | undefined;
  fc7?: number | undefined;
}

export type BackboneBuilder = (gpu: Gpu, options: BackboneOptions) => Backbone;

/** Everything about a backbone that is known without a device. */
export interface BackboneDescriptor {
  /** Its name in `--backbone` and in config.json. */
  readonly name: string;
  /** One line for `--help`. */
  readonly title: string;
  readonly build: BackboneBuilder;
  /** Under a feature pyramid: how the detector's parts are made. `build` then makes the network below it alone. */
  readonly pyramid?: PyramidDescriptor;
  /** Pixels of the image per cell of the map. */
  readonly stride: number;
  /** How an image is prepared, unless the initial weights require something else. */
  readonly input: InputForm;
  /** Convolutional layers that no published network has, so that initial weights are without them. */
  readonly addedLayers?: readonly string[];
  /** Leading stages that stay as they are when training starts from pre-trained weights, as published. */
  readonly frozenStages: number;
  /** Whether it has batch normalisation, which is trained where training starts from random weights, and else frozen. */
  readonly batchNorm?: boolean;
  /** Whether it has blocks of three convolutions, whose stride can be in the first (`originalStride`). */
  readonly bottlenecks?: boolean;
  /** Width and height of a pooled region in bins, for which the region layers are made. */
  readonly pooled: number;
  /** Whether it is meant to learn from random weights; without pre-trained ones the others learn little. */
  readonly learnsFromRandom: boolean;
  /** Defaults of `rcnn pretrain`: side of the input in pixels, images per step, learning rate. */
  readonly pretraining: { readonly size: number; readonly batch: number; readonly learningRate: number };
  /** Layers by the names that published files give them, where those differ from the parameters' own. */
  readonly publishedNames?: Readonly<Record<string, string>>;
  /** The parameters' own names of the paper's region layers that it has; without it there are no such layers. */
  readonly regionLayers?: Readonly<Partial<Record<keyof RegionRanks, string>>>;
  /**
   * Whether a file with torchvision's names was trained by torchvision and so expects its input. False if other authors have
   * published weights under the same names.
   */
  readonly torchvisionNamesTellInput?: boolean;
}

/** Every parameter of a backbone by its name, features first. */
export const backboneParameters = ({ featureParameters, regionParameters }: Backbone): Record<string, Tensor> => ({
  ...featureParameters,
  ...regionParameters,
});

/** Values of a parameter: 4 GiB. VGG-16's fc6, the largest of the published ones, has 103 million. */
const MOST_VALUES = 2 ** 30;

/** Throws if settings ask for a layer that no device holds, before its values are drawn. */
function assertFits(name: string, shape: readonly number[]): void {
  const values = shape.reduce((product, n) => product * n, 1);
  if (values <= MOST_VALUES) return;
  throw new UserError(
    `${name}: its [${shape}] weights are more than the ${MOST_VALUES} that a layer may have; choose smaller settings`,
  );
}

/** Makes named parameters, each with its own seed, so that adding a layer does not change the values of the others. */
export class ParameterStore {
  readonly parameters: Record<string, Tensor> = {};
  private readonly gpu: Gpu;
  private readonly seed: number;

  constructor(gpu: Gpu, seed: number) {
    this.gpu = gpu;
    this.seed = seed;
  }

  /**
   * `<name>.weight` by He's rule, or normal as `gaussian` says, and `<name>.bias` zero; both frozen or both trained.
   *
   * The paper draws its new layers with a fixed deviation (.01, .001) for VGG's fan-in. Narrower layers with that value
   * would start with outputs, and so gradients for everything below, many times smaller and hardly learn at first; the
   * deviation therefore grows with the square root of (the paper's fan-in / this layer's), which keeps the outputs' size
   * and is the paper's own value for VGG-16.
   */
  layer(
    name: string,
    shape: readonly number[],
    options: { gaussian?: { std: number; fanIn: number }; frozen?: boolean } = {},
  ): Layer {
    assertFits(name, shape);
    const seed = hash(name) ^ this.seed;
    const fanIn = shape.slice(1).reduce((product, n) => product * n, 1);
    const { gaussian: paper } = options;
    const init = paper ? gaussian(paper.std * Math.sqrt(paper.fanIn / fanIn), seed) : heNormal(seed);
    const weight = this.gpu.parameter(init, shape, `${name}.weight`);
    const bias = this.gpu.parameter(zeros, [shape[0]!], `${name}.bias`);
    weight.requiresGrad = bias.requiresGrad = !options.frozen;
    this.parameters[weight.name] = weight;
    this.parameters[bias.name] = bias;
    return { weight, bias };
  }

  /**
   * A fully connected layer [outputs, inputs] by He's rule, with a zero bias: one layer, or shards of rows where the device
   * cannot bind the weight whole. The values are the same in both cases.
   */
  fullyConnected(name: string, [outputs, inputs]: readonly [number, number]): Layer[] {
    const weights = this.matrix(name, [outputs, inputs]);
    let from = 0;
    return weights.map((weight) => {
      const to = from + weight.shape[0]!;
      const named = weights.length === 1 ? `${name}.bias` : shardName(`${name}.bias`, from, to);
      const bias = this.gpu.parameter(zeros, [to - from], named);
      this.parameters[bias.name] = bias;
      from = to;
      return { weight, bias };
    });
  }

  /**
   * A region layer (fc6, fc7): fully connected, then ReLU. With a rank it is the two factors of a truncated singular value
   * decomposition (Fast R-CNN, section 3.1): `NAME_L` [rank, inputs], without a bias, then `NAME_U` [outputs, rank].
   */
  regionLayer(name: string, [outputs, inputs]: readonly [number, number], rank?: number): (x: Tensor) => Tensor {
    if (rank === undefined) {
      const layer = this.fullyConnected(name, [outputs, inputs]);
      return (x) => connect(x, layer);
    }
    const lower = this.matrix(truncatedName(name).lower, [rank, inputs]);
    const upper = this.fullyConnected(truncatedName(name).upper, [outputs, rank]);
    return (x) => connect(joined(lower.map((weight) => linear(x, weight))), upper);
  }

  /** The weights of a fully connected layer, whole or in shards. */
  private matrix(name: string, [outputs, inputs]: readonly [number, number]): Tensor[] {
    assertFits(name, [outputs, inputs]);
    const seed = hash(name) ^ this.seed;
    const rows = shardRows(outputs, inputs, this.gpu.plans.device.maxBindingBytes);
    return Array.from({ length: Math.ceil(outputs / rows) }, (_, i) => {
      const [from, to] = [i * rows, Math.min(outputs, (i + 1) * rows)];
      const named = rows === outputs ? `${name}.weight` : shardName(`${name}.weight`, from, to);
      const weight = this.gpu.parameter(heNormal(seed, from * inputs), [to - from, inputs], named);
      this.parameters[weight.name] = weight;
      return weight;
    });
  }
}

/** The names of the two factors of a truncated layer, as py-faster-rcnn's tools/compress_net.py has them. */
export const truncatedName = (name: string) => ({ lower: `${name}_L`, upper: `${name}_U` });

export interface Layer {
  weight: Tensor;
  bias: Tensor;
}

/** A fully connected layer followed by ReLU, from all its shards. @param x [R, I] */
export const connect = (x: Tensor, shards: readonly Layer[]): Tensor =>
  joined(shards.map(({ weight, bias }) => linear(x, weight, bias, { relu: true })));

/** What the shards of a layer give, side by side. */
const joined = (parts: Tensor[]): Tensor => (parts.length === 1 ? parts[0]! : concat(parts, 1));

export const convolve = (x: Tensor, { weight, bias }: Layer, options?: Conv2dOptions): Tensor =>
  conv2d(x, weight, bias, options);

/** Runs the layers one after the other. Those that keep nothing for a backward pass hold only one layer's tensors at a time. */
export function chain(x: Tensor, layers: readonly ((x: Tensor) => Tensor)[]): Tensor {
  let current = x;
  for (const layer of layers) {
    const next = x.gpu.transient(() => layer(current));
    if (current !== x && current !== next && !next.requiresGrad) current.dispose();
    current = next;
  }
  return current;
}

/** FNV-1a. */
export function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}

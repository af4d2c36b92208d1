/**
 * Feature pyramids (Lin, Dollar, Girshick, He, Hariharan, Belongie 2017) on the stages of a backbone, named and computed as in
 * torchvision's BackboneWithFPN:
 *   inner_blocks   1x1 convolutions of each stage's map to 256 channels; from the top down each gets the map above it,
 *                  upsampled to its size, added
 *   layer_blocks   3x3 convolutions of the sums: the levels, finest first
 *   pool           every second cell of the coarsest: one more level, for the anchors alone
 */
import type { Gpu } from '../../engine/gpu.ts';
import { add } from '../../engine/ops/arithmetic.ts';
import { maxPool2d } from '../../engine/ops/pooling.ts';
import { upsampleNearest } from '../../engine/ops/upsample.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { type BackboneOptions, chain, convolve, ParameterStore } from './backbone.ts';
import { convolveNormalised, FROZEN_NORMALISATION, NormalisedStore } from './normalised.ts';

/** The convolutions below a pyramid. */
export interface PyramidStages {
  readonly parameters: Readonly<Record<string, Tensor>>;
  /** Channels of the map after each stage. */
  readonly channels: readonly number[];
  /** Layers of each stage, whose map is a level's. */
  readonly stages: readonly (readonly ((x: Tensor) => Tensor)[])[];
}

export type PyramidBody = (gpu: Gpu, options: BackboneOptions) => PyramidStages;

export type Publisher = 'torchvision' | 'detectron2';

/** Tensors by their names in a publisher's detector, and their shapes; null: it has none of that name. */
export type Marks = Readonly<Record<string, readonly number[] | null>>;

/** What a detector on a pyramid is made of: torchvision's functions of the same names. */
export interface PyramidDescriptor {
  /** Missing: the detector is on the backbone's own map, and has its region layers. */
  readonly body?: PyramidBody;
  /** Channels of every level. */
  readonly channels: number;
  /** Whether batch normalisation follows the pyramid's convolutions, which then have no bias. */
  readonly normalised: boolean;
  /** Whether each level has the anchors of one size, its own, or those of all sizes. */
  readonly anchorSizes: 'own' | 'all';
  /** 3x3 convolutions of the RPN. */
  readonly rpnConvolutions: number;
  /**
   * Region layers on a pyramid: two fully connected ones, or four 3x3 convolutions with batch normalisation and a fully connected
   * one.
   */
  readonly regionLayers: 'connected' | 'convolutional';
  /** The tensors by which the files of published detectors are recognised. */
  readonly marks: Readonly<Partial<Record<Publisher, Marks>>>;
  /** What torchvision's detector has otherwise than its other ones. */
  readonly detection?: {
    readonly shorterSide: number;
    readonly longerSide: number;
    readonly proposals: number;
    readonly scoreThreshold: number;
  };
  /** Strides of the levels of its convolutions, finest first; the pool above has twice the last. */
  readonly levelStrides: readonly number[];
  /** How many of them, from the finest on, regions are taken from. */
  readonly regionLevels: number;
}

export const PYRAMID_CHANNELS = 256;

/** Pixels per cell of every level; that above the pyramid's convolutions has every second cell of the last. */
export const levelStrides = ({ body, levelStrides: strides }: PyramidDescriptor): number[] =>
  body ? [...strides, 2 * strides.at(-1)!] : [...strides];

export interface Pyramid {
  readonly parameters: Readonly<Record<string, Tensor>>;
  readonly levelCount: number;
  /** image [N, 3, H, W] -> levels [N, 256, H / stride, W / stride], finest first. */
  levels(image: Tensor): Tensor[];
}

type Block = (x: Tensor) => Tensor;

/** Makes the convolutions of a pyramid, frozen ones of its body included. */
export function buildPyramid(
  gpu: Gpu,
  makeBody: PyramidBody,
  descriptor: PyramidDescriptor,
  options: BackboneOptions,
): Pyramid {
  const { seed, normalisation = FROZEN_NORMALISATION } = options;
  const body = makeBody(gpu, options);
  const store = new ParameterStore(gpu, seed);
  const normalised = new NormalisedStore(gpu, seed, normalisation, store.parameters);
  const block = (name: string, inputs: number, side: number): Block => {
    const shape = [PYRAMID_CHANNELS, inputs, side, side];
    const padding = (side - 1) / 2;
    if (descriptor.normalised) {
      const layer = normalised.layer(`${name}.0`, `${name}.1`, shape);
      return (x) => convolveNormalised(x, layer, { padding });
    }
    const layer = store.layer(`${name}.0`, shape);
    return (x) => convolve(x, layer, { padding });
  };
  const inner = body.channels.map((channels, i) => block(`fpn.inner_blocks.${i}`, channels, 1));
  const outer = body.channels.map((_, i) => block(`fpn.layer_blocks.${i}`, PYRAMID_CHANNELS, 3));
  return {
    parameters: { ...body.parameters, ...store.parameters },
    levelCount: body.channels.length + 1,
    levels(image) {
      const maps: Tensor[] = [];
      for (const layers of body.stages) maps.push(chain(maps.at(-1) ?? image, layers));
      let above: Tensor | null = null;
      const levels: Tensor[] = [];
      for (let i = maps.length - 1; i >= 0; i--) {
        const own: Tensor = inner[i]!(maps[i]!);
        above = above ? add(own, upsampleNearest(above, own)) : own;
        levels.unshift(outer[i]!(above));
      }
      return [...levels, maxPool2d(levels.at(-1)!, { kernel: 1, stride: 2 })];
    },
  };
}

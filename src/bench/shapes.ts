/** The convolutions of the networks at an input of 300x400 pixels, and the large matrix products. */

export interface ConvLayer {
  /** Input channels, filters, side of a filter, input map. */
  C: number;
  K: number;
  side: number;
  H: number;
  W: number;
  stride: number;
  pad: number;
}

/** 3x3, stride 1, padding 1. */
const same = (C: number, K: number, H: number, W: number): ConvLayer => ({ C, K, side: 3, H, W, stride: 1, pad: 1 });
const pointwise = (C: number, K: number, H: number, W: number): ConvLayer => ({
  C,
  K,
  side: 1,
  H,
  W,
  stride: 1,
  pad: 0,
});

/** Each shape once; conv3_2 = conv3_3 and so on. The last row stands for a fifth stage after a pooling layer. */
export const VGG16_LAYERS: readonly ConvLayer[] = [
  same(3, 64, 300, 400),
  same(64, 64, 300, 400),
  same(64, 128, 150, 200),
  same(128, 128, 150, 200),
  same(128, 256, 75, 100),
  same(256, 256, 75, 100),
  same(256, 512, 38, 50),
  same(512, 512, 38, 50),
  same(512, 512, 19, 25),
];

/** Zeiler and Fergus, as py-faster-rcnn builds it; pools 3/2 with padding 1. */
export const ZF_LAYERS: readonly ConvLayer[] = [
  { C: 3, K: 96, side: 7, H: 300, W: 400, stride: 2, pad: 3 },
  { C: 96, K: 256, side: 5, H: 76, W: 101, stride: 2, pad: 2 },
  same(256, 384, 20, 26),
  same(384, 384, 20, 26),
  same(384, 256, 20, 26),
];

/** SqueezeNet 1.1: conv1, then of each size of map the squeeze and expand layers that differ. */
export const SQUEEZENET_LAYERS: readonly ConvLayer[] = [
  { C: 3, K: 64, side: 3, H: 300, W: 400, stride: 2, pad: 0 },
  ...fires(74, 99, 64, [16]),
  ...fires(37, 49, 128, [32]),
  ...fires(18, 24, 256, [48, 64]),
];

/** Fire modules on one map in pairs of one squeeze width: the first takes `inputs` channels, each gives 8 times its squeeze. */
function fires(H: number, W: number, inputs: number, squeezes: readonly number[]): ConvLayer[] {
  const layers: ConvLayer[] = [];
  for (const squeeze of squeezes) {
    const wide = 4 * squeeze;
    layers.push(
      pointwise(inputs, squeeze, H, W),
      pointwise(squeeze, wide, H, W),
      same(squeeze, wide, H, W),
      pointwise(2 * wide, squeeze, H, W),
    );
    inputs = 2 * wide;
  }
  return layers;
}

/** Sides of the square matrices. */
export const MATMUL_SIZES = [512, 1024] as const;

export const outputSize = ({ H, W, side, stride, pad }: ConvLayer): { OH: number; OW: number } => ({
  OH: Math.floor((H + 2 * pad - side) / stride) + 1,
  OW: Math.floor((W + 2 * pad - side) / stride) + 1,
});

/** Operations of the direct algorithm on one image: the forward pass and each gradient need the same number. */
export function convFlops(layer: ConvLayer): number {
  const { OH, OW } = outputSize(layer);
  return 2 * layer.C * layer.K * layer.side ** 2 * OH * OW;
}

/** Input, filters and output once each: the least that a pass over one image must move. The sizes are bytes of an element. */
export function convBytes(layer: ConvLayer, map = 4, filter = 4): number {
  const { C, K, side, H, W } = layer;
  const { OH, OW } = outputSize(layer);
  return map * (C * H * W + K * OH * OW) + filter * K * C * side ** 2;
}

export const layerName = ({ C, K, side, H, W, stride }: ConvLayer): string =>
  `${C}->${K} ${side}x${side}${stride > 1 ? `/${stride}` : ''} ${H}x${W}`;

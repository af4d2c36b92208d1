/**
 * The training step that is compared: four convolutions as wide as those of the small backbone, each with bias and ReLU,
 * on 160x160 pixels; loss = sum of squares of the last map / its size; SGD with momentum.
 *   conv1 5x5/2 16 - conv2 3x3/2 48 - conv3 3x3 64 - conv4 3x3 64
 * conv2's stride stands for the backbone's pooling layer, which not every engine differentiates.
 */
import { uniform } from '../../src/bench/inputs.ts';
import { convFlops, type ConvLayer, outputSize } from '../../src/bench/shapes.ts';

export const TRAINING_LAYERS: readonly ConvLayer[] = [
  { C: 3, K: 16, side: 5, H: 160, W: 160, stride: 2, pad: 2 },
  { C: 16, K: 48, side: 3, H: 80, W: 80, stride: 2, pad: 1 },
  { C: 48, K: 64, side: 3, H: 40, W: 40, stride: 1, pad: 1 },
  { C: 64, K: 64, side: 3, H: 40, W: 40, stride: 1, pad: 1 },
];

export const TRAINING_SHAPE = '4 convolutions 160x160';
export const LEARNING_RATE = 0.1;
export const MOMENTUM = 0.9;

/** Operations: forward and filter gradient of each convolution, input gradient of all but the first. */
export const TRAINING_FLOPS = TRAINING_LAYERS.reduce((sum, layer, i) => sum + (i === 0 ? 2 : 3) * convFlops(layer), 0);

/** The number of elements of the last map. */
export const OUTPUT_ELEMENTS = ((layer: ConvLayer) => {
  const { OH, OW } = outputSize(layer);
  return layer.K * OH * OW;
})(TRAINING_LAYERS.at(-1)!);

export function trainingInputs(): { image: Float32Array; filters: Float32Array[] } {
  return {
    image: uniform(3 * 160 * 160, 1),
    filters: TRAINING_LAYERS.map(({ C, K, side }, i) => {
      const bound = Math.sqrt(6 / (C * side * side)); // He: a uniform distribution has a third of its bound's square
      return uniform(K * C * side * side, 2 + i).map((value) => bound * value);
    }),
  };
}

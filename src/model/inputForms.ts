/** The forms in which published networks take an image. */
import type { InputConfig } from './config.ts';

/** Order and range of the input's channels: (value - mean) * factor for each, values 0..255. */
export type InputForm = Pick<InputConfig, 'channels' | 'mean' | 'factor'>;

/** Caffe's VGG-16 and ZF (paper, py-faster-rcnn): B, G, R in 0..255 minus the mean of ImageNet. */
export const CAFFE_INPUT: InputForm = { channels: 'bgr', mean: [102.9801, 115.9465, 122.7717], factor: [1, 1, 1] };

/** torchvision's networks: R, G, B in 0..1, normalised by the mean and the deviation of ImageNet. */
export const TORCHVISION_INPUT: InputForm = {
  channels: 'rgb',
  mean: [255 * 0.485, 255 * 0.456, 255 * 0.406],
  factor: [1 / (255 * 0.229), 1 / (255 * 0.224), 1 / (255 * 0.225)],
};

/** What --input names. */
export const INPUT_FORMS: Readonly<Record<InputConfig['channels'], InputForm>> = {
  bgr: CAFFE_INPUT,
  rgb: TORCHVISION_INPUT,
};

/** detectron2's on weights of the residual networks' authors: B, G, R in 0..255 minus ImageNet's mean as it has it. */
export const DETECTRON2_INPUT: InputForm = { channels: 'bgr', mean: [103.53, 116.28, 123.675], factor: [1, 1, 1] };

/** Named configurations: everything `rcnn train` needs but the data. A command-line option changes single values. */
import {
  type DetectorConfig,
  HEAD_DEFAULTS,
  type InputConfig,
  RPN_DEFAULTS,
  TEST_DEFAULTS,
  type TrainingConfig,
} from '../model/config.ts';

export interface Preset {
  /** One line for `rcnn train --help`. */
  summary: string;
  detector: Omit<DetectorConfig, 'classes'>;
  training: TrainingConfig;
  /** Leave out boxes without area instead of stopping at them. */
  skipBadBoxes?: boolean;
}

/** Caffe's models: B, G, R in 0..255 minus the mean of ImageNet (py-faster-rcnn config.py). */
const caffeInput = (shorterSide: number, longerSide: number): InputConfig => ({
  shorterSide,
  longerSide,
  channels: 'bgr',
  mean: [102.9801, 115.9465, 122.7717],
  factor: [1, 1, 1],
});

const digitsDetector: Preset['detector'] = {
  convention: 'py-faster-rcnn',
  backbone: 'small',
  input: {
    shorterSide: 160,
    longerSide: 320,
    channels: 'rgb',
    mean: [110, 110, 110],
    factor: [1 / 64, 1 / 64, 1 / 64],
  },
  anchors: { scales: [2.5, 4.5, 8], ratios: [0.5, 1, 2] },
  rpn: {
    ...RPN_DEFAULTS,
    channels: 96,
    batch: 128,
    minSize: 6,
    train: { preNms: 1000, postNms: 300 },
    test: { preNms: 1000, postNms: 100 },
  },
  head: { ...HEAD_DEFAULTS, pooled: 6, batch: 64 },
  test: TEST_DEFAULTS,
  frozenStages: 0,
};

const digitsTraining: TrainingConfig = {
  steps: 6000,
  learningRate: 0.01,
  milestones: [4500, 5500],
  gamma: 0.1,
  warmup: 100,
  momentum: 0.9,
  weightDecay: 0.0005,
  biasRate: 2,
  biasDecay: 0,
  flip: false,
  imagesPerStep: 1,
  seed: 1,
};

export const PRESETS: Readonly<Record<string, Preset>> = {
  demo: {
    summary: 'digit scenes, small backbone: a few minutes on a software adapter',
    detector: digitsDetector,
    training: { ...digitsTraining, steps: 1800, milestones: [1400] },
  },
  digits: {
    summary: 'digit scenes, small backbone, trained until it stops improving',
    detector: digitsDetector,
    training: digitsTraining,
  },
  bccd: {
    summary: 'blood cells (BCCD), SqueezeNet 1.1 with pre-trained weights, shorter side 480',
    detector: {
      convention: 'py-faster-rcnn',
      backbone: 'squeezenet1_1',
      input: { ...caffeInput(480, 800), mean: [104, 117, 123] },
      anchors: { scales: [2, 4, 8, 16], ratios: [0.5, 1, 2] },
      rpn: {
        ...RPN_DEFAULTS,
        channels: 128,
        minSize: 8,
        train: { preNms: 3000, postNms: 600 },
        test: { preNms: 3000, postNms: 300 },
      },
      head: HEAD_DEFAULTS,
      test: TEST_DEFAULTS,
      frozenStages: 3,
    },
    training: {
      ...digitsTraining,
      steps: 1600,
      learningRate: 0.001,
      milestones: [1200],
      flip: true,
    },
    skipBadBoxes: true,
  },
};

export const DEFAULT_PRESET = 'digits';

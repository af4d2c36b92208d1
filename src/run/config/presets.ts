/** Named configurations: everything that `rcnn train` needs except the data. Command-line options change single values. */
import type { BackboneDescriptor } from '../../model/backbones/backbone.ts';
import { DETECTRON2_INPUT } from '../../model/inputForms.ts';
import { resnet50Fpn } from '../../model/backbones/resnetPyramids.ts';
import { small } from '../../model/backbones/small.ts';
import { squeezenet } from '../../model/backbones/squeezenet.ts';
import { vgg16 } from '../../model/backbones/vgg16.ts';
import { zf } from '../../model/backbones/zf.ts';
import {
  type DetectorConfig,
  HEAD_DEFAULTS,
  type HeadConfig,
  OPTIMISER_DEFAULTS,
  RPN_DEFAULTS,
  TEST_DEFAULTS,
  type TrainingConfig,
} from '../../model/config.ts';

export interface Preset {
  /** One line for `rcnn train --help`. */
  summary: string;
  detector: Omit<DetectorConfig, 'classes'>;
  /** Joint training. */
  training: TrainingConfig;
  /** What differs if the RPN and the detector are trained in stages (`--schedule alternating`, `unshared`). */
  staged?: { head: Partial<HeadConfig>; training: Partial<TrainingConfig> };
  /** The split to train on; default train. */
  split?: string;
  /** Leaves out boxes without area instead of stopping at them. */
  skipBadBoxes?: boolean;
}

const digitsDetector: Preset['detector'] = {
  convention: 'py-faster-rcnn',
  stages: 2,
  features: 'shared',
  backbone: small.name,
  input: { ...small.input, shorterSide: 160, longerSide: 320 },
  anchors: { sizes: [20, 36, 64], ratios: [0.5, 1, 2] },
  rpn: {
    ...RPN_DEFAULTS,
    channels: 64,
    batch: 128,
    minSize: 6,
    train: { preNms: 1000, postNms: 300, without: 'nothing' },
    test: { preNms: 1000, postNms: 100, without: 'nothing' },
  },
  // A scene has few objects. Half of the RoIs may be foreground, so that telling digits apart counts for more.
  head: { ...HEAD_DEFAULTS, pooled: small.pooled, batch: 64, foregroundFraction: 0.5 },
  test: TEST_DEFAULTS,
  frozenStages: small.frozenStages,
};

const digitsTraining: TrainingConfig = {
  steps: 6500,
  learningRate: 0.005,
  milestones: [5200, 6100],
  warmup: 200,
  ...OPTIMISER_DEFAULTS,
  biasDecay: 0,
  flip: false,
  imagesPerStep: 1,
  seed: 1,
};

const photosDetector: Preset['detector'] = {
  convention: 'py-faster-rcnn',
  stages: 2,
  features: 'shared',
  backbone: squeezenet.name,
  input: { ...squeezenet.input, shorterSide: 480, longerSide: 800 },
  anchors: { sizes: [32, 64, 128, 256], ratios: [0.5, 1, 2] },
  rpn: {
    ...RPN_DEFAULTS,
    channels: 128,
    minSize: 8,
    train: { preNms: 3000, postNms: 600, without: 'nothing' },
    test: { preNms: 3000, postNms: 300, without: 'nothing' },
  },
  head: { ...HEAD_DEFAULTS, pooled: squeezenet.pooled },
  test: TEST_DEFAULTS,
  frozenStages: squeezenet.frozenStages,
};

const photosTraining: TrainingConfig = {
  ...digitsTraining,
  steps: 1300,
  learningRate: 0.002,
  milestones: [1000],
  flip: true,
};

/** The mini-batches of Fast R-CNN, which the detector's stages use: 64 RoIs from each image. */
export const FAST_RCNN_HEAD: Partial<HeadConfig> = { batch: 64 };

/**
 * The paper's detector and its training on VOC 2007 trainval, as py-faster-rcnn publishes them. Joint (end to end): two images
 * per update with 128 RoIs each, 50k updates at 0.001 and 20k at 0.0001; biases learn twice as fast and do decay. In stages
 * (alternating optimisation): 60k and 20k updates of one image for an RPN, 30k and 10k of two images for a detector.
 */
const paper = (
  { name, input, pooled, frozenStages }: BackboneDescriptor,
  rpnChannels: number,
): Required<Pick<Preset, 'detector' | 'training' | 'staged' | 'split'>> => ({
  detector: {
    convention: 'py-faster-rcnn',
    stages: 2,
    features: 'shared',
    backbone: name,
    input: { ...input, shorterSide: 600, longerSide: 1000 },
    anchors: { sizes: [128, 256, 512], ratios: [0.5, 1, 2] },
    rpn: { ...RPN_DEFAULTS, channels: rpnChannels },
    head: { ...HEAD_DEFAULTS, pooled },
    test: TEST_DEFAULTS,
    frozenStages,
  },
  training: {
    steps: 70000,
    learningRate: 0.001,
    milestones: [50000],
    warmup: 0,
    ...OPTIMISER_DEFAULTS,
    biasDecay: 1,
    flip: true,
    imagesPerStep: 2,
    seed: 3,
  },
  staged: {
    head: FAST_RCNN_HEAD,
    training: {
      stages: {
        rpn: { steps: 80000, milestones: [60000], imagesPerStep: 1 },
        detector: { steps: 40000, milestones: [30000], imagesPerStep: 2 },
      },
    },
  },
  split: 'trainval',
});

const PAPER_VGG16 = paper(vgg16, 512);

/** Sides of the anchors under a feature pyramid, of its levels in order or all on each. */
const PYRAMID_ANCHORS = [32, 64, 128, 256, 512];

/** torchvision's detector on a feature pyramid, as its functions make it. */
export function pyramidDetector({
  name,
  input,
  pooled,
  frozenStages,
  pyramid,
}: BackboneDescriptor): Preset['detector'] {
  const { shorterSide = 800, longerSide = 1333, proposals = 1000, scoreThreshold } = pyramid?.detection ?? {};
  return {
    convention: 'torchvision',
    stages: 2,
    features: 'shared',
    backbone: name,
    input: { ...input, shorterSide, longerSide },
    anchors: { sizes: PYRAMID_ANCHORS, ratios: [0.5, 1, 2] },
    rpn: {
      ...RPN_DEFAULTS,
      channels: 256,
      minSize: 0.001,
      train: { preNms: 2000, postNms: 2000, without: 'nothing' },
      test: { preNms: proposals, postNms: proposals, without: 'nothing' },
      ...(scoreThreshold !== undefined && { scoreThreshold }),
    },
    head: { ...HEAD_DEFAULTS, pooled, pooling: 'align', samplingRatio: 2, batch: 512, sigma: 3 },
    test: { ...TEST_DEFAULTS, nmsThreshold: 0.5 },
    frozenStages,
  };
}

/**
 * detectron2's detector as COCO-Detection/faster_rcnn_R_50_FPN_3x and _C4_3x configure it; smooth L1 with beta 0 is as good as one
 * whose quadratic part ends at a millionth.
 */
export function detectron2Detector(descriptor: BackboneDescriptor): Preset['detector'] {
  const detector = pyramidDetector(descriptor);
  const { rpn, head, input } = detector;
  const [train, test] = descriptor.pyramid?.body
    ? [{ preNms: 2000, postNms: 1000 }, { preNms: 1000, postNms: 1000 }] // prettier-ignore
    : [
        { preNms: 12000, postNms: 2000 },
        { preNms: 6000, postNms: 1000 },
      ];
  return {
    ...detector,
    convention: 'detectron2',
    input: { ...input, ...DETECTRON2_INPUT },
    ...(descriptor.bottlenecks && { originalStride: true }),
    rpn: { ...rpn, minSize: 1e-6, sigma: 1000, train: { ...rpn.train, ...train }, test: { ...rpn.test, ...test } },
    head: { ...head, samplingRatio: 0, sigma: 1000 },
  };
}

/**
 * torchvision's recipe on COCO (references/detection): 26 epochs of 117 266 images, sixteen to an update, falling after 16 and 22,
 * with a warm-up over the first thousand updates.
 */
const PYRAMID_TRAINING: TrainingConfig = {
  steps: 190500,
  learningRate: 0.02,
  milestones: [117200, 161200],
  warmup: 1000,
  ...OPTIMISER_DEFAULTS,
  weightDecay: 0.0001,
  biasRate: 1,
  biasDecay: 1,
  flip: true,
  imagesPerStep: 16,
  seed: 1,
};

export const PRESETS: Readonly<Record<string, Preset>> = {
  demo: {
    summary: 'digit scenes, small backbone: a few minutes on a software adapter',
    detector: digitsDetector,
    training: { ...digitsTraining, steps: 3000, milestones: [2500] },
  },
  digits: {
    summary: 'digit scenes, small backbone, trained until it stops improving',
    detector: digitsDetector,
    training: digitsTraining,
  },
  photos: {
    summary: 'photographs: SqueezeNet 1.1 with pre-trained weights, shorter side 480',
    detector: photosDetector,
    training: photosTraining,
  },
  bccd: {
    summary: 'blood cells (BCCD): as photos, shorter side 600, on trainval, without the few boxes that have no area',
    detector: {
      ...photosDetector,
      // A platelet has about 40 pixels in a photograph 480 high; on a map of stride 16 it should take three cells.
      input: { ...photosDetector.input, shorterSide: 600, longerSide: 1000 },
      // With 15 to 30 cells in an image it takes more RoIs for each cell to have some.
      head: { ...HEAD_DEFAULTS, batch: 256 },
    },
    training: { ...photosTraining, steps: 3500, milestones: [2800] },
    split: 'trainval',
    skipBadBoxes: true,
  },
  chess: {
    summary: 'chess pieces (CHESS416): as photos, shorter side 600, anchors twice as high as wide',
    detector: {
      ...photosDetector,
      // A piece has about 26 x 53 pixels in a photograph 416 high, which makes 37 x 76 here.
      input: { ...photosDetector.input, shorterSide: 600, longerSide: 1000 },
      anchors: { sizes: [40, 56, 80], ratios: [1, 2] },
      head: { ...HEAD_DEFAULTS, batch: 256 },
    },
    training: { ...photosTraining, steps: 2000, milestones: [1600] },
  },
  'paper-zf-voc07': { summary: "the paper's ZF on VOC 2007, shorter side 600", ...paper(zf, 256) },
  'paper-vgg16-voc07': { summary: "the paper's VGG-16 on VOC 2007, shorter side 600", ...PAPER_VGG16 },
  'paper-vgg16-voc0712': {
    summary: 'as paper-vgg16-voc07 on VOC 2007 and 2012: --data voc:VOC2007,VOC2012',
    ...PAPER_VGG16,
    // No joint schedule is published for the two years together, so this is the one for VOC 2007. The stages are those of the
    // paper's own code (github.com/ShaoqingRen/faster_rcnn): a detector trains longer on more images, an RPN does not.
    staged: {
      head: FAST_RCNN_HEAD,
      training: {
        stages: {
          rpn: { steps: 80000, milestones: [60000], imagesPerStep: 1 },
          detector: { steps: 60000, milestones: [30000], imagesPerStep: 2 },
        },
      },
    },
  },
  'paper-vgg16-coco': {
    summary: "the paper's VGG-16 on COCO, shorter side 600: --data coco:train2017,instances_train2017.json",
    detector: { ...PAPER_VGG16.detector, anchors: { sizes: [64, 128, 256, 512], ratios: [0.5, 1, 2] } },
    // py-faster-rcnn, end to end.
    training: { ...PAPER_VGG16.training, steps: 490000, milestones: [350000] },
    // The paper, section 4.2, on eight GPUs: an RPN has one image on each and a detector two, hence the higher rate.
    staged: {
      // The paper, section 4.2: on COCO background RoIs begin at an IoU of 0.
      head: { ...FAST_RCNN_HEAD, backgroundLow: 0 },
      training: {
        learningRate: 0.003,
        stages: {
          rpn: { steps: 320000, milestones: [240000], imagesPerStep: 8 },
          detector: { steps: 320000, milestones: [240000], imagesPerStep: 16 },
        },
      },
    },
    split: 'train',
    // A few of the boxes are lines.
    skipBadBoxes: true,
  },
  'resnet50-fpn': {
    summary: "torchvision's ResNet-50 with a feature pyramid and its recipe on COCO, shorter side 800",
    detector: pyramidDetector(resnet50Fpn),
    training: PYRAMID_TRAINING,
    skipBadBoxes: true,
  },
};

/** The preset if none is chosen. */
export const defaultPreset = (data: string): string => (data === 'digits' ? 'digits' : 'photos');

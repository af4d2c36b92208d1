/**
 * Every setting of the detector and of its training: the schema is the only source of their types, ranges, usual values and
 * explanations (docs/settings.md is written from it). A run saves its configuration beside its checkpoint; `rcnn eval` and
 * `rcnn detect` read it back.
 */
import * as z from 'zod';
import { BACKBONES } from './backbones/index.ts';
import { MAX_BINS } from '../kernels/roiPool.ts';
import { CONVENTIONS } from './conventions.ts';
import { DETECTORS } from './detectors.ts';

/** A setting: what it may be, what it means, and its value unless a preset chooses another. */
export function setting<S extends z.ZodType>(schema: S, help: string, usual?: z.infer<S>): S {
  return schema.meta({ description: help, ...(usual !== undefined && { usual }) }) as S;
}

/** The usual values of settings that all have one, but for those that may be left out. */
function usualOf<S extends z.ZodObject>(schema: S): z.infer<S> {
  const entries = Object.entries(schema.shape).flatMap(([name, field]) => {
    if (field instanceof z.ZodOptional) return [];
    const value = field instanceof z.ZodObject ? usualOf(field) : (field as z.ZodType).meta()?.['usual'];
    if (value === undefined) throw new Error(`setting ${name}: has no usual value`);
    return [[name, value] as const];
  });
  return Object.fromEntries(entries) as z.infer<S>;
}

export const count = z.int().positive();
export const step = z.int().nonnegative();
const positive = z.number().positive();
const oddSide = count.refine((side) => side % 2 === 1, { error: 'must be odd' });
const notNegative = z.number().nonnegative();
const share = z.number().min(0).max(1);
const fraction = z.number().min(0).lt(1);
const triple = z.tuple([z.number(), z.number(), z.number()]);

/** Scales of an image: memory and time grow with each. */
const MAX_SCALES = 16;

const inputSettings = {
  channels: setting(z.enum(['bgr', 'rgb']), 'order of the channels in the input'),
  mean: setting(triple, 'subtracted from each channel, in that order; pixel values are 0 to 255'),
  factor: setting(triple, 'what each channel is then multiplied by'),
};

const input = z.strictObject({
  shorterSide: setting(
    count,
    'pixels to which the shorter side is resized, unless the longer one would exceed `longerSide`',
  ),
  longerSide: setting(count, 'most pixels that the longer side may have'),
  scales: setting(
    z.array(count).min(1).max(MAX_SCALES).optional(),
    'shorter sides of an image pyramid in pixels, in place of `shorterSide`: detection computes each image at all of them; training draws one for each image, and with `spp-net` takes all. No more than `longerSide`, each once; the first is the one that `rcnn check` measures',
  ),
  ...inputSettings,
});

const proposals = (preNms: number, postNms: number) =>
  z.strictObject({
    preNms: setting(count, 'number of boxes that enter non-maximum suppression (NMS), best scores first', preNms),
    postNms: setting(count, 'most boxes that remain after NMS', postNms),
    without: setting(
      z.enum(['nothing', 'nms', 'cls', 'reg']),
      'what to leave out of the proposals (table 2 of the paper): `nms` suppresses nothing; `cls` draws boxes at random and suppresses nothing; `reg` keeps the anchors unmoved',
      'nothing',
    ),
  });

const rpn = z.strictObject({
  channels: setting(count, 'channels of the 3x3 convolution', 512),
  filters: setting(
    z
      .array(z.tuple([oddSide, oddSide]))
      .min(1)
      .optional(),
    'height and width of a filter for each of the ratios of the anchors, in place of the 3x3 convolution for all (a pyramid of filters, figure 1b of the paper); odd numbers',
  ),
  batch: setting(count, 'anchors in a mini-batch', 256),
  positiveFraction: setting(share, 'largest share of positive anchors in a mini-batch', 0.5),
  positiveOverlap: setting(share, 'IoU with an object from which on an anchor is positive', 0.7),
  negativeOverlap: setting(share, 'IoU below which an anchor is negative', 0.3),
  normalisation: setting(
    z.enum(['examples', 'locations']),
    'what the box loss (equation 1) is divided by: the anchors in the mini-batch (`examples`, py-faster-rcnn) or the number of anchor locations (`locations`, the paper)',
    'examples',
  ),
  lambda: setting(notNegative, 'weight of the box loss: 1 with `examples`, 10 in the paper', 1),
  sigma: setting(positive, 'sigma of smooth L1 in the box loss: 3 in py-faster-rcnn, 1 in the paper', 3),
  nmsThreshold: setting(share, 'IoU above which the lower-scoring proposal is suppressed', 0.7),
  minSize: setting(notNegative, 'smallest side of a proposal, in pixels of the original image', 16),
  scoreThreshold: setting(
    share.optional(),
    'with a feature pyramid, objectness below which a box is no proposal; without it 0',
  ),
  train: setting(proposals(12000, 2000), 'proposals while training'),
  test: setting(proposals(6000, 300), 'proposals in detection'),
});

const head = z.strictObject({
  pooled: setting(count.max(MAX_BINS), 'width and height of a pooled RoI in bins', 7),
  pooling: setting(
    z.enum(['max', 'warp', 'align']),
    '`max`: RoI max pooling, which passes no gradient to the RoIs; `align`: RoIAlign, the means of bilinear samples; `warp`: RoI warping to twice as many bins, then max pooling, through which the losses of the head also train the boxes of the RPN (section 3.2)',
    'max',
  ),
  samplingRatio: setting(
    step.optional(),
    'with `align`, samples of a bin along each axis; 0, or without it, as many as the bin has cells',
  ),
  warpLimit: setting(
    positive,
    "with `warp`, bound of the gradient that a RoI passes to a delta, as a multiple of the largest that the RPN's own box loss can give it",
    1,
  ),
  scaleSide: setting(
    positive.optional(),
    'with several `input.scales`, side of a square in pixels: a region is taken from the scale at which its area is nearest to that of the square; without it 224. Windows of one-stage detection stay at their own scale',
  ),
  batch: setting(count, 'RoIs in a mini-batch, per image', 128),
  foregroundFraction: setting(share, 'largest share of foreground RoIs in a mini-batch', 0.25),
  foregroundOverlap: setting(share, 'IoU with an object from which on a RoI is foreground', 0.5),
  backgroundLow: setting(share, 'lowest IoU of a background RoI', 0),
  backgroundHigh: setting(share, 'IoU below which a RoI can be background', 0.5),
  classWeights: setting(
    z.record(z.string(), positive).optional(),
    'weights of classes in the loss of the classes, by name, `__background__` among them; 1 for those left out. The loss is the mean weighted by them',
  ),
  targetStds: setting(
    z.tuple([positive, positive, positive, positive]),
    'standard deviations by which the regression targets are divided',
    [0.1, 0.1, 0.2, 0.2],
  ),
  sigma: setting(positive, 'sigma of smooth L1 in the box loss', 1),
  scorer: setting(
    z.enum(['softmax', 'svm']).optional(),
    'what scores regions at test time: `softmax`, the layers of the head; `svm`, which takes given proposals: a linear SVM for each class, and a ridge regression of boxes, fitted after the training (R-CNN, SPP-net). Without it `softmax`',
  ),
});

const crop = z.strictObject({
  size: setting(z.int().min(16).max(1024), 'pixels of the width and the height to which a region is warped'),
  context: setting(step, 'pixels of them, on each side, that show what lies around the region; 16 of 227 as published'),
});

const test = z.strictObject({
  scoreThreshold: setting(share, 'score that a detection must exceed', 0.05),
  nmsThreshold: setting(share, 'IoU above which the lower-scoring detection is suppressed, class by class', 0.3),
  maxDetections: setting(count, 'most detections per image, over all classes', 100),
});

export const detectorSchema = z.strictObject({
  system: setting(
    z
      .string()
      .refine((name) => DETECTORS.has(name), {
        error: ({ input }) => `must be one of ${[...DETECTORS.keys()].join(', ')}, not ${JSON.stringify(input)}`,
      })
      .optional(),
    'kind of detector; without it `faster-rcnn`',
  ),
  convention: setting(
    z.enum(Object.keys(CONVENTIONS) as (keyof typeof CONVENTIONS)[]),
    'the implementation whose box arithmetic is used',
    'py-faster-rcnn',
  ),
  stages: setting(
    z.union([z.literal(1), z.literal(2)]),
    '2: proposals, then their classes; 1: the classes of all anchors, without proposals (table 10 of the paper)',
    2,
  ),
  backbone: setting(
    z.string().refine((name) => BACKBONES.has(name), {
      error: ({ input }) => `must be one of ${[...BACKBONES.keys()].join(', ')}, not ${JSON.stringify(input)}`,
    }),
    'name of the network of shared convolutional layers',
  ),
  features: setting(
    z.enum(['shared', 'unshared']),
    'whether the RPN and the detection head use one set of convolutional layers, or the RPN has its own',
    'shared',
  ),
  classes: setting(z.array(z.string()).min(2), '`__background__`, then the names of the classes'),
  input: setting(
    input.superRefine(({ scales = [], longerSide }, context) => {
      const wrong = (message: string): void => context.addIssue({ code: 'custom', path: ['scales'], message });
      const beyond = scales.find((side) => side > longerSide);
      const twice = scales.find((side, i) => scales.indexOf(side) !== i);
      if (beyond !== undefined) wrong(`${beyond} is more than longerSide allows, ${longerSide}; raise longerSide`);
      else if (twice !== undefined) wrong(`${twice} is given twice; give each scale once`);
    }),
    "the network's input",
  ),
  anchors: setting(
    z.strictObject({
      sizes: setting(
        z.array(positive).min(1).max(100),
        "sides of the square anchors in pixels of the network's input (the paper: 128, 256, 512)",
      ),
      ratios: setting(z.array(positive).min(1).max(100), 'height over width'),
    }),
    'the anchors at each location',
  ),
  rpn: setting(rpn, 'the Region Proposal Network'),
  crop: setting(crop.optional(), 'with R-CNN (`system` `rcnn`), how a region is cropped out of the image'),
  head: setting(
    head.refine(({ pooling, pooled }) => pooling !== 'warp' || 2 * pooled <= MAX_BINS, {
      path: ['pooled'],
      error: `must be at most ${Math.floor(MAX_BINS / 2)} with RoI warping, which takes twice as many bins`,
    }),
    'the detection head',
  ),
  test: setting(test, 'what counts as a detection'),
  batchNorm: setting(
    z
      .strictObject({
        training: setting(
          z.boolean(),
          'whether normalisation is by the statistics of each image (of each `training.microBatch`, if there is one) and is trained with the layers before it; otherwise weights and statistics stay as they are',
        ),
        epsilon: setting(notNegative, 'added to the variance'),
      })
      .optional(),
    'batch normalisation of backbones that have it; without it frozen, with epsilon 1e-5',
  ),
  originalStride: setting(
    z.literal(true).optional(),
    'with ResNet-50 and -101, whether the stride of a stage is in its first 1x1 convolution, as the authors of the networks and detectron2 have it; without it in the 3x3 one, as torchvision has it. Weights fit one of the two only',
  ),
  precision: setting(
    z.enum(['f32', 'f16']).optional(),
    'what maps and weights are stored in where the network computes with them; `f16` needs a device with `shader-f16`. Sums, scores, boxes, losses and the trained weights are float32 in either case. Without it `f32`',
  ),
  ranks: setting(
    z
      .strictObject({
        fc6: setting(count.optional(), 'singular values of fc6'),
        fc7: setting(count.optional(), 'singular values of fc7'),
      })
      .optional(),
    'how many singular values a region layer is reduced to (`rcnn compress`); left out, it is whole',
  ),
  frozenStages: setting(step, 'leading stages of the backbone that are not trained; the backbone says what a stage is'),
});

const augmentation = z.strictObject({
  scale: setting(
    z
      .tuple([positive, positive])
      .refine(([low, high]) => low <= high, { error: 'must begin with the smaller number' })
      .optional(),
    'range of the factor by which objects become larger, such as [0.5, 2]: above 1 a part of the picture fills the input, below 1 the mean colour surrounds it',
  ),
  crop: setting(
    share.positive().optional(),
    'smallest share of the width and of the height that a random crop leaves, which keeps an object whole and is enlarged to the size of the input',
  ),
  brightness: setting(notNegative.optional(), 'brightness is multiplied by 1 - this to 1 + this'),
  contrast: setting(notNegative.optional(), "contrast about the picture's mean is multiplied by 1 - this to 1 + this"),
  saturation: setting(notNegative.optional(), 'saturation is multiplied by 1 - this to 1 + this'),
  hue: setting(z.number().min(0).max(0.5).optional(), 'share of a full turn by which hues are moved, at most'),
  rotate: setting(z.boolean().optional(), 'whether pictures are turned by 0, 90, 180 or 270 degrees'),
  flipVertical: setting(z.boolean().optional(), 'whether half of the pictures are mirrored top to bottom'),
  mosaic: setting(share.optional(), 'share of the images that become a mosaic with three others'),
});

const stage = z.strictObject({
  steps: setting(count.optional(), 'updates in each stage'),
  milestones: setting(z.array(step).optional(), 'steps of a stage at which the learning rate falls'),
  imagesPerStep: setting(count.optional(), 'images per update'),
});

export const trainingSchema = z.strictObject({
  steps: setting(count, 'updates in joint training'),
  learningRate: setting(positive, 'learning rate after the warm-up'),
  milestones: setting(z.array(step), 'steps at which the learning rate is multiplied by `gamma`'),
  gamma: setting(positive, 'factor applied to the learning rate at each milestone', 0.1),
  rateSchedule: setting(
    z.enum(['steps', 'cosine', 'polynomial']).optional(),
    'how the learning rate falls from step 0 to the last one, T: `steps`, at the milestones; `cosine`, by the factor (1 + cos(pi t / T)) / 2; `polynomial`, by (1 - t / T) to the `power`. Without it `steps`',
  ),
  power: setting(positive.optional(), 'with `rateSchedule` `polynomial`, its exponent; without it 0.9'),
  warmup: setting(step, 'steps over which the learning rate rises linearly'),
  warmupFactor: setting(
    share.optional(),
    'share of the learning rate with which the warm-up begins (torchvision and detectron2: 0.001); without it 0.1',
  ),
  optimizer: setting(
    z.enum(['sgd', 'adam', 'adamw']).optional(),
    "`sgd`: Caffe's, with momentum; `adam` and `adamw`: PyTorch's. Without it `sgd`, for which the presets' learning rates are made",
  ),
  momentum: setting(fraction, 'momentum of SGD', 0.9),
  betas: setting(
    z.tuple([fraction, fraction]).optional(),
    'with `adam` and `adamw`, decay of the first and of the second moment; without it [0.9, 0.999]',
  ),
  epsilon: setting(
    notNegative.optional(),
    'with `adam` and `adamw`, added to the root of the second moment; without it 1e-8',
  ),
  weightDecay: setting(
    notNegative,
    'weight decay: added to the gradient, but with `adamw` taken off the weights',
    0.0005,
  ),
  clipNorm: setting(
    positive.optional(),
    'bound of the joint norm of all gradients of an update, which are scaled down to it (clip_grad_norm_ in PyTorch)',
  ),
  clipValue: setting(
    positive.optional(),
    'bound of each element of the gradients of an update (clip_grad_value_ in PyTorch); comes before `clipNorm`',
  ),
  ema: setting(
    fraction.optional(),
    'decay of a moving average of the weights, such as 0.999, with which the run is validated, evaluated and used; after update t it is (1 + t) / (10 + t) at most',
  ),
  biasRate: setting(notNegative, "factor of the learning rate for biases (Caffe's lr_mult)", 2),
  biasDecay: setting(notNegative, "factor of the weight decay for biases (Caffe's decay_mult)"),
  lossScale: setting(
    positive.optional(),
    'with `precision` `f16`, factor of the loss while gradients are computed, taken out again in the update: gradients below 6e-8 of it are lost, those beyond 65504 of it are infinite. A power of two; without it 1024',
  ),
  bf16Gradients: setting(
    z.literal(true).optional(),
    'with `--distributed`, whether gradients travel between processes as bfloat16: half the bytes, but the weights then depend on the number of processes',
  ),
  flip: setting(z.boolean(), 'whether to also train on mirrored images, if the data set allows it'),
  augmentation: setting(
    augmentation.optional(),
    'random changes of the pictures and their boxes, on the device, which follow from the seed, the step and the image',
  ),
  tiles: setting(
    z
      .strictObject({
        side: setting(count, 'width and height of a tile in pixels of the image'),
        overlap: setting(z.number().min(0).max(0.9), 'share of the side by which neighbours overlap at least'),
      })
      .optional(),
    'to train on overlapping tiles of the images, those with objects, for small objects in large images; then detect with `--tile`',
  ),
  oversample: setting(
    share.positive().optional(),
    'share of the images below which a class is rare: an image is shown sqrt(oversample / share) times as often, by the share of its rarest class (LVIS)',
  ),
  imagesPerStep: setting(count, "images whose gradients are summed before an update (Caffe's iter_size)"),
  microBatch: setting(
    count.optional(),
    'images of an update that go through the network together, of similar shapes, the smaller ones with zeros around them; a divisor of `imagesPerStep`. The gradients are those of one image at a time, unless batch normalisation is trained, whose statistics are those of the micro-batch. Without it 1',
  ),
  stages: setting(
    z
      .strictObject({
        rpn: setting(stage.optional(), 'each stage of the RPN'),
        detector: setting(stage.optional(), 'each stage of the detector'),
      })
      .optional(),
    'for training in stages (section 3.2 of the paper); values left out follow from joint training',
  ),
  seed: setting(step, 'seed of the weights, the order of the images and the sampling'),
});

/** A classifier on a backbone, to pre-train it (classifier.ts). */
export const classifierSchema = z.strictObject({
  backbone: detectorSchema.shape.backbone,
  classes: setting(z.array(z.string()).min(1), 'names of the classes'),
  input: z.strictObject({
    size: setting(count, 'images are resized to size x size pixels, whatever their aspect'),
    ...inputSettings,
  }),
  pooled: setting(
    count,
    'width and height of the pooled map in bins: as in the detector, so that the region layers fit it',
  ),
});

export type ClassifierConfig = z.infer<typeof classifierSchema>;
export type InputConfig = z.infer<typeof input>;
export type ProposalConfig = z.infer<typeof rpn.shape.train>;
export type RpnConfig = z.infer<typeof rpn>;
export type HeadConfig = z.infer<typeof head>;
export type CropConfig = z.infer<typeof crop>;
export type Precision = 'f32' | 'f16';
export type DetectorConfig = z.infer<typeof detectorSchema>;
export type StageTrainingConfig = z.infer<typeof stage>;
export type TrainingConfig = z.infer<typeof trainingSchema>;

/** The usual values, from which presets start. */
export const RPN_DEFAULTS: RpnConfig = usualOf(rpn);
export const HEAD_DEFAULTS: HeadConfig = usualOf(head);
export const TEST_DEFAULTS: DetectorConfig['test'] = usualOf(test);
const { gamma, momentum, weightDecay, biasRate } = trainingSchema.shape;
export const OPTIMISER_DEFAULTS = usualOf(z.strictObject({ gamma, momentum, weightDecay, biasRate }));

/**
 * Every knob of the detector and of its training, in one place. A run saves its configuration beside its checkpoint;
 * `rcnn eval` and `rcnn detect` read it back.
 */

/**
 * The rules on coordinates, which the public implementations settle differently; one per run, never mixed.
 *   py-faster-rcnn  inclusive corners (width = x2 - x1 + 1), decoded x2, y2 one pixel larger than an exact inverse gives
 *   matlab          inclusive corners, exact inverse (the paper's own code)
 *   torchvision     continuous coordinates (width = x2 - x1)
 */
export const CONVENTIONS = {
  'py-faster-rcnn': { plusOne: 1, decodeShrink: 0 },
  matlab: { plusOne: 1, decodeShrink: 1 },
  torchvision: { plusOne: 0, decodeShrink: 0 },
} as const;
export type ConventionName = keyof typeof CONVENTIONS;

export interface InputConfig {
  /** The shorter side is resized to this, unless the longer one would exceed `longerSide`. Pixels. */
  shorterSide: number;
  longerSide: number;
  /** Order of the channels, and (value - mean) * factor for each, values 0..255. */
  channels: 'bgr' | 'rgb';
  mean: [number, number, number];
  factor: [number, number, number];
}

export interface ProposalConfig {
  /** Boxes that enter the suppression, in order of score, and that leave it. */
  preNms: number;
  postNms: number;
  /**
   * What the proposals are made without (paper, table 2). 'nms': nothing is suppressed; 'cls': boxes are drawn at random
   * instead of by score, and nothing is suppressed; 'reg': the anchors as they are.
   */
  without: 'nothing' | 'nms' | 'cls' | 'reg';
}

export interface RpnConfig {
  /** Channels of the 3x3 convolution. */
  channels: number;
  /** Anchors of a mini-batch, and the largest share of positives in it. */
  batch: number;
  positiveFraction: number;
  positiveOverlap: number;
  negativeOverlap: number;
  /**
   * Normalisation of the box loss (equation 1). 'examples': sum / anchors in the mini-batch (py-faster-rcnn);
   * 'locations': sum / N_reg, the number of anchor locations (paper, MATLAB).
   */
  normalisation: 'examples' | 'locations';
  /** Weight of the box loss: 1 with 'examples', 10 in the paper. */
  lambda: number;
  /** Smooth L1: 3 in py-faster-rcnn, 1 in the paper. */
  sigma: number;
  nmsThreshold: number;
  /** Smallest side of a proposal, in pixels of the original image. */
  minSize: number;
  train: ProposalConfig;
  test: ProposalConfig;
}

export interface HeadConfig {
  /** Width and height of a pooled region, in bins. */
  pooled: number;
  /**
   * 'max': RoI max pooling, which gives the RoIs no gradient. 'warp': RoI warping to twice as many bins, then max pooling;
   * the detector's losses train the RPN's boxes as well ("non-approximate joint training", section 3.2).
   */
  pooling: 'max' | 'warp';
  /**
   * With 'warp', the most that a RoI's gradient may weigh in a delta: so many times the largest that the RPN's own box loss
   * can have there. Without a bound the detector's first gradients, large and of little meaning, undo what the RPN learns.
   */
  warpLimit: number;
  /** RoIs of a mini-batch, and the largest share of foreground in it. */
  batch: number;
  foregroundFraction: number;
  foregroundOverlap: number;
  /** Background: overlap in [backgroundLow, backgroundHigh). */
  backgroundLow: number;
  backgroundHigh: number;
  /** Standard deviations by which the regression targets are divided. */
  targetStds: [number, number, number, number];
  sigma: number;
}

export interface TestConfig {
  scoreThreshold: number;
  nmsThreshold: number;
  maxDetections: number;
}

export interface DetectorConfig {
  convention: ConventionName;
  /** 2: proposals, then their classes. 1: the classes of all anchors, without proposals (paper, table 10). */
  stages: 1 | 2;
  backbone: string;
  /** Whether the RPN and the detection head use one set of convolutional layers, or the RPN has its own. */
  features: 'shared' | 'unshared';
  /** '__background__' first. */
  classes: string[];
  input: InputConfig;
  /** Sides of the square anchors in pixels of the network's input (the paper: 128, 256, 512), and height over width. */
  anchors: { sizes: number[]; ratios: number[] };
  rpn: RpnConfig;
  head: HeadConfig;
  test: TestConfig;
  /** Leading stages of the backbone that are not trained; what a stage is, the backbone says. */
  frozenStages: number;
}

/** What the stages that train one part settle for themselves; what they leave out follows from joint training. */
export interface StageTrainingConfig {
  steps?: number;
  milestones?: number[];
  imagesPerStep?: number;
}

export interface TrainingConfig {
  steps: number;
  learningRate: number;
  /** The rate is multiplied by `gamma` at each of these steps. */
  milestones: number[];
  gamma: number;
  /** Steps over which the rate rises from a tenth linearly. */
  warmup: number;
  momentum: number;
  weightDecay: number;
  /** Factors for biases: Caffe's lr_mult and decay_mult. */
  biasRate: number;
  biasDecay: number;
  /** Mirrored images take part, where the data set allows it. */
  flip: boolean;
  /** Images whose gradients are summed before an update (Caffe's iter_size). */
  imagesPerStep: number;
  /**
   * Where the RPN and the detector are trained in stages (paper, section 3.2): each stage of the RPN, each of the detector.
   * The values above are then those of joint training.
   */
  stages?: { rpn?: StageTrainingConfig; detector?: StageTrainingConfig };
  seed: number;
}

export const RPN_DEFAULTS: RpnConfig = {
  channels: 512,
  batch: 256,
  positiveFraction: 0.5,
  positiveOverlap: 0.7,
  negativeOverlap: 0.3,
  normalisation: 'examples',
  lambda: 1,
  sigma: 3,
  nmsThreshold: 0.7,
  minSize: 16,
  train: { preNms: 12000, postNms: 2000, without: 'nothing' },
  test: { preNms: 6000, postNms: 300, without: 'nothing' },
};

export const HEAD_DEFAULTS: HeadConfig = {
  pooled: 7,
  pooling: 'max',
  warpLimit: 1,
  batch: 128,
  foregroundFraction: 0.25,
  foregroundOverlap: 0.5,
  backgroundLow: 0,
  backgroundHigh: 0.5,
  targetStds: [0.1, 0.1, 0.2, 0.2],
  sigma: 1,
};

export const TEST_DEFAULTS: TestConfig = { scoreThreshold: 0.05, nmsThreshold: 0.3, maxDetections: 100 };

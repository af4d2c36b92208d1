/**
 * The ways to share features between the RPN and the detector (paper, section 3.2), as stages of training.
 *
 *   joint        one stage, all losses at once; proposals are constants for the detector ("approximate")
 *   joint-warp   the same with RoI warping, through which the detector's losses reach the RPN's boxes
 *   alternating  1 the RPN, with features of its own; 2 the detector, with features of its own, on the proposals of 1;
 *                3 a new RPN on the features of 2, which stay fixed; 4 the detector's own layers on those features and the
 *                proposals of 3, with new output layers (fc6 and fc7 continue from stage 2, as in py-faster-rcnn)
 *   unshared     only stages 1 and 2: two networks
 *
 * Without an RPN:
 *
 *   fast-rcnn    one stage: Fast R-CNN on the proposals of another method, given with each image
 *   spp-net      likewise SPP-net, whose convolutional layers stay as the initial weights have them
 *   rcnn         likewise R-CNN, whose regions go through the whole network one by one
 */
import { backboneNamed } from '../../model/backbones/index.ts';
import type {
  CropConfig,
  DetectorConfig,
  HeadConfig,
  StageTrainingConfig,
  TrainingConfig,
} from '../../model/config.ts';
import type { Part } from '../../model/detector.ts';

export const SCHEDULES = ['joint', 'joint-warp', 'alternating', 'unshared', 'fast-rcnn', 'spp-net', 'rcnn'] as const;
export type Schedule = (typeof SCHEDULES)[number];

export interface Stage {
  /** The name of its folder in the run directory; empty for the only stage of a run, which lies in the run directory itself. */
  name: string;
  title: string;
  losses: 'joint' | 'rpn' | 'detector';
  trains: readonly Part[];
  /** The stage from which it takes the weights of some parts; the other parts start from initial weights. */
  from?: { stage: string; parts: readonly Part[] };
  /** The stage whose proposals the detector is trained on. */
  proposals?: string;
  /** A scorer is fitted to its network afterwards. */
  fitted?: true;
}

const ALL: readonly Part[] = ['features', 'regions', 'rpn', 'head'];

const SEPARATE: readonly Stage[] = [
  { name: '1-rpn', title: 'RPN with features of its own', losses: 'rpn', trains: ['features', 'rpn'] },
  {
    name: '2-detector',
    title: 'detector with features of its own',
    losses: 'detector',
    trains: ['features', 'regions', 'head'],
    proposals: '1-rpn',
  },
];

const SHARING: readonly Stage[] = [
  {
    name: '3-rpn',
    title: 'RPN on the features of the detector',
    losses: 'rpn',
    trains: ['rpn'],
    from: { stage: '2-detector', parts: ['features', 'regions'] },
  },
  {
    name: '4-detector',
    title: 'detector on the shared features',
    losses: 'detector',
    trains: ['regions', 'head'],
    from: { stage: '3-rpn', parts: ['features', 'regions', 'rpn'] },
    proposals: '3-rpn',
  },
];

const JOINT: Stage = { name: '', title: 'joint training', losses: 'joint', trains: ALL };

/** The kinds of detector (`detector.system`) of the schedules that train another than Faster R-CNN. */
const SYSTEMS: Partial<Record<Schedule, string>> = {
  'fast-rcnn': 'fast-rcnn',
  'spp-net': 'spp-net',
  rcnn: 'rcnn',
};

/** The training that precedes the fitting of SVMs to its network. */
const FINE_TUNING: Stage = { name: '1-fine-tuning', title: 'fine-tuning', losses: 'joint', trains: ALL, fitted: true };

/** Whether a schedule trains a detector on the proposals of another method. */
export const givesProposals = (schedule: Schedule): boolean => SYSTEMS[schedule] !== undefined;

/** Whether a stage has a whole detector from its first step on: the parts it does not train come from an earlier stage. */
export const hasDetector = ({ trains, from, fitted }: Stage): boolean =>
  !fitted && ALL.every((part) => trains.includes(part) || from?.parts.includes(part));

/** `scorer`: that of the head; an SVM needs a network whose training is over. */
export function stagesOf(schedule: Schedule, scorer: HeadConfig['scorer'] = 'softmax'): readonly Stage[] {
  if (scorer === 'svm') return [FINE_TUNING];
  if (schedule === 'alternating') return [...SEPARATE, ...SHARING];
  return schedule === 'unshared' ? SEPARATE : [JOINT];
}

/** The stages of a run. */
export const stagesOfRun = ({ schedule, detector }: { schedule: Schedule; detector: DetectorConfig }) =>
  stagesOf(schedule, detector.head.scorer);

/** The stages that any run may have. */
export const allStages = (): readonly Stage[] => [...SCHEDULES.flatMap((schedule) => stagesOf(schedule)), FINE_TUNING];

/** Whether the RPN and the detector are trained one after the other. */
export const hasStages = (schedule: Schedule): boolean => stagesOf(schedule).length > 1;

/** The configuration that a schedule requires of the network. */
export function withSchedule<D extends Omit<DetectorConfig, 'classes'>>(detector: D, schedule: Schedule): D {
  const { rpn, head } = detector;
  const system = SYSTEMS[schedule];
  return {
    ...detector,
    ...(system && { system }),
    features: schedule === 'unshared' ? 'unshared' : 'shared',
    // As many proposals at test time as in training: those of other methods are ranked less well than an RPN's.
    ...(system && { rpn: { ...rpn, test: rpn.train } }),
    ...(schedule === 'rcnn' && { crop: cropsFor(detector.backbone) }),
    head: {
      ...head,
      pooling: schedule === 'joint-warp' ? 'warp' : head.pooling === 'warp' ? 'max' : head.pooling,
      ...(schedule === 'rcnn' && { scorer: 'svm' }),
    },
  };
}

/** R-CNN's published crops: 16 of 227 pixels on each side lie around the region. */
const CROP_CONTEXT = 16 / 227;

/** Crops of the size on which the backbone is pre-trained. */
function cropsFor(backbone: string): CropConfig {
  const { size } = backboneNamed(backbone).pretraining;
  return { size, context: Math.round(size * CROP_CONTEXT) };
}

/** The share of joint training's images that a stage sees: py-faster-rcnn publishes 80k for a stage, 140k for joint training. */
const STAGE_SHARE = 4 / 7;
/** The share of a stage after which its learning rate falls: 60k of 80k images. */
const STAGE_MILESTONE = 3 / 4;

/**
 * The training settings of a stage. Joint training has those of the configuration. The others have what `training.stages` says;
 * what that leaves out follows by rule: an RPN takes one image per update, a detector as many as joint training.
 */
export function stageTraining(
  { losses }: Pick<Stage, 'losses'>,
  { stages, ...training }: TrainingConfig,
): TrainingConfig {
  if (losses === 'joint') return training;
  const own = stages?.[losses] ?? {};
  const imagesPerStep = own.imagesPerStep ?? (losses === 'rpn' ? 1 : training.imagesPerStep);
  const share = training.steps * training.imagesPerStep * STAGE_SHARE;
  const steps = own.steps ?? Math.ceil(share / imagesPerStep);
  const milestones = own.milestones ?? [Math.round(steps * STAGE_MILESTONE)];
  return { ...training, imagesPerStep, steps, milestones };
}

/** Images of an update of Fast R-CNN (Girshick 2015). */
const FAST_RCNN_IMAGES = 2;

/**
 * The training of Fast R-CNN: as a stage of the detector where the preset has steps for that, else on as many images as joint
 * training, two an update.
 */
export function fastRcnnTraining({ stages, ...training }: TrainingConfig): TrainingConfig {
  const { steps, milestones, imagesPerStep = FAST_RCNN_IMAGES } = stages?.detector ?? {};
  const moved = (step: number): number => Math.ceil((step * training.imagesPerStep) / imagesPerStep);
  return {
    ...training,
    imagesPerStep,
    steps: steps ?? moved(training.steps),
    milestones: milestones ?? training.milestones.map(moved),
  };
}

/** Images of an update of R-CNN, and the RoIs of each: 128 in all, a quarter of them foreground. */
const RCNN_IMAGES = 16;
export const RCNN_HEAD: Partial<HeadConfig> = { batch: 128 / RCNN_IMAGES };

/**
 * R-CNN's fine-tuning: as many updates as joint training has, each of 128 RoIs. The authors draw them from all images at once;
 * eight of each of sixteen come near that, and the activations of no more than eight are kept at a time.
 */
export const rcnnTraining = ({ stages: _, ...training }: TrainingConfig): TrainingConfig => ({
  ...training,
  imagesPerStep: RCNN_IMAGES,
});

/** The settings for another number of steps: all milestones and the steps of the stages change in proportion. */
export function withSteps({ stages, ...training }: TrainingConfig, steps: number): TrainingConfig {
  const moved = (step: number): number => (step * steps) / training.steps;
  const movedStage = ({ steps, milestones, ...stage }: StageTrainingConfig = {}): StageTrainingConfig => ({
    ...(steps !== undefined && { steps: Math.ceil(moved(steps)) }),
    ...(milestones && { milestones: milestones.map((step) => Math.round(moved(step))) }),
    ...stage,
  });
  return {
    ...training,
    steps,
    milestones: training.milestones.map((step) => Math.round(moved(step))),
    ...(stages && { stages: { rpn: movedStage(stages.rpn), detector: movedStage(stages.detector) } }),
  };
}

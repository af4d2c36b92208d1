/**
 * The ways to share features between the RPN and the detector (paper, section 3.2), as stages of training.
 *
 *   joint        one stage, all losses at once; proposals are constants for the detector ("approximate")
 *   joint-warp   the same with RoI warping, through which the detector's losses reach the RPN's boxes
 *   alternating  1 the RPN with features of its own; 2 the detector with features of its own, on the proposals of 1;
 *                3 the RPN anew on the features of 2, which are fixed; 4 the detector's own layers on those features and
 *                the proposals of 3, its last two layers anew (py-faster-rcnn carries fc6 and fc7 along)
 *   unshared     stages 1 and 2 alone: two networks
 */
import type { DetectorConfig, StageTrainingConfig, TrainingConfig } from '../../model/config.ts';
import type { Part } from '../../model/detector.ts';

export const SCHEDULES = ['joint', 'joint-warp', 'alternating', 'unshared'] as const;
export type Schedule = (typeof SCHEDULES)[number];

export interface Stage {
  /** Of its folder in the run directory; empty for a run of one stage, which lies in the run directory itself. */
  name: string;
  title: string;
  losses: 'joint' | 'rpn' | 'detector';
  trains: readonly Part[];
  /** The stage whose weights of some parts it starts from; the others are initial ones. */
  from?: { stage: string; parts: readonly Part[] };
  /** The stage whose proposals the detector is trained on. */
  proposals?: string;
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

/** Whether there is a whole detector from a stage's first step on: what it does not train, it has from the stage before. */
export const hasDetector = ({ trains, from }: Stage): boolean =>
  ALL.every((part) => trains.includes(part) || from?.parts.includes(part));

export function stagesOf(schedule: Schedule): readonly Stage[] {
  if (schedule === 'alternating') return [...SEPARATE, ...SHARING];
  return schedule === 'unshared' ? SEPARATE : [JOINT];
}

/** Whether the RPN and the detector are trained one after the other. */
export const hasStages = (schedule: Schedule): boolean => stagesOf(schedule).length > 1;

/** What a schedule asks of the network itself. */
export const withSchedule = <D extends Omit<DetectorConfig, 'classes'>>(detector: D, schedule: Schedule): D => ({
  ...detector,
  features: schedule === 'unshared' ? 'unshared' : 'shared',
  head: { ...detector.head, pooling: schedule === 'joint-warp' ? 'warp' : 'max' },
});

/** The share of joint training's images that a stage sees: py-faster-rcnn publishes 80k a stage, 140k for joint training. */
const STAGE_SHARE = 4 / 7;
/** The step at which a stage's rate falls: after 60k of 80k images. */
const STAGE_MILESTONE = 3 / 4;

/**
 * The training of a stage: joint training as it is; of the others what `training.stages` says, and what it leaves out by
 * rule: an RPN takes one image an update, a detector as many as joint training.
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

/** With another number of steps: all milestones and the steps of the stages move in proportion. */
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

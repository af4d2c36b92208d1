/** What the trainings of a network on whole images share (`rcnn pretrain`, `rcnn multibox`): choices, defaults, how they resume. */
import { resolve } from 'node:path';
import { readWeightsHeader } from '../../engine/node/weightsFile.ts';
import { OPTIMISER_DEFAULTS, type TrainingConfig, trainingSchema } from '../../model/config.ts';
import { CHECKPOINT_INTERVAL } from './runConfig.ts';

export interface WholeImageChoices {
  data?: string;
  backbone?: string;
  /** The side of the network's input in pixels. */
  size?: number;
  steps?: number;
  batch?: number;
  learningRate?: number;
  seed?: number;
  /** A file of weights. */
  init?: string;
  /** Steps between two checkpoints. */
  checkpointEvery?: number;
}

/** The settings of such a training: a detector's, without those that would have no effect. */
export const wholeImageTrainingSchema = trainingSchema.omit({
  optimizer: true,
  betas: true,
  epsilon: true,
  clipNorm: true,
  clipValue: true,
  ema: true,
  lossScale: true,
  microBatch: true,
  augmentation: true,
  tiles: true,
  oversample: true,
  stages: true,
});

export const WHOLE_IMAGE_STEPS = 2000;
/** After this share of the steps the learning rate is divided by ten. */
const MILESTONE = 0.8;

/** The training that was chosen, in full. */
export function wholeImageTraining(
  { steps = WHOLE_IMAGE_STEPS, learningRate, batch, seed = 1 }: WholeImageChoices,
  defaults: { learningRate: number; batch: number; flip: boolean },
): TrainingConfig {
  return {
    steps,
    learningRate: learningRate ?? defaults.learningRate,
    milestones: [Math.round(MILESTONE * steps)],
    warmup: Math.min(100, Math.round(steps / 10)),
    ...OPTIMISER_DEFAULTS,
    biasDecay: 0,
    flip: defaults.flip,
    imagesPerStep: batch ?? defaults.batch,
    seed,
  };
}

/** Where it starts from, and how often it saves. Reads the header of `init`, so that a bad file is reported before anything starts. */
export function wholeImageStart({ init, checkpointEvery = CHECKPOINT_INTERVAL }: WholeImageChoices) {
  if (init !== undefined) readWeightsHeader(init);
  return { init: init === undefined ? null : resolve(init), checkpointInterval: checkpointEvery };
}

/** What `assertSameChoices` compares when a run is resumed: an option, what was chosen, and what the run has. */
export const sharedChoices = (
  choices: WholeImageChoices,
  run: { init: string | null; checkpointInterval: number; training: TrainingConfig },
  network: { backbone: string; input: { size: number } },
) =>
  [
    ['--backbone', choices.backbone, network.backbone],
    ['--size', choices.size, network.input.size],
    ['--init', choices.init && resolve(choices.init), run.init],
    ['--steps', choices.steps, run.training.steps],
    ['--batch', choices.batch, run.training.imagesPerStep],
    ['--seed', choices.seed, run.training.seed],
    ['--learning-rate', choices.learningRate, run.training.learningRate],
    ['--checkpoint-every', choices.checkpointEvery, run.checkpointInterval],
  ] as const;

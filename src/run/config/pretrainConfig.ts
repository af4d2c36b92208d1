/** The configuration of a pre-training: the defaults of each backbone, and what the user chose. */
import { resolve } from 'node:path';
import * as z from 'zod';
import type { LabelledImages } from '../../data/types.ts';
import { absoluteLabelled, openLabelled } from '../../data/labelled.ts';
import { UserError } from '../../engine/errors.ts';
import { readWeightsHeader } from '../../engine/node/weightsFile.ts';
import { backboneNamed } from '../../model/backbones/index.ts';
import { small } from '../../model/backbones/small.ts';
import { classifierSchema, OPTIMISER_DEFAULTS, trainingSchema } from '../../model/config.ts';
import { commonSettings } from './configSchema.ts';
import { assertSameChoices, CHECKPOINT_INTERVAL } from './runConfig.ts';
import { RunDirectory } from '../storage/runDirectory.ts';
import type { MetricsLine } from '../storage/metrics.ts';

const FORMAT = 'pretrain 1';

const pretrainSchema = z.strictObject({
  format: z.literal(FORMAT),
  ...commonSettings,
  classifier: classifierSchema,
  /** `imagesPerStep` is the batch. */
  training: trainingSchema,
  /** Images of a pass; the gradients of a batch's passes are added in the order of engine/treeSum.ts. By default the batch. */
  microBatch: z.int().positive().optional(),
});
export type PretrainConfig = z.infer<typeof pretrainSchema>;

export const PRETRAIN_TERMS = ['classes'] as const;
export type PretrainLine = MetricsLine<(typeof PRETRAIN_TERMS)[number]>;
export type PretrainDirectory = RunDirectory<PretrainConfig, PretrainLine>;

export const pretrainDirectory = (path: string): PretrainDirectory =>
  new RunDirectory(path, { command: 'rcnn pretrain', format: FORMAT, schema: pretrainSchema });

/** What the user chose in `rcnn pretrain`. */
export interface PretrainChoices {
  /** `mnist` or `folder:PATH`. */
  data?: string;
  backbone?: string;
  /** The side of the network's input in pixels. */
  size?: number;
  steps?: number;
  batch?: number;
  /** Images of a pass. */
  microBatch?: number;
  learningRate?: number;
  seed?: number;
  /** A safetensors file. */
  init?: string;
  /** Steps between two checkpoints. */
  checkpointEvery?: number;
}

/** The default of --backbone: this one learns from few images. */
export const PRETRAIN_BACKBONE = small.name;

const STEPS = 2000;
/** After this share of the steps the learning rate is divided by ten. */
const MILESTONE = 0.8;

/** Passes of a batch that processes share, at least; whatever their number, so that it changes nothing. */
const SHARED_PASSES = 8;

/** The largest micro-batch of which a batch has at least SHARED_PASSES. */
function sharedMicroBatch(batch: number): number {
  let microBatch = Math.max(1, Math.floor(batch / SHARED_PASSES));
  while (batch % microBatch !== 0) microBatch--;
  return microBatch;
}

/** `distributed`: the batch is to be shared by processes. Settles every value, then opens and checks the data. Throws a UserError for choices that do not work. */
export async function configurePretrain(
  choices: PretrainChoices,
  distributed = false,
): Promise<{ config: PretrainConfig; data: LabelledImages }> {
  const name = choices.backbone ?? PRETRAIN_BACKBONE;
  const { pooled, input, pretraining } = backboneNamed(name, `--backbone ${name}`);
  const { size = pretraining.size, steps = STEPS, seed = 1 } = choices;
  if (choices.init !== undefined) readWeightsHeader(choices.init); // so that a bad file is reported before anything starts
  const spec = absoluteLabelled(choices.data ?? 'mnist');
  const data = await openLabelled(spec, { size, seed, check: true });
  const config: PretrainConfig = {
    format: FORMAT,
    data: spec,
    init: choices.init === undefined ? null : resolve(choices.init),
    checkpointInterval: choices.checkpointEvery ?? CHECKPOINT_INTERVAL,
    classifier: { backbone: name, classes: data.classes, input: { size, ...input }, pooled },
    training: {
      steps,
      learningRate: choices.learningRate ?? pretraining.learningRate,
      milestones: [Math.round(MILESTONE * steps)],
      warmup: Math.min(100, Math.round(steps / 10)),
      ...OPTIMISER_DEFAULTS,
      biasDecay: 0,
      flip: data.augment,
      imagesPerStep: choices.batch ?? pretraining.batch,
      seed,
    },
  };
  const { imagesPerStep } = config.training;
  const microBatch = choices.microBatch ?? (distributed ? sharedMicroBatch(imagesPerStep) : imagesPerStep);
  if (imagesPerStep % microBatch !== 0) {
    throw new UserError(
      `--micro-batch ${microBatch}: does not divide a batch of ${imagesPerStep} images evenly; choose a divisor of it`,
    );
  }
  return { config: microBatch === imagesPerStep ? config : { ...config, microBatch }, data };
}

/** The images that a run trains on, as its configuration says. */
export const openPretrainData = ({ data, classifier, training }: PretrainConfig): Promise<LabelledImages> =>
  openLabelled(data, { size: classifier.input.size, seed: training.seed, check: false });

/** The data of a run that is resumed with these choices, which must agree with the run's own. */
export async function reopenPretrain(
  choices: PretrainChoices,
  directory: PretrainDirectory,
): Promise<{ config: PretrainConfig; data: LabelledImages }> {
  const config = directory.readConfig();
  const { classifier, training } = config;
  assertSameChoices(
    [
      ['--data', choices.data && absoluteLabelled(choices.data), config.data],
      ['--backbone', choices.backbone, classifier.backbone],
      ['--size', choices.size, classifier.input.size],
      ['--init', choices.init && resolve(choices.init), config.init],
      ['--steps', choices.steps, training.steps],
      ['--batch', choices.batch, training.imagesPerStep],
      ['--micro-batch', choices.microBatch, config.microBatch ?? training.imagesPerStep],
      ['--seed', choices.seed, training.seed],
      ['--learning-rate', choices.learningRate, training.learningRate],
      ['--checkpoint-every', choices.checkpointEvery, config.checkpointInterval],
    ],
    directory.configPath,
  );
  const data = await openPretrainData(config);
  if (data.classes.join() === classifier.classes.join()) return { config, data };
  throw new UserError(
    `${config.data}: its classes are ${data.classes.join(', ')}, those of the run are ${classifier.classes.join(', ')}; restore the data, or start a new run in another --out`,
  );
}

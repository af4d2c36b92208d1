/** The configuration of a pre-training: the defaults of each backbone, and what the user chose. */
import * as z from 'zod';
import type { LabelledImages } from '../../data/types.ts';
import { absoluteLabelled, openLabelled } from '../../data/labelled.ts';
import { UserError } from '../../engine/errors.ts';
import { backboneNamed } from '../../model/backbones/index.ts';
import { small } from '../../model/backbones/small.ts';
import { classifierSchema } from '../../model/config.ts';
import { commonSettings } from './configSchema.ts';
import { assertSameChoices } from './sameRun.ts';
import {
  sharedChoices,
  type WholeImageChoices,
  wholeImageStart,
  wholeImageTraining,
  wholeImageTrainingSchema,
} from './wholeImageTraining.ts';
import { RunDirectory } from '../storage/runDirectory.ts';
import type { MetricsLine } from '../storage/metrics.ts';

const FORMAT = 'pretrain 1';

const pretrainSchema = z.strictObject({
  format: z.literal(FORMAT),
  ...commonSettings,
  classifier: classifierSchema,
  /** `imagesPerStep` is the batch. */
  training: wholeImageTrainingSchema,
  /** Images of a pass; the gradients of a batch's passes are added in the order of engine/treeSum.ts. By default the batch. */
  microBatch: z.int().positive().optional(),
});
export type PretrainConfig = z.infer<typeof pretrainSchema>;

export const PRETRAIN_TERMS = ['classes'] as const;
export type PretrainLine = MetricsLine<(typeof PRETRAIN_TERMS)[number]>;
export type PretrainDirectory = RunDirectory<PretrainConfig, PretrainLine>;

export const pretrainDirectory = (path: string): PretrainDirectory =>
  new RunDirectory(path, { command: 'rcnn pretrain', format: FORMAT, schema: pretrainSchema });

/** What the user chose in `rcnn pretrain`; `data` is `mnist` or `folder:PATH`. */
export interface PretrainChoices extends WholeImageChoices {
  /** Images of a pass. */
  microBatch?: number;
}

/** The default of --backbone: this one learns from few images. */
export const PRETRAIN_BACKBONE = small.name;

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
  const { size = pretraining.size, seed = 1 } = choices;
  const start = wholeImageStart(choices);
  const spec = absoluteLabelled(choices.data ?? 'mnist');
  const data = await openLabelled(spec, { size, seed, check: true });
  const config: PretrainConfig = {
    format: FORMAT,
    data: spec,
    ...start,
    classifier: { backbone: name, classes: data.classes, input: { size, ...input }, pooled },
    training: wholeImageTraining(choices, { ...pretraining, flip: data.augment }),
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
      ['--micro-batch', choices.microBatch, config.microBatch ?? training.imagesPerStep],
      ...sharedChoices(choices, config, classifier),
    ],
    directory.configPath,
  );
  const data = await openPretrainData(config);
  if (data.classes.join() === classifier.classes.join()) return { config, data };
  throw new UserError(
    `${config.data}: its classes are ${data.classes.join(', ')}, those of the run are ${classifier.classes.join(', ')}; restore the data, or start a new run in another --out`,
  );
}

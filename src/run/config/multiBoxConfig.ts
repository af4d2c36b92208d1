/** The configuration of a MultiBox network: its priors from the training boxes, the defaults of each backbone, the user's choices. */
import { resolve } from 'node:path';
import * as z from 'zod';
import { countedBoxes } from '../../data/boxes.ts';
import { absoluteSpec, openDataset, usualSplit } from '../../data/registry.ts';
import type { AnnotatedBox, Dataset, Sample } from '../../data/types.ts';
import { backboneNamed } from '../../model/backbones/index.ts';
import { small } from '../../model/backbones/small.ts';
import { classifierSchema, OPTIMISER_DEFAULTS, trainingSchema } from '../../model/config.ts';
import { kMeansPriors, type RelativeBox } from '../../model/multiBox/priors.ts';
import type { MetricsLine } from '../storage/metrics.ts';
import { RunDirectory } from '../storage/runDirectory.ts';
import { commonSettings } from './configSchema.ts';
import { assertSameChoices, CHECKPOINT_INTERVAL } from './runConfig.ts';

const FORMAT = 'multibox 1';

const multiBoxSchema = z.strictObject({
  format: z.literal(FORMAT),
  ...commonSettings,
  split: z.string(),
  splitSeed: z.int().nonnegative().optional(),
  allowOutside: z.boolean().optional(),
  skipBadBoxes: z.boolean(),
  multiBox: z.strictObject({
    ...classifierSchema.shape,
    /** Left, top, right, bottom of each. */
    priors: z
      .array(z.number())
      .min(4)
      .refine(({ length }) => length % 4 === 0, 'must have four numbers for each prior'),
    alpha: z.number().positive(),
  }),
  training: trainingSchema,
});
export type MultiBoxRunConfig = z.infer<typeof multiBoxSchema>;

export const MULTIBOX_TERMS = ['location', 'confidence'] as const;
type MultiBoxLine = MetricsLine<(typeof MULTIBOX_TERMS)[number]>;
export type MultiBoxDirectory = RunDirectory<MultiBoxRunConfig, MultiBoxLine>;

export const multiBoxDirectory = (path: string): MultiBoxDirectory =>
  new RunDirectory(path, { command: 'rcnn multibox', format: FORMAT, schema: multiBoxSchema });

/** What the user chose in `rcnn multibox`. */
export interface MultiBoxChoices {
  data?: string;
  backbone?: string;
  priors?: number;
  /** The side of the network's input in pixels. */
  size?: number;
  alpha?: number;
  steps?: number;
  batch?: number;
  learningRate?: number;
  seed?: number;
  /** A safetensors file. */
  init?: string;
  checkpointEvery?: number;
  skipBadBoxes?: boolean;
  splitSeed?: number;
  allowOutside?: boolean;
}

export const MULTIBOX_BACKBONE = small.name;
export const MULTIBOX_DEFAULTS = { priors: 100, alpha: 0.3, steps: 2000 };
/** After this share of the steps the learning rate is divided by ten. */
const MILESTONE = 0.8;

/** The edges of the objects that count, as shares of the image's width and height. */
export const relativeObjects = ({ width, height }: Pick<Sample, 'width' | 'height'>, boxes: readonly AnnotatedBox[]) =>
  countedBoxes(boxes).map(({ x1, y1, x2, y2 }): RelativeBox => [
    x1 / width,
    y1 / height,
    (x2 + 1) / width,
    (y2 + 1) / height,
  ]);

/** Settles every value. Throws a UserError for what cannot be, such as fewer objects than priors. */
export async function configureMultiBox(
  choices: MultiBoxChoices & { data: string },
): Promise<{ config: MultiBoxRunConfig; dataset: Dataset }> {
  const name = choices.backbone ?? MULTIBOX_BACKBONE;
  const { pooled, input, pretraining } = backboneNamed(name, `--backbone ${name}`);
  const { seed = 1, steps = MULTIBOX_DEFAULTS.steps, splitSeed, allowOutside } = choices;
  const common = {
    data: absoluteSpec(choices.data),
    split: usualSplit(choices.data, 'train'),
    ...(splitSeed !== undefined && { splitSeed }),
    ...(allowOutside !== undefined && { allowOutside }),
    skipBadBoxes: choices.skipBadBoxes ?? false,
  };
  const dataset = await openMultiBoxData(common);
  const boxes = dataset.samples.flatMap((sample) => relativeObjects(sample, sample.boxes));
  const config: MultiBoxRunConfig = {
    format: FORMAT,
    ...common,
    init: choices.init === undefined ? null : resolve(choices.init),
    checkpointInterval: choices.checkpointEvery ?? CHECKPOINT_INTERVAL,
    multiBox: {
      backbone: name,
      classes: ['object'],
      input: { size: choices.size ?? 2 * pretraining.size, ...input },
      pooled,
      priors: [...kMeansPriors(boxes, choices.priors ?? MULTIBOX_DEFAULTS.priors, seed)],
      alpha: choices.alpha ?? MULTIBOX_DEFAULTS.alpha,
    },
    training: {
      steps,
      learningRate: choices.learningRate ?? pretraining.learningRate,
      milestones: [Math.round(MILESTONE * steps)],
      warmup: Math.min(100, Math.round(steps / 10)),
      ...OPTIMISER_DEFAULTS,
      biasDecay: 0,
      flip: dataset.flippable,
      imagesPerStep: choices.batch ?? 16,
      seed,
    },
  };
  return { config, dataset };
}

type DataOfRun = Pick<MultiBoxRunConfig, 'data' | 'split' | 'splitSeed' | 'allowOutside' | 'skipBadBoxes'>;

const openMultiBoxData = ({ data, split, splitSeed, allowOutside, skipBadBoxes }: DataOfRun): Promise<Dataset> =>
  openDataset(data, { split, splitSeed, allowOutside, onBadBox: skipBadBoxes ? 'skip' : 'error' });

/** The data of a run that is resumed with these choices; they must be the run's own. */
export async function reopenMultiBox(
  choices: MultiBoxChoices,
  directory: MultiBoxDirectory,
): Promise<{ config: MultiBoxRunConfig; dataset: Dataset }> {
  const config = directory.readConfig();
  const { multiBox, training } = config;
  assertSameChoices(
    [
      ['--data', choices.data && absoluteSpec(choices.data), config.data],
      ['--backbone', choices.backbone, multiBox.backbone],
      ['--priors', choices.priors, multiBox.priors.length / 4],
      ['--size', choices.size, multiBox.input.size],
      ['--alpha', choices.alpha, multiBox.alpha],
      ['--init', choices.init && resolve(choices.init), config.init],
      ['--steps', choices.steps, training.steps],
      ['--batch', choices.batch, training.imagesPerStep],
      ['--seed', choices.seed, training.seed],
      ['--learning-rate', choices.learningRate, training.learningRate],
      ['--checkpoint-every', choices.checkpointEvery, config.checkpointInterval],
    ],
    directory.configPath,
  );
  return { config, dataset: await openMultiBoxData(config) };
}

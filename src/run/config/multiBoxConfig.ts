/** The configuration of a MultiBox network: its priors from the training boxes, the defaults of each backbone, the user's choices. */
import * as z from 'zod';
import { countedBoxes } from '../../data/boxes.ts';
import { absoluteSpec, openDataset, usualSplit } from '../../data/registry.ts';
import type { AnnotatedBox, Dataset, Sample } from '../../data/types.ts';
import { backboneNamed } from '../../model/backbones/index.ts';
import { small } from '../../model/backbones/small.ts';
import { classifierSchema } from '../../model/config.ts';
import { kMeansPriors, type RelativeBox } from '../../model/multiBox/priors.ts';
import type { MetricsLine } from '../storage/metrics.ts';
import { RunDirectory } from '../storage/runDirectory.ts';
import { commonSettings } from './configSchema.ts';
import { assertSameChoices } from './sameRun.ts';
import {
  sharedChoices,
  WHOLE_IMAGE_STEPS,
  type WholeImageChoices,
  wholeImageStart,
  wholeImageTraining,
  wholeImageTrainingSchema,
} from './wholeImageTraining.ts';

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
  training: wholeImageTrainingSchema,
});
export type MultiBoxRunConfig = z.infer<typeof multiBoxSchema>;

export const MULTIBOX_TERMS = ['location', 'confidence'] as const;
type MultiBoxLine = MetricsLine<(typeof MULTIBOX_TERMS)[number]>;
export type MultiBoxDirectory = RunDirectory<MultiBoxRunConfig, MultiBoxLine>;

export const multiBoxDirectory = (path: string): MultiBoxDirectory =>
  new RunDirectory(path, { command: 'rcnn multibox', format: FORMAT, schema: multiBoxSchema });

/** What the user chose in `rcnn multibox`. */
export interface MultiBoxChoices extends WholeImageChoices {
  priors?: number;
  alpha?: number;
  skipBadBoxes?: boolean;
  splitSeed?: number;
  allowOutside?: boolean;
}

export const MULTIBOX_BACKBONE = small.name;
export const MULTIBOX_DEFAULTS = { priors: 100, alpha: 0.3, batch: 16, steps: WHOLE_IMAGE_STEPS };
/** Of the learning rate of pre-training: the loss sums over the priors, and at the whole rate most ReLUs die within 100 steps. */
const RATE_SHARE = 0.3;

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
  const { splitSeed, allowOutside } = choices;
  const common = {
    data: absoluteSpec(choices.data),
    split: usualSplit(choices.data, 'train'),
    ...(splitSeed !== undefined && { splitSeed }),
    ...(allowOutside !== undefined && { allowOutside }),
    skipBadBoxes: choices.skipBadBoxes ?? false,
  };
  const start = wholeImageStart(choices);
  const dataset = await openMultiBoxData(common);
  const boxes = dataset.samples.flatMap((sample) => relativeObjects(sample, sample.boxes));
  const learningRate = RATE_SHARE * pretraining.learningRate;
  const training = wholeImageTraining(choices, { ...MULTIBOX_DEFAULTS, learningRate, flip: dataset.flippable });
  const config: MultiBoxRunConfig = {
    format: FORMAT,
    ...common,
    ...start,
    multiBox: {
      backbone: name,
      classes: ['object'],
      input: { size: choices.size ?? 2 * pretraining.size, ...input },
      pooled,
      priors: [...kMeansPriors(boxes, choices.priors ?? MULTIBOX_DEFAULTS.priors, training.seed)],
      alpha: choices.alpha ?? MULTIBOX_DEFAULTS.alpha,
    },
    training,
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
  const { multiBox } = config;
  assertSameChoices(
    [
      ['--data', choices.data && absoluteSpec(choices.data), config.data],
      ['--priors', choices.priors, multiBox.priors.length / 4],
      ['--alpha', choices.alpha, multiBox.alpha],
      ...sharedChoices(choices, config, multiBox),
    ],
    directory.configPath,
  );
  return { config, dataset: await openMultiBoxData(config) };
}

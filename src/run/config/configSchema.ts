/** What a configuration may hold: checked where one is read from a file, or changed by `--set`. */
import * as z from 'zod';
import { UserError } from '../../engine/errors.ts';
import { CONVENTIONS, type DetectorConfig, type TrainingConfig } from '../../model/config.ts';
import type { RunConfig, RunKind } from '../storage/runDirectory.ts';
import { stageTraining } from './stages.ts';

const count = z.int().positive();
const positive = z.number().positive();
const notNegative = z.number().nonnegative();
const share = z.number().min(0).max(1);
const triple = z.tuple([z.number(), z.number(), z.number()]);

const proposals = z.strictObject({
  preNms: count,
  postNms: count,
  without: z.enum(['nothing', 'nms', 'cls', 'reg']),
});

const detector = z.strictObject({
  convention: z.enum(Object.keys(CONVENTIONS) as (keyof typeof CONVENTIONS)[]),
  stages: z.union([z.literal(1), z.literal(2)]),
  backbone: z.string(),
  features: z.enum(['shared', 'unshared']),
  classes: z.array(z.string()).min(2),
  input: z.strictObject({
    shorterSide: count,
    longerSide: count,
    channels: z.enum(['bgr', 'rgb']),
    mean: triple,
    factor: triple,
  }),
  anchors: z.strictObject({ sizes: z.array(positive).min(1), ratios: z.array(positive).min(1) }),
  rpn: z.strictObject({
    channels: count,
    batch: count,
    positiveFraction: share,
    positiveOverlap: share,
    negativeOverlap: share,
    normalisation: z.enum(['examples', 'locations']),
    lambda: notNegative,
    sigma: positive,
    nmsThreshold: share,
    minSize: notNegative,
    train: proposals,
    test: proposals,
  }),
  head: z.strictObject({
    pooled: count,
    pooling: z.enum(['max', 'warp']),
    warpLimit: positive,
    batch: count,
    foregroundFraction: share,
    foregroundOverlap: share,
    backgroundLow: share,
    backgroundHigh: share,
    targetStds: z.tuple([positive, positive, positive, positive]),
    sigma: positive,
  }),
  test: z.strictObject({ scoreThreshold: share, nmsThreshold: share, maxDetections: count }),
  frozenStages: z.int().nonnegative(),
}) satisfies z.ZodType<DetectorConfig>;

const milestones = z.array(z.int().nonnegative());
const stage = z.strictObject({
  steps: count.optional(),
  milestones: milestones.optional(),
  imagesPerStep: count.optional(),
});

const training = z.strictObject({
  steps: count,
  learningRate: positive,
  milestones,
  gamma: positive,
  warmup: z.int().nonnegative(),
  momentum: z.number().min(0).lt(1),
  weightDecay: notNegative,
  biasRate: notNegative,
  biasDecay: notNegative,
  flip: z.boolean(),
  imagesPerStep: count,
  stages: z.strictObject({ rpn: stage.optional(), detector: stage.optional() }).optional(),
  seed: z.int().nonnegative(),
}) satisfies z.ZodType<TrainingConfig>;

const knobs = z.object({
  detector,
  training: training.superRefine((config, context) => {
    for (const losses of ['rpn', 'detector'] as const) {
      const { steps, milestones } = stageTraining({ losses }, config);
      const late = milestones.find((milestone) => milestone > steps);
      if (late === undefined) continue;
      const message = `${late} is beyond the stage's ${steps} steps`;
      context.addIssue({ code: 'custom', path: ['stages', losses, 'milestones'], message });
    }
  }),
});

/** The parts of a configuration that `--set` can change. */
export type Knobs = { detector: DetectorConfig; training: TrainingConfig };

/** What is wrong with a configuration in one line (the value's path, then what it must be), or null. */
export function problemOf(config: Knobs): string | null {
  return problemWith(config, knobs, []);
}

function problemWith(value: unknown, schema: z.ZodType, path: readonly string[]): string | null {
  const issue = schema.safeParse(value).error?.issues[0];
  return issue ? `${[...path, ...issue.path].join('.')}: ${issue.message}` : null;
}

/** The configuration of a run from the text of its config.json; `source` begins the one line that says why it is none. */
export const parseRunConfig = (text: string, source = 'config.json'): RunConfig =>
  parseConfig(text, source, DETECTOR_RUN);

/** As `parseRunConfig`, for any kind of run. */
export function parseConfig<Config>(text: string, source: string, { command, check }: RunKind<Config>): Config {
  const config = parsedJson(text);
  const isObject = typeof config === 'object' && config !== null && !Array.isArray(config);
  const problem = config === undefined ? 'not JSON' : isObject ? check(config as Config) : 'not an object';
  if (problem === null) return config as Config;
  throw new UserError(
    `${source}: is not a configuration of this version of '${command}' (${problem}); train again or restore the file`,
  );
}

/** Undefined where the text is no JSON. */
function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export const DETECTOR_RUN: RunKind<RunConfig> = {
  command: 'rcnn train',
  check: (config) => (config.format === 1 ? problemOf(config) : `format ${config.format}`),
};

type Fields = Readonly<Record<string, z.ZodType>>;

/** What an object holds, by name; undefined where a value is no object. */
function fieldsOf(schema: z.ZodType | undefined): Fields | undefined {
  if (schema instanceof z.ZodOptional) return fieldsOf(schema.unwrap() as z.ZodType);
  return schema instanceof z.ZodObject ? schema.shape : undefined;
}

const fieldOf = (fields: Fields | undefined, name: string): z.ZodType | undefined =>
  fields && Object.hasOwn(fields, name) ? fields[name] : undefined;

/** Has an option of its own, which does more than to change the value. */
const OWN_OPTION: Readonly<Record<string, string>> = {
  'detector.backbone': '--backbone',
  'detector.features': '--schedule unshared',
  'detector.head.pooling': '--schedule joint-warp',
  'detector.classes': '--data',
};

/**
 * The configuration with values changed: `setting` is a path as in config.json and a value as in JSON, such as
 * `detector.rpn.lambda=10` or `detector.anchors.sizes=[64,128]`.
 */
export function withSettings<C extends Knobs>(config: C, settings: readonly string[]): C {
  const changed = structuredClone(config);
  for (const setting of settings) {
    const equals = setting.indexOf('=');
    const path = setting.slice(0, equals);
    const wrong = (why: string): UserError => new UserError(`--set ${setting}: ${why}`);
    if (equals < 1) throw wrong('give PATH=VALUE, the path as in config.json, such as detector.rpn.lambda=10');
    if (OWN_OPTION[path]) throw wrong(`is what ${OWN_OPTION[path]} is for`);
    const keys = path.split('.');
    const last = keys.pop()!;
    // `detector` and `training` as a whole are no values to change.
    const fields =
      keys.length > 0
        ? keys.reduce<Fields | undefined>((within, key) => fieldsOf(fieldOf(within, key)), knobs.shape)
        : undefined;
    const schema = fieldOf(fields, last);
    if (!schema) {
      const known = fields ? Object.keys(fields) : ['detector....', 'training....'];
      throw wrong(`there is no ${path}; there are ${known.join(', ')}`);
    }
    const value = parsed(setting.slice(equals + 1));
    const problem = problemWith(value, schema, [...keys, last]);
    if (problem) throw wrong(problem);
    // What is optional may not be there yet.
    const parent = keys.reduce<Branch>((branch, key) => (branch[key] ??= {}) as Branch, changed as unknown as Branch);
    parent[last] = value;
  }
  // Settings that must fit together are held against each other once all are made.
  const problem = problemOf(changed);
  if (problem) throw new UserError(`--set: ${problem}`);
  return changed;
}

type Branch = Record<string, unknown>;

/** JSON, or else the text itself, so that words need no quotes. */
function parsed(text: string): unknown {
  const value = parsedJson(text);
  return value === undefined ? text : value;
}

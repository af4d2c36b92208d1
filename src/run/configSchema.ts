/** What a configuration may hold: checked where one is read from a file, or changed by `--set`. */
import { z } from 'zod';
import { UserError } from '../engine/errors.ts';
import { CONVENTIONS, type DetectorConfig, type TrainingConfig } from '../model/config.ts';

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

const training = z.strictObject({
  steps: count,
  learningRate: positive,
  milestones: z.array(z.int().nonnegative()),
  gamma: positive,
  warmup: z.int().nonnegative(),
  momentum: z.number().min(0).lt(1),
  weightDecay: notNegative,
  biasRate: notNegative,
  biasDecay: notNegative,
  flip: z.boolean(),
  imagesPerStep: count,
  seed: z.int().nonnegative(),
}) satisfies z.ZodType<TrainingConfig>;

const knobs = z.object({ detector, training });

/** The parts of a configuration that `--set` can change. */
export type Knobs = { detector: DetectorConfig; training: TrainingConfig };

/** What is wrong with a configuration in one line (the value's path, then what it must be), or null. */
export function problemOf(config: Knobs): string | null {
  const { error } = knobs.safeParse(config);
  const issue = error?.issues[0];
  return issue ? `${issue.path.join('.')}: ${issue.message}` : null;
}

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
    let parent: unknown = changed;
    for (const key of keys) parent = isRecord(parent) && Object.hasOwn(parent, key) ? parent[key] : undefined;
    const inKnobs = keys[0] === 'detector' || keys[0] === 'training';
    if (!inKnobs || !isRecord(parent) || !Object.hasOwn(parent, last)) {
      const known = isRecord(parent) && inKnobs ? Object.keys(parent) : ['detector....', 'training....'];
      throw wrong(`there is no ${path}; there are ${known.join(', ')}`);
    }
    parent[last] = parsed(setting.slice(equals + 1));
    const problem = problemOf(changed);
    if (problem) throw wrong(problem);
  }
  return changed;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** JSON, or else the text itself, so that words need no quotes. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

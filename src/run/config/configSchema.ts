/**
 * The schema of a run's configuration, checked when one is read from a file or changed by `--set`. The parts about the network
 * and its training are in model/config.ts.
 */
import * as z from 'zod';
import { UserError } from '../../engine/errors.ts';
import { count, detectorSchema, type Precision, setting, trainingSchema } from '../../model/config.ts';
import { backboneNamed } from '../../model/backbones/index.ts';
import { takesProposals } from '../../model/detectors.ts';
import { plannedForSchema } from './plannedFor.ts';
import { SCHEDULES, stageTraining } from './stages.ts';

/** The parts that `--set` can change. */
const knobs = z.object({
  detector: setting(
    detectorSchema.superRefine((detector, context) => {
      const {
        rpn: { filters },
        anchors: { ratios },
        crop,
        head,
        system,
        backbone,
        originalStride,
        classes,
      } = detector;
      const wrong = (path: string[], message: string): void => void context.addIssue({ code: 'custom', path, message });
      if (originalStride && !backboneNamed(backbone).bottlenecks)
        wrong(
          ['originalStride'],
          `is not possible with ${backbone}, whose blocks do not begin with a 1x1 convolution; leave it out`,
        );
      if (filters && filters.length !== ratios.length)
        wrong(
          ['rpn', 'filters'],
          `has ${filters.length} filters for ${ratios.length} ratios of the anchors; give one for each`,
        );
      for (const name of Object.keys(head.classWeights ?? {})) {
        if (!classes.includes(name))
          wrong(['head', 'classWeights', name], `is none of the classes ${classes.join(', ')}`);
      }
      if (head.scorer === 'svm' && !takesProposals({ system }))
        wrong(
          ['head', 'scorer'],
          'svm takes proposals of another method; choose --schedule fast-rcnn, spp-net or rcnn',
        );
      else if (head.scorer === 'svm' && !backboneNamed(backbone).regionLayers)
        wrong(['head', 'scorer'], `svm takes the vectors of fully connected layers, which ${backbone} does not have`);
      if (crop && 2 * crop.context >= crop.size)
        wrong(['crop', 'context'], `${crop.context} on each side leaves nothing of ${crop.size} pixels; choose less`);
    }),
    'the network',
  ),
  training: setting(
    trainingSchema.superRefine((config, context) => {
      const { imagesPerStep, microBatch = 1 } = config;
      if (imagesPerStep % microBatch !== 0) {
        const message = `${microBatch} does not divide training.imagesPerStep, ${imagesPerStep}; choose a divisor of it`;
        context.addIssue({ code: 'custom', path: ['microBatch'], message });
      }
      for (const losses of ['rpn', 'detector'] as const) {
        const { steps, milestones } = stageTraining({ losses }, config);
        const late = milestones.find((milestone) => milestone > steps);
        if (late === undefined) continue;
        const message = `${late} is beyond the stage's ${steps} steps`;
        context.addIssue({ code: 'custom', path: ['stages', losses, 'milestones'], message });
      }
    }),
    'its training',
  ),
});

const data = z.string().min(1);
/** Settings of every kind of run. */
export const commonSettings = {
  data: setting(data, 'the value of `--data`, with absolute paths'),
  init: setting(z.string().nullable(), 'file of initial weights, or null'),
  checkpointInterval: setting(count, 'steps between checkpoints'),
  mixedDevices: setting(
    z.literal(true).optional(),
    'the run was trained on devices of several kinds at once (`--allow-mixed-devices`): no other run gives its bits',
  ),
};

const validation = z.strictObject({
  data: setting(data, 'the data to evaluate on, written like `data`'),
  split: setting(z.string(), 'the split to evaluate on'),
  images: setting(count, 'most images to evaluate on, evenly spaced'),
  interval: setting(count, 'steps between evaluations; another follows the last step'),
  patience: setting(count.optional(), 'evaluations without a better mAP after which the training ends'),
});

const kept = z.strictObject({
  interval: setting(count, 'steps between them'),
  last: setting(count.optional(), 'how many are kept, the last ones; default: all'),
});

export const runSchema = z.strictObject({
  format: setting(z.literal(1), 'version of this file'),
  data: commonSettings.data,
  split: setting(z.string(), 'the split to train on'),
  splitSeed: setting(
    z.int().min(0).max(0xffffffff).optional(),
    'seed of the 60/20/20 splits drawn for data that has none',
  ),
  allowOutside: setting(z.boolean().optional(), 'whether annotations may name images outside the folder of the data'),
  preset: setting(z.string().min(1), 'the preset from which the other values were taken'),
  schedule: setting(z.enum(SCHEDULES), 'what is trained, and how the RPN and the detector share features'),
  proposals: setting(
    z.array(data).min(1).optional(),
    'CSV files of proposals, with absolute paths, which the detector classifies in place of its own',
  ),
  init: commonSettings.init,
  skipBadBoxes: setting(z.boolean(), 'whether boxes outside their image or without area are left out'),
  checkpointInterval: commonSettings.checkpointInterval,
  kept: setting(kept.optional(), 'checkpoints of earlier steps that are kept (`--save-every`)'),
  mixedDevices: commonSettings.mixedDevices,
  validation: setting(validation.optional(), 'evaluation of the weights during training, if there is any'),
  ...knobs.shape,
  plannedFor: setting(
    plannedForSchema.optional(),
    'with `--deterministic`, the device that the kernels are planned for: this one with the limits of every WebGPU device',
  ),
  kernels: setting(
    z.record(z.string(), z.string()).optional(),
    'kernels that the tuner chose, if it ran: a resumed run uses the same ones, and so ends with the same bits',
  ),
});

export type ValidationConfig = z.infer<typeof validation>;
export type RunConfig = z.infer<typeof runSchema>;
export type Knobs = z.infer<typeof knobs>;

/** One line that says what is wrong with the network or its training (the value's path, then what it must be), or null. */
export const problemOf = (config: Knobs): string | null => problemWith(config, knobs, []);

/** One line that says what is wrong with a value and begins with its path, or null. */
export function problemWith(value: unknown, schema: z.ZodType, path: readonly string[] = []): string | null {
  const issue = schema.safeParse(value, { error: explain }).error?.issues[0];
  if (!issue) return null;
  const at = [...path, ...issue.path].join('.');
  return at === '' ? issue.message : `${at}: ${issue.message}`;
}

const KINDS: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
  tuple: 'a list',
};

/** An issue in plain words; undefined leaves the wording to the library. */
function explain(issue: z.core.$ZodRawIssue): string | undefined {
  const { input } = issue;
  if (input === undefined) return 'is missing';
  const text = JSON.stringify(input) ?? String(input);
  const given = text.length > 60 ? `${text.slice(0, 57)}...` : text;
  if (issue.code === 'invalid_type') return `must be ${KINDS[issue.expected] ?? issue.expected}, not ${given}`;
  if (issue.code === 'invalid_value') return `must be ${issue.values.join(' or ')}, not ${given}`;
  if (issue.code === 'unrecognized_keys') return `there is no setting ${issue.keys.join(', ')}`;
  if (issue.code === 'too_small' && issue.origin !== 'array' && issue.origin !== 'string')
    return `must be ${issue.inclusive ? 'at least' : 'above'} ${issue.minimum}, not ${given}`;
  if (issue.code === 'too_big' && issue.origin !== 'array' && issue.origin !== 'string')
    return `must be ${issue.inclusive ? 'at most' : 'below'} ${issue.maximum}, not ${given}`;
  if (issue.code === 'too_small' || issue.code === 'too_big') return `has the wrong length: ${given}`;
  return undefined;
}

/** Parses the text of a config.json; `source` begins the error message if it is not a valid configuration. */
export const parseRunConfig = (text: string, source = 'config.json'): RunConfig =>
  parseConfig(text, source, DETECTOR_RUN);

/** The kind of run that a directory holds. */
export interface RunKind<Config> {
  command: string;
  /** `format` of its config.json. */
  format: string | number;
  schema: z.ZodType<Config>;
}

/** As `parseRunConfig`, for any kind of run. */
export function parseConfig<Config>(
  text: string,
  source: string,
  { command, format, schema }: RunKind<Config>,
): Config {
  const config = parsedJson(text);
  const problem = config === undefined ? 'not JSON' : (wrongFormat(config, format) ?? problemWith(config, schema));
  if (problem === null) return config as Config;
  throw new UserError(
    `${source}: is not a configuration of this version of '${command}' (${problem}); train again or restore the file`,
  );
}

/** A different format is reported before anything else, since its settings may differ too. */
function wrongFormat(config: unknown, format: string | number): string | null {
  if (typeof config !== 'object' || config === null || Array.isArray(config)) return 'not an object';
  const { format: found } = config as { format?: unknown };
  if (found === format) return null;
  return found === undefined
    ? 'format: is missing'
    : `format ${typeof found === 'object' ? JSON.stringify(found) : found}`;
}

/** Undefined if the text is not JSON. */
function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export const DETECTOR_RUN: RunKind<RunConfig> = { command: 'rcnn train', format: 1, schema: runSchema };

type Fields = Readonly<Record<string, z.ZodType>>;

/** The fields of an object schema, by name; undefined for other schemas. */
function fieldsOf(schema: z.ZodType | undefined): Fields | undefined {
  if (schema instanceof z.ZodOptional) return fieldsOf(schema.unwrap() as z.ZodType);
  return schema instanceof z.ZodObject ? schema.shape : undefined;
}

const fieldOf = (fields: Fields | undefined, name: string): z.ZodType | undefined =>
  fields && Object.hasOwn(fields, name) ? fields[name] : undefined;

/** Settings with an option of their own, which does more than change the value. */
const OWN_OPTION: ReadonlyMap<string, string> = new Map([
  ['detector.system', '--schedule'],
  ['detector.backbone', '--backbone'],
  ['detector.features', '--schedule unshared'],
  ['detector.head.pooling', '--schedule joint-warp'],
  ['detector.classes', '--data'],
  ['detector.precision', '--precision'],
  ...['detector.ranks', 'detector.ranks.fc6', 'detector.ranks.fc7'].map((path) => [path, 'rcnn compress'] as const),
]);

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
    const option = OWN_OPTION.get(path);
    if (option) throw wrong(`is what ${option} is for`);
    const keys = path.split('.');
    const last = keys.pop()!;
    // `detector` and `training` cannot be set as a whole.
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
    // Optional parents may not exist yet.
    const parent = keys.reduce<Branch>((branch, key) => (branch[key] ??= {}) as Branch, changed as unknown as Branch);
    parent[last] = value;
  }
  // Settings that depend on each other are checked once all are made.
  const problem = problemOf(changed);
  if (problem) throw new UserError(`--set: ${problem}`);
  return changed;
}

/** The same for a detector that is trained: a setting of its training would change nothing, so it throws a UserError. */
export function withDetectorSettings<C extends Knobs>(config: C, settings: readonly string[]): C {
  const other = settings.find((setting) => setting.startsWith('training.'));
  if (other)
    throw new UserError(`--set ${other}: the detector is trained already; give settings that begin with detector.`);
  return withSettings(config, settings);
}

/** The configuration with another precision to compute in; weights are stored in the same form for either. */
export function withPrecision<C extends Knobs>(config: C, precision: Precision): C {
  const { precision: _, ...detector } = config.detector;
  return { ...config, detector: { ...detector, ...(precision === 'f16' && { precision }) } };
}

type Branch = Record<string, unknown>;

/** The text as JSON or, if it is not JSON, the text itself, so that words need no quotes. */
function parsed(text: string): unknown {
  const value = parsedJson(text);
  return value === undefined ? text : value;
}

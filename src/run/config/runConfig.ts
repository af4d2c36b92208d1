/**
 * Makes the configuration of a run from a preset and the user's choices.
 *
 *   --schedule   with stages, takes what the preset has for them; without an RPN, the settings of Fast R-CNN
 *   --steps      moves the preset's milestones and stages in proportion
 *   --backbone   brings its own channels, mean and factor of the input, and the number of bins of a RoI that its weights expect
 *   --init       prepares the input as it was when these weights were trained, unless --input differs (initialInput.ts);
 *                without it no stage is frozen
 */
import { resolve } from 'node:path';
import type { Dataset } from '../../data/types.ts';
import { absoluteFiles } from '../../data/proposalFiles.ts';
import { absoluteSpec, openDataset, usualSplit } from '../../data/registry.ts';
import { UserError } from '../../engine/errors.ts';
import { backboneNamed } from '../../model/backbones/index.ts';
import type { DetectorConfig, Precision } from '../../model/config.ts';
import { inputSize, shorterSides } from '../../model/inputScales.ts';
import { withSettings } from './configSchema.ts';
import { assertEffective } from './effectiveSettings.ts';
import { chooseInput } from './initialInput.ts';
import { defaultPreset, FAST_RCNN_HEAD, type Preset, PRESETS, pyramidDetector } from './presets.ts';
import { openOptions, openRunData, type RunData, withValidation } from './runData.ts';
import { LOG_INTERVAL } from '../storage/metrics.ts';
import type { RunConfig, ValidationConfig } from './configSchema.ts';
import {
  fastRcnnTraining,
  givesProposals,
  hasDetector,
  hasStages,
  RCNN_HEAD,
  rcnnTraining,
  type Schedule,
  SCHEDULES,
  stagesOfRun,
  withSchedule,
  withSteps,
} from './stages.ts';

/** What the user chose in `rcnn train`; everything else comes from the preset. */
export interface RunChoices {
  /** In the form that `dataUsage` (data/registry.ts) explains; several folders or files are taken as one data set. */
  data?: string;
  split?: string;
  preset?: string;
  backbone?: string;
  schedule?: string;
  /** CSV files of proposals, separated by commas. */
  proposals?: string;
  /** A safetensors file. */
  init?: string;
  /** `bgr` or `rgb`. */
  input?: string;
  steps?: number;
  seed?: number;
  /** Whether the kernels are planned for recorded capabilities, which come from the device (`withPlannedKernels`). */
  deterministic?: boolean;
  learningRate?: number;
  skipBadBoxes?: boolean;
  /** The seed of the splits drawn for data that has none of its own. */
  splitSeed?: number;
  allowOutside?: boolean;
  /** The type in which the network stores maps and weights while it computes; float32 by default. */
  precision?: Precision;
  /** Changes of single values, for `withSettings`. */
  set?: string[];
  /** Steps between two checkpoints. */
  checkpointEvery?: number;
  /** Steps between two checkpoints that are kept, and how many of them: by default all. */
  saveEvery?: number;
  keep?: number;
  /**
   * The split, of this data or of other data, on which the weights are evaluated during training; how often, and on how many
   * images at most.
   */
  validate?: string;
  validateData?: string;
  validateEvery?: number;
  validateImages?: number;
  /** Evaluations without a better mAP after which the training ends. */
  patience?: number;
}

export const CHECKPOINT_INTERVAL = 200;
/** The lowest IoU of a background RoI of Fast R-CNN (Girshick 2015): a crude form of hard example mining. */
const BACKGROUND_LOW = 0.1;
/** The most images of a validation: enough to see where the training is going. */
const VALIDATION_IMAGES = 100;
/** How many validations a run has, unless their interval is given. */
const VALIDATIONS = 10;

/** The preset of this name, or the default one for the data. */
export function findPreset(name: string | undefined, data: string): { name: string; preset: Preset } {
  const chosen = name ?? defaultPreset(data);
  const preset = Object.hasOwn(PRESETS, chosen) ? PRESETS[chosen] : undefined;
  if (!preset) throw new UserError(`--preset ${chosen}: unknown; choose from ${Object.keys(PRESETS).join(', ')}`);
  return { name: chosen, preset };
}

export interface ConfiguredRun extends RunData {
  config: RunConfig;
}

/** Opens and checks the data, then settles every value. Throws a UserError for choices that do not work. */
export async function configureRun(choices: RunChoices): Promise<ConfiguredRun> {
  const settled = settle(choices);
  const dataset = await openDataset(settled.data, openOptions(settled));
  const config = complete(settled, dataset.classes, choices);
  if (!config.proposals) assertAnchorsFit(config.detector, dataset);
  return { config, ...(await withValidation(config, dataset)) };
}

/** As `configureRun`, for a run that has its configuration. */
export const reopenRun = async (config: RunConfig): Promise<ConfiguredRun> => ({
  config,
  ...(await withValidation(config, await openRunData(config))),
});

/** The network of such a run. */
export const detectorFor = (choices: RunChoices, classes: string[]): DetectorConfig =>
  configFor(choices, classes).detector;

/** The configuration that a run with these choices would have on data of these classes, '__background__' first. */
export const configFor = (choices: RunChoices, classes: string[]): RunConfig =>
  complete(settle(choices), classes, choices);

/** Everything but the classes and the single values of `--set`. */
function settle(choices: RunChoices): RunConfig {
  const data = absoluteSpec(choices.data ?? 'digits');
  const { name, preset } = findPreset(choices.preset, data);
  const schedule = checkSchedule(choices.schedule ?? 'joint');
  const backbone = checkBackbone(choices.backbone ?? preset.detector.backbone);
  const input = chooseInput(backbone, choices.input, choices.init);
  if (givesProposals(schedule)) assertSystemFits(schedule, backbone, choices.init);
  const { head, training } = presetFor(schedule, preset);
  const proposals = proposalsFor(schedule, choices.proposals);
  const detector = withSchedule(withBackbone({ ...preset.detector, head }, backbone), schedule);
  return {
    format: 1,
    data,
    split: choices.split ?? usualSplit(data, preset.split ?? 'train'),
    ...(choices.splitSeed && { splitSeed: choices.splitSeed }),
    ...(choices.allowOutside && { allowOutside: true }),
    preset: name,
    schedule,
    ...(proposals && { proposals }),
    init: choices.init === undefined ? null : resolve(choices.init),
    skipBadBoxes: choices.skipBadBoxes || preset.skipBadBoxes === true,
    checkpointInterval: choices.checkpointEvery ?? CHECKPOINT_INTERVAL,
    ...keptCheckpoints(choices),
    detector: {
      ...detector,
      input: { ...detector.input, ...input },
      frozenStages: choices.init === undefined ? 0 : detector.frozenStages,
      ...(choices.init === undefined &&
        backboneNamed(backbone).batchNorm && { batchNorm: { training: true, epsilon: 1e-5 } }),
      classes: [],
      ...(choices.precision === 'f16' && { precision: 'f16' }),
    },
    training: {
      ...withSteps(training, choices.steps ?? training.steps),
      learningRate: choices.learningRate ?? training.learningRate,
      seed: choices.seed ?? training.seed,
    },
  };
}

function keptCheckpoints({ saveEvery: interval, keep: last }: RunChoices): Pick<RunConfig, 'kept'> {
  if (interval !== undefined) return { kept: { interval, ...(last !== undefined && { last }) } };
  if (last === undefined) return {};
  throw new UserError('--keep: which checkpoints? Give --save-every STEPS too');
}

function complete(settled: RunConfig, classes: string[], choices: RunChoices): RunConfig {
  const { set = [] } = choices;
  const config = withSettings({ ...settled, detector: { ...settled.detector, classes } }, set);
  const givenRate = choices.learningRate !== undefined || set.some((one) => one.startsWith('training.learningRate='));
  assertEffective(set, config, givenRate);
  const validation = validationOf(choices, config);
  return validation ? { ...config, validation } : config;
}

function validationOf(
  { validate, validateData, validateEvery, validateImages, patience }: RunChoices,
  config: RunConfig,
): ValidationConfig | undefined {
  if (validate === undefined && validateData === undefined) {
    if (validateEvery === undefined && validateImages === undefined && patience === undefined) return undefined;
    throw new UserError(
      '--validate-every, --validate-images, --patience: on which split of the data? Give --validate SPLIT too',
    );
  }
  const { data, schedule, training } = config;
  if (patience !== undefined && !stagesOfRun(config).some(hasDetector)) {
    throw new UserError(
      `--patience: this run of --schedule ${schedule} is evaluated only once, at its end; leave the option out`,
    );
  }
  const validated = validateData === undefined ? data : absoluteSpec(validateData);
  return {
    data: validated,
    split: validate ?? usualSplit(validated, 'val'),
    images: validateImages ?? VALIDATION_IMAGES,
    // A multiple of the lines of metrics.jsonl, because a checkpoint comes before each validation.
    interval: validateEvery ?? Math.ceil(training.steps / VALIDATIONS / LOG_INTERVAL) * LOG_INTERVAL,
    ...(patience !== undefined && { patience }),
  };
}

/** Throws where a system without an RPN cannot be made of a backbone, or would keep random convolutions. */
function assertSystemFits(schedule: Schedule, backbone: string, init: string | undefined): void {
  const { pyramid, regionLayers } = backboneNamed(backbone);
  const wrong = (why: string): UserError => new UserError(`--schedule ${schedule}: ${why}`);
  if (pyramid) throw wrong(`the backbone ${backbone} has several maps; choose one with a single map`);
  if (schedule !== 'spp-net') return;
  if (!regionLayers)
    throw wrong(`the backbone ${backbone} has no fully connected layers for its regions; choose another`);
  if (init === undefined)
    throw wrong('its convolutions are not trained and would stay random; give weights with --init');
}

/** The files of `--proposals`, which some schedules need and the others have no use for. */
function proposalsFor(schedule: Schedule, files: string | undefined): string[] | undefined {
  if (givesProposals(schedule)) {
    if (files === undefined)
      throw new UserError(`--schedule ${schedule}: on which proposals? Give --proposals FILE.csv[,FILE...]`);
    return absoluteFiles(files);
  }
  if (files === undefined) return undefined;
  const others = SCHEDULES.filter(givesProposals).join(', ');
  throw new UserError(`--proposals: --schedule ${schedule} trains an RPN, which makes its own; choose ${others}`);
}

/** What a preset has for a schedule: its values for joint training, for stages, or for a detector without an RPN. */
function presetFor(schedule: Schedule, { detector: { head }, training, staged }: Preset) {
  if (schedule === 'rcnn') return { head: { ...head, ...RCNN_HEAD }, training: rcnnTraining(training) };
  if (givesProposals(schedule)) {
    return {
      head: { ...head, ...FAST_RCNN_HEAD, backgroundLow: BACKGROUND_LOW, ...staged?.head },
      training: fastRcnnTraining({ ...training, ...staged?.training }),
    };
  }
  if (!staged || !hasStages(schedule)) return { head, training };
  return { head: { ...head, ...staged.head }, training: { ...training, ...staged.training } };
}

function checkSchedule(name: string): Schedule {
  const schedule = SCHEDULES.find((known) => known === name);
  if (schedule) return schedule;
  throw new UserError(`--schedule ${name}: unknown; choose from ${SCHEDULES.join(', ')}`);
}

export function checkBackbone(backbone: string): string {
  return backboneNamed(backbone, `--backbone ${backbone}`).name;
}

function withBackbone(detector: Preset['detector'], backbone: string): Omit<DetectorConfig, 'classes'> {
  if (backbone === detector.backbone) return detector;
  const descriptor = backboneNamed(backbone);
  const { frozenStages, pooled, input, pyramid } = descriptor;
  // Anchors, proposals and regions of a pyramid are its own; what the data needs is the preset's.
  if (pyramid) {
    const own = pyramidDetector(descriptor);
    const head = { ...own.head, batch: detector.head.batch };
    return { ...own, head, input: { ...detector.input, ...input } };
  }
  const head = { ...detector.head, pooled };
  return { ...detector, backbone, frozenStages, head, input: { ...detector.input, ...input } };
}

/** Throws if no anchor fits into any image at the network's input size: the RPN would have nothing to learn from. */
function assertAnchorsFit({ anchors, input }: DetectorConfig, { samples }: Dataset): void {
  const scales = shorterSides(input).map((_, scale) => scale);
  const sizes = samples.flatMap((sample) => scales.map((scale) => inputSize(sample, input, scale)));
  const fits = anchors.sizes.some((size) =>
    anchors.ratios.some((ratio) =>
      sizes.some(({ width, height }) => size / Math.sqrt(ratio) <= width && size * Math.sqrt(ratio) <= height),
    ),
  );
  if (fits || sizes.length === 0) return;
  const largest = sizes.reduce((a, b) => (a.width * a.height > b.width * b.height ? a : b));
  throw new UserError(
    `anchors ${anchors.sizes.join(', ')}: larger than every image (the largest is ${largest.width} x ${largest.height} at the network's input size); choose smaller ones with --set detector.anchors.sizes=[...]`,
  );
}

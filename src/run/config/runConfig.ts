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
import type { Dataset, OpenDatasetOptions } from '../../data/types.ts';
import { assertProposals, readProposals } from '../../data/proposalFiles.ts';
import { absoluteSpec, openDataset, usualSplit } from '../../data/registry.ts';
import { countedBoxes } from '../../data/boxes.ts';
import { tiledDataset } from '../../data/tiles.ts';
import { UserError } from '../../engine/errors.ts';
import { backboneNamed } from '../../model/backbones/index.ts';
import type { DetectorConfig, Precision, TrainingConfig } from '../../model/config.ts';
import { inputSize, shorterSides } from '../../model/inputScales.ts';
import { withSettings } from './configSchema.ts';
import { chooseInput } from './initialInput.ts';
import { defaultPreset, FAST_RCNN_HEAD, type Preset, PRESETS, pyramidDetector } from './presets.ts';
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
  stagesOf,
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

export interface ConfiguredRun {
  config: RunConfig;
  /** The data to train on. */
  dataset: Dataset;
  /** The data to evaluate on during training, if any. */
  validation: Dataset | undefined;
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

/** The data to train on, with the images to validate on and the proposals of both, if the run has any. */
async function withValidation(config: RunConfig, whole: Dataset): Promise<Omit<ConfiguredRun, 'config'>> {
  const { tiles } = config.training;
  const dataset = tiles ? tiledDataset(whole, tiles) : whole;
  const validation = await openValidation(config);
  if (config.proposals) await giveProposals(config.proposals, dataset, validation);
  return { dataset, validation };
}

/**
 * Gives each sample its proposals. Every image to train on must have some. An image to evaluate on may have none: nothing is
 * found in it, and a note says so.
 */
export async function giveProposals(
  paths: readonly string[],
  train: Dataset | undefined,
  test?: Dataset,
): Promise<void> {
  const samples = [...(train?.samples ?? []), ...(test?.samples ?? [])];
  const read = await readProposals(paths, samples);
  samples.forEach((sample, i) => (sample.proposals = read[i]!));
  if (train) assertProposals(paths, train.samples, (i) => read[i]!.scores.length);
  const without = test?.samples.filter(({ proposals }) => proposals!.scores.length === 0) ?? [];
  if (without.length === 0) return;
  const { length } = test!.samples;
  const how = `${without.length} of ${length} images, in which nothing can be found; the first: ${without[0]!.id}`;
  test!.notes.push(`${paths.join(', ')}: has no box for ${how}`);
}

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
  { data, schedule, training: { steps } }: RunConfig,
): ValidationConfig | undefined {
  if (validate === undefined && validateData === undefined) {
    if (validateEvery === undefined && validateImages === undefined && patience === undefined) return undefined;
    throw new UserError(
      '--validate-every, --validate-images, --patience: on which split of the data? Give --validate SPLIT too',
    );
  }
  if (patience !== undefined && !stagesOf(schedule).some(hasDetector)) {
    throw new UserError(`--patience: --schedule ${schedule} is evaluated only once, at its end; leave the option out`);
  }
  const validated = validateData === undefined ? data : absoluteSpec(validateData);
  return {
    data: validated,
    split: validate ?? usualSplit(validated, 'val'),
    images: validateImages ?? VALIDATION_IMAGES,
    // A multiple of the lines of metrics.jsonl, because a checkpoint comes before each validation.
    interval: validateEvery ?? Math.ceil(steps / VALIDATIONS / LOG_INTERVAL) * LOG_INTERVAL,
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

const absoluteFiles = (files: string): string[] => files.split(',').map((file) => resolve(file));

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

/** Settings that only one schedule of the learning rate has. */
const RATE_SETTINGS = { steps: /^training\.(stages\.\w+\.)?(milestones|gamma)=/, polynomial: /^training\.power=/ };

/** Settings that have no effect without an RPN. */
const RPN_SETTINGS = /^detector\.(stages|anchors\.|rpn\.(?!(train|test)\.postNms=))/;

/** Throws if a setting would have no effect: stages of a schedule without any, or a value that every stage sets for itself. */
function assertEffective(
  settings: readonly string[],
  { schedule, detector: { precision, input }, training }: RunConfig,
  givenRate: boolean,
): void {
  const { stages, lossScale } = training;
  assertScheduleOfRate(settings, training);
  assertOptimiser(settings, training, givenRate);
  if (training.tiles && givesProposals(schedule)) {
    throw new UserError(
      `--set training.tiles: the proposals of --schedule ${schedule} are those of whole images; leave it out`,
    );
  }
  if (training.augmentation && hasStages(schedule)) {
    throw new UserError(
      `--set training.augmentation: --schedule ${schedule} keeps the proposals of unchanged pictures between its stages; leave it out, or choose another schedule`,
    );
  }
  if (training.ema !== undefined && hasStages(schedule)) {
    throw new UserError(
      `--set training.ema: --schedule ${schedule} trains several networks one after the other, which are not averaged; leave it out`,
    );
  }
  if (lossScale !== undefined && precision !== 'f16') {
    throw new UserError('--set training.lossScale: only --precision f16 scales the loss; add it, or leave this out');
  }
  if (stages && !hasStages(schedule)) {
    throw new UserError(
      `--set training.stages: --schedule ${schedule} has no stages; there are some with ${SCHEDULES.filter(hasStages).join(' and ')}`,
    );
  }
  assertCrops(settings, schedule);
  assertScales(settings, input);
  const rpnSetting = settings.find((setting) => RPN_SETTINGS.test(setting));
  if (rpnSetting !== undefined && givesProposals(schedule)) {
    throw new UserError(
      `--set ${rpnSetting}: --schedule ${schedule} has no RPN; of its settings detector.rpn.train.postNms and detector.rpn.test.postNms count, the most proposals of an image`,
    );
  }
  if (!hasStages(schedule)) return;
  for (const setting of settings) {
    const key = (['steps', 'milestones', 'imagesPerStep'] as const).find((key) =>
      setting.startsWith(`training.${key}=`),
    );
    // The milestones of a stage never follow from those of joint training.
    if (!key || (key !== 'milestones' && !(stages?.rpn?.[key] && stages.detector?.[key]))) continue;
    throw new UserError(
      `--set ${setting}: the stages of --schedule ${schedule} have their own; set training.stages.rpn.${key} and training.stages.detector.${key}`,
    );
  }
}

/** Throws if a setting has no effect with several scales of an image, or without them. */
function assertScales(settings: readonly string[], { scales }: Pick<DetectorConfig['input'], 'scales'>): void {
  const set = (path: string): string | undefined => settings.find((setting) => setting.startsWith(`${path}=`));
  const wrong = (setting: string, why: string): UserError => new UserError(`--set ${setting}: ${why}`);
  const [side, square] = [set('detector.input.shorterSide'), set('detector.head.scaleSide')];
  if (scales && side !== undefined)
    throw wrong(side, 'has no effect with detector.input.scales; leave one of them out');
  if (!scales && square !== undefined)
    throw wrong(square, 'has no effect with one scale of images; set detector.input.scales too, or leave it out');
}

/** Throws if a setting belongs to another schedule of the learning rate than the run's. */
function assertScheduleOfRate(settings: readonly string[], { rateSchedule = 'steps' }: TrainingConfig): void {
  for (const [schedule, pattern] of Object.entries(RATE_SETTINGS)) {
    const setting = schedule !== rateSchedule && settings.find((one) => pattern.test(one));
    if (!setting) continue;
    throw new UserError(
      `--set ${setting}: has no effect with training.rateSchedule ${rateSchedule}; leave it out, or set training.rateSchedule=${schedule}`,
    );
  }
}

/** Throws for a size of the whole image where crops of regions are the input, and for crops where there are none. */
function assertCrops(settings: readonly string[], schedule: Schedule): void {
  const [pattern, why] =
    schedule === 'rcnn'
      ? ([
          /^detector\.(input\.(shorterSide|scales)|head\.(pooling|samplingRatio|scaleSide))=/,
          'the input is a crop of a region; set detector.crop.size',
        ] as const)
      : ([/^detector\.crop[.=]/, 'crops no regions; --schedule rcnn does'] as const);
  const setting = settings.find((setting) => pattern.test(setting));
  if (setting !== undefined) throw new UserError(`--set ${setting}: has no effect with --schedule ${schedule}: ${why}`);
}

/** Settings that only one kind of optimiser has. */
const SGD_SETTINGS = /^training\.momentum=/;
const ADAM_SETTINGS = /^training\.(betas|epsilon)=/;

/** Throws if a setting belongs to another optimiser than the run's, or the learning rate does. */
function assertOptimiser(
  settings: readonly string[],
  { optimizer = 'sgd', learningRate }: TrainingConfig,
  givenRate: boolean,
): void {
  const others = optimizer === 'sgd' ? ADAM_SETTINGS : SGD_SETTINGS;
  const setting = settings.find((one) => others.test(one));
  if (setting) throw new UserError(`--set ${setting}: training.optimizer ${optimizer} has no such value; leave it out`);
  if (optimizer === 'sgd' || givenRate) return;
  throw new UserError(
    `--set training.optimizer=${optimizer}: the preset's learning rate, ${learningRate}, is for sgd; give one, such as --learning-rate 0.0003`,
  );
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

/** Throws if a choice differs from the run that is to be resumed. */
export function assertSameRun(choices: RunChoices, config: RunConfig, configPath: string): void {
  const { data, init, validateData } = choices;
  const pairs: [option: string, chosen: unknown, saved: unknown][] = [
    ['--data', data && absoluteSpec(data), config.data],
    ['--split', choices.split, config.split],
    ['--preset', choices.preset, config.preset],
    ['--schedule', choices.schedule, config.schedule],
    ['--proposals', choices.proposals && absoluteFiles(choices.proposals).join(), config.proposals?.join()],
    ['--backbone', choices.backbone, config.detector.backbone],
    ['--init', init && resolve(init), config.init],
    ['--precision', choices.precision, config.detector.precision ?? 'f32'],
    ['--input', choices.input, config.detector.input.channels],
    ['--steps', choices.steps, config.training.steps],
    ['--seed', choices.seed, config.training.seed],
    ['--deterministic', choices.deterministic, config.plannedFor !== undefined],
    ['--learning-rate', choices.learningRate, config.training.learningRate],
    ['--split-seed', choices.splitSeed, config.splitSeed ?? 0],
    ['--allow-outside', choices.allowOutside, config.allowOutside ?? false],
    ['--skip-bad-boxes', choices.skipBadBoxes, config.skipBadBoxes],
    ['--checkpoint-every', choices.checkpointEvery, config.checkpointInterval],
    ['--save-every', choices.saveEvery, config.kept?.interval],
    ['--keep', choices.keep, config.kept?.last],
    ['--validate', choices.validate, config.validation?.split],
    ['--validate-data', validateData && absoluteSpec(validateData), config.validation?.data],
    ['--validate-every', choices.validateEvery, config.validation?.interval],
    ['--validate-images', choices.validateImages, config.validation?.images],
    ['--patience', choices.patience, config.validation?.patience],
  ];
  assertSameChoices(pairs, configPath);
  for (const setting of choices.set ?? []) {
    if (JSON.stringify(withSettings(config, [setting])) === JSON.stringify(config)) continue;
    throw new UserError(`--set ${setting}: the run to resume has another value (${configPath}); leave the option out`);
  }
}

/** Throws if an option was given that differs from the value in the run that is to be resumed. */
export function assertSameChoices(
  pairs: readonly (readonly [option: string, chosen: unknown, saved: unknown])[],
  configPath: string,
): void {
  for (const [option, chosen, saved] of pairs) {
    if (chosen === undefined || chosen === saved) continue;
    throw new UserError(
      `${option}: the run to resume has ${saved ?? 'none'} (${configPath}), not ${chosen}; leave the option out, or start a new run in another --out`,
    );
  }
}

/** The data of a run, with the classes in its order. */
export const openRunData = (config: RunConfig): Promise<Dataset> =>
  openDataset(config.data, { ...openOptions(config), classes: config.detector.classes.slice(1) });

/** The options with which a run opens its data, except for the classes. */
function openOptions({ split, skipBadBoxes, splitSeed, allowOutside }: RunConfig): OpenDatasetOptions {
  return { split, onBadBox: skipBadBoxes ? 'skip' : 'error', splitSeed, allowOutside };
}

/** The images on which a run is validated: all of the split that its configuration names, or some, evenly spaced. */
export async function openValidation(config: RunConfig): Promise<Dataset | undefined> {
  if (!config.validation) return undefined;
  const { data, split, images } = config.validation;
  const whole = await openRunData({ ...config, data, split });
  const { length } = whole.samples;
  const samples = whole.samples.filter((_, i) => length <= images || (i * images) % length < images);
  if (samples.every(({ boxes }) => countedBoxes(boxes).length === 0)) {
    throw new UserError(
      `--validate ${split}: has no object that counts in ${samples.length} images; choose another split`,
    );
  }
  const notes = [...whole.notes];
  if (samples.length < length) {
    notes.push(`validation takes ${samples.length} of the ${length} images of split '${split}', evenly spaced`);
  }
  return { ...whole, samples, notes };
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

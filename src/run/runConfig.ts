/**
 * From a preset and what the user gave to the configuration of a run.
 *
 *   --schedule   where there are stages, takes what the preset has for them
 *   --steps      moves the preset's milestones and stages in proportion
 *   --backbone   takes its own channels, mean and factor of the input, and the bins of a region its weights expect
 *   --init       the input as these weights were trained, unless --input says otherwise (initialInput.ts)
 *   without initial weights no stage is frozen
 */
import { resolve } from 'node:path';
import { type Dataset, openDataset, usualSplit } from '../data/dataset.ts';
import { UserError } from '../engine/errors.ts';
import { BACKBONES } from '../model/backbones/index.ts';
import { resizedSize } from '../kernels/imagePrepare.ts';
import type { DetectorConfig } from '../model/config.ts';
import { withSettings } from './configSchema.ts';
import { chooseInput } from './initialInput.ts';
import { BACKBONE_INPUTS, defaultPreset, type Preset, PRESETS } from './presets.ts';
import type { RunConfig } from './runDirectory.ts';
import { hasStages, type Schedule, SCHEDULES, withSchedule, withSteps } from './stages.ts';

/** What `rcnn train` was told; everything else comes from the preset. */
export interface RunChoices {
  /** `digits`, `voc:PATH` or `coco:IMAGES,ANNOTATIONS.json`; several folders, or folders and files, are taken as one. */
  data?: string;
  split?: string;
  preset?: string;
  backbone?: string;
  schedule?: string;
  /** A safetensors file. */
  init?: string;
  /** `bgr` or `rgb`. */
  input?: string;
  steps?: number;
  seed?: number;
  learningRate?: number;
  skipBadBoxes?: boolean;
  /** Changes of single values: `withSettings`. */
  set?: string[];
  /** Steps between two checkpoints. */
  checkpointEvery?: number;
}

export const CHECKPOINT_INTERVAL = 200;

/** The preset of a name, or the usual one for the data. */
export function findPreset(name: string | undefined, data: string): { name: string; preset: Preset } {
  const chosen = name ?? defaultPreset(data);
  const preset = PRESETS[chosen];
  if (!preset) throw new UserError(`--preset ${chosen}: unknown; there are ${Object.keys(PRESETS).join(', ')}`);
  return { name: chosen, preset };
}

/** Opens and checks the data, then settles every value. Throws a UserError for what cannot be. */
export async function configureRun(choices: RunChoices): Promise<{ config: RunConfig; dataset: Dataset }> {
  const data = absoluteData(choices.data ?? 'digits');
  const { name, preset } = findPreset(choices.preset, data);
  const schedule = checkSchedule(choices.schedule ?? 'joint');
  const backbone = checkBackbone(choices.backbone ?? preset.detector.backbone);
  const input = chooseInput(backbone, choices.input, choices.init);
  const split = choices.split ?? usualSplit(data, preset.split ?? 'train');
  const skipBadBoxes = choices.skipBadBoxes || preset.skipBadBoxes === true;
  const dataset = await openDataset(data, { split, onBadBox: skipBadBoxes ? 'skip' : 'error' });
  const { head, training } = presetFor(schedule, preset);
  const detector = withSchedule(withBackbone({ ...preset.detector, head }, backbone), schedule);
  const preliminary: RunConfig = {
    format: 1,
    data,
    split,
    preset: name,
    schedule,
    init: choices.init === undefined ? null : resolve(choices.init),
    skipBadBoxes,
    checkpointInterval: choices.checkpointEvery ?? CHECKPOINT_INTERVAL,
    detector: {
      ...detector,
      input: { ...detector.input, ...input },
      frozenStages: choices.init === undefined ? 0 : detector.frozenStages,
      classes: dataset.classes,
    },
    training: {
      ...withSteps(training, choices.steps ?? training.steps),
      learningRate: choices.learningRate ?? training.learningRate,
      seed: choices.seed ?? training.seed,
    },
  };
  const config = withSettings(preliminary, choices.set ?? []);
  assertEffective(choices.set ?? [], config);
  assertAnchorsFit(config.detector, dataset);
  return { config, dataset };
}

/** What a preset has for a schedule: for joint training, or for stages. */
function presetFor(schedule: Schedule, { detector: { head }, training, staged }: Preset) {
  if (!staged || !hasStages(schedule)) return { head, training };
  return { head: { ...head, ...staged.head }, training: { ...training, ...staged.training } };
}

/** Throws where a setting would change nothing: stages of a schedule without any, or what every stage has of its own. */
function assertEffective(settings: readonly string[], { schedule, training: { stages } }: RunConfig): void {
  if (stages && !hasStages(schedule)) {
    throw new UserError(
      `--set training.stages: --schedule ${schedule} has no stages; there are some with ${SCHEDULES.filter(hasStages).join(' and ')}`,
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

/** Throws where no anchor lies within any image as the network takes it: the RPN would have nothing to learn from. */
function assertAnchorsFit({ anchors, input }: DetectorConfig, { samples }: Dataset): void {
  const sizes = samples.map(({ width, height }) => resizedSize(height, width, input.shorterSide, input.longerSide));
  const fits = anchors.sizes.some((size) =>
    anchors.ratios.some((ratio) =>
      sizes.some(({ width, height }) => size / Math.sqrt(ratio) <= width && size * Math.sqrt(ratio) <= height),
    ),
  );
  if (fits || sizes.length === 0) return;
  const largest = sizes.reduce((a, b) => (a.width * a.height > b.width * b.height ? a : b));
  throw new UserError(
    `anchors ${anchors.sizes.join(', ')}: larger than every image (the largest is ${largest.width} x ${largest.height} as the network takes it); choose smaller ones with --set detector.anchors.sizes=[...]`,
  );
}

/** Throws where something chosen is not what the run to be resumed has. */
export function assertSameRun(choices: RunChoices, config: RunConfig, configPath: string): void {
  const { data, init } = choices;
  const pairs: [option: string, chosen: unknown, saved: unknown][] = [
    ['--data', data && absoluteData(data), config.data],
    ['--split', choices.split, config.split],
    ['--preset', choices.preset, config.preset],
    ['--schedule', choices.schedule, config.schedule],
    ['--backbone', choices.backbone, config.detector.backbone],
    ['--init', init && resolve(init), config.init],
    ['--input', choices.input, config.detector.input.channels],
    ['--steps', choices.steps, config.training.steps],
    ['--seed', choices.seed, config.training.seed],
    ['--learning-rate', choices.learningRate, config.training.learningRate],
    ['--skip-bad-boxes', choices.skipBadBoxes, config.skipBadBoxes],
    ['--checkpoint-every', choices.checkpointEvery, config.checkpointInterval],
  ];
  assertSameChoices(pairs, configPath);
  for (const setting of choices.set ?? []) {
    if (JSON.stringify(withSettings(config, [setting])) === JSON.stringify(config)) continue;
    throw new UserError(`--set ${setting}: the run to resume has another value (${configPath}); leave the option out`);
  }
}

/** Throws where an option was given that differs from the value of the run to be resumed. */
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
  openDataset(config.data, {
    split: config.split,
    classes: config.detector.classes.slice(1),
    onBadBox: config.skipBadBoxes ? 'skip' : 'error',
  });

/** A run is resumed from any folder. */
export function absoluteData(spec: string): string {
  const colon = spec.indexOf(':');
  if (colon < 0) return spec;
  const paths = spec.slice(colon + 1).split(',');
  return spec.slice(0, colon + 1) + paths.map((path) => (path === '' ? '' : resolve(path))).join();
}

function checkSchedule(name: string): Schedule {
  const schedule = SCHEDULES.find((known) => known === name);
  if (schedule) return schedule;
  throw new UserError(`--schedule ${name}: unknown; there are ${SCHEDULES.join(', ')}`);
}

export function checkBackbone(backbone: string): string {
  if (BACKBONES[backbone]) return backbone;
  throw new UserError(`--backbone ${backbone}: unknown; there are ${Object.keys(BACKBONES).join(', ')}`);
}

function withBackbone(detector: Preset['detector'], backbone: string): Omit<DetectorConfig, 'classes'> {
  if (backbone === detector.backbone) return detector;
  const { frozenStages, pooled = detector.head.pooled, ...channels } = BACKBONE_INPUTS[backbone]!;
  const head = { ...detector.head, pooled };
  return { ...detector, backbone, frozenStages, head, input: { ...detector.input, ...channels } };
}

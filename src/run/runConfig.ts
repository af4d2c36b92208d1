/**
 * From a preset and what the user gave to the configuration of a run.
 *
 *   --steps      moves the preset's milestones in proportion
 *   --backbone   takes its own channels, mean and factor of the input, and the bins of a region its weights expect
 *   --init       the input as these weights were trained, unless --input says otherwise (initialInput.ts)
 *   without initial weights no stage is frozen
 */
import { resolve } from 'node:path';
import { type Dataset, openDataset } from '../data/dataset.ts';
import { UserError } from '../engine/errors.ts';
import { BACKBONES } from '../model/backbones/index.ts';
import type { DetectorConfig } from '../model/config.ts';
import { chooseInput } from './initialInput.ts';
import { BACKBONE_INPUTS, defaultPreset, type Preset, PRESETS } from './presets.ts';
import type { RunConfig } from './runDirectory.ts';

/** What `rcnn train` was told; everything else comes from the preset. */
export interface RunChoices {
  /** `digits` or `voc:PATH`, or `voc:PATH,PATH` for several folders as one. */
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
  /** Steps between two checkpoints. */
  checkpointEvery?: number;
}

const SCHEDULES_TO_COME = ['alternating', 'joint-warp'];
const CHECKPOINT_INTERVAL = 200;

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
  checkSchedule(choices.schedule ?? 'joint');
  const backbone = checkBackbone(choices.backbone ?? preset.detector.backbone);
  const input = chooseInput(backbone, choices.input, choices.init);
  const split = choices.split ?? preset.split ?? 'train';
  const skipBadBoxes = choices.skipBadBoxes || preset.skipBadBoxes === true;
  const dataset = await openDataset(data, { split, onBadBox: skipBadBoxes ? 'skip' : 'error' });
  const { training } = preset;
  const steps = choices.steps ?? training.steps;
  const detector = withBackbone(preset.detector, backbone);
  const config: RunConfig = {
    format: 1,
    data,
    split,
    preset: name,
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
      ...training,
      steps,
      milestones: training.milestones.map((milestone) => Math.round((milestone * steps) / training.steps)),
      learningRate: choices.learningRate ?? training.learningRate,
      seed: choices.seed ?? training.seed,
    },
  };
  return { config, dataset };
}

/** Throws where something chosen is not what the run to be resumed has. */
export function assertSameRun(choices: RunChoices, config: RunConfig, configPath: string): void {
  checkSchedule(choices.schedule ?? 'joint');
  const { data, init } = choices;
  const pairs: [option: string, chosen: unknown, saved: unknown][] = [
    ['--data', data && absoluteData(data), config.data],
    ['--split', choices.split, config.split],
    ['--preset', choices.preset, config.preset],
    ['--backbone', choices.backbone, config.detector.backbone],
    ['--init', init && resolve(init), config.init],
    ['--input', choices.input, config.detector.input.channels],
    ['--steps', choices.steps, config.training.steps],
    ['--seed', choices.seed, config.training.seed],
    ['--learning-rate', choices.learningRate, config.training.learningRate],
    ['--skip-bad-boxes', choices.skipBadBoxes, config.skipBadBoxes],
    ['--checkpoint-every', choices.checkpointEvery, config.checkpointInterval],
  ];
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
function absoluteData(spec: string): string {
  const colon = spec.indexOf(':');
  if (colon < 0) return spec;
  const paths = spec.slice(colon + 1).split(',');
  return spec.slice(0, colon + 1) + paths.map((path) => (path === '' ? '' : resolve(path))).join();
}

function checkSchedule(schedule: string): void {
  if (schedule === 'joint') return;
  const later = SCHEDULES_TO_COME.includes(schedule) ? 'comes with a later version' : 'unknown';
  throw new UserError(`--schedule ${schedule}: ${later}; there is joint`);
}

function checkBackbone(backbone: string): string {
  if (BACKBONES[backbone]) return backbone;
  throw new UserError(`--backbone ${backbone}: unknown; there are ${Object.keys(BACKBONES).join(', ')}`);
}

function withBackbone(detector: Preset['detector'], backbone: string): Omit<DetectorConfig, 'classes'> {
  if (backbone === detector.backbone) return detector;
  const { frozenStages, pooled = detector.head.pooled, ...channels } = BACKBONE_INPUTS[backbone]!;
  const head = { ...detector.head, pooled };
  return { ...detector, backbone, frozenStages, head, input: { ...detector.input, ...channels } };
}

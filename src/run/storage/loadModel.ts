/** The trained network of a run directory, or of a file of published weights. */
import { existsSync, statSync } from 'node:fs';
import { UserError } from '../../engine/errors.ts';
import type { Gpu } from '../../engine/gpu.ts';
import { loadSafetensors } from '../../engine/node/safetensorsFile.ts';
import { loadWeights, readWeightsHeader } from '../../engine/node/weightsFile.ts';
import type { Detector } from '../../model/detector.ts';
import { restoreRun } from './loadRun.ts';
import { type Knobs, type RunConfig, withPrecision } from '../config/configSchema.ts';
import { PRESETS } from '../config/presets.ts';
import { makePublishedDetector, publishedDetector, shapesOf } from './publishedDetector.ts';
import { RunDirectory } from './runDirectory.ts';
import { shellCommand } from './shellCommand.ts';

/**
 * Which weights of a run to load: of its last checkpoint, the same before averaging (training.ema), the best that were validated, or
 * of a step that was kept.
 */
export type WeightsName = 'last' | 'raw' | 'best' | number;

/** The configuration of a run that has something to load. */
export function readTrainedConfig(directory: RunDirectory, weights: WeightsName = 'last'): RunConfig {
  const config = directory.readConfig();
  if (weights === 'best' && !existsSync(directory.bestPath)) {
    throw new UserError(
      `${directory.bestPath}: there is no such file; training keeps the best weights with --validate SPLIT, and --weights last are those of the checkpoint`,
    );
  }
  if (typeof weights === 'number' && !existsSync(directory.keptPath(weights))) {
    const { keptSteps } = directory;
    const others = keptSteps.length > 0 ? `there are ${keptSteps.join(', ')}` : 'training keeps them with --save-every';
    throw new UserError(`${directory.keptPath(weights)}: there is no such file; ${others}, and --weights last`);
  }
  if (weights === 'raw' && config.training.ema === undefined) {
    throw new UserError(
      `--weights raw: ${directory.path} has no averaged weights (training.ema), so its last ones are as they were trained; leave the option out`,
    );
  }
  if ((weights === 'last' || weights === 'raw') && !directory.hasCheckpoint) {
    throw new UserError(
      `${directory.checkpointPath}: there is no checkpoint yet; train with: ${shellCommand('rcnn', 'train', '--resume', '--out', directory.path)}`,
    );
  }
  return config;
}

export function weightsPath(directory: RunDirectory, weights: WeightsName): string {
  if (typeof weights === 'number') return directory.keptPath(weights);
  return weights === 'best' ? directory.bestPath : directory.checkpointPath;
}

/** Whether `--model` names a file of weights and not a run directory. */
export const isWeightsFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;

/** What is known of a model that is to be tested, of a run or of a file of weights, before it is loaded. */
export function readTestConfig(
  path: string,
  weights: WeightsName = 'last',
): Pick<RunConfig, 'detector'> & Partial<Pick<RunConfig, 'skipBadBoxes' | 'splitSeed' | 'allowOutside'>> {
  if (!isWeightsFile(path)) return readTrainedConfig(new RunDirectory(path), weights);
  return { detector: publishedDetector(readWeightsHeader(path).shapes, path) };
}

/**
 * The network with its weights, of a run directory or of a file that torchvision's detectors have (publishedDetector.ts).
 * `change`: the configuration as it shall be at test time; in float32 unless it says otherwise. `classes`: the names of a file's
 * classes, without the background, where they are not COCO's.
 */
export async function loadModel(
  gpu: Gpu,
  run: string,
  change: <C extends Knobs>(config: C) => C = (config) => config,
  weights: WeightsName = 'last',
  classes?: readonly string[],
): Promise<Detector> {
  if (isWeightsFile(run)) {
    const file = await loadWeights(run);
    const detector = publishedDetector(shapesOf(file), run, classes);
    const { training } = PRESETS['resnet50-fpn']!;
    return makePublishedDetector(gpu, change({ detector, training }).detector, file, run);
  }
  const directory = new RunDirectory(run);
  const config = change(withPrecision(readTrainedConfig(directory, weights), 'f32'));
  const path = weightsPath(directory, weights);
  return restoreRun(gpu, config, await loadSafetensors(path), path, weights === 'raw');
}

/** The trained network of a run directory. */
import { existsSync } from 'node:fs';
import { UserError } from '../../engine/errors.ts';
import type { Gpu } from '../../engine/gpu.ts';
import { loadSafetensors } from '../../engine/node/safetensorsFile.ts';
import type { Detector } from '../../model/detector.ts';
import { restoreRun } from './loadRun.ts';
import { type RunConfig, withPrecision } from '../config/configSchema.ts';
import { RunDirectory } from './runDirectory.ts';

/** Which weights of a run to load: those of its last checkpoint, or the best of those that were validated. */
export type WeightsName = 'last' | 'best';

/** The configuration of a run that has something to load. */
export function readTrainedConfig(directory: RunDirectory, weights: WeightsName = 'last'): RunConfig {
  const config = directory.readConfig();
  if (weights === 'best' && !existsSync(directory.bestPath)) {
    throw new UserError(
      `${directory.bestPath}: there is no such file; training keeps the best weights with --validate SPLIT, and --weights last are those of the checkpoint`,
    );
  }
  if (weights === 'last' && !directory.hasCheckpoint) {
    throw new UserError(
      `${directory.checkpointPath}: there is no checkpoint yet; train with: rcnn train --resume --out ${directory.path}`,
    );
  }
  return config;
}

/** The network with its weights. `change` adapts the run's configuration for the test, which is in float32 unless `change` says otherwise. */
export async function loadModel(
  gpu: Gpu,
  run: string,
  change: (config: RunConfig) => RunConfig = (config) => config,
  weights: WeightsName = 'last',
): Promise<Detector> {
  const directory = new RunDirectory(run);
  const config = change(withPrecision(readTrainedConfig(directory, weights), 'f32'));
  const path = weights === 'best' ? directory.bestPath : directory.checkpointPath;
  return restoreRun(gpu, config, await loadSafetensors(path), path);
}

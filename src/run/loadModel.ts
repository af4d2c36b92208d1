/** The trained network of a run directory. */
import { UserError } from '../engine/errors.ts';
import type { Gpu } from '../engine/gpu.ts';
import { loadSafetensors } from '../engine/node/files.ts';
import type { FasterRcnn } from '../model/fasterRcnn.ts';
import { restoreRun } from './loadRun.ts';
import { type RunConfig, RunDirectory } from './runDirectory.ts';

/** The configuration of a run that has something to load. */
export function readTrainedConfig(directory: RunDirectory): RunConfig {
  const config = directory.readConfig();
  if (!directory.hasCheckpoint) {
    throw new UserError(
      `${directory.checkpointPath}: there is no checkpoint yet; train with: rcnn train --resume --out ${directory.path}`,
    );
  }
  return config;
}

/** The network with its weights. `change`: the run's configuration as it shall be at test time. */
export async function loadModel(
  gpu: Gpu,
  path: string,
  change: (config: RunConfig) => RunConfig = (config) => config,
): Promise<FasterRcnn> {
  const directory = new RunDirectory(path);
  const config = change(readTrainedConfig(directory));
  return restoreRun(gpu, config, await loadSafetensors(directory.checkpointPath), directory.checkpointPath);
}

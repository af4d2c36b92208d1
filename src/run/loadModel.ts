/** The trained network of a run directory. */
import { UserError } from '../engine/errors.ts';
import type { Gpu } from '../engine/gpu.ts';
import type { ProposalConfig } from '../model/config.ts';
import { FasterRcnn } from '../model/fasterRcnn.ts';
import { loadCheckpoint } from './checkpoint.ts';
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

/** What a network may do otherwise at test time than its run's configuration says. */
export interface TestChanges {
  /** Detections that score less are not wanted, those that score more are. */
  scoreThreshold?: number;
  proposals?: ProposalConfig;
}

export async function loadModel(gpu: Gpu, path: string, changes: TestChanges = {}): Promise<FasterRcnn> {
  const directory = new RunDirectory(path);
  const { detector, training, kernels } = readTrainedConfig(directory);
  gpu.plans.use(kernels ?? {});
  const { scoreThreshold = detector.test.scoreThreshold, proposals = detector.rpn.test } = changes;
  const rpn = { ...detector.rpn, test: proposals };
  const test = { ...detector.test, scoreThreshold };
  const model = new FasterRcnn(gpu, { ...detector, rpn, test }, training.seed);
  await loadCheckpoint(directory.checkpointPath, model);
  return model;
}

/** The trained network of a run from the contents of its files: in a browser, or wherever they come from. */
import { UserError } from '../../engine/errors.ts';
import type { Gpu } from '../../engine/gpu.ts';
import { parseSafetensors, type Safetensors } from '../../engine/safetensors.ts';
import { FasterRcnn } from '../../model/fasterRcnn.ts';
import { restoreCheckpoint } from './checkpointFormat.ts';
import type { RunConfig } from '../config/configSchema.ts';
import { usePlansOf } from '../config/plannedFor.ts';

/**
 * The network of a run with its weights: `config` is what its config.json holds (`parseRunConfig` reads and checks it),
 * `checkpoint` the bytes of its checkpoint.safetensors. A parameter larger than a binding of this device is split.
 * The network is computed by the kernels that the run was tuned to or planned for; others on the device keep theirs.
 * Throws a UserError, one line that begins with `source`, where the bytes are not a checkpoint, have
 * changed since they were saved, or belong to another network.
 */
export async function loadRun(
  gpu: Gpu,
  config: RunConfig,
  checkpoint: Uint8Array,
  source = 'checkpoint.safetensors',
): Promise<FasterRcnn> {
  let file: Safetensors;
  try {
    file = parseSafetensors(checkpoint, source);
  } catch (error) {
    throw new UserError((error as Error).message);
  }
  return restoreRun(gpu, config, file, source);
}

/** As `loadRun`, with the file already read. */
export async function restoreRun(
  gpu: Gpu,
  config: RunConfig,
  checkpoint: Safetensors,
  source: string,
): Promise<FasterRcnn> {
  const model = new FasterRcnn(gpu, config.detector, config.training.seed);
  usePlansOf(config, model.plans);
  try {
    await restoreCheckpoint(checkpoint, source, model);
  } catch (error) {
    model.dispose();
    throw error;
  }
  return model;
}

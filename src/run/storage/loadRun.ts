/** The trained network of a run from the contents of its files, which in a browser may come from anywhere. */
import { UserError } from '../../engine/errors.ts';
import type { Gpu } from '../../engine/gpu.ts';
import { parseSafetensors, type Safetensors } from '../../engine/safetensors.ts';
import type { Detector } from '../../model/detector.ts';
import { makeDetector } from '../../model/detectors.ts';
import { restoreCheckpoint } from './checkpointFormat.ts';
import type { Precision } from '../../model/config.ts';
import { type RunConfig, withPrecision } from '../config/configSchema.ts';
import { usePlansOf } from '../config/plannedFor.ts';

/**
 * The network of a run with its weights: `config` is what its config.json holds (`parseRunConfig` reads and checks it),
 * `checkpoint` the bytes of its checkpoint.safetensors. A parameter larger than a binding of this device is split.
 * The network is computed by the kernels that the run was tuned to or planned for; others on the device keep theirs.
 * `precision` says in which type it computes, independently of its training; f16 needs a device with `shader-f16`.
 * Throws a UserError, one line that begins with `source`, if the bytes are not a checkpoint, have
 * changed since they were saved, or belong to another network.
 */
export async function loadRun(
  gpu: Gpu,
  config: RunConfig,
  checkpoint: Uint8Array,
  source = 'checkpoint.safetensors',
  precision: Precision = 'f32',
): Promise<Detector> {
  let file: Safetensors;
  try {
    file = parseSafetensors(checkpoint, source);
  } catch (error) {
    throw new UserError((error as Error).message);
  }
  return restoreRun(gpu, withPrecision(config, precision), file, source);
}

/** As `loadRun`, with the file already read. `raw`: weights that were averaged (training.ema) are loaded as they were trained. */
export async function restoreRun(
  gpu: Gpu,
  config: RunConfig,
  checkpoint: Safetensors,
  source: string,
  raw = false,
): Promise<Detector> {
  const model = makeDetector(gpu, config.detector, config.training.seed);
  usePlansOf(config, model.plans);
  try {
    await restoreCheckpoint(checkpoint, source, model, undefined, raw);
  } catch (error) {
    model.dispose();
    throw error;
  }
  return model;
}

/** The MultiBox network whose boxes are the proposals of a row: one for all seeds, trained on all scenes. */
import { join } from 'node:path';
import { startProgress } from '../src/cli/progress.ts';
import type { Gpu } from '../src/engine/gpu.ts';
import { asOnlyWriter } from '../src/run/storage/runLock.ts';
import {
  configureMultiBox,
  multiBoxDirectory,
  type MultiBoxDirectory,
  reopenMultiBox,
} from '../src/run/config/multiBoxConfig.ts';
import { trainMultiBox } from '../src/run/training/trainMultiBox.ts';

/** The trained network, as `rcnn multibox --data digits --steps 1500` makes it; after an abort a later call goes on. */
export async function trainedMultiBox(gpu: Gpu, out: string, signal: AbortSignal): Promise<MultiBoxDirectory> {
  const path = join(out, 'multibox');
  const directory = multiBoxDirectory(path);
  const resume = directory.hasConfig;
  const { config, dataset } = resume
    ? await reopenMultiBox({}, directory)
    : await configureMultiBox({ data: 'digits', steps: 1500 });
  console.log('MultiBox');
  const progress = startProgress(config.training.steps, 'step');
  try {
    await asOnlyWriter(path, async () => {
      const onStep = (step: number): void => progress.update(step);
      const { model } = await trainMultiBox({ gpu, dataset, directory, config, resume, signal, onStep });
      model.dispose();
    });
  } finally {
    progress.stop();
  }
  return directory;
}

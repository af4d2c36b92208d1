/** Training of a MultiBox network on the annotated boxes of a data set, whatever their class. */
import { countedBoxes, flipBoxes } from '../../data/boxes.ts';
import { inTrainingOrder, type LoadedSample, TrainingOrder } from '../../data/loader.ts';
import { Prefetcher } from '../../data/prefetcher.ts';
import type { Dataset, Sample } from '../../data/types.ts';
import { add } from '../../engine/ops/arithmetic.ts';
import type { Gpu } from '../../engine/gpu.ts';
import type { Optimizer } from '../../engine/optimizer.ts';
import { WarmUp } from '../../engine/warmUp.ts';
import { seedOf } from '../../kernels/rng.ts';
import { MultiBox } from '../../model/multiBox/multiBox.ts';
import {
  MULTIBOX_TERMS,
  type MultiBoxDirectory,
  type MultiBoxRunConfig,
  relativeObjects,
} from '../config/multiBoxConfig.ts';
import { type InitReport, keptIn, loadCheckpoint, loadInitialWeights, type Progress } from '../storage/checkpoint.ts';
import { NO_PROGRESS } from '../storage/checkpointFormat.ts';
import { makeOptimizer } from './makeOptimizer.ts';
import { disposingOnError } from './disposing.ts';
import { type LoopEvents, runLoop } from './loop.ts';

export interface TrainMultiBoxOptions extends LoopEvents<(typeof MULTIBOX_TERMS)[number]> {
  gpu: Gpu;
  dataset: Dataset;
  directory: MultiBoxDirectory;
  config: MultiBoxRunConfig;
  /** Goes on from the directory's checkpoint, or from the start where there is none yet; otherwise the directory is made. */
  resume: boolean;
  signal?: AbortSignal;
  onInit?(report: InitReport): void;
  /** Before the first step of this session, which compiles the shaders. */
  onStart?(progress: Progress, model: MultiBox): void;
}

export interface TrainedMultiBox {
  model: MultiBox;
  progress: Progress;
  /** Whether all steps are done; false after an abort. */
  finished: boolean;
}

export async function trainMultiBox(options: TrainMultiBoxOptions): Promise<TrainedMultiBox> {
  const { multiBox, training } = options.config;
  const model = new MultiBox(options.gpu, multiBox, training.seed);
  return disposingOnError(model, async () => {
    const optimizer = makeOptimizer(model.parameters, training);
    try {
      return await train(options, model, optimizer);
    } finally {
      optimizer.dispose();
    }
  });
}

async function train(options: TrainMultiBoxOptions, model: MultiBox, optimizer: Optimizer): Promise<TrainedMultiBox> {
  const { gpu, dataset, directory, config, resume } = options;
  const { training } = config;
  let progress: Progress = NO_PROGRESS;
  if (resume) {
    if (directory.hasCheckpoint) progress = await loadCheckpoint(directory.checkpointPath, model, optimizer);
    directory.truncateMetrics(progress.step);
  }
  if (progress.step === 0) {
    const { samples } = dataset;
    model.expectObjects(samples.reduce((sum, { boxes }) => sum + countedBoxes(boxes).length, 0) / samples.length);
  }
  if (config.init && progress.step === 0) options.onInit?.(await loadInitialWeights(config.init, model));
  if (!resume) directory.create(config);
  options.onStart?.(progress, model);

  const batch = training.imagesPerStep;
  const order = new TrainingOrder(training.seed, dataset.samples.length, { flip: training.flip });
  const prefetcher = new Prefetcher(inTrainingOrder(dataset.samples, order), {
    start: progress.step * batch,
    end: training.steps * batch,
    ahead: batch,
  });
  const warmUp = new WarmUp(gpu);
  const done = await runLoop({
    gpu,
    optimizer,
    training,
    progress,
    task: {
      terms: MULTIBOX_TERMS,
      rows: 1,
      advice: 'check the images',
      waitedMs: () => prefetcher.waitedMs,
      update: () => optimizer.step(), // the loss is the mean over the batch
      async passes(step, keep) {
        const loaded: LoadedSample[] = [];
        while (loaded.length < batch) loaded.push(await prefetcher.next());
        const seed = seedOf(training.seed, step);
        await warmUp.before(
          'a batch',
          () => {
            batchPasses(model, loaded, seed);
            optimizer.rehearse();
          },
          options.onCompiled,
        );
        gpu.scope(() => keep(batchPasses(model, loaded, seed), `a batch of ${batch} images`));
      },
    },
    storage: keptIn(directory, config, model, optimizer),
    events: options,
    signal: options.signal,
  });
  return { model, progress: done, finished: done.step >= training.steps };
}

/** The forward and backward passes of a batch. Returns its losses. */
function batchPasses(model: MultiBox, loaded: readonly LoadedSample<Sample>[], seed: number) {
  const images = model.prepare(loaded.map(({ picture, flip }) => ({ pixels: picture, flip })));
  const objects = loaded.map(({ sample, flip }) =>
    relativeObjects(sample, flip ? flipBoxes(sample.boxes, sample.width) : sample.boxes),
  );
  const { location, confidence } = model.losses(images, objects, seed);
  add(location, confidence).backward({ free: true });
  return { location, confidence };
}

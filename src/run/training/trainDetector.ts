/**
 * The steps of a detector's training on a data set, without files: those of `rcnn train`, for a page or a program of its own.
 *
 * A step is a pure function of the weights, the momentum, the seed and the step's number.
 */
import type { Dataset } from '../../data/dataset.ts';
import { countedBoxes, flipBoxes, type LoadedSample, Prefetcher, TrainingOrder } from '../../data/loader.ts';
import type { Sgd } from '../../engine/sgd.ts';
import { seedOf } from '../../kernels/rng.ts';
import type { TrainingConfig } from '../../model/config.ts';
import { type FasterRcnn, LOSS_TERMS, type Losses, type LossTerm, type PreparedImage } from '../../model/fasterRcnn.ts';
import type { GroundTruth, Sampling } from '../../model/rpn.ts';
import { NO_PROGRESS, type Progress } from '../storage/checkpointFormat.ts';
import { caffeSgd, type LoopEvents, type LoopOptions, runLoop } from './loop.ts';

/** Pictures decoded ahead of the step. */
const PREFETCH = 8;

/** The loss terms of one image. */
export type ImageLosses = (
  model: FasterRcnn,
  image: PreparedImage,
  truth: GroundTruth,
  sampling: Sampling,
  of: Pick<LoadedSample, 'index' | 'flip'>,
) => Losses;

export const jointLosses: ImageLosses = (model, image, truth, sampling) => model.losses(image, truth, sampling);

export interface DetectorTraining
  extends
    LoopEvents<LossTerm>,
    Pick<LoopOptions<LossTerm>, 'append' | 'save' | 'checkpointInterval' | 'validation' | 'signal'> {
  model: FasterRcnn;
  dataset: Dataset;
  training: TrainingConfig;
  /** Give it to go on from a checkpoint, or to save one; a new one unless given. */
  optimizer?: Sgd;
  /** What was done before; nothing unless given. */
  progress?: Progress;
  /** Joint training of everything unless given. */
  losses?: ImageLosses;
}

/**
 * Trains to the end of `training.steps`, or until `signal` is aborted: resolves with what is done by then. Every tenth step
 * `onMetrics` is told the mean losses since it was called last; `onStep` may hold the training up, and use the model, until
 * the promise that it returns is resolved.
 */
export async function trainDetector(options: DetectorTraining): Promise<Progress> {
  const { model, dataset, training, losses = jointLosses } = options;
  const { progress = NO_PROGRESS, optimizer = caffeSgd(model.parameters, training) } = options;
  const { gpu } = model;
  const images = training.imagesPerStep;
  const prefetcher = new Prefetcher(dataset, trainingOrder(training, dataset), {
    start: progress.step * images,
    end: training.steps * images,
    ahead: PREFETCH,
  });
  const lossesOf = ({ step: drawn, sample, picture, index, flip }: LoadedSample): Losses => {
    const image = model.prepare(picture, flip);
    const usable = countedBoxes(sample.boxes);
    const truth = model.truth(flip ? flipBoxes(usable, sample.width) : usable, image);
    const sampling = { random: true, seed: seedOf(training.seed, drawn) };
    return losses(model, image, truth, sampling, { index, flip });
  };
  const ended = runLoop({
    ...options,
    gpu,
    optimizer,
    training,
    progress,
    terms: LOSS_TERMS,
    rows: images,
    divisor: images,
    advice: "check the image's boxes",
    waitedMs: () => prefetcher.waitedMs,
    async record(_step, keep) {
      for (let i = 0; i < images; i++) {
        const loaded = await prefetcher.next();
        gpu.scope(() => {
          const losses = lossesOf(loaded);
          model.total(losses).backward({ free: true });
          keep(losses, `image ${loaded.sample.id}`);
        });
      }
    },
  });
  return ended.finally(() => {
    if (!options.optimizer) optimizer.dispose();
  });
}

/** The order in which a run draws its images. */
export const trainingOrder = (training: TrainingConfig, { samples, flippable }: Dataset): TrainingOrder =>
  new TrainingOrder(training.seed, samples.length, { flip: training.flip && flippable });

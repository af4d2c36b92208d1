/**
 * The steps of a detector's training on a data set, without files: those of `rcnn train`, for a page or a program of your own.
 *
 * A step is a pure function of the weights, the momentum, the seed and the step's number.
 */
import type { Dataset, Sample } from '../../data/types.ts';
import { countedBoxes, flipBoxes } from '../../data/boxes.ts';
import { repeatedSamples } from '../../data/oversampling.ts';
import { inAugmentedOrder, inTrainingOrder, TrainingOrder, type TrainingSample } from '../../data/loader.ts';
import { Prefetcher } from '../../data/prefetcher.ts';
import { ALONE, type Places, type Processes } from '../../distributed/processes.ts';
import { ShardedSgd } from '../../distributed/shardedSgd.ts';
import type { BackwardOptions } from '../../engine/autograd.ts';
import { GradientSums } from '../../engine/gradientSums.ts';
import type { MovingAverage } from '../../engine/movingAverage.ts';
import type { Optimizer } from '../../engine/optimizer.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { sumsAtATime } from '../../engine/treeSum.ts';
import { WarmUp } from '../../engine/warmUp.ts';
import { seedOf } from '../../kernels/rng.ts';
import type { TrainingConfig } from '../../model/config.ts';
import {
  type Detector,
  LOSS_TERMS,
  type Losses,
  type LossTerm,
  type Part,
  type PreparedImage,
} from '../../model/detector.ts';
import type { GroundTruth, Sampling } from '../../model/detector.ts';
import { drawnScale, largestScale } from '../../model/inputScales.ts';
import { NO_PROGRESS, type Progress } from '../storage/checkpointFormat.ts';
import { blankPicture } from './blankPicture.ts';
import { boundGradients } from './boundGradients.ts';
import { makeOptimizer, parameterGroups } from './makeOptimizer.ts';
import { type LoopEvents, type LoopStorage, type LoopValidation, runLoop } from './loop.ts';
import { averageOf, ofAverage } from './weightAverage.ts';

/** Pictures decoded ahead of the step. */
const PREFETCH = 8;

/** Records the loss terms of one image. Before the first step it is also rehearsed (`Gpu.compile`): it must not read. */
export type ImageLosses = (
  model: Detector,
  image: PreparedImage,
  truth: GroundTruth,
  sampling: Sampling,
  of: Pick<TrainingSample, 'index' | 'flip'>,
) => Losses;

/** Which losses are minimised, and by which parameters. */
export interface DetectorTask {
  losses: ImageLosses;
  /** The parts whose parameters are trained; without it all are. */
  trains?: readonly Part[];
}

/** Joint training of everything. */
export const JOINT_TASK: DetectorTask = {
  losses: (model, image, truth, sampling) => model.losses(image, truth, sampling),
};

export interface DetectorTraining extends LoopEvents<LossTerm> {
  model: Detector;
  dataset: Dataset;
  training: TrainingConfig;
  /** By default joint training of everything. */
  task?: DetectorTask;
  /** Give one (`makeOptimizer`) to go on from a checkpoint or to save one; it updates the parameters it was made for. */
  optimizer?: Optimizer | ShardedSgd;
  /**
   * The average of the weights, likewise. Without one and with `training.ema` the training makes it, and the model has the
   * averaged weights at the end.
   */
  average?: MovingAverage | undefined;
  /** What was done before; by default nothing. */
  progress?: Progress;
  /** Where metrics and checkpoints go; by default nowhere. */
  storage?: LoopStorage<LossTerm>;
  validation?: LoopValidation | undefined;
  signal?: AbortSignal | undefined;
  /** Those that train together, of which each computes its places of a step; by default this one alone. */
  processes?: Processes | undefined;
}

/**
 * Trains to the end of `training.steps`, or until `signal` is aborted, and resolves with the progress made. Every tenth step
 * `onMetrics` gets the mean losses since its last call; `onStep` may hold the training up, and use the model, until the
 * promise that it returns is resolved.
 */
export async function trainDetector(options: DetectorTraining): Promise<Progress> {
  const { model, dataset, training, task = JOINT_TASK, progress = NO_PROGRESS, storage, validation, signal } = options;
  const { processes = ALONE } = options;
  const optimizer = options.optimizer ?? detectorOptimizer(model, training, task, processes);
  const average = options.average ?? averageOf(model, training);
  const images = training.imagesPerStep;
  const { first, end } = processes.places(images);
  const own = end - first;
  const order = trainingOrder(training, dataset);
  const load: (n: number) => Promise<TrainingSample> = training.augmentation
    ? inAugmentedOrder(dataset.samples, order, training.augmentation)
    : inTrainingOrder(dataset.samples, order);
  const prefetcher = new Prefetcher((n) => load(Math.floor(n / own) * images + first + (n % own)), {
    start: progress.step * own,
    end: training.steps * own,
    ahead: PREFETCH,
  });
  const scale = lossScale(model, training);
  const passes = (loaded: TrainingSample, sampling: Sampling, onGradient?: (leaf: Tensor) => void): Losses =>
    imagePasses(model, task, loaded, sampling, { scale, ...(onGradient && { onGradient }) });
  const parameters = optimizer.slots.map(({ parameter }) => parameter);
  const sums = new GradientSums(parameters);
  const warmUp = new WarmUp(model.gpu);
  const compileFor = (loaded: TrainingSample, sampling: Sampling): Promise<void> => {
    const { width, height } = loaded.picture;
    const drawn = drawnScale(model.config.input, sampling.seed);
    const step = (): void => {
      passes(loaded, sampling);
      if (images > 1) sums.rehearse();
      if (!(optimizer instanceof ShardedSgd)) {
        boundGradients(parameters, training, images * scale);
        optimizer.rehearse(images * scale);
      }
      average?.rehearse();
    };
    return warmUp.before(`${width}x${height} at scale ${drawn}`, step, (report) => options.onCompiled?.(report));
  };
  try {
    return await runLoop({
      gpu: model.gpu,
      optimizer,
      training,
      progress,
      task: {
        terms: LOSS_TERMS,
        rows: images,
        advice: "check the image's boxes",
        waitedMs: () => prefetcher.waitedMs,
        async passes(_step, keep) {
          for (let place = first; place < end; place++) {
            const loaded = await prefetcher.next();
            const sampling = { random: true, seed: seedOf(training.seed, loaded.step) };
            await compileFor(loaded, sampling);
            sums.add(place, (recorded) => {
              const last = optimizer instanceof ShardedSgd && place === end - 1;
              const onGradient = last ? optimizer.early(recorded) : undefined;
              model.gpu.scope(() => keep(passes(loaded, sampling, onGradient), `image ${loaded.sample.id}`));
            });
          }
        },
        async update() {
          if (optimizer instanceof ShardedSgd) {
            await optimizer.step(sums.nodes(), images * scale);
          } else {
            sums.finish();
            boundGradients(parameters, training, images * scale);
            optimizer.step(images * scale);
          }
          average?.update();
        },
      },
      storage,
      validation: validation && average ? ofAverage(validation, average) : validation,
      events: options,
      signal,
      processes,
    });
  } finally {
    sums.dispose();
    if (!options.optimizer) optimizer.dispose();
    if (!options.average) {
      average?.exchange();
      average?.dispose();
    }
  }
}

/** Freezes what the task does not train, and makes the optimiser of the rest; of several processes, their part of it. */
export function detectorOptimizer(
  model: Detector,
  training: TrainingConfig,
  { trains }: DetectorTask = JOINT_TASK,
  processes = ALONE,
): Optimizer | ShardedSgd {
  if (trains) {
    for (const [name, parameter] of Object.entries(model.parameters)) {
      parameter.requiresGrad &&= trains.includes(model.partOf(name)!);
    }
  }
  return processes.size === 1
    ? makeOptimizer(model.parameters, training)
    : new ShardedSgd(parameterGroups(model.parameters, training), training, training.imagesPerStep, processes);
}

/**
 * What the loss is multiplied by in the backward pass. In f16 the gradients of maps would otherwise be lost: a loss that is a
 * mean over 256 anchors gives each at most 1/256, and most get a thousandth of that; 6e-5 is the smallest normal number.
 */
export const lossScale = ({ config }: Detector, { lossScale: set = 1024 }: TrainingConfig): number =>
  config.precision === 'f16' ? set : 1;

/** The forward and backward passes of one image, at one of several scales. */
function imagePasses(
  model: Detector,
  task: DetectorTask,
  { sample, picture, index, flip }: Omit<TrainingSample, 'step'>,
  sampling: Sampling,
  options: Omit<BackwardOptions, 'free'> = {},
  inputScale = drawnScale(model.config.input, sampling.seed),
): Losses {
  const image = model.prepare(picture, flip, sample.proposals, inputScale);
  const usable = countedBoxes(sample.boxes);
  const truth = model.truth(flip ? flipBoxes(usable, sample.width) : usable, image);
  const losses = task.losses(model, image, truth, sampling, { index, flip });
  model.total(losses).backward({ ...options, free: true });
  return losses;
}

/**
 * The most bytes of GPU memory that a step needs if its images, those at the given places, are as large as this sample's, weights
 * included; computes nothing.
 */
export function measureStep(model: Detector, task: DetectorTask, sample: Sample, { first, end }: Places): number {
  const loaded = { sample, picture: blankPicture(sample), index: 0, flip: false };
  const largest = largestScale(model.config.input);
  const image = model.gpu.measure(() => void imagePasses(model, task, loaded, { random: true, seed: 0 }, {}, largest));
  const trained = Object.values(model.parameters).filter(({ requiresGrad }) => requiresGrad);
  return image + (sumsAtATime(first, end) - 1) * 4 * trained.reduce((sum, { size }) => sum + size, 0);
}

/** The order in which a run draws its images. */
export const trainingOrder = (
  { seed, flip, oversample }: TrainingConfig,
  { samples, flippable }: Dataset,
): TrainingOrder =>
  new TrainingOrder(seed, samples.length, {
    flip: flip && flippable,
    ...(oversample !== undefined && { repeated: repeatedSamples(samples, oversample, seed) }),
  });

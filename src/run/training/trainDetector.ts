/**
 * The steps of a detector's training on a data set, without files: those of `rcnn train`, for a page or a program of your own.
 *
 * A step is a pure function of the weights, the momentum, the seed and the step's number.
 */
import type { Dataset, Sample } from '../../data/types.ts';
import { countedBoxes, flipBoxes } from '../../data/boxes.ts';
import { aspectGroup } from '../../data/aspectGroups.ts';
import { repeatedSamples } from '../../data/oversampling.ts';
import { inAugmentedOrder, inTrainingOrder, TrainingOrder, type TrainingSample } from '../../data/loader.ts';
import { Prefetcher } from '../../data/prefetcher.ts';
import { ALONE, type Places, type Processes } from '../../distributed/processes.ts';
import { ShardedOptimizer } from '../../distributed/shardedOptimizer.ts';
import type { BackwardOptions } from '../../engine/autograd.ts';
import { GradientSums } from '../../engine/gradientSums.ts';
import type { MovingAverage } from '../../engine/movingAverage.ts';
import { add } from '../../engine/ops/arithmetic.ts';
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
import type { GroundTruth, Sampling, TrainingImage } from '../../model/detector.ts';
import { drawnScale, largestScale } from '../../model/inputScales.ts';
import { NO_PROGRESS, type Progress } from '../storage/checkpointFormat.ts';
import { blankPicture } from './blankPicture.ts';
import { boundGradients } from './boundGradients.ts';
import { makeOptimizer, parameterGroups, ruleOf } from './makeOptimizer.ts';
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

/** The same for each image of a micro-batch. */
export type BatchLosses = (
  model: Detector,
  batch: readonly (TrainingImage & { of: Pick<TrainingSample, 'index' | 'flip'> })[],
) => readonly Losses[];

/** The losses of images that go through the network one by one. */
export const imageByImage =
  (losses: ImageLosses): BatchLosses =>
  (model, batch) =>
    batch.map(({ image, truth, sampling, of }) => losses(model, image, truth, sampling, of));

/** Which losses are minimised, and by which parameters. */
export interface DetectorTask {
  losses: BatchLosses;
  /** The parts whose parameters are trained; without it all are. */
  trains?: readonly Part[];
}

/** Joint training of everything. */
export const JOINT_TASK: DetectorTask = { losses: (model, batch) => model.batchLosses(batch) };

export interface DetectorTraining extends LoopEvents<LossTerm> {
  model: Detector;
  dataset: Dataset;
  training: TrainingConfig;
  /** By default joint training of everything. */
  task?: DetectorTask;
  /** Give one (`makeOptimizer`) to go on from a checkpoint or to save one; it updates the parameters it was made for. */
  optimizer?: Optimizer | ShardedOptimizer;
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
  const { imagesPerStep: images, microBatch = 1 } = training;
  const { first, end } = processes.places(passesOf(training));
  const own = (end - first) * microBatch;
  const order = trainingOrder(training, dataset);
  const load: (n: number) => Promise<TrainingSample> = training.augmentation
    ? inAugmentedOrder(dataset.samples, order, training.augmentation)
    : inTrainingOrder(dataset.samples, order);
  const prefetcher = new Prefetcher((n) => load(Math.floor(n / own) * images + first * microBatch + (n % own)), {
    start: progress.step * own,
    end: training.steps * own,
    ahead: Math.max(PREFETCH, microBatch),
  });
  const scale = lossScale(model, training);
  const passes = (batch: readonly Drawn[], onGradient?: (leaf: Tensor) => void): readonly Losses[] =>
    batchPasses(model, task, batch, { scale, ...(onGradient && { onGradient }) });
  const parameters = optimizer.slots.map(({ parameter }) => parameter);
  const sums = new GradientSums(parameters);
  const warmUp = new WarmUp(model.gpu);
  const compileFor = (batch: readonly Drawn[]): Promise<void> => {
    const step = (): void => {
      passes(batch);
      if (images > microBatch) sums.rehearse();
      if (!(optimizer instanceof ShardedOptimizer)) {
        boundGradients(parameters, training, images * scale);
        optimizer.rehearse(images * scale);
      }
      average?.rehearse();
    };
    const sizes = batch.map(({ picture: { width, height }, scale }) => `${width}x${height} at scale ${scale}`);
    return warmUp.before(sizes.join(', '), step, (report) => options.onCompiled?.(report));
  };
  try {
    return await runLoop({
      gpu: model.gpu,
      optimizer,
      training,
      progress,
      task: {
        terms: LOSS_TERMS,
        rows: own,
        advice: "check the image's boxes",
        waitedMs: () => prefetcher.waitedMs,
        async passes(_step, keep) {
          for (let place = first; place < end; place++) {
            const batch: Drawn[] = [];
            for (let i = 0; i < microBatch; i++) {
              const loaded = await prefetcher.next();
              const sampling = { random: true, seed: seedOf(training.seed, loaded.step) };
              batch.push({ ...loaded, sampling, scale: drawnScale(model.config.input, sampling.seed) });
            }
            await compileFor(batch);
            sums.add(place, (recorded) => {
              const last = optimizer instanceof ShardedOptimizer && place === end - 1;
              const onGradient = last ? optimizer.early(recorded) : undefined;
              model.gpu.scope(() =>
                passes(batch, onGradient).forEach((losses, i) => keep(losses, `image ${batch[i]!.sample.id}`)),
              );
            });
          }
        },
        async update() {
          if (optimizer instanceof ShardedOptimizer) {
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
): Optimizer | ShardedOptimizer {
  if (trains) {
    for (const [name, parameter] of Object.entries(model.parameters)) {
      parameter.requiresGrad &&= trains.includes(model.partOf(name)!);
    }
  }
  return processes.size === 1
    ? makeOptimizer(model.parameters, training)
    : new ShardedOptimizer(
        parameterGroups(model.parameters, training),
        ruleOf(training),
        training,
        passesOf(training),
        processes,
      );
}

/** Forward and backward passes of an update: what processes share, and whose gradients are added in the order of treeSum.ts. */
export const passesOf = ({ imagesPerStep, microBatch = 1 }: TrainingConfig): number => imagesPerStep / microBatch;

/**
 * What the loss is multiplied by in the backward pass. In f16 the gradients of maps would otherwise be lost: a loss that is a
 * mean over 256 anchors gives each at most 1/256, and most get a thousandth of that; 6e-5 is the smallest normal number.
 */
export const lossScale = ({ config }: Detector, { lossScale: set = 1024 }: TrainingConfig): number =>
  config.precision === 'f16' ? set : 1;

/** An image of a step, its random choices, and the number of the one of several scales that it is trained at. */
type Drawn = Omit<TrainingSample, 'step'> & { sampling: Sampling; scale: number };

/** The forward and backward passes of a micro-batch. */
function batchPasses(
  model: Detector,
  task: DetectorTask,
  batch: readonly Drawn[],
  options: Omit<BackwardOptions, 'free'> = {},
): readonly Losses[] {
  const losses = task.losses(
    model,
    batch.map(({ sample, picture, index, flip, sampling, scale }) => {
      const image = model.prepare(picture, flip, sample.proposals, scale);
      const usable = countedBoxes(sample.boxes);
      const truth = model.truth(flip ? flipBoxes(usable, sample.width) : usable, image);
      return { image, truth, sampling, of: { index, flip } };
    }),
  );
  const total = losses.map((terms) => model.total(terms)).reduce((sum, term) => add(sum, term));
  total.backward({ ...options, free: true });
  return losses;
}

/**
 * The most bytes of GPU memory that a step needs, weights included, if its passes have images as large as these samples', and it
 * has the passes at the given places; computes nothing.
 */
export function measureStep(
  model: Detector,
  task: DetectorTask,
  samples: readonly Sample[],
  { first, end }: Places,
): number {
  const [sampling, scale] = [{ random: true, seed: 0 }, largestScale(model.config.input)];
  const batch = samples.map((sample) => {
    return { sample, picture: blankPicture(sample), index: 0, flip: false, sampling, scale };
  });
  const pass = model.gpu.measure(() => void batchPasses(model, task, batch));
  const trained = Object.values(model.parameters).filter(({ requiresGrad }) => requiresGrad);
  return pass + (sumsAtATime(first, end) - 1) * 4 * trained.reduce((sum, { size }) => sum + size, 0);
}

/** The order in which a run draws its images. */
export const trainingOrder = (
  { seed, flip, oversample, microBatch = 1 }: TrainingConfig,
  { samples, flippable }: Dataset,
): TrainingOrder =>
  new TrainingOrder(seed, samples.length, {
    flip: flip && flippable,
    ...(oversample !== undefined && { repeated: repeatedSamples(samples, oversample, seed) }),
    ...(microBatch > 1 && { groups: { of: samples.map(aspectGroup), size: microBatch } }),
  });

/**
 * Training of a detector: data, initial weights, what a step computes; the loop around the steps is loop.ts.
 *
 * A step is a pure function of the weights, the momentum, the run's seed and the step's number, so a run that was stopped
 * and resumed ends with the bits of one that was not.
 */
import { UserError } from '../engine/errors.ts';
import type { Gpu } from '../engine/gpu.ts';
import { saveTuningCache, useTuningCache } from '../engine/node/tuningCache.ts';
import type { Choices } from '../engine/plans.ts';
import { tune, type TuneReport } from '../engine/tuner.ts';
import type { Dataset, Sample } from '../data/dataset.ts';
import { countedBoxes, flipBoxes, type LoadedSample, Prefetcher, TrainingOrder } from '../data/loader.ts';
import { resizedSize } from '../kernels/imagePrepare.ts';
import type { TrainingConfig } from '../model/config.ts';
import { FasterRcnn, LOSS_TERMS, type Losses, type LossTerm, type PreparedImage } from '../model/fasterRcnn.ts';
import type { GroundTruth, Sampling } from '../model/rpn.ts';
import { loadCheckpoint, loadInitialWeights, type InitReport, type Progress } from './checkpoint.ts';
import { caffeSgd, type LoopEvents, runLoop } from './loop.ts';
import type { RunConfig, RunDirectory } from './runDirectory.ts';
import { Validation, type ValidationEvents } from './validation.ts';

/** Pictures decoded ahead of the step. */
const PREFETCH = 8;

/** What is trained, and by which losses; what is not given here is joint training of everything. */
export interface TrainTask {
  losses(
    model: FasterRcnn,
    image: PreparedImage,
    truth: GroundTruth,
    sampling: Sampling,
    of: Pick<LoadedSample, 'index' | 'flip'>,
  ): Losses;
  /** Whether a parameter is trained. */
  trains(name: string): boolean;
  /** Before the first step, after the run's initial weights. */
  initialise?(model: FasterRcnn): Promise<void>;
}

const JOINT_TASK: TrainTask = {
  losses: (model, image, truth, sampling) => model.losses(image, truth, sampling),
  trains: () => true,
};

export interface TrainEvents extends LoopEvents<LossTerm>, ValidationEvents {
  onInit?(report: InitReport): void;
  /** The most bytes of GPU memory that a step on the largest picture needs, weights included. */
  onMemory?(bytes: number): void;
  /** Before the first step of this session, which compiles the shaders. */
  onStart?(progress: Progress, model: FasterRcnn): void;
  /** Shapes whose kernels were timed, of those met so far. */
  onTune?(done: number, total: number): void;
  onTuned?(report: TuneReport): void;
}

export interface TrainOptions extends TrainEvents {
  gpu: Gpu;
  dataset: Dataset;
  directory: RunDirectory;
  config: RunConfig;
  task?: TrainTask;
  /** Images on which the weights are evaluated as `config.validation` says; its lines and the best weights go to `directory`. */
  validation?: { dataset: Dataset; directory: RunDirectory } | undefined;
  /** Goes on from the directory's checkpoint, or from the start where there is none yet; else the directory is made. */
  resume: boolean;
  /** Times the kernels for the shapes of this run before it starts, and takes the fastest; see engine/tuner.ts. */
  tune?: boolean;
  /** Once aborted, the loop finishes its step, saves a checkpoint and returns. */
  signal?: AbortSignal;
}

export interface TrainResult {
  model: FasterRcnn;
  progress: Progress;
  /** All steps are done; false after an abort. */
  finished: boolean;
}

export async function train(options: TrainOptions): Promise<TrainResult> {
  const { gpu, dataset, directory, config, resume, task = JOINT_TASK } = options;
  const { training } = config;
  if (dataset.samples.length === 0) throw new UserError(`${dataset.name}: there are no images to train on`);
  const model = new FasterRcnn(gpu, config.detector, training.seed);
  const started = resume && directory.hasCheckpoint;
  if (config.init && !started) {
    const report = await loadInitialWeights(config.init, model);
    options.onInit?.(report);
  }
  for (const [name, parameter] of Object.entries(model.parameters)) parameter.requiresGrad &&= task.trains(name);
  const optimizer = caffeSgd(model.parameters, training);
  let progress: Progress = { step: 0, seconds: 0, dataSeconds: 0 };
  if (started) progress = await loadCheckpoint(directory.checkpointPath, model, optimizer);
  else await task.initialise?.(model);
  if (resume) directory.truncateMetrics(progress.step);
  gpu.plans.use(config.kernels ?? {});
  const largest = largestSample(dataset, config);
  options.onMemory?.(gpu.measure(() => rehearse(model, task, largest)));
  if (options.tune && !resume) config.kernels = await tuneFor(options, model, task);
  if (!resume) directory.create(config);
  const validation =
    options.validation &&
    new Validation(
      { ...options, ...options.validation, model, interval: config.validation!.interval, steps: training.steps },
      progress.step,
    );
  options.onStart?.(progress, model);

  const order = trainingOrder(training, dataset);
  const images = training.imagesPerStep;
  const prefetcher = new Prefetcher(dataset, order, {
    start: progress.step * images,
    end: training.steps * images,
    ahead: PREFETCH,
  });
  const lossesOf = ({ step: drawn, sample, picture, index, flip }: LoadedSample): Losses => {
    const image = model.prepare(picture, flip);
    const usable = countedBoxes(sample.boxes);
    const truth = model.truth(flip ? flipBoxes(usable, sample.width) : usable, image);
    const sampling = { random: true, seed: sampleSeed(training.seed, drawn) };
    return task.losses(model, image, truth, sampling, { index, flip });
  };
  const end = await runLoop({
    ...options,
    model,
    optimizer,
    training,
    progress,
    terms: LOSS_TERMS,
    rows: images,
    divisor: images,
    advice: "check the image's boxes",
    checkpointPath: directory.checkpointPath,
    checkpointInterval: config.checkpointInterval,
    validation,
    waitedMs: () => prefetcher.waitedMs,
    append: (line) => directory.appendMetrics(line),
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
  optimizer.dispose();
  return { model, progress: end, finished: end.step >= training.steps };
}

/** The order in which a run draws its images. */
export const trainingOrder = (training: TrainingConfig, { samples, flippable }: Dataset): TrainingOrder =>
  new TrainingOrder(training.seed, samples.length, { flip: training.flip && flippable });

/** Pictures whose shapes are tuned for: data sets have few sizes, and the planner's choice serves the others. */
const TUNED_PICTURES = 3;

/** Meets the shapes of a training step on the first pictures, and tunes. */
async function tuneFor(
  { gpu, dataset, onTune, onTuned }: TrainOptions,
  model: FasterRcnn,
  task: TrainTask,
): Promise<Choices> {
  useTuningCache(gpu);
  for (const sample of dataset.samples.slice(0, TUNED_PICTURES)) gpu.measure(() => rehearse(model, task, sample));
  const report = await tune(gpu, { ...(onTune && { onShape: onTune }) });
  if (report.timed > 0) saveTuningCache(gpu);
  onTuned?.(report);
  return gpu.plans.export();
}

/** A training step on a picture of a sample's size, to be measured (`gpu.measure`): nothing is computed. */
function rehearse(model: FasterRcnn, task: TrainTask, { width, height, boxes }: Sample): void {
  const { gpu } = model;
  gpu.scope(() => {
    const image = model.prepare({ width, height, rgba: new Uint8Array(4 * width * height) });
    const truth = model.truth(boxes, image);
    const losses = task.losses(model, image, truth, { random: true, seed: 0 }, { index: 0, flip: false });
    model.total(losses).backward({ free: true });
  });
}

/** The sample whose picture is the largest input of the network. */
function largestSample({ samples }: Dataset, { detector: { input } }: RunConfig): Sample {
  const area = (sample: Sample): number => {
    const { width, height } = resizedSize(sample.height, sample.width, input.shorterSide, input.longerSide);
    return width * height;
  };
  return samples.reduce((largest, sample) => (area(sample) > area(largest) ? sample : largest));
}

/** The seed of one image's random draws. */
const sampleSeed = (seed: number, drawn: number): number => (Math.imul(seed, 0x9e3779b1) + drawn) >>> 0;

/**
 * The training loop: data, steps, log, checkpoints.
 *
 * A step is a pure function of the weights, the momentum, the run's seed and the step's number, so a run that was stopped
 * and resumed ends with the bits of one that was not. Losses stay on the GPU in a history of LOG_INTERVAL rows and are
 * read once for all of them, while later steps run; every row is checked, so a loss that is not finite is traced to its step and image.
 */
import { UserError } from '../engine/errors.ts';
import type { Gpu } from '../engine/gpu.ts';
import { concat } from '../engine/ops/reduce.ts';
import { saveTuningCache, useTuningCache } from '../engine/node/tuningCache.ts';
import type { Choices } from '../engine/plans.ts';
import { Sgd } from '../engine/sgd.ts';
import { tune, type TuneReport } from '../engine/tuner.ts';
import { copyIntoSlice, sliceUniforms } from '../kernels/concat.ts';
import type { Dataset, Sample } from '../data/dataset.ts';
import { flipBoxes, type LoadedSample, Prefetcher, TrainingOrder } from '../data/loader.ts';
import { resizedSize } from '../kernels/imagePrepare.ts';
import { learningRate } from '../model/config.ts';
import { FasterRcnn, LOSS_TERMS, type Losses, type PreparedImage } from '../model/fasterRcnn.ts';
import type { GroundTruth, Sampling } from '../model/rpn.ts';
import { loadCheckpoint, loadInitialWeights, saveCheckpoint, type InitReport, type Progress } from './checkpoint.ts';
import type { MetricsLine, RunConfig, RunDirectory } from './runDirectory.ts';

/** Steps between two lines of metrics.jsonl. */
export const LOG_INTERVAL = 10;
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

export interface TrainEvents {
  onInit?(report: InitReport): void;
  /** The most bytes of GPU memory that a step on the largest picture needs, weights included. */
  onMemory?(bytes: number): void;
  /** Before the first step of this session, which compiles the shaders. */
  onStart?(progress: Progress, model: FasterRcnn): void;
  /** Shapes whose kernels were timed, of those met so far. */
  onTune?(done: number, total: number): void;
  onTuned?(report: TuneReport): void;
  onStep?(step: number): void;
  onMetrics?(line: MetricsLine): void;
  onCheckpoint?(step: number): void;
}

export interface TrainOptions extends TrainEvents {
  gpu: Gpu;
  dataset: Dataset;
  directory: RunDirectory;
  config: RunConfig;
  task?: TrainTask;
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

/** The optimiser with Caffe's multipliers for biases. */
function makeOptimizer(model: FasterRcnn, { training }: RunConfig): Sgd {
  const groups = Object.values(model.parameters).map((parameter) =>
    parameter.name.endsWith('.bias')
      ? { parameter, rateMultiplier: training.biasRate, decayMultiplier: training.biasDecay }
      : { parameter },
  );
  return new Sgd(groups, training);
}

export async function train(options: TrainOptions): Promise<TrainResult> {
  const { gpu, dataset, directory, config, resume, signal, task = JOINT_TASK } = options;
  const { training } = config;
  if (dataset.samples.length === 0) throw new UserError(`${dataset.name}: there are no images to train on`);
  const model = new FasterRcnn(gpu, config.detector, training.seed);
  for (const [name, parameter] of Object.entries(model.parameters)) parameter.requiresGrad &&= task.trains(name);
  const optimizer = makeOptimizer(model, config);
  let progress: Progress = { step: 0, seconds: 0, dataSeconds: 0 };
  if (resume) {
    if (directory.hasCheckpoint) progress = await loadCheckpoint(directory.checkpointPath, model, optimizer);
    directory.truncateMetrics(progress.step);
  }
  if (config.init && progress.step === 0) {
    const report = await loadInitialWeights(config.init, model);
    options.onInit?.(report);
  }
  if (progress.step === 0) await task.initialise?.(model);
  gpu.plans.use(config.kernels ?? {});
  const largest = largestSample(dataset, config);
  options.onMemory?.(gpu.measure(() => rehearse(model, task, largest)));
  if (options.tune && !resume) config.kernels = await tuneFor(options, model, task);
  if (!resume) directory.create(config);
  options.onStart?.(progress, model);

  const order = new TrainingOrder(training.seed, dataset.samples.length, { flip: training.flip && dataset.flippable });
  const images = training.imagesPerStep;
  const prefetcher = new Prefetcher(dataset, order, {
    start: progress.step * images,
    end: training.steps * images,
    ahead: PREFETCH,
  });
  const history = gpu.zeros([LOG_INTERVAL * images, LOSS_TERMS.length], 'loss history');
  history.persistent = true;
  const names: string[] = [];
  const started = performance.now();
  const before = progress;
  const now = (step: number): Progress => ({
    step,
    seconds: before.seconds + (performance.now() - started) / 1000,
    dataSeconds: before.dataSeconds + prefetcher.waitedMs / 1000,
  });

  const trainImage = ({ step: drawn, sample, picture, index, flip }: LoadedSample): void =>
    gpu.scope(() => {
      const image = model.prepare(picture, flip);
      const usable = sample.boxes.filter((box) => !box.difficult && !box.crowd);
      const truth = model.truth(flip ? flipBoxes(usable, sample.width) : usable, image);
      const sampling = { random: true, seed: sampleSeed(training.seed, drawn) };
      const losses = task.losses(model, image, truth, sampling, { index, flip });
      model.total(losses).backward({ free: true });
      const row = concat(
        LOSS_TERMS.map((term) => losses[term]),
        0,
      );
      const { length } = LOSS_TERMS;
      gpu.run(
        copyIntoSlice(true),
        { part: row, whole: history },
        sliceUniforms(1, history.size, 1, names.length * length, length),
      );
      names.push(sample.id);
    });

  /** Reads the history and writes its line of metrics; the read is queued before any later step overwrites a row. */
  const log = async (step: number): Promise<void> => {
    if (names.length === 0) return;
    const lr = optimizer.learningRate;
    const logged = names.splice(0);
    const values = await history.read();
    const means = checkFinite(values, logged, step, images);
    const { seconds, dataSeconds } = now(step);
    const line: MetricsLine = {
      step,
      lr,
      loss: LOSS_TERMS.reduce((sum, term) => sum + means[term], 0),
      ...means,
      seconds: round(seconds),
      data_seconds: round(dataSeconds),
    };
    directory.appendMetrics(line);
    options.onMetrics?.(line);
  };

  let inFlight: Promise<void> = Promise.resolve();
  let logging: Promise<void> = Promise.resolve();
  let step = progress.step;
  while (step < training.steps && !signal?.aborted) {
    optimizer.learningRate = learningRate(step, training);
    optimizer.zeroGrad();
    for (let i = 0; i < images; i++) trainImage(await prefetcher.next());
    optimizer.step(images);
    step++;
    // At most one step waits on the device while the next is recorded.
    const previous = inFlight;
    inFlight = gpu.finish();
    inFlight.catch(() => {}); // reported by the await of the next step
    await previous;
    const last = step === training.steps;
    if (step % LOG_INTERVAL === 0 || last) {
      // The losses arrive while the next steps run.
      await logging;
      logging = log(step);
      logging.catch(() => {}); // reported by the next await
      if (last) await logging;
    }
    options.onStep?.(step);
    if (step % config.checkpointInterval === 0 || last) {
      await logging;
      await log(step);
      await saveCheckpoint(directory.checkpointPath, model, optimizer, now(step));
      options.onCheckpoint?.(step);
    }
  }
  await inFlight;
  await logging;
  if (signal?.aborted && step < training.steps) {
    await log(step);
    await saveCheckpoint(directory.checkpointPath, model, optimizer, now(step));
    options.onCheckpoint?.(step);
  }
  history.dispose();
  optimizer.dispose();
  return { model, progress: now(step), finished: step >= training.steps };
}

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

const round = (seconds: number): number => Math.round(seconds * 1000) / 1000;

/** Means of the terms over the rows, each of which must be finite. */
function checkFinite(
  values: Float32Array | Int32Array,
  names: readonly string[],
  step: number,
  images: number,
): Record<(typeof LOSS_TERMS)[number], number> {
  const means = Object.fromEntries(LOSS_TERMS.map((term) => [term, 0])) as Record<(typeof LOSS_TERMS)[number], number>;
  const first = step - names.length / images;
  names.forEach((name, row) => {
    LOSS_TERMS.forEach((term, column) => {
      const value = values[row * LOSS_TERMS.length + column]!;
      if (!Number.isFinite(value)) {
        const at = first + Math.floor(row / images) + 1;
        throw new UserError(
          `step ${at}, image ${name}: the loss term ${term} is ${value}; lower the learning rate or check the image's boxes (the last checkpoint is intact)`,
        );
      }
      means[term] += value / names.length;
    });
  });
  return means;
}

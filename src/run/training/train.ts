/** Training of a detector in a run directory: data, initial weights, tuning, checkpoints; the steps are trainDetector.ts. */
import { UserError } from '../../engine/errors.ts';
import type { Gpu } from '../../engine/gpu.ts';
import type { Sgd } from '../../engine/sgd.ts';
import { readTuningCache, saveTuningCache } from '../../engine/node/tuningCache.ts';
import type { Choices } from '../../engine/plans.ts';
import { tune, type TuneReport } from '../../engine/tuner.ts';
import type { Dataset, Sample } from '../../data/dataset.ts';
import { resizedSize } from '../../kernels/imagePrepare.ts';
import { FasterRcnn, type LossTerm } from '../../model/fasterRcnn.ts';
import { keptIn, loadCheckpoint, loadInitialWeights, type InitReport, type Progress } from '../storage/checkpoint.ts';
import { NO_PROGRESS } from '../storage/checkpointFormat.ts';
import { caffeSgd, type LoopEvents } from './loop.ts';
import type { RunConfig, RunDirectory } from '../storage/runDirectory.ts';
import { type ImageLosses, jointLosses, trainDetector } from './trainDetector.ts';
import { Validation, type ValidationEvents } from './validation.ts';

/** What is trained, and by which losses; what is not given here is joint training of everything. */
export interface TrainTask {
  losses: ImageLosses;
  /** Whether a parameter is trained. */
  trains(name: string): boolean;
  /** Before the first step, after the run's initial weights. */
  initialise?(model: FasterRcnn): Promise<void>;
}

const JOINT_TASK: TrainTask = { losses: jointLosses, trains: () => true };

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
  const { optimizer, progress } = await begin(options, model, task);
  model.plans.use(config.kernels ?? {});
  const largest = largestSample(dataset, config);
  options.onMemory?.(gpu.measure(() => rehearse(model, task, largest)));
  if (!resume) {
    const kernels = options.tune ? await tuneFor(options, model, task) : config.kernels;
    directory.create({ ...config, ...(kernels && { kernels }) });
  }
  const validation =
    options.validation &&
    new Validation(
      { ...options, ...options.validation, model, interval: config.validation!.interval, steps: training.steps },
      progress.step,
    );
  options.onStart?.(progress, model);

  const end = await trainDetector({
    ...options,
    model,
    training,
    optimizer,
    progress,
    losses: task.losses,
    ...keptIn(directory, config, model, optimizer),
    validation,
  });
  optimizer.dispose();
  // An abort may have come in the last evaluation, which is then made up for.
  const finished = end.step >= training.steps && !validation?.isDue(end.step);
  return { model, progress: end, finished };
}

/** The weights of the run's beginning, or of its checkpoint, with the optimiser of what is trained. */
async function begin(
  { directory, config, resume, onInit }: TrainOptions,
  model: FasterRcnn,
  task: TrainTask,
): Promise<{ optimizer: Sgd; progress: Progress }> {
  const started = resume && directory.hasCheckpoint;
  if (config.init && !started) {
    const report = await loadInitialWeights(config.init, model);
    onInit?.(report);
  }
  for (const [name, parameter] of Object.entries(model.parameters)) parameter.requiresGrad &&= task.trains(name);
  const optimizer = caffeSgd(model.parameters, config.training);
  if (!started) await task.initialise?.(model);
  const progress = started ? await loadCheckpoint(directory.checkpointPath, model, optimizer) : NO_PROGRESS;
  if (resume) directory.truncateMetrics(progress.step);
  return { optimizer, progress };
}

/** Pictures whose shapes are tuned for: data sets have few sizes, and the planner's choice serves the others. */
const TUNED_PICTURES = 3;

/** Meets the shapes of a training step on the first pictures, and tunes. */
async function tuneFor(
  { gpu, dataset, onTune, onTuned }: TrainOptions,
  model: FasterRcnn,
  task: TrainTask,
): Promise<Choices> {
  model.plans.use(readTuningCache(gpu));
  for (const sample of dataset.samples.slice(0, TUNED_PICTURES)) gpu.measure(() => rehearse(model, task, sample));
  const report = await tune(gpu, { plans: model.plans, ...(onTune && { onShape: onTune }) });
  if (report.timed > 0) saveTuningCache(gpu, model.plans.export());
  onTuned?.(report);
  return model.plans.export();
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

/**
 * Training of a detector in a run directory: the stages of the run's schedule (stages.ts), each with its initial weights,
 * checkpoints and validation, then the detector they add up to. The steps are those of trainDetector.ts.
 */
import { existsSync } from 'node:fs';
import { UserError } from '../../engine/errors.ts';
import { ALONE, assertEnoughImages, type Processes } from '../../distributed/processes.ts';
import { ShardedOptimizer, type UpdateCost } from '../../distributed/shardedOptimizer.ts';
import { shareTensors } from '../../distributed/sharing.ts';
import type { Gpu } from '../../engine/gpu.ts';
import type { MovingAverage } from '../../engine/movingAverage.ts';
import type { Optimizer } from '../../engine/optimizer.ts';
import type { Dataset, Sample } from '../../data/types.ts';
import type { HeadConfig } from '../../model/config.ts';
import { capable, type Detector, type LossTerm } from '../../model/detector.ts';
import { makeDetector } from '../../model/detectors.ts';
import { PROPOSAL_NETWORK } from '../../model/fasterRcnn.ts';
import { inputSize, largestScale } from '../../model/inputScales.ts';
import { hasDetector, hasStages, type Stage, stagesOfRun, stageTraining } from '../config/stages.ts';
import {
  checkpointProgress,
  type InitReport,
  loadCheckpoint,
  loadInitialWeights,
  loadParts,
  type Progress,
  saveCheckpoint,
} from '../storage/checkpoint.ts';
import { NO_PROGRESS } from '../storage/checkpointFormat.ts';
import type { RunConfig } from '../config/configSchema.ts';
import { usePlansOf } from '../config/plannedFor.ts';
import type { RunDirectory } from '../storage/runDirectory.ts';
import { disposingOnError } from './disposing.ts';
import { type FitPart, type FitReport, fitScorer } from './fitScorer.ts';
import { keptTogether } from './keptTogether.ts';
import type { LoopEvents } from './loop.ts';
import { ProposalStore } from './proposalStore.ts';
import {
  detectorOptimizer,
  imageByImage,
  type ImageLosses,
  JOINT_TASK,
  measureStep,
  passesOf,
  trainDetector,
  trainingOrder,
} from './trainDetector.ts';
import { tuneModel, type TuningEvents } from './tuning.ts';
import { Validation, type ValidationEvents } from './validation.ts';
import { averageOf, stateOf } from './weightAverage.ts';

export interface RunEvents extends LoopEvents<LossTerm>, ValidationEvents, TuningEvents {
  /** Before each stage that is not done yet; `config` is the stage's own. */
  onStage?(stage: Stage, index: number, count: number, config: RunConfig): void;
  onInit?(report: InitReport): void;
  /** The most bytes of GPU memory that a step on the largest picture needs, weights included. */
  onMemory?(bytes: number): void;
  /** The run is planned for a device whose kernels this one cannot run (`--deterministic`): it plans for itself. */
  onOtherDevice?(): void;
  /** Before the first step of a stage in this session, which compiles the shaders. */
  onStart?(progress: Progress, model: Detector): void;
  /** What the updates of a stage by several processes took in this one, at its end. */
  onUpdateCost?(cost: UpdateCost): void;
  /** The proposals of an RPN that are kept for the next stage. */
  onProposals?(done: number, total: number): void;
  /** SVMs and regressions of boxes are being fitted to the trained network. */
  onFitting?(part: FitPart, done: number, total: number): void;
  onFitted?(report: FitReport): void;
}

export interface RunTraining extends RunEvents {
  gpu: Gpu;
  dataset: Dataset;
  directory: RunDirectory;
  config: RunConfig;
  /**
   * Images on which the weights are evaluated as `config.validation` says, in the stages that have a whole detector; once at
   * the end if no stage has.
   */
  validation?: Dataset | undefined;
  /** Goes on from the directory's checkpoint, or from the start where there is none yet; otherwise the directory is made. */
  resume: boolean;
  /** Times the kernels for the shapes of this run before it starts, and takes the fastest; not where it is deterministic. */
  tune?: boolean | undefined;
  /** Once aborted, the training finishes its step, saves a checkpoint and returns. */
  signal?: AbortSignal | undefined;
  /** Those that train together, each with the same run; only the first uses the directory and the file of initial weights. */
  processes?: Processes | undefined;
}

export interface TrainedRun {
  model: Detector;
  progress: Progress;
  /** Whether all steps are done; false after an abort. */
  finished: boolean;
}

/** A stage of a run; the whole run if its schedule has a single stage. */
interface StageRun {
  stage: Stage;
  directory: RunDirectory;
  config: RunConfig;
  resume: boolean;
  /** Whether the weights are evaluated while they are trained. */
  validated: boolean;
}

export async function trainRun(run: RunTraining): Promise<TrainedRun> {
  const { dataset, directory, config, resume, validation, processes = ALONE } = run;
  if (dataset.samples.length === 0) throw new UserError(`${dataset.name}: there are no images to train on`);
  assertImagesFor(config, processes);
  const [stage] = stagesOfRun(config) as [Stage];
  if (stage.name !== '') return trainStages(run);
  run.onStage?.(stage, 0, 1, config);
  return trainStage(run, { stage, directory, config, resume, validated: validation !== undefined });
}

/** Throws if a stage has fewer images an update than there are processes. */
function assertImagesFor(config: RunConfig, processes: Processes): void {
  const { schedule, training } = config;
  for (const stage of stagesOfRun(config)) {
    const what = hasStages(schedule) ? `training.stages.${stage.losses}.imagesPerStep` : 'training.imagesPerStep';
    assertEnoughImages(processes, stageTraining(stage, training), what);
  }
}

async function trainStages(run: RunTraining): Promise<TrainedRun> {
  const { gpu, directory, config, processes = ALONE } = run;
  const stages = stagesOfRun(config);
  await processes.lead(() => {
    if (!run.resume) directory.create(config);
  });
  let total: Progress = NO_PROGRESS;
  for (const [i, stage] of stages.entries()) {
    const home = directory.stage(stage.name);
    const reader = stages.find(({ proposals }) => proposals === stage.name);
    const validated = run.validation !== undefined && hasDetector(stage);
    const { resume, kernels, done } = await processes.lead(() => {
      const resume = home.hasConfig;
      const { steps } = configOf(stage, config).training;
      const evaluated = !validated || directory.readValidation().at(-1)?.step === steps;
      return {
        resume,
        // A stage that was begun continues with the kernels that it was tuned to.
        kernels: resume ? home.readConfig().kernels : undefined,
        done: evaluated && isDone(home, steps, reader !== undefined),
      };
    });
    if (!done) {
      const stageConfig = { ...configOf(stage, config), ...(kernels && { kernels }) };
      run.onStage?.(stage, i, stages.length, stageConfig);
      const result = await trainStage(run, { stage, directory: home, config: stageConfig, resume, validated });
      if (!result.finished) return result;
      const { model } = result;
      const kept = await disposingOnError(
        model,
        async () => !reader || keepProposals(run, model, home, stageConfig, configOf(reader, config)),
      );
      if (!kept) return { ...result, finished: false };
      model.dispose();
    }
    total = sum(total, await processes.lead(() => checkpointProgress(home.checkpointPath)));
  }
  const tuned = await processes.lead(() => {
    const tuned = withKernelsOfStages(directory, config);
    if (tuned !== config) directory.writeConfig(tuned);
    return tuned;
  });
  const model = makeDetector(gpu, tuned.detector, tuned.training.seed);
  usePlansOf(tuned, model.plans);
  return disposingOnError(model, async () => {
    const finished = await processes.lead(() => complete(run, model, tuned, total));
    if (!finished) return { model, progress: total, finished };
    await shareTensors(processes, Object.values(model.parameters));
    if (!run.validation || stages.some(hasDetector)) return { model, progress: total, finished: true };
    const validation = await validationOf(run, model, total.step, total);
    if (validation?.isDue(total.step)) await validation.run(total);
    return { model, progress: total, finished: !validation?.isDue(total.step) };
  });
}

/** Puts the network of a run together from its stages, fits its scorer if it has one, and saves it; false after an abort. */
async function complete(run: RunTraining, model: Detector, config: RunConfig, total: Progress): Promise<boolean> {
  const { directory, dataset, signal } = run;
  const { scorer } = config.detector.head;
  if (scorer === 'svm' && directory.hasCheckpoint) {
    await loadCheckpoint(directory.checkpointPath, model);
    return true;
  }
  await assemble(model, directory, config);
  if (scorer === 'svm') {
    const { seed } = config.training;
    const fitted = await fitScorer(model, dataset, { seed, signal, onImage: (...done) => run.onFitting?.(...done) });
    if (fitted === null) return false;
    run.onFitted?.(fitted);
  }
  await saveCheckpoint(directory.checkpointPath, model, undefined, total);
  return true;
}

/** The network of a run that was trained in stages is computed by the kernels that these were tuned to, the last one first. */
function withKernelsOfStages(directory: RunDirectory, config: RunConfig): RunConfig {
  const kernels: Record<string, string> = {};
  for (const { name } of stagesOfRun(config)) Object.assign(kernels, directory.stage(name).readConfig().kernels);
  return Object.keys(kernels).length > 0 ? { ...config, kernels } : config;
}

async function trainStage(run: RunTraining, stageRun: StageRun): Promise<TrainedRun> {
  const { gpu, dataset, signal, processes = ALONE } = run;
  const { stage, directory, config, resume, validated } = stageRun;
  const { training } = config;
  const task = await taskOf(stage, run);
  const model = makeDetector(gpu, config.detector, training.seed);
  return disposingOnError(model, async () => {
    if (!usePlansOf(config, model.plans)) run.onOtherDevice?.();
    const started = await processes.lead(async () => {
      const started = resume && directory.hasCheckpoint;
      if (config.init && !started) {
        const report = await loadInitialWeights(config.init, model);
        run.onInit?.(report);
      }
      return started;
    });
    const optimizer = detectorOptimizer(model, training, task, processes);
    const average = averageOf(model, training);
    try {
      const progress = await begin(run, stageRun, started, model, optimizer, average);
      run.onMemory?.(measureStep(model, task, largestSamples(dataset, config), processes.places(passesOf(training))));
      if (!resume) {
        const kernels = await processes.lead(async () => {
          const chosen =
            run.tune && !config.plannedFor
              ? await tuneModel(model, task, dataset.samples, training.microBatch ?? 1, run)
              : config.kernels;
          directory.create({ ...config, ...(chosen && { kernels: chosen }) });
          return chosen;
        });
        if (kernels) model.plans.use(kernels);
      }
      const validation = validated ? await validationOf(run, model, training.steps, progress) : undefined;
      run.onStart?.(progress, model);
      const end = await trainDetector({
        model,
        dataset,
        training,
        task,
        optimizer,
        average,
        progress,
        storage: keptTogether(processes, directory, config, model, optimizer, average),
        validation,
        signal,
        processes,
        onStep: (step) => run.onStep?.(step),
        onMetrics: (line) => run.onMetrics?.(line),
        onCheckpoint: (step) => run.onCheckpoint?.(step),
        onCompiled: (report) => run.onCompiled?.(report),
      });
      if (optimizer instanceof ShardedOptimizer && optimizer.cost.updates > 0) run.onUpdateCost?.(optimizer.cost);
      average?.exchange(); // the model that is returned has the weights to use it with
      // The last evaluation may have been aborted; it is then made up for when the run is resumed.
      const finished = (end.step >= training.steps || validation?.isOver === true) && !validation?.isDue(end.step);
      return { model, progress: end, finished };
    } finally {
      optimizer.dispose();
      average?.dispose();
    }
  });
}

/** The configuration of a stage: it trains one network that has all parts, whatever the detector will have. */
export const configOf = (stage: Stage, config: RunConfig): RunConfig => ({
  ...config,
  detector: { ...config.detector, features: 'shared', head: stageHead(stage, config.detector.head) },
  training: stageTraining(stage, config.training),
});

/** The scorer of a network in training is the one that is trained. */
function stageHead({ fitted }: Stage, { scorer, ...head }: HeadConfig): HeadConfig {
  return fitted || scorer === undefined ? head : { ...head, scorer };
}

/** What a stage trains, and by which losses: those of the detector are computed on the proposals of an earlier stage. */
async function taskOf({ losses, trains, proposals }: Stage, run: RunTraining) {
  const { gpu, dataset, directory, processes } = run;
  if (losses === 'joint') return JOINT_TASK;
  const stored =
    proposals === undefined
      ? undefined
      : await ProposalStore.load(directory.stage(proposals).proposalsPath, dataset.samples.length, processes);
  const stageLosses: ImageLosses = (model, image, truth, sampling, { index, flip }) =>
    stored
      ? capable(model, 'detectorLosses').detectorLosses(image, truth, stored.upload(gpu, index, flip, image), sampling)
      : capable(model, 'rpnLosses').rpnLosses(image, truth, sampling);
  return { losses: imageByImage(stageLosses), trains };
}

/** Gives the model the weights of its checkpoint, or of the stage that it starts from. */
async function begin(
  run: RunTraining,
  { stage: { from }, directory, resume }: StageRun,
  started: boolean,
  model: Detector,
  optimizer: Optimizer | ShardedOptimizer,
  average: MovingAverage | undefined,
): Promise<Progress> {
  const { processes = ALONE } = run;
  const progress = await processes.lead(async () => {
    if (from && !started) {
      const path = run.directory.stage(from.stage).checkpointPath;
      await loadParts(path, model, (name) => (from.parts.includes(model.partOf(name)!) ? name : null));
    }
    const progress = started
      ? await loadCheckpoint(directory.checkpointPath, model, stateOf(optimizer, average))
      : NO_PROGRESS;
    if (resume) directory.truncateMetrics(progress.step);
    return progress;
  });
  await shareTensors(processes, Object.values(model.parameters));
  if (optimizer instanceof ShardedOptimizer) await optimizer.share();
  if (average && progress.step === 0) average.restart();
  if (average && progress.step > 0) {
    average.updates = progress.step;
    await shareTensors(
      processes,
      average.slots.map(({ state }) => state.average),
    );
  }
  return progress;
}

/** Evaluates as the run's configuration says, at the latest after `steps`; what it finds goes to the run directory itself. */
async function validationOf(
  run: RunTraining,
  model: Detector,
  steps: number,
  { step }: Progress,
): Promise<Validation | undefined> {
  const { directory, config, validation, signal, processes } = run;
  if (!validation || !config.validation) return undefined;
  const { interval, patience } = config.validation;
  const options = { model, dataset: validation, directory, interval, patience, steps, signal, events: run, processes };
  return Validation.open(options, step);
}

/** Keeps the proposals of a trained RPN for the images that the stage of `reader` will see; false after an abort. */
async function keepProposals(
  { dataset, signal, onProposals, processes = ALONE }: RunTraining,
  model: Detector,
  directory: RunDirectory,
  { detector }: RunConfig,
  { training }: RunConfig,
): Promise<boolean> {
  const images = trainingOrder(training, dataset).drawn(training.steps * training.imagesPerStep);
  const limits = { ...detector.rpn.train, preNms: Infinity };
  const proposals = await ProposalStore.collect(model, dataset, images, limits, {
    signal,
    processes,
    onImage: (done, total) => onProposals?.(done, total),
  });
  await processes.lead(() => proposals?.save(directory.proposalsPath));
  return proposals !== null;
}

function isDone(home: RunDirectory, steps: number, keeps: boolean): boolean {
  if (!home.hasCheckpoint || (keeps && !existsSync(home.proposalsPath))) return false;
  return checkpointProgress(home.checkpointPath).step >= steps;
}

/** The weights of the last stage; if features are not shared, the RPN of the first stage and the layers below it too. */
async function assemble(model: Detector, root: RunDirectory, config: RunConfig): Promise<void> {
  const { detector } = config;
  const stages = stagesOfRun(config);
  const checkpoint = (stage: Stage): string => root.stage(stage.name).checkpointPath;
  const unshared = detector.features === 'unshared';
  await loadParts(checkpoint(stages.at(-1)!), model, (name) =>
    unshared && model.partOf(name) === 'rpn' ? null : name,
  );
  if (!unshared) return;
  await loadParts(checkpoint(stages[0]!), model, (name) => {
    const part = model.partOf(name);
    if (part === 'rpn') return name;
    return part === 'features' || part === 'regions' ? PROPOSAL_NETWORK + name : null;
  });
}

const sum = (a: Progress, b: Progress): Progress => ({
  step: a.step + b.step,
  seconds: a.seconds + b.seconds,
  dataSeconds: a.dataSeconds + b.dataSeconds,
});

/**
 * The samples whose pictures become the largest input of the network: of a micro-batch, the highest and the widest, to the size of
 * which all are padded.
 */
function largestSamples(
  { samples }: Dataset,
  { detector: { input }, training: { microBatch = 1 } }: RunConfig,
): Sample[] {
  const by = (measure: (size: { width: number; height: number }) => number): Sample => {
    const of = (sample: Sample): number => measure(inputSize(sample, input, largestScale(input)));
    return samples.reduce((largest, sample) => (of(sample) > of(largest) ? sample : largest));
  };
  if (microBatch === 1) return [by(({ width, height }) => width * height)];
  const [highest, widest] = [by(({ height }) => height), by(({ width }) => width)];
  return Array.from({ length: microBatch }, (_, i) => (i === 0 ? highest : widest));
}

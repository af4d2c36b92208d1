/** Training by a schedule (stages.ts): stage after stage, each in a folder of its own, then the detector they add up to. */
import { existsSync } from 'node:fs';
import type { Dataset } from '../../data/dataset.ts';
import type { Gpu } from '../../engine/gpu.ts';
import type { TrainingConfig } from '../../model/config.ts';
import { FasterRcnn, PROPOSAL_NETWORK } from '../../model/fasterRcnn.ts';
import { NO_PROGRESS } from '../storage/checkpointFormat.ts';
import { checkpointProgress, loadParts, type Progress, saveCheckpoint } from '../storage/checkpoint.ts';
import { ProposalStore } from './proposalStore.ts';
import type { RunConfig, RunDirectory } from '../storage/runDirectory.ts';
import { hasDetector, hasStages, partOf, type Stage, stagesOf, stageTraining } from '../config/stages.ts';
import { train, type TrainOptions, type TrainResult, type TrainTask } from './train.ts';
import { trainingOrder } from './trainDetector.ts';
import { Validation } from './validation.ts';

export interface ScheduleOptions extends Omit<TrainOptions, 'task' | 'validation'> {
  /**
   * Images on which the weights are evaluated as `config.validation` says, in the stages that have a whole detector; where
   * none has, once at the end.
   */
  validation?: Dataset | undefined;
  /** Before each stage that is not done yet; `config` is the stage's own. */
  onStage?(stage: Stage, index: number, count: number, config: RunConfig): void;
  /** The proposals of an RPN that are kept for the next stage. */
  onProposals?(done: number, total: number): void;
}

/** As `train`, for every schedule. */
export async function trainSchedule(options: ScheduleOptions): Promise<TrainResult> {
  const { config, directory, gpu, resume, onStage } = options;
  const stages = stagesOf(config.schedule);
  if (!hasStages(config.schedule)) {
    onStage?.(stages[0]!, 0, 1, config);
    return train(withValidation(options, directory));
  }
  if (!resume) directory.create(config);
  let total: Progress = NO_PROGRESS;
  for (const [i, stage] of stages.entries()) {
    const stageConfig = configOf(stage, config);
    const home = directory.stage(stage.name);
    const reader = stages.find(({ proposals }) => proposals === stage.name);
    const watched = options.validation !== undefined && hasDetector(stage);
    const evaluated = !watched || directory.readValidation().at(-1)?.step === stageConfig.training.steps;
    if (!evaluated || !(await isDone(home, stageConfig, reader !== undefined))) {
      onStage?.(stage, i, stages.length, stageConfig);
      const images = reader && imagesOf(configOf(reader, config).training, options.dataset);
      const stageOptions = { ...options, directory: home, config: stageConfig };
      const result = await runStage(stage, stageOptions, directory, images);
      if (!result.finished) return result;
      result.model.dispose();
    }
    total = sum(total, await checkpointProgress(home.checkpointPath));
  }
  const model = await assemble(gpu, directory, config);
  await saveCheckpoint(directory.checkpointPath, model, undefined, total);
  if (options.validation && !stages.some(hasDetector)) {
    const { interval } = config.validation!;
    const evaluated = { ...options, dataset: options.validation, model, interval, steps: total.step };
    const validation = new Validation(evaluated, total.step);
    if (validation.isDue(total.step)) await validation.run(total);
  }
  return { model, progress: total, finished: true };
}

/** The configuration of a stage: it trains one network that has all parts, whatever the detector will have. */
export const configOf = (stage: Stage, config: RunConfig): RunConfig => ({
  ...config,
  detector: { ...config.detector, features: 'shared' },
  training: stageTraining(stage, config.training),
});

/** The numbers of the images that a training will see. */
const imagesOf = (training: TrainingConfig, dataset: Dataset): Set<number> =>
  trainingOrder(training, dataset).drawn(training.steps * training.imagesPerStep);

/** What is found goes to the run directory itself, from a stage too. */
const withValidation = (
  { validation, ...options }: ScheduleOptions,
  root: RunDirectory,
): Omit<TrainOptions, 'task'> => ({
  ...options,
  validation: validation && { dataset: validation, directory: root },
});

async function isDone(home: RunDirectory, { training }: RunConfig, keeps: boolean): Promise<boolean> {
  if (!home.hasCheckpoint || (keeps && !existsSync(home.proposalsPath))) return false;
  return (await checkpointProgress(home.checkpointPath)).step >= training.steps;
}

/** @param images of which the proposals are kept, if those of any */
async function runStage(
  stage: Stage,
  options: ScheduleOptions,
  root: RunDirectory,
  images: ReadonlySet<number> | undefined,
): Promise<TrainResult> {
  const { gpu, dataset, directory, config, signal, onProposals } = options;
  const task = await taskOf(stage, root, gpu, dataset.samples.length);
  const watched = hasDetector(stage) ? options : { ...options, validation: undefined };
  const result = await train({ ...withValidation(watched, root), task, resume: directory.hasConfig });
  if (!result.finished || !images) return result;
  const limits = { ...config.detector.rpn.train, preNms: Infinity };
  const proposals = await ProposalStore.collect(result.model, dataset, images, limits, {
    ...(signal && { signal }),
    onImage: (done) => onProposals?.(done, images.size),
  });
  await proposals?.save(directory.proposalsPath);
  return { ...result, finished: proposals !== null };
}

async function taskOf(stage: Stage, root: RunDirectory, gpu: Gpu, images: number): Promise<TrainTask> {
  const { from, proposals } = stage;
  const stored = proposals && (await ProposalStore.load(root.stage(proposals).proposalsPath, images));
  return {
    trains: (name) => stage.trains.includes(partOf(name)),
    losses: (model, image, truth, sampling, { index, flip }) =>
      stored
        ? model.detectorLosses(image, truth, stored.upload(gpu, index, flip, image), sampling)
        : model.rpnLosses(image, truth, sampling),
    ...(from && {
      initialise: (model) =>
        loadParts(root.stage(from.stage).checkpointPath, model, (name) =>
          from.parts.includes(partOf(name)) ? name : null,
        ),
    }),
  };
}

/** The network of the last stage; where features are not shared, with the RPN of the first and what lies below it. */
async function assemble(
  gpu: Gpu,
  root: RunDirectory,
  { schedule, detector, training }: RunConfig,
): Promise<FasterRcnn> {
  const model = new FasterRcnn(gpu, detector, training.seed);
  const stages = stagesOf(schedule);
  const checkpoint = (stage: Stage): string => root.stage(stage.name).checkpointPath;
  const unshared = detector.features === 'unshared';
  await loadParts(checkpoint(stages.at(-1)!), model, (name) => (unshared && partOf(name) === 'rpn' ? null : name));
  if (unshared) {
    await loadParts(checkpoint(stages[0]!), model, (name) => {
      const part = partOf(name);
      if (part === 'rpn') return name;
      return part === 'features' || part === 'regions' ? PROPOSAL_NETWORK + name : null;
    });
  }
  return model;
}

const sum = (a: Progress, b: Progress): Progress => ({
  step: a.step + b.step,
  seconds: a.seconds + b.seconds,
  dataSeconds: a.dataSeconds + b.dataSeconds,
});

/** What `rcnn train` and `rcnn demo` print while a detector trains. */
import type { Dataset } from '../data/types.ts';
import type { UpdateCost } from '../distributed/shardedOptimizer.ts';
import { assertPackages, DRAWING } from '../engine/node/optionalPackages.ts';
import { backboneNamed } from '../model/backbones/index.ts';
import type { DetectorConfig } from '../model/config.ts';
import type { Detector } from '../model/detector.ts';
import { bestOverlaps, betterAnchors, fitOf, inputObjects } from '../run/reports/anchorFit.ts';
import type { RunConfig, ValidationConfig } from '../run/config/configSchema.ts';
import { TensorBoardLog } from '../run/reports/tensorBoard.ts';
import type { RunDirectory, ValidationLine } from '../run/storage/runDirectory.ts';
import { detectionsSheet } from '../run/evaluation/pictures.ts';
import { sinceBest } from '../run/training/validation.ts';
import { type RunEvents, type RunTraining, type TrainedRun, trainRun } from '../run/training/trainRun.ts';
import { hasDetector, type Stage } from '../run/config/stages.ts';
import type { FitReport } from '../run/training/fitScorer.ts';
import { columns } from './progress.ts';
import { betterAnchorsText, count, percent } from './text.ts';
import { countParameters, describeInit, withTrainingDisplay } from './trainingDisplay.ts';

export interface TrainingRun extends Omit<RunTraining, keyof RunEvents | 'signal'> {
  /** The command that continues the run after Ctrl-C. */
  resumeCommand: string;
  /** Writes TensorBoard's event files into the run directory. */
  tensorboard?: boolean;
}

/** Trains, and prints everything from the description of the run to where it was saved. */
export async function trainOnTerminal(run: TrainingRun): Promise<TrainedRun> {
  const { gpu, dataset, directory, resume, tune, resumeCommand, processes } = run;
  let { config, validation } = run;
  for (const note of [...dataset.notes, ...(run.validation?.notes ?? [])]) console.log(`note: ${note}`);
  if (config.training.bf16Gradients && processes && processes.size > 1) {
    console.log('note: gradients travel as bfloat16: the weights will depend on the number of processes');
  }
  let memory = 0;
  let step = 0;
  let stage = '';
  let from: Stage['from'];
  const wanted = run.tensorboard === true;
  const events = processes?.leads === false ? null : TensorBoardLog.open(directory, { wanted, resume });
  if (events && validation) assertPackages(...DRAWING);
  const result = await withTrainingDisplay({ path: directory.path, resumeCommand }, (display) =>
    trainRun({
      gpu,
      dataset,
      directory,
      config: run.config,
      validation: run.validation,
      resume,
      tune,
      signal: display.signal,
      processes,
      onStage(next, index, stages, stageConfig) {
        stage = next.name;
        validation = hasDetector(next) ? run.validation : undefined;
        display.stopBar();
        config = stageConfig;
        from = next.from;
        display.losses = '';
        if (stages > 1) console.log(`\nstage ${index + 1} of ${stages}: ${next.title}`);
      },
      onInit: (report) => console.log(describeInit(config.init!, config.detector.input, report)),
      onOtherDevice: () =>
        console.log(
          'note: this device is of another kind than the run was planned for; the weights will differ in their last bits',
        ),
      onMemory: (bytes) => (memory = bytes),
      onCompiled: display.compiled,
      onCheckpoint: display.saved,
      onTuned: ({ timed, changed, left }) => {
        if (timed === 0) return;
        const more = left > 0 ? `, ${left} left as planned for lack of time` : '';
        console.log(`kernels timed for ${timed} shapes: ${changed} replaced by faster ones${more}`);
      },
      onStart(progress, model) {
        step = progress.step;
        events?.start(stage, step);
        console.log(
          describeRun(directory, config, dataset, validation, describeWeights(config, step, from), model, memory),
        );
        display.start(step, config.training);
      },
      onMetrics: (line) => {
        events?.metrics(line);
        const short = (value: number): string => value.toFixed(columns() < 90 ? 2 : 3);
        const [rpn, head] = [
          [line.rpn_cls, line.rpn_box],
          [line.head_cls, line.head_box],
        ].map((terms) => terms.map(short).join('+'));
        display.losses = `loss ${short(line.loss)}: rpn ${rpn} head ${head}`;
      },
      onUpdateCost: (cost) => display.print(describeCost(cost)),
      onStep: (done) => display.update((step = done), display.losses),
      onValidationImage: (done, total) => display.update(step, `validation: image ${done}/${total}`),
      async onValidation(line, best, detections) {
        display.print(describeValidation(line, best));
        display.update(line.step, display.losses);
        if (events) await events.validation(line, await detectionsSheet(run.validation!, detections));
      },
      onProposals(done, total) {
        if (done === 1) {
          display.stopBar();
          console.log('computing the proposals of the training images for the next stage');
          display.startBar(total, 'image');
        }
        display.update(done);
      },
      onFitting(part, done, total) {
        if (done === 1) {
          display.stopBar();
          console.log(`fitting SVMs: ${part} of the training images`);
          display.startBar(total, 'image');
        }
        display.update(done);
      },
      onFitted(report) {
        display.stopBar();
        for (const line of describeFit(report)) console.log(line);
      },
    }),
  );
  if (processes?.leads === false) return result;
  const lines = directory.readValidation();
  const [best] = lines.filter(({ mAP }) => !Number.isNaN(mAP)).sort((a, b) => b.mAP - a.mAP);
  const { patience = Infinity } = config.validation ?? {};
  if (result.finished && sinceBest(lines) >= patience && lines.at(-1)!.step < config.training.steps) {
    const evaluations = patience === 1 ? '1 evaluation' : `${patience} evaluations`;
    console.log(`ended early: ${evaluations} without a better mAP (--patience)`);
  }
  if (best && result.finished) {
    console.log(
      `best weights: mAP ${best.mAP.toFixed(4)} at step ${best.step}; use them with --weights best (rcnn eval, detect, recall)`,
    );
  }
  return result;
}

function describeValidation({ step, mAP, loss, images, seconds }: ValidationLine, best: boolean): string {
  return `validation at step ${step}: mAP ${mAP.toFixed(4)}${best ? ', the best so far' : ''}, loss ${loss.toFixed(3)}, ${images} images in ${seconds.toFixed(1)} s`;
}

/** A line for each class. */
const describeFit = ({ classes }: FitReport): string[] =>
  classes.map(({ name, positives, negatives, examples }) =>
    positives === 0
      ? `SVM ${name}: has no object in the training images and will not be found`
      : `SVM ${name}: ${count(positives)} objects, ${count(negatives)} hard negatives; boxes from ${count(examples)} proposals`,
  );

function describeValidated({ data, split, interval }: ValidationConfig, images: number, trainedOn: string): string {
  const of = data === trainedOn ? '' : ` of ${data}`;
  return `validate  split ${split}${of}: ${count(images)} images every ${count(interval)} steps`;
}

/** One line: what an update by several processes took besides computing. */
function describeCost({ updates, sent, moving, waiting, uploading }: UpdateCost): string {
  const each = (total: number): string => (total / updates).toFixed(1);
  return `updates   each process sent ${(sent / updates / 1e6).toFixed(2)} MB an update: ${each(moving)} ms between processes, ${each(uploading)} ms to the device, ${each(waiting)} ms waiting for others`;
}

/** One line: how the anchors fit the objects of the user's own data. */
function describeAnchors({ samples }: Dataset, detector: DetectorConfig): string {
  const objects = inputObjects(samples, detector);
  const overlaps = bestOverlaps(objects, detector);
  const { iou50, iou70 } = fitOf(overlaps);
  const better = betterAnchors(objects, overlaps, detector);
  const advice = better ? `; ${betterAnchorsText(better)}` : '';
  return `anchors   IoU >= 0.5 with ${percent(iou50)} of ${count(objects.length)} objects, >= 0.7 with ${percent(iou70)}${advice}`;
}

function describeProposals(paths: readonly string[], { samples }: Dataset, { rpn }: DetectorConfig): string {
  const used = samples.reduce((sum, { proposals }) => sum + Math.min(proposals!.scores.length, rpn.train.postNms), 0);
  return `proposals ${paths.join(', ')}: ${count(Math.round(used / samples.length))} an image`;
}

/** Where the weights come from with which this session of a stage starts. */
function describeWeights({ init, detector }: RunConfig, step: number, from: Stage['from']): string {
  if (step > 0) return `from the checkpoint after step ${step}`;
  if (from) return `from stage ${from.stage}, the others ${init ? `from ${init}` : 'random'}`;
  if (init) return init;
  const { name, learnsFromRandom } = backboneNamed(detector.backbone);
  return learnsFromRandom ? 'random' : `random: pass --init FILE for a pre-trained ${name}`;
}

function describeRun(
  directory: RunDirectory,
  config: RunConfig,
  dataset: Dataset,
  validation: Dataset | undefined,
  weights: string,
  model: Detector,
  memory: number,
): string {
  const { detector, training, preset, split } = config;
  return [
    `data      ${config.data}, split ${split}: ${count(dataset.samples.length)} images, ${detector.classes.length - 1} classes`,
    `network   ${detector.backbone}, ${count(countParameters(model))} parameters`,
    `weights   ${weights}`,
    ...(config.proposals ? [describeProposals(config.proposals, dataset, detector)] : []),
    ...(config.data === 'digits' || config.proposals ? [] : [describeAnchors(dataset, detector)]),
    `training  preset ${preset}: ${count(training.steps)} steps, learning rate ${training.learningRate}, seed ${training.seed}`,
    ...(validation ? [describeValidated(config.validation!, validation.samples.length, config.data)] : []),
    `memory    a step on the largest image needs ${Math.ceil(memory / 2 ** 20)} MiB on the device`,
    `run       ${directory.path}`,
  ].join('\n');
}

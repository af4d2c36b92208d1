/** A training run of a detector on the terminal: what `rcnn train` and `rcnn demo` show. */
import type { Dataset } from '../data/dataset.ts';
import type { Gpu } from '../engine/gpu.ts';
import type { RunConfig, RunDirectory } from '../run/runDirectory.ts';
import { trainSchedule } from '../run/schedule.ts';
import type { TrainResult } from '../run/train.ts';
import { columns } from './progress.ts';
import { count, countParameters, describeInit, withTrainingDisplay } from './trainingDisplay.ts';

export interface TrainingRun {
  gpu: Gpu;
  dataset: Dataset;
  directory: RunDirectory;
  config: RunConfig;
  resume: boolean;
  tune?: boolean;
  /** What to type to go on after Ctrl-C. */
  resumeCommand: string;
}

/** Trains and shows it, from the first line about the run to where it was saved. */
export async function trainOnTerminal(run: TrainingRun): Promise<TrainResult> {
  const { dataset, directory, resumeCommand } = run;
  let { config } = run;
  for (const note of dataset.notes) console.log(`note: ${note}`);
  let memory = 0;
  return withTrainingDisplay({ path: directory.path, resumeCommand }, (display) =>
    trainSchedule({
      ...run,
      signal: display.signal,
      onStage(stage, index, stages, stageConfig) {
        display.stopBar();
        config = stageConfig;
        display.losses = '';
        if (stages > 1) console.log(`\nstage ${index + 1} of ${stages}: ${stage.title}`);
      },
      onInit: (report) => console.log(describeInit(config.init!, config.detector.input, report)),
      onMemory: (bytes) => (memory = bytes),
      onTuned: ({ timed, changed, left }) => {
        if (timed === 0) return;
        const more = left > 0 ? `, ${left} left as planned for lack of time` : '';
        console.log(`kernels timed for ${timed} shapes: ${changed} replaced by faster ones${more}`);
      },
      onStart: ({ step }, model) => {
        console.log(describeRun({ ...run, config }, countParameters(model), memory));
        display.start(step, config.training);
      },
      onMetrics: (line) => {
        const short = (value: number): string => value.toFixed(columns() < 90 ? 2 : 3);
        const [rpn, head] = [
          [line.rpn_cls, line.rpn_box],
          [line.head_cls, line.head_box],
        ].map((terms) => terms.map(short).join('+'));
        display.losses = `loss ${short(line.loss)}: rpn ${rpn} head ${head}`;
      },
      onStep: (step) => display.update(step, display.losses),
      onProposals(done, total) {
        if (done === 1) {
          display.stopBar();
          console.log('proposals of the training images, for the next stage');
          display.startBar(total, 'image');
        }
        display.update(done);
      },
    }),
  );
}

function describeRun({ dataset, directory, config }: TrainingRun, parameters: number, memory: number): string {
  const { detector, training, preset, split } = config;
  return [
    `data      ${config.data}, split ${split}: ${count(dataset.samples.length)} images, ${detector.classes.length - 1} classes`,
    `network   ${detector.backbone}, ${count(parameters)} parameters`,
    `training  preset ${preset}: ${count(training.steps)} steps, learning rate ${training.learningRate}, seed ${training.seed}`,
    `memory    a step on the largest image needs ${Math.ceil(memory / 2 ** 20)} MiB on the device`,
    `run       ${directory.path}`,
  ].join('\n');
}

/** A training run on the terminal: what `rcnn train` and `rcnn demo` show, and Ctrl-C. */
import type { Dataset } from '../data/dataset.ts';
import type { InputConfig } from '../model/config.ts';
import type { Gpu } from '../engine/gpu.ts';
import type { RunConfig, RunDirectory } from '../run/runDirectory.ts';
import { type InitReport } from '../run/checkpoint.ts';
import { trainSchedule } from '../run/schedule.ts';
import type { TrainResult } from '../run/train.ts';
import { columns, duration, startProgress, type Progress } from './progress.ts';

/** A second Ctrl-C within this time is the same one: a terminal sends it to every process, and some pass it on. */
const SAME_SIGNAL_MS = 500;

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

/** Null after Ctrl-C: the checkpoint is written, the exit code set, and how to go on printed. */
export async function trainOnTerminal(run: TrainingRun): Promise<TrainResult | null> {
  const { dataset, directory, resumeCommand } = run;
  let { config } = run;
  for (const note of dataset.notes) console.log(`note: ${note}`);
  let progress: Progress | undefined;
  let losses = '';
  let memory = 0;
  const interrupt = onInterrupt(() => {
    progress?.stop();
    progress = undefined;
    console.log('stopping after this step; press Ctrl-C again to quit at once');
  });
  try {
    const result = await trainSchedule({
      ...run,
      signal: interrupt.signal,
      onStage(stage, index, count, stageConfig) {
        progress?.stop();
        config = stageConfig;
        losses = '';
        if (count > 1) console.log(`\nstage ${index + 1} of ${count}: ${stage.title}`);
      },
      onInit: (report) => console.log(describeInit(config.init!, config.detector.input, report)),
      onMemory: (bytes) => (memory = bytes),
      onTuned: ({ timed, changed, left }) => {
        if (timed === 0) return;
        const more = left > 0 ? `, ${left} left as planned for lack of time` : '';
        console.log(`kernels timed for ${timed} shapes: ${changed} replaced by faster ones${more}`);
      },
      onStart: ({ step }, model) => {
        const parameters = Object.values(model.parameters).reduce((sum, parameter) => sum + parameter.size, 0);
        const { training } = config;
        console.log(describeRun({ ...run, config }, parameters, memory));
        if (step > 0) console.log(`continuing after step ${step}`);
        if (step >= training.steps) return;
        console.log('compiling shaders: the first step takes longer');
        progress = startProgress(training.steps, 'step', step, training.imagesPerStep);
      },
      onMetrics: (line) => {
        const short = (value: number): string => value.toFixed(columns() < 90 ? 2 : 3);
        const [rpn, head] = [
          [line.rpn_cls, line.rpn_box],
          [line.head_cls, line.head_box],
        ].map((terms) => terms.map(short).join('+'));
        losses = `loss ${short(line.loss)}: rpn ${rpn} head ${head}`;
      },
      onStep: (step) => progress?.update(step, losses),
      onProposals(done, total) {
        if (done === 1) {
          progress?.stop();
          console.log('proposals of the training images, for the next stage');
          progress = startProgress(total, 'image');
        }
        progress?.update(done);
      },
    });
    progress?.stop();
    const { step, seconds } = result.progress;
    const after = `${step} step${step === 1 ? '' : 's'}, ${duration(seconds)} of training`;
    if (result.finished) {
      console.log(`trained: ${after}; ${losses || 'nothing was left to do'}; saved in ${directory.path}`);
      return result;
    }
    console.log(`stopped after ${after}; saved in ${directory.path}. Continue with: ${resumeCommand}`);
    process.exitCode = 130;
    return null;
  } finally {
    progress?.stop();
    interrupt.dispose();
  }
}

function describeRun({ dataset, directory, config }: TrainingRun, parameters: number, memory: number): string {
  const { detector, training, preset, split } = config;
  const count = (n: number): string => n.toLocaleString('en-US');
  return [
    `data      ${config.data}, split ${split}: ${count(dataset.samples.length)} images, ${detector.classes.length - 1} classes`,
    `network   ${detector.backbone}, ${count(parameters)} parameters`,
    `training  preset ${preset}: ${count(training.steps)} steps, learning rate ${training.learningRate}, seed ${training.seed}`,
    `memory    a step on the largest image needs ${Math.ceil(memory / 2 ** 20)} MiB on the device`,
    `run       ${directory.path}`,
  ].join('\n');
}

export function describeInit(path: string, { channels }: Pick<InputConfig, 'channels'>, report: InitReport): string {
  const { loaded, fresh, misfits, unused } = report;
  const layers = (names: readonly string[]): string =>
    [...new Set(names.map((name) => name.replace(/\.(weight|bias)$/, '')))].join(', ');
  const lines = [
    `initial weights from ${path}: ${loaded.length} tensors, for input in ${channels.toUpperCase()}`,
    `  taken: ${layers(loaded.map(({ name }) => name))}`,
  ];
  lines.push(...misfits.map(({ from, why }) => `  does not fit: ${from} ${why}`));
  if (fresh.length > 0) lines.push(`  random: ${layers(fresh)}`);
  if (unused.length > 0) lines.push(`  not used: ${unused.join(', ')}`);
  return lines.join('\n');
}

/** The first Ctrl-C (or `kill`) aborts the signal, the next one ends the process. */
export function onInterrupt(onFirst: () => void): { signal: AbortSignal; dispose(): void } {
  const controller = new AbortController();
  let first = 0;
  const handle = (): void => {
    if (!controller.signal.aborted) {
      first = performance.now();
      onFirst();
      controller.abort();
    } else if (performance.now() - first > SAME_SIGNAL_MS) {
      process.exit(130);
    }
  };
  process.on('SIGINT', handle);
  process.on('SIGTERM', handle);
  return {
    signal: controller.signal,
    dispose() {
      process.off('SIGINT', handle);
      process.off('SIGTERM', handle);
    },
  };
}

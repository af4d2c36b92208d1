/** What any training prints: what it starts from, its progress, where it was saved. Also handles Ctrl-C. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DeviceLostError, UserError } from '../engine/errors.ts';
import type { CompileReport } from '../engine/gpu.ts';
import type { InputConfig, TrainingConfig } from '../model/config.ts';
import type { InitReport, Progress, Trainable } from '../run/storage/checkpoint.ts';
import { namedByTorchvision } from '../run/storage/weightNames.ts';
import { onInterrupt } from './interrupt.ts';
import { duration, type ProgressBar, startProgress } from './progress.ts';

export interface TrainingDisplay {
  /** Ctrl-C aborts it. */
  readonly signal: AbortSignal;
  /** The last losses, as shown beside the bar and in the last line. */
  losses: string;
  /** Call before the first step of a run or stage, after describing it. `step`: steps already done. */
  start(step: number, training: TrainingConfig): void;
  /** Replaces the current bar. */
  startBar: typeof startProgress;
  update: ProgressBar['update'];
  /** Prints a line above the bar. */
  print(line: string): void;
  stopBar(): void;
  compiled(report: CompileReport): void;
  /** A checkpoint was written after this step. */
  saved(step: number): void;
}

interface Trained {
  progress: Progress;
  finished: boolean;
}

/** Runs `train` and prints how it ended. After Ctrl-C it sets the exit code and prints the command that continues the run. */
export async function withTrainingDisplay<Result extends Trained>(
  { path, resumeCommand }: { path: string; resumeCommand: string },
  train: (display: TrainingDisplay) => Promise<Result>,
): Promise<Result> {
  let bar: ProgressBar | undefined;
  let checkpoint = 0;
  const stopBar = (): void => {
    bar?.stop();
    bar = undefined;
  };
  const startBar: typeof startProgress = (...args) => {
    stopBar();
    return (bar = startProgress(...args));
  };
  const interrupt = onInterrupt(() => {
    stopBar();
    console.log('stopping after this step; press Ctrl-C again to quit at once');
  });
  const display: TrainingDisplay = {
    signal: interrupt.signal,
    losses: '',
    start(step, training) {
      checkpoint = step;
      if (step > 0) console.log(`continuing after step ${step}`);
      if (step >= training.steps) return;
      console.log('compiling shaders before the first step');
      startBar(training.steps, 'step', step, training.imagesPerStep);
    },
    startBar,
    update: (...args) => bar?.update(...args),
    print: (line) => (bar ? bar.print(line) : console.log(line)),
    stopBar,
    compiled: ({ shaders, milliseconds }) =>
      display.print(`${shaders} shader${shaders === 1 ? '' : 's'} compiled in ${(milliseconds / 1000).toFixed(1)} s`),
    saved: (step) => (checkpoint = step),
  };
  try {
    const result = await train(display);
    stopBar();
    const { step, seconds } = result.progress;
    const after = `${step} step${step === 1 ? '' : 's'}, ${duration(seconds)} of training`;
    if (result.finished) {
      console.log(`trained: ${after}; ${display.losses || 'nothing left to do'}; saved in ${path}`);
    } else {
      console.log(`stopped after ${after}; saved in ${path}. Continue with: ${resumeCommand}`);
      process.exitCode = 130;
    }
    return result;
  } catch (error) {
    if (!(error instanceof DeviceLostError) || !existsSync(join(path, 'config.json'))) throw error;
    const whole =
      checkpoint > 0 ? `the checkpoint of step ${checkpoint} is whole` : 'there is no checkpoint of these steps yet';
    throw new UserError(`${error.what}; ${whole}, continue with: ${resumeCommand}`, { cause: error });
  } finally {
    stopBar();
    interrupt.dispose();
  }
}

export const countParameters = ({ parameters }: Trainable): number =>
  Object.values(parameters).reduce((sum, { size }) => sum + size, 0);

/** Which initial weights were loaded, which were not and why; several lines. */
export function describeInit(path: string, { channels }: Pick<InputConfig, 'channels'>, report: InitReport): string {
  const { loaded, fresh, misfits, unused } = report;
  const layers = (names: readonly string[]): string =>
    [...new Set(names.map((name) => name.replace(/\.(weight|bias)$/, '')))].join(', ');
  // Only the user knows who trained a SqueezeNet, and with the channels in the wrong order it finds nothing.
  const ask = channels === 'bgr' && namedByTorchvision(loaded.map(({ from }) => from));
  const input = `${channels.toUpperCase()}${ask ? " (torchvision's own weights need --input rgb)" : ''}`;
  const lines = [
    `initial weights from ${path}: ${loaded.length} tensors, for input in ${input}`,
    `  loaded: ${layers(loaded.map(({ name }) => name))}`,
  ];
  // If a weight does not fit, its bias does not either: one line is enough.
  const wrong = new Set(misfits.map(({ name }) => name));
  const causes = misfits.filter(({ name }) => !name.endsWith('.bias') || !wrong.has(name.replace(/bias$/, 'weight')));
  lines.push(...causes.map(({ from, why }) => `  does not fit: ${from} ${why}`));
  if (fresh.length > 0) lines.push(`  random: ${layers(fresh)}`);
  if (unused.length > 0) lines.push(`  not used: ${unused.join(', ')}`);
  return lines.join('\n');
}

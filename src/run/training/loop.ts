/**
 * The loop around the steps of any training, of a detector or a classifier: learning rate, update, log, checkpoints, abort.
 *
 * A step is a pure function of the weights, the momentum, the run's seed and the step's number, so a run that was stopped
 * and resumed ends with the bits of one that was not. Losses stay on the GPU in a history of LOG_INTERVAL steps and are read
 * once for all of them, while later steps run; every row is checked, so a loss that is not finite is traced to its step.
 */
import { ALONE, type Processes } from '../../distributed/processes.ts';
import { UserError } from '../../engine/errors.ts';
import type { CompileReport, Gpu } from '../../engine/gpu.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { copyScalars } from '../../kernels/concat.ts';
import type { TrainingConfig } from '../../model/config.ts';
import type { Progress } from '../storage/checkpointFormat.ts';
import { LOG_INTERVAL, type MetricsLine } from '../storage/metrics.ts';
import { learningRate } from './learningRate.ts';

export interface LoopEvents<Term extends string> {
  /** If it returns a promise, the next step waits for it. */
  onStep?(step: number): unknown;
  onMetrics?(line: MetricsLine<Term>): void;
  onCheckpoint?(step: number): void;
  /** Shaders were compiled, before the first step or before an image of a new size that needs other ones. */
  onCompiled?(report: CompileReport): void;
}

/** What is trained: the passes of a step, and the terms of its loss. */
export interface LoopTask<Term extends string> {
  /** The loss is the sum of these terms; a step gives `rows` values of each in this process. */
  terms: readonly Term[];
  rows: number;
  /**
   * Records this process's forward and backward passes of a step. For each row it calls `keep` with the losses and with what they
   * were computed from, which the message about a loss that is not finite names.
   */
  passes(step: number, keep: (losses: Readonly<Record<Term, Tensor>>, of: string) => void): Promise<void>;
  /** Changes the weights by the gradients of a step. */
  update(): void | Promise<void>;
  /** What to do about a loss that is not finite, apart from lowering the rate. */
  advice: string;
  /** Milliseconds spent waiting for data in this session. */
  waitedMs(): number;
}

/** Where a training is kept. */
export interface LoopStorage<Term extends string> {
  /** Saves a checkpoint: every `checkpointInterval` and every `keepInterval` steps, at the end and at an abort. */
  save(progress: Progress): Promise<void>;
  checkpointInterval: number;
  keepInterval?: number;
  append(line: MetricsLine<Term>): void;
}

/** Evaluates the weights after some steps, once a checkpoint holds them; not counted as training time. */
export interface LoopValidation {
  isDue(step: number): boolean;
  run(progress: Progress): Promise<void>;
  /** Whether the training is to end here, before its last step, because the weights no longer get better. */
  readonly isOver: boolean;
}

export interface LoopOptions<Term extends string> {
  gpu: Gpu;
  optimizer: { learningRate: number; zeroGrad(): void };
  training: TrainingConfig;
  /** What was done before this session. */
  progress: Progress;
  task: LoopTask<Term>;
  storage?: LoopStorage<Term> | undefined;
  validation?: LoopValidation | undefined;
  events?: LoopEvents<Term>;
  /** Once aborted, in any process, the loop finishes its step, saves a checkpoint and returns. */
  signal?: AbortSignal | undefined;
  /** Those that train together; each has its share of a step's rows (`Processes.places`). */
  processes?: Processes | undefined;
}

/** Trains to the end of `training.steps`, or until `signal` is aborted, and resolves with the progress made. */
export async function runLoop<Term extends string>(options: LoopOptions<Term>): Promise<Progress> {
  const history = new LossHistory(options.gpu, options.task, options.processes ?? ALONE);
  try {
    return await loop(options, history);
  } finally {
    history.dispose();
  }
}

async function loop<Term extends string>(options: LoopOptions<Term>, history: LossHistory<Term>): Promise<Progress> {
  const { gpu, optimizer, training, progress: before, task, storage, validation, events = {}, signal } = options;
  const { processes = ALONE } = options;
  let hasCheckpoint = before.step > 0;
  /** Milliseconds, without time spent compiling shaders. */
  const clock = (): number => performance.now() - gpu.statistics().compileMilliseconds;
  let started = clock();
  const now = (step: number): Progress => ({
    step,
    seconds: before.seconds + (clock() - started) / 1000,
    dataSeconds: before.dataSeconds + task.waitedMs() / 1000,
  });

  /** Writes a line of metrics for the steps since the last line. */
  const log = async (step: number): Promise<void> => {
    const lr = optimizer.learningRate;
    const means = await history.means(step, hasCheckpoint);
    if (means === null) return;
    const { seconds, dataSeconds } = now(step);
    const loss = task.terms.reduce((sum, term) => sum + means[term], 0);
    const line: MetricsLine<Term> = {
      ...means,
      step,
      lr,
      loss,
      seconds: round(seconds),
      data_seconds: round(dataSeconds),
    };
    storage?.append(line);
    events.onMetrics?.(line);
  };

  const save = async (step: number): Promise<void> => {
    await log(step);
    if (!storage) return;
    await storage.save(now(step));
    hasCheckpoint = true;
    events.onCheckpoint?.(step);
  };

  const validate = async (step: number): Promise<void> => {
    const from = clock();
    await validation!.run(now(step));
    started += clock() - from;
  };
  const isDue = (step: number): boolean => validation?.isDue(step) === true;
  const stopped = (): boolean | Promise<boolean> =>
    processes.size === 1 ? signal?.aborted === true : processes.any(signal?.aborted === true);

  // What the device and the disk still work on while the next step is recorded.
  const submitted = new InFlight();
  const logged = new InFlight();
  let step = before.step;
  // The run was stopped while its weights were evaluated.
  if (isDue(step)) await validate(step);
  let stop = await stopped();
  while (step < training.steps && !stop && !validation?.isOver) {
    optimizer.learningRate = learningRate(step, training);
    optimizer.zeroGrad();
    await task.passes(step, (losses, of) => history.keep(losses, of));
    await task.update();
    step++;
    // At most one step waits on the device while the next is recorded. A software adapter computes on the same cores that
    // record, so there the two would only get in each other's way.
    const previous = submitted.replace(gpu.finish());
    await (gpu.adapter.software ? submitted.end : previous);
    const last = step === training.steps;
    if (step % LOG_INTERVAL === 0 || last) {
      await logged.end;
      void logged.replace(log(step)); // the losses arrive while the next steps run
      if (processes.size > 1) await logged.end; // all processes make their calls in one order
    }
    if (last) await logged.end;
    await events.onStep?.(step);
    const due = isDue(step);
    if ((storage && isSaved(step, storage)) || last || due) {
      await logged.end;
      await save(step);
    }
    stop = await stopped();
    if (due && !stop) {
      await validate(step);
      stop = await stopped();
    }
  }
  await submitted.end;
  await logged.end;
  if (stop && step < training.steps) await save(step);
  return now(step);
}

const isSaved = (step: number, { checkpointInterval, keepInterval }: Intervals): boolean =>
  step % checkpointInterval === 0 || (keepInterval !== undefined && step % keepInterval === 0);

type Intervals = Pick<LoopStorage<string>, 'checkpointInterval' | 'keepInterval'>;

/** A promise that is awaited later, when its result is needed; until then a rejection is held back. */
class InFlight {
  end: Promise<void> = Promise.resolve();

  /** Returns the one before. */
  replace(next: Promise<void>): Promise<void> {
    const previous = this.end;
    this.end = next;
    next.catch(() => {}); // reported by the await of `end`
    return previous;
  }
}

const round = (seconds: number): number => Math.round(seconds * 1000) / 1000;

/** The losses of the steps since the last line of metrics: on the GPU, a row for each part of a step that this process has. */
class LossHistory<Term extends string> {
  private readonly gpu: Gpu;
  private readonly task: LoopTask<Term>;
  private readonly processes: Processes;
  /** Rows of a step in this process. */
  private readonly rows: number;
  private readonly values: Tensor;
  /** What each row was computed from. */
  private kept: string[] = [];

  constructor(gpu: Gpu, task: LoopTask<Term>, processes: Processes) {
    this.gpu = gpu;
    this.task = task;
    this.processes = processes;
    this.rows = task.rows;
    this.values = gpu.zeros([LOG_INTERVAL * this.rows, task.terms.length], 'loss history');
    this.values.persistent = true;
  }

  keep(losses: Readonly<Record<Term, Tensor>>, of: string): void {
    const { gpu } = this;
    const { terms } = this.task;
    const scalars = Object.fromEntries(terms.map((term, k) => [`x${k}`, losses[term]]));
    gpu.run(copyScalars(terms.length), { ...scalars, whole: this.values }, { start: this.kept.length * terms.length });
    this.kept.push(of);
  }

  /**
   * The means of the terms over the rows of all processes, all of which must be finite; then begins anew. Null if nothing was
   * kept. The read is queued before any later step overwrites a row.
   */
  async means(step: number, hasCheckpoint: boolean): Promise<Record<Term, number> | null> {
    const { terms, advice } = this.task;
    const { kept, rows } = this;
    if (kept.length === 0) return null;
    this.kept = [];
    const steps = kept.length / rows;
    const values = (await this.values.read()).subarray(0, kept.length * terms.length) as Float32Array;
    kept.forEach((of, row) => {
      terms.forEach((term, column) => {
        const value = values[row * terms.length + column]!;
        if (Number.isFinite(value)) return;
        const at = `step ${step - steps + Math.floor(row / rows) + 1}, ${of}`;
        const intact = hasCheckpoint ? ' (the last checkpoint is intact)' : '';
        throw new UserError(`${at}: the loss term ${term} is ${value}; lower the learning rate or ${advice}${intact}`);
      });
    });
    const means = Object.fromEntries(terms.map((term) => [term, 0])) as Record<Term, number>;
    const all = await this.inOrder(values, steps);
    all.forEach((value, i) => (means[terms[i % terms.length]!] += value / (all.length / terms.length)));
    return means;
  }

  /** The values of all processes, step by step, in the order of the rows. */
  private async inOrder(own: Float32Array, steps: number): Promise<Float32Array> {
    if (this.processes.size === 1) return own;
    const parts = await this.processes.all(new Uint8Array(own.buffer, own.byteOffset, own.byteLength));
    const values = parts.map((bytes) => new Float32Array(bytes.slice().buffer));
    const whole = new Float32Array(values.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (let step = 0; step < steps; step++) {
      for (const part of values) {
        const each = part.length / steps;
        whole.set(part.subarray(step * each, (step + 1) * each), at);
        at += each;
      }
    }
    return whole;
  }

  dispose(): void {
    this.values.dispose();
  }
}

/** A training that can be watched, paused and ended, and that lets other users of the device have their turn between two steps. */
import {
  type Dataset,
  type Detector,
  type LossTerm,
  type MetricsLine,
  type Progress,
  type RunConfig,
  trainDetector,
} from '../src/index.ts';
import type { Turns } from './turns.ts';

export type TrainingEvent =
  { kind: 'step'; step: number; seconds: number } | { kind: 'losses'; line: MetricsLine<LossTerm> };

export class Training {
  readonly model: Detector;
  readonly config: RunConfig;
  readonly done: Progress = { step: 0, seconds: 0, dataSeconds: 0 };
  private readonly stop = new AbortController();
  private paused: Promise<void> | undefined;
  private resumed: (() => void) | undefined;

  constructor(model: Detector, config: RunConfig) {
    this.model = model;
    this.config = config;
  }

  /** Makes the training wait after its next step. */
  pause(): void {
    this.paused ??= new Promise((resolve) => (this.resumed = resolve));
  }

  resume(): void {
    this.resumed?.();
    this.paused = undefined;
  }

  /** Ends the training after its next step. */
  abandon(): void {
    this.stop.abort();
    this.resume();
  }

  /**
   * Trains to the end, or until `abandon`; false if it was abandoned. `look` is called before the first step and after each, when
   * nobody else uses the device; its time does not count.
   */
  async run(
    dataset: Dataset,
    turns: Turns,
    tell: (event: TrainingEvent) => void,
    look: (step: number) => Promise<void>,
  ): Promise<boolean> {
    const { steps } = this.config.training;
    let end = await turns.take();
    try {
      await look(0);
      let resumedAt = performance.now();
      await trainDetector({
        model: this.model,
        dataset,
        training: this.config.training,
        signal: this.stop.signal,
        onMetrics: (line) => tell({ kind: 'losses', line }),
        onStep: async (step) => {
          this.done.step = step;
          this.done.seconds += (performance.now() - resumedAt) / 1000;
          tell({ kind: 'step', step, seconds: this.done.seconds });
          end(); // lets detections run that were requested meanwhile
          if (step < steps) await this.paused;
          end = await turns.take();
          await look(step);
          resumedAt = performance.now();
        },
      });
      return !this.stop.signal.aborted;
    } finally {
      end();
    }
  }
}

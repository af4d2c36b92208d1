/**
 * Evaluation of a detector during training: at regular intervals and after the last step, on images that are not trained on.
 * VOC's average precision (area) and the four losses go to validation.jsonl; the weights with the highest mAP so far are kept
 * in best.safetensors.
 *
 * It does not influence the training: its random numbers depend on an image's place among the images and are the same at
 * every step, and dropout is off, so the losses of two steps differ by their weights alone.
 */
import type { Dataset } from '../../data/types.ts';
import { countedBoxes } from '../../data/boxes.ts';
import { ALONE, type Processes } from '../../distributed/processes.ts';
import type { Detection } from '../../eval/voc.ts';
import { concat } from '../../engine/ops/axes.ts';
import { reshape } from '../../engine/ops/reshape.ts';
import { type Detector, LOSS_TERMS, type LossTerm } from '../../model/detector.ts';
import { type Progress, saveCheckpoint } from '../storage/checkpoint.ts';
import { readDetections } from '../evaluation/detect.ts';
import { eachImage } from '../evaluation/eachImage.ts';
import { evaluateDetections } from '../evaluation/evaluate.ts';
import type { RunDirectory, ValidationLine } from '../storage/runDirectory.ts';

export interface ValidationEvents {
  onValidationImage?(done: number, total: number): void;
  /**
   * `best`: no earlier step reached this mAP. `detections`: what was found in each image. If it returns a promise, training waits
   * for it.
   */
  onValidation?(line: ValidationLine, best: boolean, detections: readonly Detection[][]): unknown;
}

export interface ValidationOptions {
  model: Detector;
  /** Its images: `openValidation` of runConfig.ts. */
  dataset: Dataset;
  /** Where the lines and the best weights go. */
  directory: RunDirectory;
  /** Steps between two evaluations, and the step of the last one. */
  interval: number;
  steps: number;
  /** After so many evaluations without a better mAP the training is over; by default it never is. */
  patience?: number | undefined;
  events: ValidationEvents;
  /** Once aborted, an evaluation ends after its image and leaves no line: a resumed run makes up for it. */
  signal?: AbortSignal | undefined;
  /** Each measures its share of the images; the first keeps the lines and the best weights. */
  processes?: Processes | undefined;
}

export class Validation {
  private readonly options: ValidationOptions;
  private readonly lines: ValidationLine[];

  private constructor(options: ValidationOptions, lines: ValidationLine[]) {
    this.options = options;
    this.lines = lines;
  }

  /** @param step how far the run has come: lines beyond it are forgotten */
  static async open(options: ValidationOptions, step: number): Promise<Validation> {
    const { directory, processes = ALONE } = options;
    const lines = await processes.lead(() => {
      directory.truncateValidation(step);
      return directory.readValidation();
    });
    return new Validation(options, lines);
  }

  get isOver(): boolean {
    const { patience = Infinity } = this.options;
    return sinceBest(this.lines) >= patience;
  }

  isDue(step: number): boolean {
    const { interval, steps } = this.options;
    return step > 0 && (step % interval === 0 || step === steps) && this.lines.at(-1)?.step !== step;
  }

  async run(progress: Progress): Promise<void> {
    const { model, directory, events, processes = ALONE } = this.options;
    const measured = await this.measure();
    if (measured === null) return;
    const { detections, ...measures } = measured;
    const line: ValidationLine = { step: progress.step, ...measures };
    const best = this.lines.every(({ mAP }) => mAP < line.mAP);
    this.lines.push(line);
    await processes.lead(async () => {
      if (best) await saveCheckpoint(directory.bestPath, model, undefined, progress);
      directory.appendValidation(line);
    });
    await events.onValidation?.(line, best, detections);
  }

  /** Null after an abort. */
  private async measure(): Promise<(Omit<ValidationLine, 'step'> & { detections: Detection[][] }) | null> {
    const { model, dataset, signal, events, processes } = this.options;
    const { samples } = dataset;
    const started = performance.now();
    const results = await eachImage(
      samples,
      async (sample, picture, i) => {
        const { found, terms } = model.gpu.scope(() => {
          const image = model.prepare(picture, false, sample.proposals);
          const { losses, ...found } = model.validate(image, model.truth(countedBoxes(sample.boxes), image), i);
          const all = LOSS_TERMS.map((term) => reshape(losses[term], [1]));
          return { found, terms: concat(all, 0) };
        });
        const [detected, values] = await Promise.all([readDetections(found), terms.read()]);
        terms.dispose();
        return { detected, terms: [...values] };
      },
      { signal, processes, onImage: (done, total) => events.onValidationImage?.(done, total) },
    );
    if (results === null) return null;
    const sums = LOSS_TERMS.map(() => 0);
    for (const { terms } of results) terms.forEach((value, term) => (sums[term]! += value / samples.length));
    const detections = results.map(({ detected }) => detected);
    const { mAP, ap, images, seconds } = evaluateDetections(detections, dataset, 'voc10', started);
    const terms = Object.fromEntries(LOSS_TERMS.map((term, i) => [term, sums[i]!])) as Record<LossTerm, number>;
    return {
      mAP,
      ap,
      loss: sums.reduce((a, b) => a + b, 0),
      ...terms,
      images,
      seconds,
      detections,
    };
  }
}

/** How many evaluations there were since the one with the highest mAP, the first of them if several have it. */
export function sinceBest(lines: readonly { mAP: number }[]): number {
  let best = 0;
  lines.forEach(({ mAP }, i) => {
    if (mAP > lines[best]!.mAP) best = i;
  });
  return Math.max(0, lines.length - 1 - best);
}

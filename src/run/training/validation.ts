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
import { Prefetcher } from '../../data/prefetcher.ts';
import { concat } from '../../engine/ops/axes.ts';
import type { Detection } from '../../eval/voc.ts';
import { type Detector, LOSS_TERMS, type LossTerm } from '../../model/detector.ts';
import { type Progress, saveCheckpoint } from '../storage/checkpoint.ts';
import { readDetections } from '../evaluation/detect.ts';
import { evaluateDetections } from '../evaluation/evaluate.ts';
import type { RunDirectory, ValidationLine } from '../storage/runDirectory.ts';

export interface ValidationEvents {
  onValidationImage?(done: number, total: number): void;
  /** `best`: no earlier step reached this mAP. */
  onValidation?(line: ValidationLine, best: boolean): void;
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
  events: ValidationEvents;
  /** Once aborted, an evaluation ends after its image and leaves no line: a resumed run makes up for it. */
  signal?: AbortSignal | undefined;
}

export class Validation {
  private readonly options: ValidationOptions;
  private readonly lines: ValidationLine[];

  /** @param step how far the run has come: lines beyond it are forgotten */
  constructor(options: ValidationOptions, step: number) {
    this.options = options;
    options.directory.truncateValidation(step);
    this.lines = options.directory.readValidation();
  }

  isDue(step: number): boolean {
    const { interval, steps } = this.options;
    return step > 0 && (step % interval === 0 || step === steps) && this.lines.at(-1)?.step !== step;
  }

  async run(progress: Progress): Promise<void> {
    const { model, directory, events } = this.options;
    const measured = await this.measure();
    if (measured === null) return;
    const line: ValidationLine = { step: progress.step, ...measured };
    const best = this.lines.every(({ mAP }) => mAP < line.mAP);
    if (best) await saveCheckpoint(directory.bestPath, model, undefined, progress);
    this.lines.push(line);
    directory.appendValidation(line);
    events.onValidation?.(line, best);
  }

  /** Null after an abort. */
  private async measure(): Promise<Omit<ValidationLine, 'step'> | null> {
    const { model, dataset, signal, events } = this.options;
    const { samples } = dataset;
    const started = performance.now();
    const detections: Detection[][] = [];
    const sums = LOSS_TERMS.map(() => 0);
    const pictures = Prefetcher.inOrder(samples, (sample) => sample.load());
    for (const [i, sample] of samples.entries()) {
      const picture = await pictures.next();
      if (signal?.aborted) return null;
      const { found, terms } = model.gpu.scope(() => {
        const image = model.prepare(picture, false, sample.proposals);
        const { losses, ...found } = model.validate(image, model.truth(countedBoxes(sample.boxes), image), i);
        const all = LOSS_TERMS.map((term) => losses[term]);
        return { found, terms: concat(all, 0) };
      });
      const [detected, values] = await Promise.all([readDetections(found), terms.read()]);
      terms.dispose();
      detections.push(detected);
      values.forEach((value, term) => (sums[term]! += value / samples.length));
      events.onValidationImage?.(i + 1, samples.length);
    }
    const { mAP, ap, images, seconds } = evaluateDetections(detections, dataset, 'voc10', started);
    const terms = Object.fromEntries(LOSS_TERMS.map((term, i) => [term, sums[i]!])) as Record<LossTerm, number>;
    return {
      mAP,
      ap,
      loss: sums.reduce((a, b) => a + b, 0),
      ...terms,
      images,
      seconds,
    };
  }
}

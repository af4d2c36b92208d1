/** What `rcnn train --tensorboard` leaves for TensorBoard in a run's folder `tensorboard`: losses, validation, pictures. */
import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Canvas } from '../../draw/canvas.ts';
import { appendBytes, makeFolder, unwritable } from '../../engine/node/writeFile.ts';
import { LOSS_TERMS, type LossTerm } from '../../model/detector.ts';
import { eventFileHeader, eventRecord, type StepEvent } from '../storage/eventFile.ts';
import type { MetricsLine } from '../storage/metrics.ts';
import type { RunDirectory, ValidationLine } from '../storage/runDirectory.ts';

const AFTER_FULL_DISK = 'continue with --resume';

export class TensorBoardLog {
  private readonly folder: string;
  private file: string | null = null;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** The log of a run; null where it is not wanted. A run that has one goes on with it. */
  static open({ path }: Pick<RunDirectory, 'path'>, { wanted, resume }: { wanted: boolean; resume: boolean }) {
    const folder = join(path, 'tensorboard');
    return wanted || (resume && existsSync(folder)) ? new TensorBoardLog(folder) : null;
  }

  /**
   * Begins a file for what follows after `step`; what earlier files have of later steps is forgotten. `stage`: its name, in
   * TensorBoard a run of its own; '' where there is only one.
   */
  start(stage: string, step: number): void {
    const folder = join(this.folder, stage);
    const time = now();
    const name = `events.out.tfevents.${Math.floor(time)}.${hostname()}.${process.pid}`;
    try {
      makeFolder(folder);
    } catch (error) {
      throw unwritable(folder, error as NodeJS.ErrnoException, AFTER_FULL_DISK);
    }
    this.file = join(folder, name);
    this.append(eventFileHeader(time));
    this.add({ step: step + 1, starts: true });
  }

  metrics({ step, lr, loss, ...rest }: MetricsLine<LossTerm>): void {
    const terms = LOSS_TERMS.map((term) => [`train/${term}`, rest[term]] as const);
    this.add({ step, scalars: { 'train/loss': loss, ...Object.fromEntries(terms), 'train/learning_rate': lr } });
  }

  /** `detections`: a picture of some images with what was found in them. */
  async validation({ step, mAP, ap, loss, ...rest }: ValidationLine, detections: Canvas): Promise<void> {
    // A resumed run whose stages are all done is evaluated without training in any of them.
    if (this.file === null) this.start('', step - 1);
    const terms = LOSS_TERMS.map((term) => [`validation/${term}`, rest[term]] as const);
    const classes = Object.entries(ap).flatMap(([name, value]) =>
      value === null ? [] : [[`AP/${name}`, value] as const],
    );
    const { width, height } = detections;
    this.add({
      step,
      scalars: {
        'validation/mAP': mAP,
        'validation/loss': loss,
        ...Object.fromEntries(terms),
        ...Object.fromEntries(classes),
      },
      images: { 'validation/detections': { width, height, png: await detections.encode('png') } },
    });
  }

  private add(event: Omit<StepEvent, 'time'>): void {
    this.append(eventRecord({ ...event, time: now() }));
  }

  private append(bytes: Uint8Array): void {
    appendBytes(this.file!, bytes, AFTER_FULL_DISK);
  }
}

const now = (): number => Date.now() / 1000;

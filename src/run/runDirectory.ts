/**
 * A run directory:
 *   config.json             the whole configuration, `RunConfig`
 *   metrics.jsonl           a line every LOG_INTERVAL steps: step, lr, the mean of the loss and its terms since the line
 *                           before, seconds of training so far, seconds of them spent waiting for data
 *   checkpoint.safetensors  weights, momentum, step; replaced atomically
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../engine/errors.ts';
import { replaceFile } from '../engine/node/files.ts';
import type { DetectorConfig, TrainingConfig } from '../model/config.ts';
import type { LossTerm } from '../model/fasterRcnn.ts';

export interface RunConfig {
  format: 1;
  /** What was given as --data. */
  data: string;
  preset: string;
  /** The file of initial weights, if any. */
  init: string | null;
  skipBadBoxes: boolean;
  detector: DetectorConfig;
  training: TrainingConfig;
}

export type MetricsLine = Record<LossTerm, number> & {
  step: number;
  lr: number;
  loss: number;
  seconds: number;
  data_seconds: number;
};

export class RunDirectory {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  get configPath(): string {
    return join(this.path, 'config.json');
  }

  get metricsPath(): string {
    return join(this.path, 'metrics.jsonl');
  }

  get checkpointPath(): string {
    return join(this.path, 'checkpoint.safetensors');
  }

  get hasCheckpoint(): boolean {
    return existsSync(this.checkpointPath);
  }

  /** A new run. A directory that already holds one is left alone. */
  create(config: RunConfig): void {
    if (existsSync(this.configPath)) {
      throw new UserError(`${this.path}: already holds a run; continue it with --resume or choose another --out`);
    }
    mkdirSync(this.path, { recursive: true });
    replaceFile(this.configPath, JSON.stringify(config, null, 2) + '\n');
    replaceFile(this.metricsPath, '');
  }

  readConfig(): RunConfig {
    let text: string;
    try {
      text = readFileSync(this.configPath, 'utf8');
    } catch {
      throw new UserError(`${this.configPath}: there is no such file; ${this.path} is not a run of 'rcnn train'`);
    }
    try {
      const config = JSON.parse(text) as RunConfig;
      if (config.format !== 1) throw new Error(`format ${config.format}`);
      return config;
    } catch {
      throw new UserError(
        `${this.configPath}: is not a configuration of this version; train again or restore the file`,
      );
    }
  }

  readMetrics(): MetricsLine[] {
    if (!existsSync(this.metricsPath)) return [];
    const lines = readFileSync(this.metricsPath, 'utf8').split('\n');
    return lines.flatMap((line) => {
      try {
        return [JSON.parse(line) as MetricsLine];
      } catch {
        return []; // the last line of a run that was killed while it wrote
      }
    });
  }

  appendMetrics(line: MetricsLine): void {
    appendFileSync(this.metricsPath, JSON.stringify(line) + '\n');
  }

  /** Forgets the lines after `step`: the run goes on from its checkpoint. */
  truncateMetrics(step: number): void {
    const kept = this.readMetrics().filter((line) => line.step <= step);
    replaceFile(this.metricsPath, kept.map((line) => JSON.stringify(line) + '\n').join(''));
  }
}

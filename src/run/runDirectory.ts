/**
 * A run directory:
 *   config.json             the whole configuration, `RunConfig`
 *   metrics.jsonl           a line every LOG_INTERVAL steps: step, lr, the mean of the loss and its terms since the line
 *                           before, seconds of training so far, seconds of them spent waiting for data
 *   checkpoint.safetensors  weights, momentum, step; replaced atomically
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../engine/errors.ts';
import { replaceFile } from '../engine/node/files.ts';
import type { Choices } from '../engine/plans.ts';
import type { DetectorConfig, TrainingConfig } from '../model/config.ts';
import type { LossTerm } from '../model/fasterRcnn.ts';

export interface RunConfig {
  format: 1;
  /** What was given as --data, with an absolute path, and the part of it to train on. */
  data: string;
  split: string;
  preset: string;
  /** The file of initial weights, if any. */
  init: string | null;
  skipBadBoxes: boolean;
  /** Steps between two checkpoints. */
  checkpointInterval: number;
  detector: DetectorConfig;
  training: TrainingConfig;
  /** The kernels that the tuner chose, if it ran: a resumed run takes the same, and so ends with the same bits. */
  kernels?: Choices;
}

export type MetricsLine = Record<LossTerm, number> & {
  step: number;
  lr: number;
  loss: number;
  seconds: number;
  data_seconds: number;
};

/** What `config.json` of any command says first: which command's, and of which version. */
interface AnyConfig {
  format: string | number;
}

export class RunDirectory<Config extends AnyConfig = RunConfig, Line extends { step: number } = MetricsLine> {
  readonly path: string;
  private readonly format: Config['format'];
  private readonly command: string;

  constructor(path: string, format: Config['format'] = 1, command = 'rcnn train') {
    this.path = path;
    this.format = format;
    this.command = command;
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

  /** Throws where a new run would destroy the checkpoint of another. */
  assertFree(): void {
    if (this.hasCheckpoint) {
      throw new UserError(`${this.path}: already holds a run; continue it with --resume, or choose another --out`);
    }
  }

  /** A new run, in place of one that never came to a checkpoint. */
  create(config: Config): void {
    this.assertFree();
    try {
      mkdirSync(this.path, { recursive: true });
    } catch (error) {
      throw new UserError(`${this.path}: cannot be created (${(error as Error).message}); choose another --out`);
    }
    replaceFile(this.configPath, JSON.stringify(config, null, 2) + '\n');
    replaceFile(this.metricsPath, '');
  }

  /** Removes the files of a run, and nothing else that lies in the directory. */
  clear(): void {
    for (const path of [this.checkpointPath, this.metricsPath, this.configPath]) rmSync(path, { force: true });
  }

  readConfig(): Config {
    let text: string;
    try {
      text = readFileSync(this.configPath, 'utf8');
    } catch {
      throw new UserError(`${this.configPath}: there is no such file; ${this.path} is not a run of '${this.command}'`);
    }
    try {
      const config = JSON.parse(text) as Config;
      if (config.format !== this.format) throw new Error(`format ${config.format}`);
      return config;
    } catch {
      throw new UserError(
        `${this.configPath}: is not a configuration of this version of '${this.command}'; train again or restore the file`,
      );
    }
  }

  readMetrics(): Line[] {
    if (!existsSync(this.metricsPath)) return [];
    const lines = readFileSync(this.metricsPath, 'utf8').split('\n');
    return lines.flatMap((line) => {
      try {
        return [JSON.parse(line) as Line];
      } catch {
        return []; // the last line of a run that was killed while it wrote
      }
    });
  }

  appendMetrics(line: Line): void {
    try {
      appendFileSync(this.metricsPath, JSON.stringify(line) + '\n');
    } catch (error) {
      throw new UserError(
        `${this.metricsPath}: cannot be written (${(error as Error).message}); free some space and continue with --resume`,
      );
    }
  }

  /** Forgets the lines after `step`: the run goes on from its checkpoint. */
  truncateMetrics(step: number): void {
    const kept = this.readMetrics().filter((line) => line.step <= step);
    replaceFile(this.metricsPath, kept.map((line) => JSON.stringify(line) + '\n').join(''));
  }
}

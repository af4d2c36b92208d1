/**
 * A run directory:
 *   config.json             the whole configuration, `RunConfig`
 *   run.lock                while a process writes here: which one, on which host (runLock.ts)
 *   metrics.jsonl           a line every LOG_INTERVAL steps: step, lr, the mean of the loss and its terms since the line
 *                           before, seconds of training so far, seconds of them spent waiting for data
 *   checkpoint.safetensors  weights, momentum, step; replaced atomically
 *   checkpoint-STEP.safetensors  with `--save-every`, the checkpoints of earlier steps that are kept
 *   validation.jsonl        if the run is validated: step, mAP, AP by class, the loss and its terms, images, seconds
 *   best.safetensors        the weights, without momentum, with the highest mAP there
 *   tensorboard/            with `--tensorboard`, TensorBoard's event files
 *   1-rpn/ 2-detector/ ...  the stages of a schedule with several, each a run directory of its own, with
 *   proposals.safetensors   if the next stage trains on the proposals of its RPN
 */
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { UserError } from '../../engine/errors.ts';
import { readRegularText } from '../../engine/node/readFile.ts';
import { makeFolder, replaceFile, syncFile, unwritable } from '../../engine/node/writeFile.ts';
import type { LossTerm } from '../../model/detector.ts';
import { DETECTOR_RUN, parseConfig, type RunConfig, type RunKind } from '../config/configSchema.ts';
import type { MetricsLine } from './metrics.ts';
import { addLine, METRICS_LINE, readLines, truncateLines, VALIDATION_LINE } from './lines.ts';
import { allStages } from '../config/stages.ts';

/** A line of validation.jsonl. Losses are means over the images. */
export interface ValidationLine extends Record<LossTerm, number> {
  step: number;
  mAP: number;
  /** By class; null for a class of which the images have no object. */
  ap: Record<string, number | null>;
  loss: number;
  images: number;
  seconds: number;
}

const KEPT = /^checkpoint-(\d+)\.safetensors$/;

/** config.json has some 200 kB if kernels were chosen for a thousand shapes. */
const MAX_CONFIG_BYTES = 16e6;

export class RunDirectory<Config = RunConfig, Line extends { step: number } = MetricsLine<LossTerm>> {
  readonly path: string;
  private readonly kind: RunKind<Config>;

  constructor(path: string, kind: RunKind<Config> = DETECTOR_RUN as unknown as RunKind<Config>) {
    this.path = path;
    this.kind = kind;
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

  /** The checkpoint of a step that is kept beside the newest (`--save-every`). */
  keptPath(step: number): string {
    return join(this.path, `checkpoint-${step}.safetensors`);
  }

  /** The steps whose checkpoints are kept, in order. */
  get keptSteps(): number[] {
    const isFolder = existsSync(this.path) && statSync(this.path).isDirectory();
    const names = isFolder ? readdirSync(this.path) : [];
    const steps = names.flatMap((name) => KEPT.exec(name)?.[1] ?? []);
    return steps.map(Number).sort((a, b) => a - b);
  }

  /** Removes all but the last `count` checkpoints that are kept. */
  keepLast(count: number): void {
    for (const step of this.keptSteps.slice(0, -count)) rmSync(this.keptPath(step), { force: true });
  }

  get validationPath(): string {
    return join(this.path, 'validation.jsonl');
  }

  get bestPath(): string {
    return join(this.path, 'best.safetensors');
  }

  get proposalsPath(): string {
    return join(this.path, 'proposals.safetensors');
  }

  /** The run directory of a stage. For a schedule of only one stage it is this one. */
  stage(name: string): RunDirectory<Config, Line> {
    return name === '' ? this : new RunDirectory<Config, Line>(join(this.path, name), this.kind);
  }

  get hasConfig(): boolean {
    return existsSync(this.configPath);
  }

  /** The directories of the stages of all schedules by name, whether they exist or not. */
  get stages(): ReadonlyMap<string, RunDirectory<Config, Line>> {
    const names = allStages().map(({ name }) => name);
    return new Map(names.filter((name) => name !== '').map((name) => [name, this.stage(name)]));
  }

  get hasCheckpoint(): boolean {
    return existsSync(this.checkpointPath);
  }

  /**
   * Every file that a run may have here and in its stages: checkpoints first, and the configuration, by which the others are
   * recognised as a run's, last. Empty if the folder does not exist.
   */
  get files(): string[] {
    if (!existsSync(this.path)) return [];
    const { checkpointPath, metricsPath, configPath, proposalsPath, validationPath, bestPath } = this;
    const stages = [...this.stages.values()].flatMap((stage) => stage.files);
    const kept = this.keptSteps.map((step) => this.keptPath(step));
    return [checkpointPath, ...kept, metricsPath, proposalsPath, validationPath, bestPath, ...stages, configPath];
  }

  /** Throws if a new run would destroy the checkpoint of another, or files that are not a run's. */
  assertFree(): void {
    const trained = [this, ...this.stages.values()];
    if (trained.some(({ hasCheckpoint, keptSteps }) => hasCheckpoint || keptSteps.length > 0)) {
      throw new UserError(`${this.path}: already holds a run; continue it with --resume, or choose another --out`);
    }
    const [first] = this.files.filter((path) => existsSync(path));
    if (first === undefined || this.hasOwnConfig()) return;
    throw new UserError(
      `${this.path}: is not a run of '${this.kind.command}', so its ${relative(this.path, first)} is not replaced; choose another --out`,
    );
  }

  /** Whether the configuration is one that this kind of run wrote. */
  private hasOwnConfig(): boolean {
    try {
      this.readConfig();
      return true;
    } catch (error) {
      if (error instanceof UserError) return false;
      throw error;
    }
  }

  /** Starts a new run, replacing one that never reached a checkpoint in any of its stages. */
  create(config: Config): void {
    this.assertFree();
    try {
      makeFolder(this.path);
    } catch (error) {
      throw unwritable(this.path, error as NodeJS.ErrnoException, 'run the command again');
    }
    this.clear();
    this.writeConfig(config);
  }

  /** Replaces the configuration of the run, all or nothing; its other files stay. */
  writeConfig(config: Config): void {
    replaceFile(this.configPath, JSON.stringify(config, null, 2) + '\n');
  }

  /** Removes the files of a run, and nothing else from the directory. */
  clear(): void {
    for (const path of this.files) rmSync(path, { force: true });
  }

  readConfig(): Config {
    if (!this.hasConfig) {
      throw new UserError(
        `${this.configPath}: there is no such file; ${this.path} is not a run of '${this.kind.command}'`,
      );
    }
    return parseConfig(readRegularText(this.configPath, { maxBytes: MAX_CONFIG_BYTES }), this.configPath, this.kind);
  }

  readMetrics(): Line[] {
    return readLines<Line>(this.metricsPath, METRICS_LINE);
  }

  appendMetrics(line: Line): void {
    addLine(this.metricsPath, line);
  }

  /** Waits until the lines so far are on the disk, so that a checkpoint never precedes its lines. */
  syncMetrics(): void {
    syncFile(this.metricsPath, 'continue with --resume');
  }

  /** Drops the lines after `step`, because the run continues from its checkpoint. */
  truncateMetrics(step: number): void {
    truncateLines(this.metricsPath, METRICS_LINE, step);
  }

  readValidation(): ValidationLine[] {
    const lines = readLines<ValidationLine & { mAP: number | null }>(this.validationPath, VALIDATION_LINE);
    return lines.map((line) => ({ ...line, mAP: line.mAP ?? NaN }));
  }

  appendValidation(line: ValidationLine): void {
    addLine(this.validationPath, line);
    syncFile(this.validationPath, 'continue with --resume');
  }

  truncateValidation(step: number): void {
    if (existsSync(this.validationPath)) truncateLines(this.validationPath, VALIDATION_LINE, step);
  }
}

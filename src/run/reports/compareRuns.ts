/** Runs side by side: the settings in which they differ, how far they came, and what evaluations measured. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { UserError } from '../../engine/errors.ts';
import { readRegularText } from '../../engine/node/readFile.ts';
import { hasDetector, stagesOfRun } from '../config/stages.ts';
import type { RunConfig } from '../config/configSchema.ts';
import { checkpointProgress } from '../storage/checkpoint.ts';
import { RunDirectory, type ValidationLine } from '../storage/runDirectory.ts';

/** Where `rcnn eval --report RUN/report` leaves the figures of an evaluation. */
export const evaluationOf = (run: string): string => join(run, 'report', 'report.json');

const MAX_REPORT_BYTES = 500e6;
/** Settings that follow from others, or say nothing about the result. */
const LEFT_OUT = /^(format|kernels|plannedFor)(\.|$)/;

const evaluation = z.object({
  mAP: z.number().nullable(),
  curves: z.array(z.object({ name: z.string(), ap: z.number().nullable() })),
  bySize: z.record(z.string(), z.object({ mAP: z.number().nullable() })),
  stages: z.record(z.string(), z.number()).nullable(),
});

export interface ComparedRun {
  name: string;
  losses: readonly { step: number; loss: number }[];
  validation: readonly ValidationLine[];
}

export interface Comparison {
  runs: readonly ComparedRun[];
  /** Under a heading: a name, and the value of each run; '' where a run has none. */
  tables: readonly { title: string; rows: readonly (readonly string[])[] }[];
}

/** Reads the runs; throws a UserError for a folder that is none. */
export function compareRuns(paths: readonly string[]): Comparison {
  const runs = paths.map(readRun);
  const row = (name: string, value: (run: ReadRun) => string | undefined): string[] => [
    name,
    ...runs.map((run) => value(run) ?? ''),
  ];
  const keys = (of: (run: ReadRun) => object): string[] => [...new Set(runs.flatMap((run) => Object.keys(of(run))))];
  const tables = [
    {
      title: 'Settings that differ',
      rows: keys(({ settings }) => settings)
        .filter((key) => new Set(runs.map(({ settings }) => settings[key])).size > 1)
        .map((key) => row(key, ({ settings }) => settings[key])),
    },
    {
      title: 'Training',
      rows: [
        row('steps', ({ steps }) => steps),
        row('seconds', ({ seconds }) => seconds),
        row('loss', ({ losses }) => fixed(losses.at(-1)?.loss, 3)),
      ],
    },
    {
      title: 'Validation',
      rows: [
        row('mAP', ({ validation }) => fixed(validation.at(-1)?.mAP, 4)),
        row('best mAP', ({ best }) => fixed(best?.mAP, 4)),
        row('at step', ({ best }) => best && String(best.step)),
        row('loss', ({ validation }) => fixed(validation.at(-1)?.loss, 3)),
        ...keys(({ best }) => best?.ap ?? {}).map((name) => row(`AP ${name}`, ({ best }) => fixed(best?.ap[name], 4))),
      ],
    },
    {
      title: 'Evaluation',
      rows: [
        row('mAP', ({ figures }) => fixed(figures?.mAP, 4)),
        ...keys(({ figures }) => figures?.ap ?? {}).map((name) =>
          row(`AP ${name}`, ({ figures }) => fixed(figures?.ap[name], 4)),
        ),
        ...keys(({ figures }) => figures?.bySize ?? {}).map((size) =>
          row(`mAP ${size}`, ({ figures }) => fixed(figures?.bySize[size]?.mAP, 4)),
        ),
        ...keys(({ figures }) => figures?.stages ?? {}).map((part) =>
          row(`ms ${part}`, ({ figures }) => fixed(figures?.stages?.[part], 1)),
        ),
      ],
    },
  ];
  const filled = tables.map(({ title, rows }) => ({
    title,
    rows: rows.filter((cells) => cells.slice(1).some(Boolean)),
  }));
  return { runs, tables: filled.filter(({ rows }) => rows.length > 0) };
}

type ReadRun = ReturnType<typeof readRun>;

function readRun(path: string) {
  const directory = new RunDirectory(path);
  const config = directory.readConfig();
  const stages = stagesOfRun(config);
  const stage = stages.findLast(hasDetector) ?? stages.at(-1);
  const losses = ((stage && directory.stages.get(stage.name)) || directory).readMetrics();
  const validation = directory.readValidation();
  const progress = directory.hasCheckpoint ? checkpointProgress(directory.checkpointPath) : undefined;
  return {
    name: path,
    settings: settingsOf(config),
    losses,
    validation,
    best: validation.reduce<ValidationLine | undefined>((a, b) => (a && !(b.mAP > a.mAP) ? a : b), undefined),
    steps: progress && String(progress.step),
    seconds: progress && progress.seconds.toFixed(0),
    figures: readEvaluation(evaluationOf(path)),
  };
}

function readEvaluation(path: string) {
  if (!existsSync(path)) return undefined;
  const problem = (): never => {
    throw new UserError(`${path}: is not a report of 'rcnn eval --report'; write it again, or remove it`);
  };
  try {
    const { curves, ...rest } = evaluation.parse(JSON.parse(readRegularText(path, { maxBytes: MAX_REPORT_BYTES })));
    return { ...rest, ap: Object.fromEntries(curves.map(({ name, ap }) => [name, ap])) };
  } catch (error) {
    if (error instanceof UserError) throw error;
    return problem();
  }
}

/** Every value of a configuration as JSON, by its path. */
function settingsOf(config: RunConfig): Record<string, string> {
  const settings: Record<string, string> = {};
  const visit = (value: unknown, path: string): void => {
    if (LEFT_OUT.test(path)) return;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      settings[path] = typeof value === 'string' ? value : JSON.stringify(value);
      return;
    }
    for (const [key, inner] of Object.entries(value)) {
      if (inner !== undefined) visit(inner, path === '' ? key : `${path}.${key}`);
    }
  };
  visit(config, '');
  return settings;
}

const fixed = (value: number | null | undefined, digits: number): string | undefined =>
  value === null || value === undefined || !Number.isFinite(value) ? undefined : value.toFixed(digits);

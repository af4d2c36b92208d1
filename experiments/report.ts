/** Writes docs/experiments.md from the results that exist. */
import { EXPERIMENTS, type Experiment, type Row } from './plan.ts';
import { readResult, type Result, type Settings, testName } from './replay.ts';

/** The results of a row, one per seed: mAP in per cent, and minutes of training. */
export interface Measured extends Row {
  values: number[];
  minutes: number[];
  /** Milliseconds of a test image. */
  ms: NonNullable<Result['ms']>[];
}

export const measured = (settings: Settings, { rows }: Experiment): Measured[] =>
  rows.map((row) => {
    const results = Array.from({ length: settings.seeds }, (_, i) => readResult(settings, row.variant, i + 1));
    const found = results.filter((result) => result !== null && testName(row.set) in result.mAP);
    return {
      ...row,
      values: found.map((result) => 100 * result!.mAP[testName(row.set)]!),
      minutes: found.map((result) => result!.seconds / 60),
      // Timed as trained; another test has other times.
      ms: row.set ? [] : found.flatMap((result) => result!.ms ?? []),
    };
  });

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

function cells({ label, values, minutes, ms, paper }: Measured, minuted: boolean, timed: boolean): string[] {
  const meanMs = (of: 'proposals' | 'network'): string =>
    ms.length === 0 ? '' : mean(ms.map((m) => m[of])).toFixed(1);
  const spread = values.length > 1 ? ` (${Math.min(...values).toFixed(1)} to ${Math.max(...values).toFixed(1)})` : '';
  return [
    label,
    values.length === 0 ? 'not run' : `${mean(values).toFixed(1)}${spread}`,
    ...(minuted ? [minutes.length === 0 ? '' : mean(minutes).toFixed(1)] : []),
    ...(timed ? [meanMs('proposals'), meanMs('network')] : []),
    paper?.toFixed(1) ?? '',
  ];
}

function table(experiment: Experiment, rows: readonly Measured[]): string {
  const minuted = experiment.id === 'sharing';
  const { timed = false } = experiment;
  const line = (texts: readonly string[]): string => `| ${texts.join(' | ')} |`;
  const head = [
    '',
    'mAP (each seed)',
    ...(minuted ? ['minutes of training'] : []),
    ...(timed ? ['proposals, ms an image', 'network, ms an image'] : []),
    'paper',
  ];
  return [line(head), line(head.map(() => '---')), ...rows.map((row) => line(cells(row, minuted, timed)))].join('\n');
}

/** Which of two rows is ahead, here and in the paper, for pairs whose seeds do not overlap. */
function direction(rows: readonly Measured[]): string {
  const known = rows.filter((row) => row.paper !== undefined && row.values.length > 0);
  const notes: string[] = [];
  known.forEach((a, i) =>
    known.slice(i + 1).forEach((b) => {
      const ours = mean(a.values) - mean(b.values);
      const theirs = a.paper! - b.paper!;
      const apart = Math.min(...a.values) > Math.max(...b.values) || Math.min(...b.values) > Math.max(...a.values);
      if (apart && ours * theirs < 0 && Math.abs(theirs) >= 0.5) {
        const [best, worst] = ours > 0 ? [a, b] : [b, a];
        notes.push(`${best.label} before ${worst.label}`);
      }
    }),
  );
  return notes.length === 0
    ? 'No two rows whose seeds do not overlap are in another order than in the paper.'
    : `In another order than in the paper, with ranges apart: ${notes.join('; ')}.`;
}

/** An experiment's part of the document. */
export function section(
  settings: Settings,
  experiment: Experiment,
  comments: Readonly<Record<string, string>>,
): string {
  const rows = measured(settings, experiment);
  const comment = comments[experiment.id];
  return [
    `## ${experiment.title}`,
    `Paper: ${experiment.source}.`,
    table(experiment, rows),
    direction(rows),
    ...(comment ? [comment] : []),
  ].join('\n\n');
}

/** @param comments what to say about an experiment besides its numbers, by its id */
export function report(settings: Settings, machine: string, comments: Readonly<Record<string, string>>): string {
  const sections = EXPERIMENTS.map((experiment) => section(settings, experiment, comments));
  return `# The paper's experiments, replayed small

\`npm run experiments -- --steps ${settings.steps} --seeds ${settings.seeds} --images ${settings.images}\` on ${machine}: the
\`demo\` preset on the digit scenes, ${settings.steps} steps instead of 3000, tested on ${settings.images} scenes; mean of the seeds and their
range; mAP (area, IoU 0.5) in per cent. The paper's figures are for photographs (VOC 2007): what can be compared is the
order of rows, not their height.

![Every seed of every row](experiments.png)

${sections.join('\n\n')}
`;
}

/** Compares two reports of `rcnn bench` row by row: what got slower, what got wrong, and what only one of them has. */
import { UserError } from '../engine/errors.ts';
import { caseName } from './case.ts';
import type { BenchReport } from './report.ts';
import { geometricMean } from './statistics.ts';

export interface RowComparison {
  name: string;
  before_ms: number;
  after_ms: number;
  /** Before over after: above 1 the second report is faster. */
  ratio: number;
}

export interface ReportComparison {
  rows: RowComparison[];
  /** The geometric mean of the ratios; null without a common row. */
  mean: number | null;
  /** Slower by more than the tolerance. */
  slower: RowComparison[];
  /** Right in the first report and wrong in the second. */
  wrong: string[];
  /** Rows that only one of the reports has, or that the first has no time for. */
  unmatched: string[];
}

/**
 * A `tolerance` of 1.1 lets a row take 10 % longer. Best times are compared, since other work on a machine only adds to a time.
 * Throws if the devices differ, unless comparing devices is the point.
 */
export function compareReports(
  before: BenchReport,
  after: BenchReport,
  { tolerance, differentDevices = false }: { tolerance: number; differentDevices?: boolean },
): ReportComparison {
  if (before.adapter !== after.adapter && !differentDevices) {
    throw new UserError(
      `the reports are of different devices, ${before.adapter} and ${after.adapter}: give two of one device, or add --different-devices`,
    );
  }
  const second = new Map(after.rows.map((row) => [caseName(row), row]));
  const first = new Map(before.rows.map((row) => [caseName(row), row]));
  const comparison: ReportComparison = { rows: [], mean: null, slower: [], wrong: [], unmatched: [] };
  for (const [name, old] of first) {
    const now = second.get(name);
    if (!now || old.best_ms === null) comparison.unmatched.push(name);
    else if (now.best_ms === null) comparison.wrong.push(name);
    else comparison.rows.push(compareRow(name, old.best_ms, now.best_ms));
  }
  comparison.unmatched.push(...[...second.keys()].filter((name) => !first.has(name)));
  if (comparison.rows.length === 0 && comparison.wrong.length === 0) {
    throw new UserError('the reports have no row in common: give two of the same rows');
  }
  comparison.slower = comparison.rows.filter(({ ratio }) => ratio * tolerance < 1);
  comparison.mean = geometricMean(comparison.rows.map(({ ratio }) => ratio));
  return comparison;
}

const compareRow = (name: string, before: number, after: number): RowComparison => ({
  name,
  before_ms: before,
  after_ms: after,
  ratio: before / after,
});

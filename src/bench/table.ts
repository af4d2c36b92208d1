/** The table of a benchmark, line by line as the rows come. */
import type { BenchCase } from './case.ts';
import { farthest } from './profile.ts';
import type { BenchProfile, BenchRow } from './report.ts';

const COLUMNS = ['first ms', 'median ms', 'best ms', 'rate', 'of peak', 'of bound'] as const;
const WIDTHS = [10, 10, 10, 15, 8, 9] as const;

export class BenchTable {
  private readonly opWidth: number;
  private readonly shapeWidth: number;
  private group = '';

  constructor(cases: readonly Pick<BenchCase, 'op' | 'shape'>[]) {
    this.opWidth = Math.max(...cases.map(({ op }) => op.length));
    this.shapeWidth = Math.max(...cases.map(({ shape }) => shape.length));
  }

  /** The row's line, under a heading if a group begins, then its problems and its further times. */
  lines(row: BenchRow): string[] {
    const lines: string[] = [];
    if (row.group !== this.group) lines.push('', this.line(row.group, '', COLUMNS));
    this.group = row.group;
    const cells = [
      milliseconds(row.first_ms),
      milliseconds(row.median_ms),
      milliseconds(row.best_ms),
      speed(row),
      share(row.share_of_peak),
      share(row.share_of_bound),
    ];
    lines.push(row.valid ? this.line(`  ${row.op}`, row.shape, cells) : `  ${row.op}  ${row.shape}  WRONG`);
    lines.push(...row.problems.map((problem) => `      ${problem}`));
    if (row.tuned_ms) {
      const [time, took] = [milliseconds(row.tuned_ms), milliseconds(row.tuning_ms!)];
      const gain = (row.best_ms! / row.tuned_ms).toFixed(2);
      lines.push(`      tuned: best ${time} ms, ${gain} times as fast; tuning took ${took} ms`);
    }
    if (row.profile) lines.push(...profileLines(row.profile));
    const extras = Object.entries(row.extras ?? {});
    if (extras.length > 0) {
      lines.push(`      ${extras.map(([name, time]) => `${name} ${milliseconds(time)} ms`).join(', ')}`);
    }
    return lines;
  }

  private line(name: string, shape: string, cells: readonly string[]): string {
    // A heading may be longer than the names below it; it has no shape, so it uses that column too.
    const left = (name.padEnd(this.opWidth + 4) + shape).padEnd(this.opWidth + 4 + this.shapeWidth);
    return (
      left +
      cells
        .map((cell, i) => cell.padStart(WIDTHS[i]!))
        .join('')
        .trimEnd()
    );
  }
}

/** To three digits. */
export function milliseconds(time: number | null): string {
  if (time === null) return '';
  return time.toFixed(time >= 100 ? 0 : time >= 10 ? 1 : time >= 1 ? 2 : 3);
}

/** How many kernels of a profile are shown, and how many of those that are farthest from their roofline. */
const SHOWN = 10;

function profileLines({ record_ms, wall_ms, busy_ms, gaps_ms, dispatches, kernels }: BenchProfile): string[] {
  const line = ({ name, dispatches, milliseconds: time, bound_ms }: (typeof kernels)[number]): string => {
    const cells = [milliseconds(time).padStart(8), `${dispatches} x`.padStart(6), share(bound_ms / time).padStart(6)];
    return `        ${cells.join('')} of bound  ${name}`;
  };
  return [
    `      profile: ${dispatches} dispatches, recorded in ${milliseconds(record_ms)} ms, done after ${milliseconds(wall_ms)} ms; busy ${milliseconds(busy_ms)} ms, gaps ${milliseconds(gaps_ms)} ms`,
    ...kernels.slice(0, SHOWN).map(line),
    '      farthest from their roofline, by the time above it:',
    ...farthest(kernels, SHOWN).map(line),
  ];
}

const share = (value: number | null | undefined): string =>
  value === null || value === undefined ? '' : `${(100 * value).toFixed(0)} %`;

function speed({ gflops, gbps }: BenchRow): string {
  if (gflops !== null) return `${gflops.toFixed(1)} GFLOP/s`;
  return gbps !== null ? `${gbps.toFixed(1)} GB/s` : '';
}

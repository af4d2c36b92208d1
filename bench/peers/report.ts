/** The comparison's report: its form, its arithmetic, and its tables for the terminal and for docs/performance.md. */
import { rate } from '../../src/bench/run.ts';
import { geometricMean } from '../../src/bench/statistics.ts';

export interface ReportRow {
  /** forward, input_gradient, filter_gradient, matmul, training_step, detection */
  op: string;
  shape: string;
  /** The best of the repetitions; null if the result was wrong. */
  ours_ms: number | null;
  peers: Record<string, number>;
  /** The fastest peer's time divided by ours: above 1 ours is faster. Null without a peer. */
  ratio_to_best_peer: number | null;
  gflops: number | null;
  /** Share of the multiply-add peak measured in the same run. */
  share_of_peak: number | null;
  /** Why an engine has no time in this row. */
  notes: string[];
}

export interface PeersReport {
  adapter: string;
  /** ISO 8601. */
  date: string;
  peak_gflops: number;
  versions: Record<string, string>;
  rows: ReportRow[];
  /** The geometric mean of the ratios over the rows of each pass; null if there are none. */
  geomean: { forward: number | null; input_gradient: number | null; filter_gradient: number | null };
  /** Engines that did not start, and why. */
  missing: Record<string, string>;
}

export function makeRow(
  { op, shape, flops }: { op: string; shape: string; flops: number | null },
  ours: number | null,
  peers: Record<string, number>,
  peakGflops: number,
  notes: string[],
): ReportRow {
  const times = Object.values(peers);
  const gflops = ours === null || flops === null ? null : rate(flops, ours);
  return {
    op,
    shape,
    ours_ms: ours,
    peers,
    ratio_to_best_peer: ours === null || times.length === 0 ? null : Math.min(...times) / ours,
    gflops,
    share_of_peak: gflops === null ? null : gflops / peakGflops,
    notes,
  };
}

export function geomeans(rows: readonly ReportRow[]): PeersReport['geomean'] {
  const over = (pass: string) =>
    geometricMean(
      rows
        .filter(({ op, ratio_to_best_peer }) => op === pass && ratio_to_best_peer !== null)
        .map((row) => row.ratio_to_best_peer!),
    );
  return {
    forward: over('forward'),
    input_gradient: over('input_gradient'),
    filter_gradient: over('filter_gradient'),
  };
}

export const ours = 'webgpu-rcnn';

const number = (value: number | null | undefined, digits: number): string =>
  value === null || value === undefined ? '' : value.toFixed(digits);

const time = (value: number | null | undefined): string => number(value, (value ?? 0) < 100 ? 1 : 0);

/** The heading and the cells of every row: the milliseconds of each engine, then what follows from them. */
function cells(report: Pick<PeersReport, 'rows'>, peers: readonly string[]): string[][] {
  return report.rows.map((row) => [
    row.op.replace('_', ' '),
    row.shape,
    time(row.ours_ms),
    ...peers.map((peer) => time(row.peers[peer])),
    number(row.ratio_to_best_peer, 2),
    number(row.gflops, 1),
    row.share_of_peak === null ? '' : `${number(100 * row.share_of_peak, 0)} %`,
  ]);
}

const heading = (peers: readonly string[]): string[] => [
  'operation',
  'shape',
  ours,
  ...peers,
  'ratio',
  'GFLOP/s',
  'of peak',
];

const ratio = (value: number | null): string => (value === null ? 'not measured' : value.toFixed(2));

const means = ({ geomean }: Pick<PeersReport, 'geomean'>): string =>
  `forward ${ratio(geomean.forward)}, input gradient ${ratio(geomean.input_gradient)}, ` +
  `filter gradient ${ratio(geomean.filter_gradient)}`;

/** The lines of one table. Rows reach the terminal one by one, so their widths are fixed beforehand. */
function tableLine(row: readonly string[], widths: readonly number[]): string {
  return row
    .map((cell, i) => (i < 2 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
    .join('  ')
    .trimEnd();
}

export function terminalTable(peers: readonly string[], shapes: readonly { op: string; shape: string }[]) {
  const titles = heading(peers);
  const widths = titles.map((title) => Math.max(8, title.length));
  widths[0] = Math.max(...shapes.map(({ op }) => op.length));
  widths[1] = Math.max(...shapes.map(({ shape }) => shape.length));
  return {
    heading: tableLine(titles, widths),
    row: (row: ReportRow) => tableLine(cells({ rows: [row] }, peers)[0]!, widths),
    means: (geomean: PeersReport['geomean']) => `geometric mean of the ratios: ${means({ geomean })}`,
  };
}

export function markdown(report: PeersReport, peers: readonly string[]): string {
  const line = (row: readonly string[]) => `| ${row.join(' | ')} |`;
  const versions = Object.entries(report.versions).map(([name, version]) => `${name} ${version}`);
  return [
    `${report.adapter}, ${report.date.slice(0, 10)}; multiply-add peak ${report.peak_gflops.toFixed(0)} GFLOP/s.`,
    `Milliseconds, best of the repetitions; ${versions.join(', ')}.`,
    '',
    line(heading(peers)),
    line(heading(peers).map((_, i) => (i < 2 ? '---' : '--:'))),
    ...cells(report, peers).map(line),
    '',
    `Geometric mean of the ratios: ${means(report)}.`,
    ...Object.entries(report.missing).map(([name, reason]) => `${name} did not start: ${reason}.`),
    ...report.rows.flatMap(({ op, shape, notes }) => notes.map((note) => `${op.replace('_', ' ')} ${shape}: ${note}.`)),
  ].join('\n');
}

const [BEGIN, END] = ['<!-- peers:begin -->', '<!-- peers:end -->'];

/** The document with `text` between its two marks; null if it does not have them. */
export function between(document: string, text: string): string | null {
  const [from, to] = [document.indexOf(BEGIN), document.indexOf(END)];
  if (from < 0 || to < from) return null;
  return `${document.slice(0, from + BEGIN.length)}\n\n${text}\n\n${document.slice(to)}`;
}

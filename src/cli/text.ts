/** Numbers and tables as the commands print them. */
import type { AnchorAdvice } from '../run/reports/anchorFit.ts';

export const count = (n: number): string => n.toLocaleString('en-US');

/** 0.953 -> '95.3 %'; NaN, the share of an empty set, -> '-'. */
export const percent = (share: number): string => (Number.isNaN(share) ? '-' : `${(100 * share).toFixed(1)} %`);

/** Rows of cells in columns: the first column is left-aligned, the others right-aligned. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => rows.reduce((width, row) => Math.max(width, row[column]!.length), 0));
  return rows
    .map((row) =>
      row.map((cell, i) => (i === 0 ? `  ${cell.padEnd(widths[i]!)}` : cell.padStart(widths[i]!))).join('  '),
    )
    .join('\n');
}

export const betterAnchorsText = ({ anchors: { sizes, ratios }, iou50, iou70 }: AnchorAdvice): string =>
  `--set 'detector.anchors.sizes=[${sizes}]' --set 'detector.anchors.ratios=[${ratios}]' would reach ${percent(iou50)} and ${percent(iou70)}`;

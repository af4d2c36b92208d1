/** The page of `rcnn compare`: the tables, and the curves of all runs in one chart each. */
import { classColour } from '../../draw/colours.ts';
import { lineChart, type Series } from '../../draw/svg.ts';
import type { ComparedRun, Comparison } from './compareRuns.ts';
import { htmlPage, table } from '../../draw/htmlPage.ts';

export function comparisonPage({ runs, tables }: Comparison): string {
  const head = ['', ...runs.map(({ name }) => name)];
  const sections = tables.map(({ title, rows }) => [title, `<div class="wide">${table(head, rows)}</div>`] as const);
  return htmlPage(`${runs.length} runs side by side`, '', [...sections, ['Curves', curves(runs)]]);
}

function curves(runs: readonly ComparedRun[]): string {
  const chart = (
    title: string,
    y: string,
    points: (run: ComparedRun) => readonly (readonly [number, number])[],
  ): string => {
    const series = runs.map(({ name }, i): Series => ({ name, colour: classColour(i + 1), points: points(runs[i]!) }));
    const all = series.flatMap(({ points }) => points).filter((point) => point.every(Number.isFinite));
    if (all.length === 0) return '';
    const most = [0, 1].map((axis) => all.reduce((sum, point) => Math.max(sum, point[axis]!), 0)) as [number, number];
    return lineChart(title, series, { x: 'step', y, most: [most[0] || 1, most[1] || 1] });
  };
  const charts = [
    chart('Loss', 'sum of the losses', ({ losses }) => losses.map(({ step, loss }) => [step, loss])),
    chart('Validation', 'mAP', ({ validation }) => validation.map(({ step, mAP }) => [step, mAP])),
    chart('Validation loss', 'sum of the losses', ({ validation }) => validation.map(({ step, loss }) => [step, loss])),
  ].filter(Boolean);
  return charts.length === 0 ? '' : `<div class="columns">${charts.join('\n')}</div>`;
}

/**
 * The curves of a training run from the lines of its metrics.jsonl: the loss and its four terms, smoothed, and the
 * learning rate, against steps; for a validated run also the mAP and the loss on the validation images.
 */
import type { Canvas } from './canvas.ts';
import { axisStyle, type Curve, lineChart } from './chart.ts';

/** What is drawn of a line of metrics.jsonl. */
export interface LossPoint {
  step: number;
  lr: number;
  loss: number;
  rpn_cls: number;
  rpn_box: number;
  head_cls: number;
  head_box: number;
}

/** What is drawn of a line of validation.jsonl. */
export interface ValidationPoint {
  step: number;
  mAP: number;
  loss: number;
}

const CURVES = [
  ['loss', 'loss', '#1c1c1e'],
  ['rpn_cls', 'RPN objectness', '#2f9bff'],
  ['rpn_box', 'RPN boxes', '#00b3a4'],
  ['head_cls', 'head classes', '#ff4d4d'],
  ['head_box', 'head boxes', '#ff9f0a'],
] as const;

const FONT_SIZE = 24;

/** Draws 960x540 logical pixels at twice the density. Lines need not be sorted; a later line of the same step wins. */
export function plotLosses(
  lines: readonly LossPoint[],
  title = 'Training losses',
  validation: readonly ValidationPoint[] = [],
): Canvas {
  const byStep = new Map(lines.map((line) => [line.step, line]));
  const sorted = [...byStep.values()].sort((a, b) => a.step - b.step);
  const points = (values: readonly number[]) => sorted.map(({ step }, i) => ({ x: step, y: values[i]! }));
  const half = Math.max(1, Math.round(sorted.length / 60));

  const curves: Curve[] = CURVES.map(([field, label, colour], i) => ({
    label,
    data: points(
      movingAverage(
        sorted.map((line) => line[field]),
        half,
      ),
    ),
    borderColor: colour,
    backgroundColor: colour,
    borderWidth: i === 0 ? 4 : 3,
    pointRadius: 0,
    yAxisID: 'loss',
  }));
  curves.push(
    {
      label: 'learning rate',
      data: points(sorted.map((line) => line.lr)),
      borderColor: '#8e8e93',
      backgroundColor: '#8e8e93',
      borderWidth: 2,
      borderDash: [8, 6],
      pointRadius: 0,
      stepped: true,
      yAxisID: 'lr',
    },
    {
      label: '', // the loss as measured, faint behind the others
      data: points(sorted.map((line) => line.loss)),
      borderColor: 'rgb(28 28 30 / 0.15)',
      borderWidth: 1.5,
      pointRadius: 0,
      yAxisID: 'loss',
    },
  );

  const validated = (label: string, colour: string, field: 'mAP' | 'loss'): Curve => ({
    label,
    data: validation.map((line) => ({ x: line.step, y: line[field] })),
    borderColor: colour,
    backgroundColor: colour,
    borderWidth: 3,
    borderDash: field === 'loss' ? [3, 5] : [],
    pointRadius: 6,
    yAxisID: field,
  });
  if (validation.length > 0) {
    curves.push(validated('validation loss', '#1c1c1e', 'loss'), validated('validation mAP', '#bf5af2', 'mAP'));
  }

  // The losses of the first steps do not set the top of the axis: they may be far above all others and would flatten them.
  const tops = sorted.map((line) => line.loss).sort((a, b) => a - b);
  const top = 1.25 * (tops[Math.floor(0.97 * (tops.length - 1))] ?? 1);
  const lastStep = sorted.at(-1)?.step ?? 1;
  const axis = (text: string) => axisStyle(text, FONT_SIZE);
  const [x, loss, lr, mAP] = [axis('step'), axis('loss'), axis('learning rate'), axis('mAP')];
  return lineChart(curves, {
    width: 1920,
    height: 1080,
    title,
    fontSize: FONT_SIZE,
    scales: {
      x: { ...x, min: 0, max: lastStep, ticks: { ...x.ticks, maxRotation: 0, includeBounds: false } },
      loss: { ...loss, position: 'left', min: 0, max: top, ticks: { ...loss.ticks, includeBounds: false } },
      lr: {
        ...lr,
        position: 'right',
        min: 0,
        grid: { drawOnChartArea: false },
        ticks: { ...lr.ticks, maxTicksLimit: 6 },
      },
      ...(validation.length > 0 && {
        mAP: { ...mAP, position: 'right', min: 0, max: 1, grid: { drawOnChartArea: false } },
      }),
    },
  });
}

/** Mean over up to `half` neighbours on each side, fewer (equally many on both sides) at the ends. */
export function movingAverage(values: readonly number[], half: number): number[] {
  return values.map((_, i) => {
    const reach = Math.min(half, i, values.length - 1 - i);
    let sum = 0;
    for (let j = i - reach; j <= i + reach; j++) sum += values[j]!;
    return sum / (2 * reach + 1);
  });
}

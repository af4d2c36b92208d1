/**
 * The curves of a training run from the lines of its metrics.jsonl: the loss and its four terms, smoothed, and the
 * learning rate, against steps.
 */
import {
  Chart,
  type ChartDataset,
  Legend,
  LineController,
  LineElement,
  LinearScale,
  PointElement,
  Title,
} from 'chart.js';
import { type Canvas, FONT, newCanvas } from './canvas.ts';

/** A line of metrics.jsonl; fields that are not drawn may be there too. */
export interface MetricsLine {
  step: number;
  lr: number;
  loss: number;
  rpn_cls: number;
  rpn_box: number;
  head_cls: number;
  head_box: number;
}

const CURVES = [
  ['loss', 'loss', '#1c1c1e'],
  ['rpn_cls', 'RPN objectness', '#2f9bff'],
  ['rpn_box', 'RPN boxes', '#00b3a4'],
  ['head_cls', 'head classes', '#ff4d4d'],
  ['head_box', 'head boxes', '#ff9f0a'],
] as const;

/** Draws 960x540 logical pixels at twice the density. Lines need not be sorted; a later line of the same step wins. */
export function plotLosses(lines: readonly MetricsLine[], title = 'Training losses'): Canvas {
  Chart.register(Legend, LineController, LineElement, LinearScale, PointElement, Title);
  const byStep = new Map(lines.map((line) => [line.step, line]));
  const sorted = [...byStep.values()].sort((a, b) => a.step - b.step);
  const points = (values: readonly number[]) => sorted.map(({ step }, i) => ({ x: step, y: values[i]! }));
  const half = Math.max(1, Math.round(sorted.length / 60));

  const datasets: ChartDataset<'line', { x: number; y: number }[]>[] = CURVES.map(([field, label, colour], i) => ({
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
  datasets.push(
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

  const canvas = newCanvas(1920, 1080);
  const font = { family: FONT, size: 24 };
  const axis = (text: string) => ({ display: true, text, font });
  // The top of the first axis: the losses of the first steps may be far above all others, and would flatten them.
  const tops = sorted.map((line) => line.loss).sort((a, b) => a - b);
  const top = 1.25 * (tops[Math.floor(0.97 * (tops.length - 1))] ?? 1);
  const lastStep = sorted.at(-1)?.step ?? 1;
  const chart = new Chart(canvas as unknown as HTMLCanvasElement, {
    type: 'line',
    data: { datasets },
    options: {
      animation: false,
      responsive: false,
      devicePixelRatio: 1,
      events: [],
      layout: { padding: 24 },
      plugins: {
        title: { display: true, text: title, font: { family: FONT, size: 30, weight: 'bold' }, color: '#1c1c1e' },
        legend: {
          labels: { font, boxWidth: 36, boxHeight: 3, padding: 24, filter: (item) => item.text !== '' },
        },
      },
      scales: {
        x: {
          type: 'linear',
          min: 0,
          max: lastStep,
          title: axis('step'),
          ticks: { font, maxRotation: 0, includeBounds: false },
        },
        loss: {
          type: 'linear',
          position: 'left',
          min: 0,
          max: top,
          title: axis('loss'),
          ticks: { font, includeBounds: false },
        },
        lr: {
          type: 'linear',
          position: 'right',
          min: 0,
          grid: { drawOnChartArea: false },
          title: axis('learning rate'),
          ticks: { font, maxTicksLimit: 6 },
        },
      },
    },
    plugins: [
      {
        id: 'paper',
        beforeDraw: ({ ctx, width, height }) => {
          ctx.fillStyle = '#ffffff';
          ctx.fillRect(0, 0, width, height);
        },
      },
    ],
  });
  const plot = newCanvas(canvas.width, canvas.height);
  plot.getContext('2d').drawImage(canvas, 0, 0);
  chart.destroy(); // out of Chart.js's list of live charts; it also wipes its canvas
  return plot;
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

/** Line charts on white paper, through Chart.js. */
import type { ChartDataset, ChartOptions } from 'chart.js';
import { loadPackage } from '../engine/node/optionalPackages.ts';
import { type Canvas, FONT, newCanvas } from './canvas.ts';

/** The font size of titles. */
const INK = '#1c1c1e';

export type Curve = ChartDataset<'line', { x: number; y: number }[]>;

export interface ChartSettings {
  width: number;
  height: number;
  title: string;
  /** The font size of ticks and labels, pixels. */
  fontSize: number;
  scales: ChartOptions<'line'>['scales'];
}

/** A curve without a label is not in the legend. */
export function lineChart(datasets: Curve[], { width, height, title, fontSize, scales }: ChartSettings): Canvas {
  const { Chart, Legend, LineController, LineElement, LinearScale, PointElement, Title } =
    loadPackage<typeof import('chart.js')>('chart.js');
  Chart.register(Legend, LineController, LineElement, LinearScale, PointElement, Title);
  const font = { family: FONT, size: fontSize };
  const canvas = newCanvas(width, height);
  const chart = new Chart(canvas as unknown as HTMLCanvasElement, {
    type: 'line',
    data: { datasets },
    options: {
      animation: false,
      responsive: false,
      devicePixelRatio: 1,
      events: [],
      font,
      layout: { padding: fontSize },
      plugins: {
        title: { display: true, text: title, font: { ...font, size: 1.25 * fontSize, weight: 'bold' }, color: INK },
        legend: {
          labels: {
            font,
            boxWidth: 1.5 * fontSize,
            boxHeight: 3,
            padding: fontSize,
            filter: (item) => item.text !== '',
          },
        },
      },
      scales,
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
  const plot = newCanvas(width, height);
  plot.getContext('2d').drawImage(canvas, 0, 0);
  chart.destroy(); // removes it from Chart.js's list of live charts, and wipes its canvas
  return plot;
}

/** What the axes of a chart share. */
export function axisStyle(text: string, fontSize: number) {
  const font = { family: FONT, size: fontSize };
  return { type: 'linear', title: { display: true, text, font }, ticks: { font } } as const;
}

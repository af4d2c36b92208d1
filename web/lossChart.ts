/** Draws the loss and its four terms against steps on a canvas, as they arrive. */
import { Chart, type ChartDataset, LinearScale, LineController, LineElement, PointElement, Tooltip } from 'chart.js';
import { LOSS_TERMS, type MetricsLine, type LossTerm } from '../src/index.ts';
import { colour, element, make, onColours } from './dom.ts';

/** What is drawn, with the name to show and the colour in style.css. */
const CURVES: Readonly<Record<LossTerm | 'loss', { name: string; colour: string }>> = {
  loss: { name: 'loss', colour: '--ink' },
  rpn_cls: { name: 'RPN objectness', colour: '--rpn-cls' },
  rpn_box: { name: 'RPN boxes', colour: '--rpn-box' },
  head_cls: { name: 'head classes', colour: '--head-cls' },
  head_box: { name: 'head boxes', colour: '--head-box' },
};
const NAMES = ['loss', ...LOSS_TERMS] as const;

/** A point of a curve is the mean of this many lines, because single losses are noisy. */
const SMOOTHED = 8;

export class LossChart {
  private readonly chart: Chart<'line', { x: number; y: number }[]>;
  private readonly values: Record<string, HTMLElement> = {};
  private lines: MetricsLine<LossTerm>[] = [];

  constructor() {
    Chart.register(LineController, LineElement, LinearScale, PointElement, Tooltip);
    this.chart = new Chart<'line', { x: number; y: number }[]>(element<HTMLCanvasElement>('losses'), {
      type: 'line',
      data: { datasets: NAMES.map((name) => curve(CURVES[name].name, name === 'loss' ? 2.5 : 1.5)) },
      options: {
        animation: false,
        maintainAspectRatio: false,
        interaction: { mode: 'index', intersect: false },
        plugins: { tooltip: { callbacks: { title: ([item]) => `step ${item?.parsed.x}` } } },
        scales: {
          x: { type: 'linear', min: 0, border: { display: false }, ticks: { maxRotation: 0, maxTicksLimit: 7 } },
          y: { type: 'linear', min: 0, border: { display: false }, ticks: { maxTicksLimit: 6, includeBounds: false } },
        },
      },
    });
    for (const name of NAMES) {
      this.values[name] = make('b', { textContent: '–' });
      const swatch = make('i');
      swatch.style.background = `var(${CURVES[name].colour})`;
      element('terms').append(make('li', {}, swatch, CURVES[name].name, this.values[name]));
    }
    onColours(() => this.paint());
    this.paint();
  }

  /** Starts again, with an axis for so many steps. */
  clear(steps: number): void {
    this.lines = [];
    for (const { data } of this.chart.data.datasets) data.length = 0;
    Object.assign(this.chart.options.scales!['x']!, { max: steps });
    for (const value of Object.values(this.values)) value.textContent = '–';
    this.chart.update();
  }

  add(line: MetricsLine<LossTerm>): void {
    this.lines.push(line);
    const recent = this.lines.slice(-SMOOTHED);
    NAMES.forEach((name, i) => {
      const mean = recent.reduce((sum, line) => sum + line[name] / recent.length, 0);
      this.chart.data.datasets[i]!.data.push({ x: line.step, y: mean });
      this.values[name]!.textContent = mean.toFixed(2);
    });
    // The first losses may be far above all others and would flatten their curves.
    const tops = this.lines.map(({ loss }) => loss).sort((a, b) => a - b);
    this.chart.options.scales!['y']!.max = 1.2 * tops[Math.floor(0.95 * (tops.length - 1))]!;
    this.chart.update();
  }

  private paint(): void {
    NAMES.forEach((name, i) => (this.chart.data.datasets[i]!.borderColor = colour(CURVES[name].colour)));
    for (const axis of Object.values(this.chart.options.scales!)) {
      axis!.grid = { color: colour('--line') };
      Object.assign(axis!.ticks!, { color: colour('--quiet') });
    }
    this.chart.update();
  }
}

const curve = (label: string, borderWidth: number): ChartDataset<'line', { x: number; y: number }[]> => ({
  label,
  data: [],
  borderWidth,
  pointRadius: 0,
  borderJoinStyle: 'round',
});

/** Draws the loss and its four terms against steps on a canvas, as they arrive. */
import { Chart, type ChartDataset, LinearScale, LineController, LineElement, PointElement, Tooltip } from 'chart.js';
import { LOSS_TERMS, type MetricsLine, type LossTerm } from '../src/index.ts';
import { colour, make, onColours } from './dom.ts';

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

export type LossLine = Pick<MetricsLine<LossTerm>, 'step' | 'loss' | LossTerm>;

export class LossChart {
  private readonly chart: Chart<'line', { x: number; y: number }[]>;
  private readonly values: Record<string, HTMLElement> = {};
  private readonly canvas: HTMLCanvasElement;
  /** Says why there are no curves. */
  private readonly waiting = make('p', { className: 'waiting quiet' });
  private lines: LossLine[] = [];

  /** Draws on `canvas`, and lists the latest values in `terms`. Until there are any, `waitsFor` is shown. */
  constructor(canvas: HTMLCanvasElement, terms: HTMLElement, waitsFor: string) {
    this.canvas = canvas;
    this.waiting.textContent = waitsFor;
    canvas.after(this.waiting);
    Chart.register(LineController, LineElement, LinearScale, PointElement, Tooltip);
    this.chart = new Chart<'line', { x: number; y: number }[]>(canvas, {
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
      terms.append(make('li', {}, swatch, CURVES[name].name, this.values[name]));
    }
    onColours(() => this.paint());
    this.paint();
    this.describe();
  }

  /** Starts again, with an axis for so many steps. */
  clear(steps: number): void {
    this.lines = [];
    this.waiting.textContent = 'The curves begin with the tenth step.';
    for (const { data } of this.chart.data.datasets) data.length = 0;
    Object.assign(this.chart.options.scales!['x']!, { max: steps });
    for (const value of Object.values(this.values)) value.textContent = '–';
    this.chart.update();
    this.describe();
  }

  add(line: LossLine): void {
    this.draw([line]);
  }

  /** Adds many lines at once. */
  draw(lines: readonly LossLine[]): void {
    for (const line of lines) this.push(line);
    // The first losses may be far above all others and would flatten their curves.
    const tops = this.lines.map(({ loss }) => loss).sort((a, b) => a - b);
    this.chart.options.scales!['y']!.max = 1.2 * tops[Math.floor(0.95 * (tops.length - 1))]!;
    this.chart.update();
    this.describe();
  }

  private push(line: LossLine): void {
    this.lines.push(line);
    const recent = this.lines.slice(-SMOOTHED);
    NAMES.forEach((name, i) => {
      const mean = recent.reduce((sum, line) => sum + line[name] / recent.length, 0);
      this.chart.data.datasets[i]!.data.push({ x: line.step, y: mean });
      this.values[name]!.textContent = mean.toFixed(2);
    });
  }

  /** Tells those who cannot see the curves what they show. */
  private describe(): void {
    const [first, last] = [this.lines[0], this.lines.at(-1)];
    this.waiting.hidden = first !== undefined;
    this.canvas.ariaLabel =
      first && last
        ? `Curves of the loss and its four terms: the loss went from ${first.loss.toFixed(2)} to ${last.loss.toFixed(2)} at step ${last.step}`
        : `Curves of the loss and its four terms: none yet`;
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

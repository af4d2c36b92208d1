/** Recall of proposals against IoU, as the paper's Figure 4: a panel for each number of proposals, a curve for each method. */
import type { Canvas } from './canvas.ts';
import { axisStyle, lineChart } from './chart.ts';
import { classColour } from './colours.ts';
import { contactSheet } from './pictures.ts';

export interface RecallCurve {
  method: string;
  proposals: number;
  /** At each of the thresholds. */
  curve: readonly number[];
}

const PANEL = { width: 560, height: 440, fontSize: 18 };
const COLUMNS = 2;

export function plotRecall(curves: readonly RecallCurve[], thresholds: readonly number[], title: string): Canvas {
  const methods = [...new Set(curves.map(({ method }) => method))];
  const counts = [...new Set(curves.map(({ proposals }) => proposals))];
  const [x, y] = [axisStyle('IoU', PANEL.fontSize), axisStyle('recall', PANEL.fontSize)];
  const panels = counts.map((count) =>
    lineChart(
      curves
        .filter(({ proposals }) => proposals === count)
        .map(({ method, curve }) => {
          const colour = classColour(methods.indexOf(method) + 1);
          return {
            label: method,
            data: curve.map((recall, i) => ({ x: thresholds[i]!, y: recall })),
            borderColor: colour,
            backgroundColor: colour,
            borderWidth: 3,
            pointRadius: 0,
          };
        }),
      {
        ...PANEL,
        title: `${count} proposals`,
        scales: {
          x: { ...x, min: thresholds[0], max: thresholds.at(-1), ticks: { ...x.ticks, stepSize: 0.1 } },
          y: { ...y, min: 0, max: 1, ticks: { ...y.ticks, stepSize: 0.2 } },
        },
      },
    ),
  );
  return contactSheet(panels, COLUMNS, { title });
}

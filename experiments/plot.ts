/** Plots the results: a panel for each experiment, a column for each row, a point for each seed, and the paper's figures. */
import type { Canvas } from '../src/draw/canvas.ts';
import { axisStyle, type Curve, lineChart } from '../src/draw/chart.ts';
import { classColour } from '../src/draw/colours.ts';
import { contactSheet } from '../src/draw/pictures.ts';
import type { Measured } from './report.ts';

const PANEL = { width: 640, height: 460, fontSize: 15 };
const COLUMNS = 2;
const [OURS, PAPER] = [classColour(1), '#8e8e93'];

export function plotExperiments(experiments: readonly { title: string; rows: readonly Measured[] }[]): Canvas {
  return contactSheet(experiments.map(panel), COLUMNS, {
    title: 'mAP in per cent: here (digit scenes, every seed) and in the paper (VOC 2007)',
  });
}

function panel({ title, rows }: { title: string; rows: readonly Measured[] }): Canvas {
  const points = (label: string, colour: string, data: { x: number; y: number }[]): Curve => ({
    ...{ label, data, borderColor: colour, backgroundColor: colour, showLine: false, pointRadius: 5 },
  });
  const ours = rows.flatMap(({ values }, x) => values.map((y) => ({ x, y })));
  const paper = rows.flatMap(({ paper }, x) => (paper === undefined ? [] : [{ x, y: paper }]));
  const [x, y] = [axisStyle('', PANEL.fontSize), axisStyle('mAP', PANEL.fontSize)];
  const label = (value: string | number): string => rows[Number(value)]?.label ?? '';
  return lineChart([points('here', OURS, ours), points('paper', PAPER, paper)], {
    ...PANEL,
    title,
    scales: {
      x: {
        ...x,
        min: -0.5,
        max: rows.length - 0.5,
        afterBuildTicks: (axis) => void (axis.ticks = rows.map((_, value) => ({ value }))),
        ticks: { ...x.ticks, callback: label, autoSkip: false, maxRotation: 35, minRotation: 0 },
      },
      y,
    },
  });
}

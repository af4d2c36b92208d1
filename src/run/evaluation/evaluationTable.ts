/** Formats an evaluation as text. */
import type { CocoSummary } from '../../eval/coco.ts';
import type { EvaluationReport, Metric } from './evaluate.ts';

const METRIC_NAMES: Record<Metric, string> = {
  voc07: 'voc07, 11 points, IoU 0.5',
  voc10: 'voc10, area, IoU 0.5',
  coco: 'coco, IoU 0.50:0.95',
};

/** One line per class, then the mean; with COCO's metric preceded by its twelve numbers. */
export function evaluationTable({ metric, mAP, ap, images, seconds, coco }: EvaluationReport): string {
  const rows: [string, string][] = Object.entries(ap).map(([name, value]) => [
    name,
    value === null ? 'no object in this split' : value.toFixed(4),
  ]);
  rows.push(['mAP', Number.isNaN(mAP) ? 'no object in this split' : mAP.toFixed(4)]);
  const width = rows.reduce((width, [name]) => Math.max(width, name.length), 0);
  const lines = rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`);
  return [
    ...(coco ? cocoLines(coco) : []),
    `average precision (${METRIC_NAMES[metric]}) on ${images} images, ${seconds.toFixed(1)} s`,
    ...lines,
  ].join('\n');
}

/** The IoU, area range and detections per image of each number, as in cocoapi's summary. */
const COCO_LINES: Record<keyof CocoSummary, readonly [iou: string, area: string, most: number]> = {
  AP: ['0.50:0.95', 'all', 100],
  AP50: ['0.50', 'all', 100],
  AP75: ['0.75', 'all', 100],
  APs: ['0.50:0.95', 'small', 100],
  APm: ['0.50:0.95', 'medium', 100],
  APl: ['0.50:0.95', 'large', 100],
  AR1: ['0.50:0.95', 'all', 1],
  AR10: ['0.50:0.95', 'all', 10],
  AR100: ['0.50:0.95', 'all', 100],
  ARs: ['0.50:0.95', 'small', 100],
  ARm: ['0.50:0.95', 'medium', 100],
  ARl: ['0.50:0.95', 'large', 100],
};

const cocoLines = (summary: CocoSummary): string[] =>
  Object.entries(COCO_LINES).map(([name, [iou, area, most]]) => {
    const title = name.startsWith('AP') ? 'Average Precision  (AP)' : 'Average Recall     (AR)';
    const value = summary[name as keyof CocoSummary].toFixed(3);
    return ` ${title} @[ IoU=${iou.padEnd(9)} | area=${area.padStart(6)} | maxDets=${String(most).padStart(3)} ] = ${value}`;
  });

/** Writes what an evaluation shows: report.html, and its figures as report.json, classes.csv and detections.csv. */
import { join } from 'node:path';
import type { AnnotatedBox, Dataset } from '../../data/types.ts';
import { csvRow } from '../../data/csvFile.ts';
import { drawDetections } from '../../draw/pictures.ts';
import { replaceFile } from '../../engine/node/writeFile.ts';
import { analyse, ERROR_KINDS, type ErrorKind, type JudgedDetection } from '../../eval/analysis.ts';
import type { Detection } from '../../eval/voc.ts';
import type { DecodedImage } from '../../kernels/imagePrepare.ts';
import { hasDetector, stagesOfRun } from '../config/stages.ts';
import type { RunDirectory } from '../storage/runDirectory.ts';
import { evaluationPage, type EvaluationPage, type Example } from './evaluationPage.ts';

/** Examples of a kind of error. */
const EXAMPLES = 12;
/** Pixels around an object, as a share of its longer side, and the shorter side of the smallest cut-out. */
const MARGIN = 0.6;
const LEAST_SIDE = 64;

export interface ReportInputs {
  dataset: Dataset;
  /** `detections[i]` belongs to image i. */
  detections: readonly (readonly Detection[])[];
  /** Where the network was trained, and the milliseconds of the parts of a detection, unless the detections were saved. */
  run?: RunDirectory;
  stages?: EvaluationPage['stages'];
  facts: readonly (readonly [string, string])[];
}

/** The files that are written. */
export const REPORT_FILES = ['report.html', 'report.json', 'classes.csv', 'detections.csv'] as const;

/** Writes the report into a folder and returns the path of its page. */
export async function writeEvaluationReport(folder: string, inputs: ReportInputs): Promise<string> {
  const { dataset, detections, run, stages = null, facts } = inputs;
  const { samples, classes } = dataset;
  // VOC has no crowds: like difficult objects they count neither way.
  const truths = samples.map(({ boxes }) => boxes.map((box) => ({ ...box, difficult: box.difficult || !!box.crowd })));
  const analysis = analyse(detections, truths, classes);
  const examples = {} as Record<ErrorKind | 'correct', Example[]>;
  for (const kind of [...ERROR_KINDS, 'correct' as const]) {
    examples[kind] = await examplesOf(kind, analysis, dataset);
  }
  const objects = classes.slice(1).map((name, i) => {
    const count = samples.reduce((sum, { boxes }) => sum + boxes.filter((box) => box.classIndex === i + 1).length, 0);
    return [name, count] as const;
  });
  const { losses, validation } = run ? trainingOf(run) : { losses: [], validation: [] };
  const data = { images: samples.length, objects };
  const page = { title: 'Evaluation', facts, classes, analysis, losses, validation, stages, data };
  const { curves, detections: judged, ...figures } = analysis;
  const path = (name: (typeof REPORT_FILES)[number]): string => join(folder, name);
  const json = {
    facts: Object.fromEntries(facts),
    ...figures,
    curves,
    stages,
    data: { ...data, objects: Object.fromEntries(objects) },
  };
  replaceFile(path('report.json'), `${JSON.stringify(json, null, 1)}\n`);
  replaceFile(
    path('classes.csv'),
    csv([
      ['class', 'objects', 'AP'],
      ...curves.map(({ name, objects: count, ap }) => [name, count, ap ?? '']),
      ['mean', '', analysis.mAP],
    ]),
  );
  replaceFile(
    path('detections.csv'),
    csv([
      ['image', 'class', 'score', 'x1', 'y1', 'x2', 'y2', 'verdict', 'IoU', 'class of the object'],
      ...judged.map(({ image, classIndex, score, x1, y1, x2, y2, verdict, overlap, truth }) => [
        samples[image]!.id,
        classes[classIndex]!,
        score,
        ...[x1, y1, x2, y2],
        verdict,
        overlap,
        truth === null ? '' : classes[samples[image]!.boxes[truth]!.classIndex]!,
      ]),
    ]),
  );
  replaceFile(path('report.html'), evaluationPage({ ...page, examples }));
  return path('report.html');
}

/** The worst of a kind, cut out of their images: surest first, the largest missed first, right ones by lowest IoU. */
async function examplesOf(
  kind: ErrorKind | 'correct',
  { detections, missed }: ReturnType<typeof analyse>,
  { samples, classes }: Dataset,
): Promise<Example[]> {
  if (kind === 'missed') {
    const objects = missed
      .map(({ image, truth }) => ({ image, box: samples[image]!.boxes[truth]! }))
      .sort((a, b) => sideOf(b.box) - sideOf(a.box))
      .slice(0, EXAMPLES);
    return Promise.all(
      objects.map(async ({ image, box }) => ({
        image: await cutOut(await samples[image]!.load(), box, [box], [], classes),
        caption: `${classes[box.classIndex]} in ${samples[image]!.id}`,
      })),
    );
  }
  const worst = detections.filter(({ verdict }) => verdict === kind);
  if (kind === 'correct') worst.sort((a, b) => a.overlap - b.overlap);
  return Promise.all(
    worst.slice(0, EXAMPLES).map(async (one) => {
      const sample = samples[one.image]!;
      const truth = one.truth === null ? undefined : sample.boxes[one.truth];
      return {
        image: await cutOut(await sample.load(), one, truth ? [truth] : [], [one], classes),
        caption: captionOf(one, truth, sample.id, classes),
      };
    }),
  );
}

function captionOf(
  { classIndex, score, overlap }: JudgedDetection,
  truth: AnnotatedBox | undefined,
  id: string,
  classes: readonly string[],
): string {
  const on = truth ? `on ${classes[truth.classIndex]}, IoU ${overlap.toFixed(2)}` : 'on no object';
  return `${classes[classIndex]} ${score.toFixed(2)} ${on}, in ${id}`;
}

interface Region {
  x1: number;
  y1: number;
  x2: number;
  y2: number;
}

const sideOf = ({ x1, y1, x2, y2 }: Region): number => Math.max(x2 - x1, y2 - y1) + 1;

/** A data URI of the part of an image around a box, with boxes drawn into it. */
async function cutOut(
  { width, height, rgba }: DecodedImage,
  around: Region,
  truths: readonly AnnotatedBox[],
  detections: readonly Detection[],
  classes: readonly string[],
): Promise<string> {
  const all = [around, ...truths];
  const margin = Math.max(MARGIN * sideOf(around), (LEAST_SIDE - sideOf(around)) / 2);
  const bound = (value: number, most: number): number => Math.min(most, Math.max(0, Math.round(value)));
  const left = bound(Math.min(...all.map(({ x1 }) => x1)) - margin, width - 1);
  const top = bound(Math.min(...all.map(({ y1 }) => y1)) - margin, height - 1);
  const right = bound(Math.max(...all.map(({ x2 }) => x2)) + margin, width - 1);
  const bottom = bound(Math.max(...all.map(({ y2 }) => y2)) + margin, height - 1);
  const part: DecodedImage = {
    width: right - left + 1,
    height: bottom - top + 1,
    rgba: new Uint8Array(4 * (right - left + 1) * (bottom - top + 1)),
  };
  for (let row = 0; row < part.height; row++) {
    const from = 4 * ((top + row) * width + left);
    part.rgba.set(rgba.subarray(from, from + 4 * part.width), 4 * row * part.width);
  }
  const moved = <T extends Region>(box: T): T => ({
    ...box,
    x1: box.x1 - left,
    y1: box.y1 - top,
    x2: box.x2 - left,
    y2: box.y2 - top,
  });
  const scale = Math.max(1, Math.min(4, Math.round(240 / Math.min(part.width, part.height))));
  const canvas = drawDetections(part, detections.map(moved), classes, { groundTruth: truths.map(moved), scale });
  return `data:image/jpeg;base64,${(await canvas.encode('jpeg', 85)).toString('base64')}`;
}

/** The losses and validations of a run, or of its last stage that trains a detector. */
function trainingOf(run: RunDirectory) {
  const stages = stagesOfRun(run.readConfig());
  const stage = stages.findLast(hasDetector) ?? stages.findLast(({ fitted }) => fitted);
  const directory = (stage && run.stages.get(stage.name)) || run;
  return {
    losses: directory.readMetrics().map(({ step, loss }) => ({ step, loss })),
    validation: run.readValidation(),
  };
}

const csv = (rows: readonly (readonly (string | number)[])[]): string =>
  rows.map((row) => csvRow(row.map(String))).join('');

/** The report of an evaluation: a page that needs nothing else, and the same figures in JSON and CSV. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Dataset } from '../../src/data/types.ts';
import type { Detection } from '../../src/eval/voc.ts';
import { evaluateVoc } from '../../src/eval/voc.ts';
import { writeEvaluationReport } from '../../src/run/evaluation/evaluationReport.ts';
import { temporaryFolder } from '../data/fixtures.ts';
import { tinyRun } from './tinyRun.ts';

const digits = (async (): Promise<Dataset> => {
  const { dataset } = await tinyRun();
  // A name that must not become markup, nor a column.
  return {
    ...dataset,
    samples: dataset.samples.slice(0, 4),
    classes: ['__background__', '<b>"zero", or 0', ...dataset.classes.slice(2)],
  };
})();

/** Every object found, every second one shifted by a third of its size, and one detection on nothing in each image. */
const detectionsIn = ({ samples }: Dataset): Detection[][] =>
  samples.map(({ boxes }) => [
    ...boxes.map(({ x1, y1, x2, y2, classIndex }, i) => {
      const shift = i % 2 === 0 ? 0 : (x2 - x1) / 2;
      return { x1: x1 + shift, y1, x2: x2 + shift, y2, classIndex, score: 0.9 - i / 100 };
    }),
    { x1: 0, y1: 0, x2: 3, y2: 3, classIndex: 1, score: 0.3 },
  ]);

test('the page and its figures', async () => {
  const dataset = await digits;
  const { samples, classes } = dataset;
  const detections = detectionsIn(dataset);
  const folder = join(temporaryFolder(), 'report');
  const page = await writeEvaluationReport(folder, { dataset, detections, facts: [['run', 'a <run>']] });
  assert.is(page, join(folder, 'report.html'));
  const html = readFileSync(page, 'utf8');
  assert.not.match(html, /https?:|<script|<link|url\(/);
  assert.ok([...html.matchAll(/src="([^"]{0,5})/g)].every(([, source]) => source === 'data:'));
  assert.not.match(html, /<b>"zero|a <run>/);
  assert.match(html, /&#60;b&#62;&#34;zero&#34;, or 0/);
  for (const title of ['Average precision', 'What is wrong', 'Confusion', 'Sizes and scores', 'Data and speed']) {
    assert.ok(html.includes(`<h2>${title}</h2>`), title);
  }
  assert.not.match(html, /<h2>Training/); // there is no run
  const objects = samples.flatMap(({ boxes }) => boxes);
  const shifted = samples.reduce((sum, { boxes }) => sum + Math.floor(boxes.length / 2), 0);
  const report = JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8')) as {
    mAP: number;
    errors: Record<string, { count: number }>;
  };
  const { mAP, ap } = evaluateVoc(
    detections,
    samples.map(({ boxes }) => boxes),
    classes,
    { metric: 'voc10' },
  );
  assert.is(report.mAP, mAP);
  assert.is(report.errors['location']!.count, shifted);
  const found = parse(readFileSync(join(folder, 'detections.csv'), 'utf8'), { columns: true }) as Record<
    string,
    string
  >[];
  assert.is(found.length, objects.length + samples.length);
  assert.is(found.filter(({ verdict }) => verdict === 'correct').length, objects.length - shifted);
  const byClass = parse(readFileSync(join(folder, 'classes.csv'), 'utf8'), { columns: true }) as Record<
    string,
    string
  >[];
  assert.equal(
    Object.fromEntries(byClass.map((row) => [row['class'], row['AP']])),
    Object.fromEntries([
      ...Object.entries(ap).map(([name, value]) => [name, value === null ? '' : String(value)]),
      ['mean', String(mAP)],
    ]),
  );
});

test('without a detection', async () => {
  const dataset = await digits;
  const folder = join(temporaryFolder(), 'report');
  await writeEvaluationReport(folder, { dataset, detections: dataset.samples.map(() => []), facts: [] });
  const html = readFileSync(join(folder, 'report.html'), 'utf8');
  assert.match(html, /mAP <b>0\.0000<\/b>/);
  assert.match(html, /missed: objects that nothing was found on/);
});

test.run();

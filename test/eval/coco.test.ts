/** COCO's evaluation against cocoapi's own numbers, and what they leave open. */
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type CocoGroundTruthBox, cocoCurves, evaluateCoco, toCocoBox } from '../../src/eval/coco.ts';
import type { Detection } from '../../src/eval/voc.ts';

type Row = number[];

interface Case {
  /** [image, category, x, y, width, height, area, crowd] and [image, category, x, y, width, height, score]. */
  gt: Row[];
  det: Row[];
  /** AP, AP50, AP75, APs, APm, APl, AR1, AR10, AR100, ARs, ARm, ARl. */
  expected: number[];
  ap_per_iou_then_class?: number[][];
}

const read = (name: string) => JSON.parse(readFileSync(new URL(`../golden/${name}`, import.meta.url), 'utf8'));

/** Inclusive corners. */
const corners = ([x, y, width, height]: Row) => ({ x1: x!, y1: y!, x2: x! + width! - 1, y2: y! + height! - 1 });

const truthOf = (row: Row, classIndex: number): CocoGroundTruthBox => ({
  ...corners(row.slice(2)),
  classIndex,
  difficult: false,
  crowd: row[7] === 1,
  bbox: row.slice(2, 6) as [number, number, number, number],
  area: row[6]!,
});
const detectionOf = (row: Row, classIndex: number): Detection => ({
  ...corners(row.slice(2)),
  classIndex,
  score: row[6]!,
});

/** In the order of the ids. */
function evaluate({ gt, det }: Case, imageIds: number[], categoryIds: number[]) {
  const byImage = <T>(rows: Row[], convert: (row: Row, classIndex: number) => T): T[][] =>
    [...imageIds]
      .sort((a, b) => a - b)
      .map((id) => rows.filter(([image]) => image === id).map((row) => convert(row, categoryIds.indexOf(row[1]!) + 1)));
  const [detections, truths] = [byImage(det, detectionOf), byImage(gt, truthOf)];
  const classes = ['__background__', ...categoryIds.map(String)];
  return {
    ...evaluateCoco(detections, truths, classes),
    apPerIou: cocoCurves(detections, truths, classes.length).map(({ all }) =>
      all?.precision.map((row) => row.reduce((sum, value) => sum + value, 0) / row.length),
    ),
  };
}

function near(actual: number, expected: number, tolerance: number, what: string): void {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${what}: ${actual} is not ${expected}`);
}

/** `tolerance`: the file's rounding. */
function check(golden: Case, imageIds: number[], categoryIds: number[], tolerance: number): void {
  const { summary, ap, apPerIou } = evaluate(golden, imageIds, categoryIds);
  const names = ['AP', 'AP50', 'AP75', 'APs', 'APm', 'APl', 'AR1', 'AR10', 'AR100', 'ARs', 'ARm', 'ARl'];
  assert.equal(Object.keys(summary), names);
  Object.entries(summary).forEach(([name, value], i) => near(value, golden.expected[i]!, tolerance, name));
  const expected = golden.ap_per_iou_then_class;
  if (!expected) return;
  assert.is(expected.length, 10);
  categoryIds.forEach((id, k) => {
    if (expected[0]![k] === -1) {
      assert.is(apPerIou[k], undefined);
      assert.is(ap[id], null);
      return;
    }
    expected.forEach((row, t) => near(apPerIou[k]![t]!, row[k]!, tolerance, `class ${id}, threshold ${t}`));
    near(ap[id]!, expected.reduce((sum, row) => sum + row[k]!, 0) / 10, tolerance, `AP of class ${id}`);
  });
}

const small = read('coco_eval_small.json');
for (const name of ['detectron2', 'hand']) {
  const { image_ids, category_ids, ...golden } = small[name];
  test(`the case '${name}'`, () => check(golden, image_ids, category_ids, 5e-9));
}

for (const { name, images, categories, ...golden } of read('pycocotools.json').cases) {
  const ids = (count: number) => Array.from({ length: count }, (_, i) => i + 1);
  test(`pycocotools, ${name}`, () => check(golden, ids(images), ids(categories), 1e-12));
}

const classes = ['__background__', 'cat'];
const truth = (
  x: number,
  y: number,
  width: number,
  height: number,
  more: Partial<CocoGroundTruthBox> = {},
): CocoGroundTruthBox => ({
  ...corners([x, y, width, height]),
  classIndex: 1,
  difficult: false,
  ...more,
});
const detection = (x: number, y: number, width: number, height: number, score: number): Detection => ({
  ...corners([x, y, width, height]),
  classIndex: 1,
  score,
});

test('without a box of its own an object has that of its corners, and its area', () => {
  const found = [[detection(10, 10, 31, 33, 1)]];
  const given = evaluateCoco(found, [[truth(10, 10, 31, 33)]], classes).summary;
  assert.equal([given.AP, given.APs, given.APm, given.APl], [1, 1, -1, -1]);
  const larger = evaluateCoco(found, [[truth(10, 10, 31, 33, { area: 1025 })]], classes).summary;
  assert.equal([larger.AP, larger.APs, larger.APm], [1, -1, 1]);
  assert.equal(toCocoBox(corners([10, 10, 31, 33])), [10, 10, 31, 33]);
});

test('a difficult object is as a crowd: it counts neither way, however often it is found', () => {
  const found = [[detection(10, 10, 20, 20, 0.9), detection(100, 10, 20, 20, 0.8), detection(102, 10, 20, 20, 0.7)]];
  const at = (more: Partial<CocoGroundTruthBox>) =>
    evaluateCoco(found, [[truth(10, 10, 20, 20), truth(100, 10, 30, 20, more)]], classes);
  for (const more of [{ difficult: true }, { crowd: true }]) {
    const { summary, ap } = at(more);
    assert.equal([summary.AP, summary.AR100, summary.AR1], [1, 1, 1]);
    assert.equal(ap, { cat: 1 });
  }
  assert.ok(at({}).summary.AP < 1);
});

test('nothing to find: -1 and null; nothing found: 0', () => {
  const none = evaluateCoco([[detection(1, 1, 9, 9, 1)]], [[]], classes);
  assert.equal([...new Set(Object.values(none.summary))], [-1]);
  assert.equal(none.ap, { cat: null });
  const missed = evaluateCoco([[]], [[truth(1, 1, 9, 9)]], classes);
  assert.equal([missed.summary.AP, missed.summary.AR100, missed.ap['cat']], [0, 0, 0]);
});

test('equal scores keep the order of the images', () => {
  const [right, wrong] = [detection(1, 1, 9, 9, 0.5), detection(50, 50, 9, 9, 0.5)];
  const ap = (...found: Detection[][]) => evaluateCoco(found, [[truth(1, 1, 9, 9)], []], classes).summary.AP;
  assert.is(ap([right], [wrong]), 1);
  assert.is(evaluateCoco([[wrong], [right]], [[], [truth(1, 1, 9, 9)]], classes).summary.AP, 0.5);
});

test('a score that is not a number, or other images: an error', () => {
  assert.throws(() => evaluateCoco([[detection(1, 1, 9, 9, NaN)]], [[]], classes), /image 0: .*NaN/);
  assert.throws(() => evaluateCoco([[]], [[], []], classes), /detections of 1 images, ground truth of 2/);
});

test.run();

import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { evaluateRecall } from '../../src/eval/recall.ts';
import type { Box } from '../../src/kernels/boxes.ts';

interface Expected {
  thresholds: number[];
  recalls: number[];
  ar: number;
  gt_overlaps: number[];
}
const golden = JSON.parse(readFileSync(new URL('../golden/recall_eval.json', import.meta.url), 'utf8')) as {
  candidates: Box[][];
  gt: Box[][];
  all: Expected;
  limit1: Expected;
};

function expectSame(limit: number | undefined, expected: Expected): void {
  const { recalls, averageRecall, overlaps, thresholds } = evaluateRecall(golden.candidates, golden.gt, { limit });
  const near = (actual: number, value: number) =>
    assert.ok(Math.abs(actual - value) < 1e-8, `${actual} is not ${value}`);
  assert.is(overlaps.length, expected.gt_overlaps.length);
  expected.gt_overlaps.forEach((value, i) => near(overlaps[i]!, value));
  expected.thresholds.forEach((value, i) => near(thresholds[i]!, value));
  expected.recalls.forEach((value, i) => near(recalls[i]!, value));
  near(averageRecall, expected.ar);
}

test('all proposals', () => expectSame(undefined, golden.all));
test('one proposal an image', () => expectSame(1, golden.limit1));

test('the objects themselves as proposals are recalled at every threshold, and recall falls with the threshold', () => {
  const box = fc
    .tuple(fc.nat(50), fc.nat(50), fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 30 }))
    .map(([x, y, w, h]): Box => [x, y, x + w, y + h]);
  const boxes = fc.array(box, { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(boxes, boxes, (gt, other) => {
      assert.is(evaluateRecall([[...other, ...gt]], [gt]).averageRecall, 1);
      const { recalls } = evaluateRecall([other], [gt]);
      recalls.forEach((value, i) => assert.ok(value >= 0 && value <= 1 && (i === 0 || value <= recalls[i - 1]!)));
    }),
  );
});

test.run();

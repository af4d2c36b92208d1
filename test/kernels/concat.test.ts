import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { copyFromSliceCheck, copyIntoSliceCheck } from '../../src/kernels/checks/elementwise.ts';
import { gtBestReference } from '../../src/kernels/anchorLabels.ts';
import { concatReference } from '../../src/kernels/concat.ts';
import { softmaxReference } from '../../src/kernels/softmax.ts';
import { testChecks } from './runCheck.ts';

const CASES: Parameters<typeof copyIntoSliceCheck>[] = [
  [1, 1, 1, 0, 1],
  [2, 5, 3, 0, 2],
  [2, 5, 3, 2, 3],
  [7, 13, 11, 3, 5],
  [1, 9, 1031, 4, 1],
  [1, 9, 1031, 4, 4],
  [1, 9, 1032, 2, 6],
  [1, 4, 1, 0, 4],
  [1031, 3, 1, 1, 2],
];
testChecks(CASES.flatMap((args) => [copyIntoSliceCheck(...args), copyFromSliceCheck(...args)]));

test('references take more values than a call takes arguments', () => {
  const many = 300_000;
  const x = Float64Array.from({ length: many }, (_, i) => i % 7);
  assert.is(concatReference([x, x], 1, [many, many], 1).length, 2 * many);
  assert.equal([...gtBestReference(x, 1)], [6]);
  const [first] = softmaxReference(x, { outer: 1, channels: many, inner: 1 });
  assert.ok(first! > 0 && first! < 1 / many, `${first}`);
});

test('concatenation by hand', () => {
  // [2, 1, 2] and [2, 2, 2] along the middle
  const a = Float64Array.of(1, 2, 3, 4);
  const b = Float64Array.of(10, 20, 30, 40, 50, 60, 70, 80);
  const expected = [1, 2, 10, 20, 30, 40, 3, 4, 50, 60, 70, 80];
  assert.equal([...concatReference([a, b], 2, [1, 2], 2)], expected);
});

test.run();

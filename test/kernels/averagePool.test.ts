import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { averagePoolBackwardCheck, averagePoolForwardCheck } from '../../src/kernels/checks/spatial.ts';
import { averagePoolBackwardReference, averagePoolReference } from '../../src/kernels/averagePool.ts';
import { randomArray } from '../harness.ts';
import { expectGradient, weighted } from './centralDifferences.ts';
import { testChecks } from './runCheck.ts';

const WINDOWS = [
  { kernel: 1, stride: 1, padding: 0, ceilMode: false },
  { kernel: 2, stride: 2, padding: 0, ceilMode: false },
  { kernel: 2, stride: 2, padding: 0, ceilMode: true },
  { kernel: 3, stride: 2, padding: 1, ceilMode: true },
  { kernel: 3, stride: 1, padding: 1, ceilMode: false },
  { kernel: 2, stride: 3, padding: 1, ceilMode: true },
  { kernel: 7, stride: 7, padding: 0, ceilMode: false },
];
for (const window of WINDOWS) {
  const shape = { planes: 3, h: 9, w: 14 };
  testChecks([averagePoolForwardCheck(shape, window), averagePoolBackwardCheck(shape, window)]);
}

test('by hand: padding counts, what lies beyond it does not', () => {
  const window = { kernel: 2, stride: 2, padding: 0, ceilMode: true };
  const x = Float64Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9);
  assert.equal([...averagePoolReference(x, { planes: 1, h: 3, w: 3 }, window)], [3, 4.5, 7.5, 9]);
  const padded = { kernel: 2, stride: 2, padding: 1, ceilMode: false };
  assert.equal([...averagePoolReference(x, { planes: 1, h: 3, w: 3 }, padded)], [0.25, 1.25, 2.75, 7]);
});

test('the backward pass is the gradient', () => {
  const shape = { planes: 2, h: 5, w: 6 };
  const window = { kernel: 3, stride: 2, padding: 1, ceilMode: true };
  const x = Float64Array.from(randomArray(60, 1));
  const dy = Float64Array.from(randomArray(averagePoolReference(x, shape, window).length, 2));
  const loss = (at: Float64Array) => weighted(averagePoolReference(at, shape, window), dy);
  expectGradient(averagePoolBackwardReference(dy, shape, window), loss, x);
});

test.run();

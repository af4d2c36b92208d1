import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { permuteCheck } from '../../src/kernels/checks/placement.ts';
import { permuteView, stridedCopyReference } from '../../src/kernels/stridedCopy.ts';
import { testChecks } from './runCheck.ts';

testChecks([
  permuteCheck([], []),
  permuteCheck([7], [0]),
  permuteCheck([1, 5], [1, 0]),
  permuteCheck([129, 67], [1, 0]),
  permuteCheck([3, 5, 7], [2, 1, 0]),
  permuteCheck([3, 5, 7], [1, 2, 0]),
  permuteCheck([2, 3, 5, 7], [0, 2, 1, 3]),
  permuteCheck([2, 3, 2, 5, 3], [4, 1, 3, 0, 2]),
]);

test('a transpose by hand', () => {
  assert.equal(
    [...stridedCopyReference(Float64Array.of(1, 2, 3, 4, 5, 6), permuteView([2, 3], [1, 0]))],
    [1, 4, 2, 5, 3, 6],
  );
});

test.run();

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  gatherChecks,
  upsampleBilinearChecks,
  topChannelsCheck,
  embeddingChecks,
} from '../../src/kernels/checks/choices.ts';
import { extremumBackwardReference, topReference } from '../../src/kernels/extremum.ts';
import { logSoftmaxBackwardReference, logSoftmaxReference } from '../../src/kernels/logSoftmax.ts';
import { randomArray } from '../harness.ts';
import { expectGradient, weighted } from './centralDifferences.ts';
import { testChecks } from './runCheck.ts';

// The checks of `rcnn info` run with the others (nnChecks.test.ts); these are shapes that only the tests need.
testChecks([
  ...gatherChecks({ outer: 1, channels: 2, picks: 300, inner: 1 }),
  ...embeddingChecks(1, 1, 1),
  topChannelsCheck({ outer: 1, channels: 70, inner: 1 }, 70),
  ...[1, 2, 3, 7, 8].flatMap((out) => upsampleBilinearChecks({ planes: 1, h: 3, w: 4, outH: out, outW: 9 - out })),
]);

test('extrema by hand: the first of equal ones, NaN before all', () => {
  const view = { outer: 1, channels: 4, inner: 1 };
  const top = (...x: number[]) => [...topReference('max', Float64Array.from(x), view, 2).index];
  assert.equal(top(1, 3, 3, 2), [1, 2]);
  assert.equal(top(1, NaN, 3, NaN), [1, 3]);
  const x = Float64Array.of(1, 3, 3, 2);
  assert.equal([...extremumBackwardReference(x, Float64Array.of(3), Float64Array.of(1), view)], [0, 0.5, 0.5, 0]);
});

test('log softmax: the written-out gradient is that of the function', () => {
  const view = { outer: 2, channels: 5, inner: 3 };
  const [x, dy] = [Float64Array.from(randomArray(30, 1, 2)), Float64Array.from(randomArray(30, 2))];
  const gradient = logSoftmaxBackwardReference(logSoftmaxReference(x, view), dy, view);
  expectGradient(gradient, (at) => weighted(logSoftmaxReference(at, view), dy), x);
});

test.run();

import { test } from 'uvu';
import {
  batchNormBackwardCheck,
  batchNormForwardCheck,
  batchNormStatisticsCheck,
  batchNormSumsCheck,
  batchNormTrackCheck,
} from '../../src/kernels/checks/batchNorm.ts';
import {
  batchNormBackwardReference,
  batchNormReference,
  batchNormStatisticsReference,
} from '../../src/kernels/batchNorm.ts';
import { randomArray } from '../harness.ts';
import { expectGradient, weighted } from './centralDifferences.ts';
import { testChecks } from './runCheck.ts';

for (const view of [
  { outer: 1, channels: 1, inner: 5 },
  { outer: 33, channels: 19, inner: 1 },
  { outer: 2, channels: 3, inner: 4 },
  { outer: 4, channels: 5, inner: 28 * 28 },
]) {
  testChecks([
    batchNormStatisticsCheck(view),
    batchNormForwardCheck(view),
    batchNormSumsCheck(view),
    batchNormBackwardCheck(view, false),
    batchNormBackwardCheck(view, true),
  ]);
}
testChecks([batchNormTrackCheck(1, 1), batchNormTrackCheck(65, 4)]);

for (const fixed of [false, true])
  test(`the backward pass is the gradient${fixed ? ' with statistics that are constants' : ''}`, () => {
    const view = { outer: 3, channels: 2, inner: 5 };
    const epsilon = 0.01;
    const double = (n: number, seed: number) => Float64Array.from(randomArray(n, seed));
    const [x, dy, weight, bias] = [double(30, 1), double(30, 2), double(2, 3), double(2, 4)];
    const constants = { mean: double(2, 5), variance: double(2, 6).map(Math.abs) };
    const statistics = (at: Float64Array) => (fixed ? constants : batchNormStatisticsReference(at, view));
    const loss = (at: Float64Array, w: Float64Array, b: Float64Array) =>
      weighted(batchNormReference(at, statistics(at), w, b, view, epsilon), dy);
    const { dx, dweight, dbias } = batchNormBackwardReference(x, dy, statistics(x), weight, view, epsilon, fixed);
    expectGradient(dx, (at) => loss(at, weight, bias), x);
    expectGradient(dweight, (w) => loss(x, w, bias), weight);
    expectGradient(dbias, (b) => loss(x, weight, b), bias);
  });

test.run();

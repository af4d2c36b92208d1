/** Special values of softmax and normalisations. */
import {
  batchNormBackward,
  batchNormBackwardFixed,
  batchNormFold,
  batchNormFoldBackward,
  batchNormForward,
  batchNormStatistics,
  batchNormSums,
  batchNormTrack,
} from '../../batchNorm.ts';
import { causalMask } from '../../causalMask.ts';
import { logSoftmaxBackward, logSoftmaxForward } from '../../logSoftmax.ts';
import { lrnBackward, lrnForward } from '../../lrn.ts';
import { softmaxBackward, softmaxBackwardRows, softmaxForward, softmaxForwardRows } from '../../softmax.ts';
import type { KernelCheck } from '../check.ts';
import { BIG, CHANNEL, f32, FOUR, I, row } from './row.ts';

const ROWS = { outer: 5, channels: 2, inner: 1 };

export const normalisationSpecialValues: readonly (() => KernelCheck)[] = [
  () =>
    row('softmax', softmaxForward, { x: [NaN, 1, I, 1, -I, 1, -I, -I, BIG, -BIG] }, ROWS, {
      y: [NaN, NaN, NaN, NaN, 0, 1, NaN, NaN, 1, 0],
    }),
  () =>
    row(
      'softmax backward',
      softmaxBackward,
      { y: [NaN, 0.5, 0.5, 0.5], dy: [1, 1, I, 1] },
      { ...ROWS, outer: 2 },
      {
        dx: [NaN, NaN, NaN, -I],
      },
    ),
  () =>
    row('softmax by rows', softmaxForwardRows, { x: [NaN, 1, I, 1, -I, 1, -I, -I, BIG, -BIG] }, ROWS, {
      y: [NaN, NaN, NaN, NaN, 0, 1, NaN, NaN, 1, 0],
    }),
  () =>
    row(
      'softmax backward by rows',
      softmaxBackwardRows,
      { y: [NaN, 0.5, 0.5, 0.5], dy: [1, 1, I, 1] },
      { ...ROWS, outer: 2 },
      {
        dx: [NaN, NaN, NaN, -I],
      },
    ),
  () =>
    row(
      'local response normalisation',
      lrnForward('across'),
      { x: [NaN, 1, 1, 1, 1, I] },
      { images: 3, channels: 2, h: 1, w: 1, size: 3, alpha: 1, beta: 0.75, k: 1 },
      {
        y: [NaN, NaN, (5 / 3) ** -0.75, (5 / 3) ** -0.75, 0, NaN],
        scale: [NaN, NaN, 5 / 3, 5 / 3, I, I],
      },
    ),
  () =>
    row(
      'local response normalisation backward',
      lrnBackward('across'),
      { x: [1, 1, 1, 1], y: [1, 1, 1, 1], scale: [1, NaN, 1, 1], dy: [1, 1, I, 1] },
      { images: 2, channels: 2, h: 1, w: 1, size: 1, alpha: 1, beta: 0.5, k: 1 },
      { dx: [0, NaN, NaN, 0] },
    ),
  () =>
    row('batch statistics', batchNormStatistics(false), { x: [NaN, 1, I, 1, 2, 4] }, CHANNEL, {
      mean: [NaN, I, 3],
      variance: [NaN, NaN, 1],
    }),
  () =>
    row(
      'batch normalisation',
      batchNormForward(false),
      {
        x: [NaN, 1, I, 1, 2, 4],
        mean: [0, 0, NaN],
        variance: [1, 1, 1],
        weight: [1, 1, 1],
        bias: [0, 0, 0],
      },
      { n: 6, ...CHANNEL, epsilon: 0 },
      { y: [NaN, 1, I, 1, NaN, NaN] },
    ),
  () =>
    row(
      'batch normalisation, gradients of weight and bias',
      batchNormSums(false),
      { x: [1, 1, 1, 1, I, 1], dy: [NaN, 1, I, 1, 1, 1], mean: [0, 0, 0], variance: [1, 1, 1] },
      { ...CHANNEL, epsilon: 0 },
      { dweight: [NaN, I, I], dbias: [NaN, I, 2] },
    ),
  () =>
    row(
      'batch normalisation backward',
      batchNormBackward(false),
      {
        x: [1, 1, 1, 1, 1, 1],
        dy: [NaN, 1, 1, 1, I, 1],
        mean: [0, 0, 0],
        variance: [1, NaN, 1],
        weight: [1, 1, 1],
        dweight: [0, 0, 0],
        dbias: [0, 0, 0],
      },
      { n: 6, ...CHANNEL, count: 2, epsilon: 0 },
      { dx: [NaN, 1, NaN, NaN, I, 1] },
    ),
  () =>
    row(
      'batch normalisation backward, constants',
      batchNormBackwardFixed(false),
      { dy: [NaN, 1, 1, 1, I, 1], variance: [1, NaN, I], weight: [1, 1, 1] },
      { n: 6, ...CHANNEL, epsilon: 0 },
      { dx: [NaN, 1, NaN, NaN, NaN, 0] },
    ),
  () => {
    const check = row(
      'running statistics',
      batchNormTrack,
      { mean: [NaN, I], variance: [1, NaN] },
      { n: 2, momentum: 0.1, count: 4 },
      { runningMean: [NaN, I], runningVariance: [1.0333333, NaN] },
    );
    return { ...check, buffers: { ...check.buffers, runningMean: f32(0, 0), runningVariance: f32(1, 1) } };
  },
  () =>
    row(
      'batch normalisation folded into filters',
      batchNormFold,
      { w: [NaN, I, 1, 2], mean: [1, I], variance: [1, 1], weight: [1, 1], bias: [NaN, 0] },
      { n: 4, per: 2, epsilon: 0 },
      { folded: [NaN, I, 1, 2], shift: [NaN, -I] },
    ),
  () =>
    row(
      'batch normalisation folded into filters, backward',
      batchNormFoldBackward,
      { dfolded: [NaN, I, 1, 2], variance: [1, 1], weight: [1, 1] },
      { n: 4, per: 2, epsilon: 0 },
      { dw: [NaN, I, 1, 2] },
    ),
  () =>
    row(
      'log softmax',
      logSoftmaxForward,
      { x: [0, -I, BIG, -BIG] },
      { outer: 2, channels: 2, inner: 1 },
      { y: [0, -I, 0, -2 * BIG] },
    ),
  () => row('log softmax with NaN', logSoftmaxForward, { x: [0, NaN, 1, 2] }, FOUR, { y: [NaN, NaN, NaN, NaN] }),
  () =>
    row(
      'gradient of log softmax',
      logSoftmaxBackward,
      { y: [0, -I, NaN, 0], dy: [1, 1, 1, 1] },
      { outer: 2, channels: 2, inner: 1 },
      { dx: [-1, 1, NaN, -1] },
    ),
  () =>
    row(
      'causal mask',
      causalMask,
      { x: [NaN, NaN, I, 1] },
      { n: 4, rows: 2, columns: 2, value: -I },
      { y: [NaN, -I, I, 1] },
    ),
];

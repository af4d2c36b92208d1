/** Special values of losses and their gradients. */
import {
  classWeightedLogLossBackward,
  classWeightedLogLossFinal,
  classWeightedLogLossRows,
} from '../../classWeightedLogLoss.ts';
import { sigmoidLogLossBackward, sigmoidLogLossPartial } from '../../sigmoidLogLoss.ts';
import { smoothL1Backward, smoothL1Partial } from '../../smoothL1Loss.ts';
import {
  softmaxLogLossBackward,
  softmaxLogLossBackwardRows,
  softmaxLogLossFinal,
  softmaxLogLossPartial,
  softmaxLogLossRows,
} from '../../softmaxLogLoss.ts';
import type { KernelCheck } from '../check.ts';
import { BIG, I, i32, row } from './row.ts';

const ONE_ROW = { outer: 1, channels: 2, inner: 1, ignoreLabel: -1 };

const logLoss = (name: string, x: readonly number[], label: number, loss: number, clip = 0) =>
  [softmaxLogLossPartial, softmaxLogLossRows].map((kernel) => (): KernelCheck => {
    const expected = { losses: [loss], counts: i32(1) };
    return row(`${kernel.name} of ${name}`, kernel, { x, labels: i32(label) }, { ...ONE_ROW, clip }, expected);
  });

export const lossesSpecialValues: readonly (() => KernelCheck)[] = [
  ...logLoss('NaN, another logit', [NaN, 1], 1, NaN),
  ...logLoss('NaN, its own logit', [NaN, 1], 0, NaN),
  ...logLoss('NaN, clipped', [NaN, 1], 1, NaN, 1),
  ...logLoss('logits of 1e30', [BIG, 0], 1, BIG),
  ...logLoss('logits of 1e30, clipped', [BIG, 0], 1, 126 * Math.LN2, 1),
  ...logLoss('a class that is impossible', [-I, 1], 0, I),
  ...logLoss('a class that is impossible, clipped', [-I, 1], 0, 126 * Math.LN2, 1),
  ...logLoss('a class that is certain', [-I, 1], 1, 0),
  ...logLoss('an infinite logit', [I, 1], 0, NaN),
  () =>
    row(
      'mean log loss',
      softmaxLogLossFinal,
      { losses: [1, NaN], counts: i32(1, 1) },
      { n: 2 },
      {
        loss: [NaN],
        count: i32(2),
      },
    ),
  () =>
    row(
      'mean log loss over no label',
      softmaxLogLossFinal,
      { losses: [0], counts: i32(0) },
      { n: 1 },
      {
        loss: [0],
        count: i32(0),
      },
    ),
  ...[softmaxLogLossBackward, softmaxLogLossBackwardRows].map(
    (kernel) => () =>
      row(
        kernel.name,
        kernel,
        { x: [NaN, 1, -I, 1, BIG, -BIG, I, 1], labels: i32(1, 0, 1, -1), count: i32(3), dloss: [3] },
        { ...ONE_ROW, outer: 4 },
        { dx: [NaN, NaN, -1, 1, 1, -1, 0, 0] },
      ),
  ),
  ...(
    [
      [NaN, NaN],
      [I, I],
      [-I, I],
      [BIG, BIG],
    ] as const
  ).map(
    ([pred, loss]) =>
      () =>
        row(
          `smooth L1 of ${pred}`,
          smoothL1Partial(false, false),
          { pred: [pred], targets: [0] },
          { n: 1, sigma: 1 },
          {
            partials: [loss],
          },
        ),
  ),
  () =>
    row(
      'smooth L1 of NaN without weight',
      smoothL1Partial(true, true),
      { pred: [NaN], targets: [0], insideWeights: [0], outsideWeights: [0] },
      { n: 1, sigma: 1 },
      { partials: [NaN] },
    ),
  () =>
    row(
      'smooth L1 backward',
      smoothL1Backward(false, false),
      { pred: [NaN, I, -I, BIG], targets: [0, 0, 0, 0], dloss: [2] },
      { n: 4, sigma: 1 },
      { dpred: [NaN, 2, -2, 2] },
    ),
  () =>
    row(
      'sigmoid log loss of NaN',
      sigmoidLogLossPartial,
      { x: [NaN], labels: i32(1) },
      { n: 1 },
      { losses: [NaN], counts: i32(1) },
    ),
  () =>
    row(
      'sigmoid log loss of a large logit, beside one that is ignored',
      sigmoidLogLossPartial,
      { x: [BIG, NaN], labels: i32(0, -1) },
      { n: 2 },
      { losses: [BIG], counts: i32(1) },
    ),
  () =>
    row(
      'sigmoid log loss backward',
      sigmoidLogLossBackward,
      { x: [NaN, I, -I, NaN], labels: i32(1, 1, 1, -1), count: i32(1), dloss: [1] },
      { n: 4 },
      { dx: [NaN, 0, -1, 0] },
    ),
  () =>
    row(
      'weighted log loss of rows with NaN and infinity',
      classWeightedLogLossRows,
      { x: [NaN, 0, 0, I, 0, 0], labels: i32(1, 0, 5), weights: [2, 3] },
      { rows: 3, channels: 2 },
      { losses: [NaN, NaN, 0], rowWeights: [3, 2, 0] },
    ),
  () =>
    row(
      'weighted log loss without a row that counts',
      classWeightedLogLossFinal,
      { losses: [0, 0], rowWeights: [0, 0] },
      { n: 2 },
      { loss: [0], total: [0] },
    ),
  () =>
    row(
      'gradient of the weighted log loss of rows with NaN',
      classWeightedLogLossBackward,
      { x: [NaN, 0, 0, 0], labels: i32(1, -1), weights: [2, 3], total: [3], dloss: [1] },
      { rows: 2, channels: 2 },
      { dx: [NaN, NaN, 0, 0] },
    ),
  () =>
    row(
      'gradient of the weighted log loss of rows without weight',
      classWeightedLogLossBackward,
      { x: [1, 0], labels: i32(1), weights: [2, 0], total: [0], dloss: [1] },
      { rows: 1, channels: 2 },
      { dx: [0, 0] },
    ),
];

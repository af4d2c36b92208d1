/** Special values of sums, extrema and running sums. */
import { cumulativeSum } from '../../cumulativeSum.ts';
import { extremum, extremumBackward, topChannels } from '../../extremum.ts';
import { axisSum, axisSumPart, channelSum, channelSumPart, sumFinal, sumPartial } from '../../reduce.ts';
import type { KernelCheck } from '../check.ts';
import { BIG, CHANNEL, FOUR, I, i32, row } from './row.ts';

export const reductionsSpecialValues: readonly (() => KernelCheck)[] = [
  () => row('sum with NaN', sumPartial, { x: [1, NaN, 2] }, { n: 3 }, { partials: [NaN] }),
  () => row('sum of infinities', sumPartial, { x: [I, 1, -I] }, { n: 3 }, { partials: [NaN] }),
  () => row('sum of partial sums', sumFinal, { partials: [BIG, I, 2] }, { n: 3 }, { y: [I] }),
  () => row('channel sum', channelSum(false, false), { dy: [NaN, 1, I, 1, I, -I] }, CHANNEL, { db: [NaN, I, NaN] }),
  () =>
    row(
      'relu backward and channel sum',
      channelSum(false, false, true),
      { y: [NaN, 0, 1, 1, 0, 0], dy: [2, 1, NaN, 1, NaN, I] },
      CHANNEL,
      { dx: [2, 0, NaN, 1, 0, 0], db: [2, NaN, 0] },
    ),
  () =>
    row(
      'channel sum in parts',
      channelSumPart(false),
      { dy: [NaN, 1, I, 1, I, -I] },
      { ...CHANNEL, parts: 1 },
      {
        partial: [NaN, I, NaN],
      },
    ),
  () => row('axis sum', axisSum(false), { x: [NaN, 1, I, 1, I, -I] }, CHANNEL, { y: [NaN, -I] }),
  () =>
    row(
      'axis sum in parts',
      axisSumPart,
      { x: [NaN, 1, I, 1, I, -I] },
      { ...CHANNEL, parts: 1 },
      { partial: [NaN, -I] },
    ),
  ...([false, true] as const).flatMap((shared) => [
    () =>
      row(`max with NaN, ${shared}`, extremum('max', shared), { x: [I, NaN, 1, NaN] }, FOUR, {
        y: [NaN],
        index: i32(1),
      }),
    () =>
      row(`min of infinities, ${shared}`, extremum('min', shared), { x: [I, -I, 1, -I] }, FOUR, {
        y: [-I],
        index: i32(1),
      }),
  ]),
  () => row('gradient of max', extremumBackward, { x: [1, I, -I, I], y: [I], dy: [I] }, FOUR, { dx: [0, I, 0, I] }),
  () =>
    row('gradient of max with NaN', extremumBackward, { x: [1, NaN, 1, 1], y: [NaN], dy: [1] }, FOUR, {
      dx: [NaN, NaN, NaN, NaN],
    }),
  () =>
    row(
      'top k',
      topChannels,
      { x: [-I, NaN, I, 0] },
      { ...FOUR, k: 4 },
      { y: [NaN, I, 0, -I], index: i32(1, 2, 3, 0) },
    ),
  () => row('cumulative sum', cumulativeSum(false), { x: [1, I, 2, -I] }, FOUR, { y: [1, I, I, NaN] }),
  () => row('cumulative sum, reversed', cumulativeSum(true), { x: [1, NaN, 2, I] }, FOUR, { y: [NaN, NaN, I, I] }),
];

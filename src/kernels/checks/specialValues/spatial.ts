/** Special values of pooling and changes of a map's size. */
import { averagePoolBackward, averagePoolForward } from '../../averagePool.ts';
import { maxPoolBackward, maxPoolForward } from '../../maxPool.ts';
import { patches } from '../../patches.ts';
import { subsample, subsampleBackward } from '../../subsample.ts';
import { upsampleBilinear, upsampleBilinearBackward } from '../../upsampleBilinear.ts';
import { upsampleNearest, upsampleNearestBackward } from '../../upsampleNearest.ts';
import type { KernelCheck } from '../check.ts';
import { convShape } from '../matmul.ts';
import { BIG, I, i32, row } from './row.ts';

const POOL = { kernel: 2, stride: 2, padding: 0, ceilMode: false };
/** Four windows of 2 x 2 side by side: NaN, infinities, the largest numbers. */
const POOLED = { planes: 1, h: 2, w: 8, outH: 1, outW: 4 };
const POOL_X = [NaN, 1, I, 1, -I, -I, -BIG, BIG, 2, -NaN, 3, I, -I, -I, 0, 1];

export const spatialSpecialValues: readonly (() => KernelCheck)[] = [
  () =>
    row('max pooling', maxPoolForward(POOL), { x: POOL_X }, POOLED, { y: [NaN, I, -I, BIG], argmax: i32(9, 2, 4, 7) }),
  () =>
    row('max pooling backward', maxPoolBackward(POOL), { dy: [NaN, I, 3, 4], argmax: i32(9, 2, 4, 7) }, POOLED, {
      dx: [0, 0, I, 0, 3, 0, 0, 4, 0, NaN, 0, 0, 0, 0, 0, 0],
    }),
  () => row('average pooling', averagePoolForward(POOL), { x: POOL_X }, POOLED, { y: [NaN, I, -I, 0.25] }),
  () =>
    row('average pooling backward', averagePoolBackward(POOL), { dy: [NaN, I, -I, 4] }, POOLED, {
      dx: [NaN, NaN, I, I, -I, -I, 1, 1, NaN, NaN, I, I, -I, -I, 1, 1],
    }),
  () =>
    row(
      'nearest upsampling',
      upsampleNearest,
      { x: [NaN, I] },
      { planes: 1, h: 1, w: 2, outH: 1, outW: 4 },
      { y: [NaN, NaN, I, I] },
    ),
  () =>
    row(
      'nearest upsampling backward',
      upsampleNearestBackward,
      { dy: [NaN, 1, I, 1] },
      { planes: 1, h: 1, w: 2, outH: 1, outW: 4 },
      { dx: [NaN, I] },
    ),
  () =>
    row(
      'every second cell',
      subsample,
      { x: [NaN, 1, I, 1, -I, 1] },
      { planes: 1, h: 1, w: 6, outH: 1, outW: 3, stride: 2 },
      { y: [NaN, I, -I] },
    ),
  () =>
    row(
      'patches',
      patches,
      { x: [NaN, I, -I, 1] },
      { ...convShape([1, 1, 1, 4], [1, 1, 2], 2, 0), image: 0, first: 0, count: 4 },
      { columns: [NaN, -I, 0, 0, I, 1, 0, 0] },
    ),
  () =>
    row(
      'patches beyond the border',
      patches,
      { x: [NaN] },
      { ...convShape([1, 1, 1, 1], [1, 1, 1], 1, 1), image: 0, first: 0, count: 12 },
      { columns: [0, 0, 0, 0, NaN, 0, 0, 0, 0, 0, 0, 0] },
    ),
  () =>
    row(
      'every second cell backward',
      subsampleBackward(false),
      { dy: [NaN, I, -I] },
      { planes: 1, h: 1, w: 6, outH: 1, outW: 3, stride: 2 },
      { dx: [NaN, 0, I, 0, -I, 0] },
    ),
  () =>
    row(
      'bilinear upsampling',
      upsampleBilinear,
      { x: [1, NaN] },
      { planes: 1, h: 1, w: 2, outH: 1, outW: 4 },
      {
        y: [NaN, NaN, NaN, NaN],
      },
    ),
  () =>
    row(
      'gradient of bilinear upsampling',
      upsampleBilinearBackward,
      { dy: [I, 0, 0, NaN] },
      { planes: 1, h: 1, w: 2, outH: 1, outW: 4 },
      {
        dx: [I, NaN],
      },
    ),
];

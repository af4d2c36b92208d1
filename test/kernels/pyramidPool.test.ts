/** Spatial pyramid pooling: SPP-net's rule from the image to cells, its bins, and its gradient. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  PYRAMID_BINS,
  PYRAMID_SIDES,
  pyramidPoolReference,
  pyramidRange,
  pyramidShape,
} from '../../src/kernels/pyramidPool.ts';
import { roiPoolBackwardReference } from '../../src/kernels/roiPool.ts';
import { pyramidPool, sum } from '../../src/index.ts';
import { expectClose, randomArray, sharedGpu } from '../harness.ts';
import { expectGradient, weighted } from './centralDifferences.ts';

test('the published pyramid has 50 bins, the finest first', () => {
  assert.equal([PYRAMID_BINS, ...PYRAMID_SIDES], [50, 6, 3, 2, 1]);
});

test('a region takes the cells from floor(x1 / 16) + 1 to ceil(x2 / 16) - 1, counted from 1', () => {
  const cells = (x1: number, x2: number) => pyramidRange(x1, x2, 1 / 16, 1, 0, 40);
  for (const [x1, x2] of [
    [0, 100],
    [16, 160],
    [15, 161],
    [33, 447],
  ] as const) {
    const counted = [Math.floor(x1 / 16) + 1, Math.ceil(x2 / 16) - 1];
    assert.equal(cells(x1, x2), [counted[0]! - 1, counted[1]!], `${x1} to ${x2}`);
  }
  assert.equal(cells(20, 30), [1, 2], 'a region between two centres has one cell');
  assert.equal(cells(5, 5), [0, 1]);
  assert.equal(cells(630, 639), [39, 40], 'within the map');
  assert.equal(cells(9000, 9999), [39, 40]);
});

test('bins of a span of 7 cells, of 6 and of 2', () => {
  const bins = (cells: number, n: number) =>
    Array.from({ length: n }, (_, p) => pyramidRange(0, 16 * (cells + 1), 1 / 16, n, p, 99));
  assert.equal(bins(7, 3), [[0, 3], [2, 5], [4, 7]]); // prettier-ignore
  assert.equal(bins(6, 6), [[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [5, 6]]); // prettier-ignore
  assert.equal(bins(2, 6), [[0, 1], [0, 1], [0, 1], [1, 2], [1, 2], [1, 2]]); // prettier-ignore
});

const shape = pyramidShape({ images: 2, firstImage: 0, channels: 3, height: 7, width: 9, roiCount: 4, scale: 0.25 });
const ROIS = [0, 0, 0, 40, 30, 1, 3, 2, 21, 29, 1, 30, 8, 31, 9, 0, 12, 0, 20, 40];

test('the operation gives the values of the reference and hands their gradient to the cells they come from', async () => {
  const gpu = await sharedGpu();
  const data = randomArray(2 * 3 * 63, 1);
  const expected = pyramidPoolReference(Float64Array.from(data), Float64Array.from(ROIS), shape);
  const x = gpu.parameter(data, [2, 3, 7, 9], 'x');
  const y = gpu.scope(() => {
    const y = pyramidPool(x, gpu.tensor(ROIS, [4, 5]), { spatialScale: 0.25 });
    sum(y).backward();
    return y;
  });
  assert.equal(y.shape, [4, 3, 50]);
  expectClose(await y.read(), expected.y, { atol: 0, rtol: 0 });
  const ones = new Float64Array(600).fill(1);
  const dx = roiPoolBackwardReference(ones, expected.argmax, Float64Array.from(ROIS), shape);
  expectClose(await x.grad!.read(), dx, { atol: 1e-5, rtol: 1e-6 });
  x.dispose();
  y.dispose();
});

test('the gradient, by central differences', () => {
  const rois = Float64Array.from(ROIS);
  const x = Float64Array.from(randomArray(2 * 3 * 63, 2));
  const { y, argmax } = pyramidPoolReference(x, rois, shape);
  const dy = Float64Array.from(randomArray(y.length, 3));
  const dx = roiPoolBackwardReference(dy, argmax, rois, shape);
  expectGradient(dx, (moved) => weighted(pyramidPoolReference(moved, rois, shape).y, dy), x);
});

test.run();

/** R-CNN's crops: where their pixels come from, their context, and the mean outside the image. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { roiCrop } from '../../src/engine/ops/rois.ts';
import { roiCropReference } from '../../src/kernels/roiCrop.ts';
import { expectClose, sharedGpu } from '../harness.ts';

/** Each pixel of an image of 40 x 30 is its column. */
const ramp = Float64Array.from({ length: 1200 }, (_, i) => i % 40);

function row(roi: readonly number[], size: number, context: number, plusOne: number, line = 0): number[] {
  const shape = { images: 1, channels: 1, height: 30, width: 40, roiCount: 1, size, context, plusOne };
  return [...roiCropReference(ramp, Float64Array.of(0, ...roi), shape).subarray(line * size, (line + 1) * size)];
}

test('without context and at its own size a region keeps its pixels', () => {
  assert.equal(row([3, 2, 10, 9], 8, 0, 1), [3, 4, 5, 6, 7, 8, 9, 10]);
  assert.equal(row([3, 2, 11, 10], 8, 0, 0), [3, 4, 5, 6, 7, 8, 9, 10], 'corners that are edges');
});

test('the context is as many pixels of the crop, whatever the size of the region', () => {
  // 12 pixels become 6, with 3 of context on each side: the crop begins 6 pixels of the image before the region.
  assert.equal(row([10, 10, 21, 21], 12, 3, 1), [4.5, 6.5, 8.5, 10.5, 12.5, 14.5, 16.5, 18.5, 20.5, 22.5, 24.5, 26.5]);
  // 3 pixels become 6.
  expectClose(row([10, 10, 12, 12], 12, 3, 1), [8.25, 8.75, 9.25, 9.75, 10.25, 10.75, 11.25, 11.75, 12.25, 12.75, 13.25, 13.75], { atol: 1e-12, rtol: 0 }); // prettier-ignore
});

test('the published 16 of 227 pixels dilate a region by 227 / 195', () => {
  const all = row([5, 5, 34, 24], 227, 16, 1, 113);
  const [first, last] = [all.findIndex((x) => x > 0), all.findLastIndex((x) => x > 0)];
  expectClose([all[first]!, all[last]!], [20 - 15 * (227 / 195), 20 + 15 * (227 / 195)].map((edge, i) => edge - 0.5 + (i ? -1 : 1) * (15 / 195)), { atol: 1e-9, rtol: 0 }); // prettier-ignore
});

test('outside the image is the mean, and its border is repeated for half a pixel', () => {
  assert.equal(row([36, 20, 39, 23], 8, 2, 1), [34, 35, 36, 37, 38, 39, 0, 0]);
  assert.equal(row([38, 20, 39, 21], 4, 0, 1), [37.75, 38.25, 38.75, 39]);
  assert.equal(row([36, 27, 39, 30], 8, 2, 1, 5), Array(8).fill(0), 'below the image');
});

test('the operation gives the values of the reference for each image of a batch', async () => {
  const gpu = await sharedGpu();
  const rois = [1, 2, 3, 20.5, 18, 0, -4, 20, 12, 33];
  const x = Float64Array.from({ length: 2400 }, (_, i) => Math.sin(i));
  const options = { size: 9, context: 1, plusOne: 1 as const };
  const y = roiCrop(gpu.tensor(x, [2, 1, 30, 40]), gpu.tensor(rois, [2, 5]), options);
  assert.equal(y.shape, [2, 1, 9, 9]);
  const shape = { images: 2, channels: 1, height: 30, width: 40, roiCount: 2, ...options };
  expectClose(await y.read(), roiCropReference(x, Float64Array.from(rois), shape), { atol: 2e-5, rtol: 0 });
  y.dispose();
});

test('what it cannot do is said', async () => {
  const gpu = await sharedGpu();
  const [x, rois] = [gpu.zeros([1, 3, 8, 8]), gpu.tensor([0, 0, 0, 3, 3], [1, 5])];
  assert.throws(() => roiCrop(x, rois, { size: 8, context: 4, plusOne: 1 }), /size is 8 and context 4/);
  const wanted = gpu.parameter(new Float32Array(12), [1, 3, 2, 2], 'x');
  assert.throws(() => roiCrop(wanted, rois, { size: 8, context: 1, plusOne: 1 }), /has no gradient/);
  [x, rois, wanted].forEach((tensor) => tensor.dispose());
});

test.run();

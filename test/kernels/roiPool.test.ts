/** RoI pooling: Caffe's numbers to the last rounding, gradients, and agreement with max pooling. */
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  binRange,
  MAX_BINS,
  roiPoolBackward,
  roiPoolBackwardReference,
  roiPoolForward,
  roiPoolReference,
} from '../../src/kernels/roiPool.ts';
import type { RoiShape } from '../../src/kernels/rois.ts';
import { maxPoolReference } from '../../src/kernels/maxPool.ts';
import { expectClose, launch, randomArray, sharedGpu } from '../harness.ts';
import { expectGradient, weighted } from './centralDifferences.ts';

const golden = JSON.parse(readFileSync(new URL('../golden/roi_pool.json', import.meta.url), 'utf8'));

async function pool(
  x: Float32Array,
  rois: Float32Array,
  shape: RoiShape,
): Promise<{ y: Float32Array; argmax: Int32Array }> {
  const size = shape.roiCount * shape.channels * shape.pooledH * shape.pooledW;
  const result = await launch(
    await sharedGpu(),
    roiPoolForward,
    { x, rois, y: new Float32Array(size), argmax: new Int32Array(size) },
    { ...shape },
  );
  return result as { y: Float32Array; argmax: Int32Array };
}

async function backward(
  dy: Float32Array,
  argmax: Int32Array,
  rois: Float32Array,
  shape: RoiShape,
): Promise<Float32Array> {
  const dx = new Float32Array(shape.images * shape.channels * shape.height * shape.width).fill(NaN);
  const gpu = await sharedGpu();
  const [one, all] = await Promise.all(
    [1, shape.height].map(async (bands) => {
      const uniforms = { ...shape, bands };
      return (await launch(gpu, roiPoolBackward, { dy, argmax, rois, dx }, uniforms)).dx as Float32Array;
    }),
  );
  assert.equal(all, one, 'the number of bands changes no bit');
  return one!;
}

const map = Float32Array.from({ length: 160 }, (_, i) => ((i * 37 + 11) % 101) - 50);
const goldenRois = Float32Array.from(golden.rois.flat());
const goldenShape = (bins: number): RoiShape => ({
  images: 2,
  firstImage: 0,
  channels: 1,
  height: 8,
  width: 10,
  roiCount: 8,
  pooledH: bins,
  pooledW: bins,
  scale: 1 / 16,
});

for (const [bins, out, argmax] of [
  [2, golden.out2, golden.argmax2],
  [6, golden.out6, undefined],
  [7, golden.out7, golden.argmax7],
] as const)
  test(`golden, ${bins}x${bins} bins`, async () => {
    const result = await pool(map, goldenRois, goldenShape(bins));
    assert.equal([...result.y], out.flat(2));
    if (argmax) assert.equal([...result.argmax], argmax.flat(2));
  });

test('golden gradient, dy[n][bin k] = k + 1 + 10 n', async () => {
  const { argmax } = await pool(map, goldenRois, goldenShape(2));
  const dy = Float32Array.from({ length: 32 }, (_, i) => (i % 4) + 1 + 10 * Math.floor(i / 4));
  assert.equal([...(await backward(dy, argmax, goldenRois, goldenShape(2)))], golden.grad2.flat(2));
});

test('bins are float32: of spans 1..64 only 57 in 7 bins ends one cell late', () => {
  for (const bins of [6, 7])
    for (let span = 1; span <= 64; span++) {
      const late = bins === 7 && span === 57 ? 1 : 0;
      for (let p = 0; p < bins; p++) {
        const exact = [Math.floor((p * span) / bins), Math.ceil(((p + 1) * span) / bins) + (p === bins - 1 ? late : 0)];
        assert.equal(binRange(0, span - 1, 1, bins, p, 100), exact, `${bins} bins of a span of ${span}, bin ${p}`);
      }
    }
});

test('every span has the right bins on the GPU', async () => {
  // A map of one row with rising values: each bin's argmax is its last cell.
  const width = 400;
  const spans = Array.from({ length: 330 }, (_, i) => i + 1);
  const rois = Float32Array.from(spans.flatMap((span) => [0, 3, 0, 3 + span - 1, 0]));
  for (const pooledW of [1, 3, 6, 7, 14, 49, 127]) {
    const shape = {
      images: 1,
      firstImage: 0,
      channels: 1,
      height: 1,
      width,
      roiCount: spans.length,
      pooledH: 1,
      pooledW,
      scale: 1,
    };
    const { argmax } = await pool(
      Float32Array.from({ length: width }, (_, i) => i),
      rois,
      shape,
    );
    const expected = spans.flatMap((span) =>
      Array.from({ length: pooledW }, (_, p) => binRange(3, 3 + span - 1, 1, pooledW, p, width)[1] - 1),
    );
    assert.equal([...argmax], expected, `${pooledW} bins`);
  }
});

test('the cell after the RoI that a late bin covers gets its gradient', async () => {
  // Span 57 in 7 bins: the last bin ends at cell 58, so its largest value stands in cell 57, one past the RoI.
  const line = { images: 1, firstImage: 0, channels: 1, roiCount: 1, scale: 1 };
  const rising = Float32Array.from({ length: 70 }, (_, i) => i);
  for (const shape of [
    { ...line, height: 1, width: 70, pooledH: 1, pooledW: 7 },
    { ...line, height: 70, width: 1, pooledH: 7, pooledW: 1 },
  ]) {
    const rois = Float32Array.from(shape.width === 70 ? [0, 0, 0, 56, 0] : [0, 0, 0, 0, 56]);
    const { argmax } = await pool(rising, rois, shape);
    assert.is(argmax[6], 57);
    const dy = Float32Array.from({ length: 7 }, (_, i) => i + 1);
    assert.is((await backward(dy, argmax, rois, shape))[57], 7);
  }
});

test('a half rounds away from zero', async () => {
  // x1 = 23.5 cells -> 24, 24.5 -> 25, -0.5 -> -1
  const shape = {
    images: 1,
    firstImage: 0,
    channels: 1,
    height: 1,
    width: 40,
    roiCount: 3,
    pooledH: 1,
    pooledW: 1,
    scale: 0.5,
  };
  const falling = Float32Array.from({ length: 40 }, (_, i) => -i);
  const rois = Float32Array.from([0, 47, 0, 60, 0, 0, 49, 0, 60, 0, 0, -1, 0, -1, 0]);
  const { argmax } = await pool(falling, rois, shape);
  assert.equal([...argmax], [24, 25, -1]);
});

test("torchvision's shape cases: values and gradients against the reference", async () => {
  const { pool: bins, rois, backward_rois } = golden.torchvision_shape_cases;
  for (const [list, scale] of [
    [rois, 1],
    [backward_rois, 1],
    [rois, 0.5],
  ] as [number[][], number][]) {
    const shape = {
      images: 2,
      firstImage: 0,
      channels: 50,
      height: 10,
      width: 10,
      roiCount: list.length,
      pooledH: bins,
      pooledW: bins,
      scale,
    };
    const x = randomArray(2 * 50 * 100, 1);
    const flat = Float32Array.from(list.flat());
    const expected = roiPoolReference(Float64Array.from(x), Float64Array.from(flat), shape);
    const result = await pool(x, flat, shape);
    expectClose(result.y, expected.y, { atol: 0, rtol: 0 });
    assert.equal(result.argmax, expected.argmax);
    const dy = randomArray(result.y.length, 2);
    const dx = roiPoolBackwardReference(Float64Array.from(dy), expected.argmax, Float64Array.from(flat), shape);
    expectClose(await backward(dy, result.argmax, flat, shape), dx, { atol: 1e-5, rtol: 1e-5 });
  }
});

test("Caffe's gradient test: central differences", () => {
  const { rois: list, P, scale } = golden.caffe_gradient_test;
  const rois = Float64Array.from(list.flat());
  const shape = {
    images: 4,
    firstImage: 0,
    channels: 3,
    height: 12,
    width: 8,
    roiCount: list.length,
    pooledH: P,
    pooledW: P,
    scale,
  };
  const x = Float64Array.from(randomArray(4 * 3 * 12 * 8, 3));
  const { y, argmax } = roiPoolReference(x, rois, shape);
  const dy = Float64Array.from(randomArray(y.length, 4));
  const dx = roiPoolBackwardReference(dy, argmax, rois, shape);
  expectGradient(dx, (moved) => weighted(roiPoolReference(moved, rois, shape).y, dy), x);
});

test('a RoI of the whole map with one bin a cell is the map', async () => {
  const shape = {
    images: 2,
    firstImage: 0,
    channels: 3,
    height: 9,
    width: 11,
    roiCount: 2,
    pooledH: 9,
    pooledW: 11,
    scale: 0.25,
  };
  const x = randomArray(2 * 3 * 99, 5);
  const rois = Float32Array.from([0, 0, 0, 40, 32, 1, 0, 0, 40, 32]);
  const { y, argmax } = await pool(x, rois, shape);
  assert.equal(y, x);
  assert.equal(
    argmax,
    Int32Array.from(x, (_, i) => i % 99),
  );
  const dy = randomArray(x.length, 6);
  assert.equal(await backward(dy, argmax, rois, shape), dy);
});

test('a RoI of the whole map whose bins divide it is max pooling', async () => {
  const shape = {
    images: 1,
    firstImage: 0,
    channels: 4,
    height: 12,
    width: 8,
    roiCount: 1,
    pooledH: 6,
    pooledW: 4,
    scale: 1,
  };
  const x = randomArray(4 * 96, 7);
  const { y } = await pool(x, Float32Array.from([0, 0, 0, 7, 11]), shape);
  const window = { kernel: 2, stride: 2, padding: 0, ceilMode: false };
  expectClose(y, maxPoolReference(Float64Array.from(x), { planes: 4, h: 12, w: 8 }, window).y, { atol: 0, rtol: 0 });
});

test('more than 65535 workgroups, forward', async () => {
  // 1025 RoIs of 64 x 64 bins in workgroups of 64: 65600 of them. The reference has the first three and the last three.
  const shape = {
    images: 1,
    firstImage: 0,
    channels: 1,
    height: 2,
    width: 3,
    roiCount: 1025,
    pooledH: 64,
    pooledW: 64,
    scale: 1,
  };
  const x = randomArray(6, 8);
  const rois = Float32Array.from({ length: 1025 * 5 }, (_, i) => [0, 0, 0, 2 - (Math.floor(i / 5) % 3), 1][i % 5]!);
  const { argmax } = await pool(x, rois, shape);
  for (const first of [0, 1022]) {
    const three = Float64Array.from(rois.subarray(first * 5, (first + 3) * 5));
    const expected = roiPoolReference(Float64Array.from(x), three, { ...shape, roiCount: 3 });
    assert.equal(argmax.slice(first * 4096, (first + 3) * 4096), expected.argmax);
  }
});

test('as many bins as there may be, of odd spans', async () => {
  const shape = {
    images: 1,
    firstImage: 0,
    channels: 1,
    height: 3,
    width: 700,
    roiCount: 3,
    pooledH: 1,
    pooledW: MAX_BINS,
    scale: 1,
  };
  const x = randomArray(3 * 700, 3);
  const rois = Float32Array.from([0, 0, 0, 699, 2, 0, 17, 0, 500, 2, 0, 1, 1, 254, 2]);
  const expected = roiPoolReference(Float64Array.from(x), Float64Array.from(rois), shape);
  const result = await pool(x, rois, shape);
  assert.equal(result.argmax, expected.argmax);
});

test.run();

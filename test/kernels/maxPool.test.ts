import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readFileSync } from 'node:fs';
import { maxPoolBackwardCheck, maxPoolForwardCheck } from '../../src/kernels/checks/spatial.ts';
import { maxPoolBackwardReference, maxPoolForward, maxPoolReference } from '../../src/kernels/maxPool.ts';
import { poolOutputSize, poolUniforms } from '../../src/kernels/pooling.ts';
import { launch, randomArray, sharedGpu } from '../harness.ts';
import { expectGradient, weighted } from './centralDifferences.ts';
import { runCheck, testChecks } from './runCheck.ts';

const golden = JSON.parse(readFileSync(new URL('../golden/nn_ops.json', import.meta.url), 'utf8'));

const WINDOWS = [
  { kernel: 1, stride: 1, padding: 0, ceilMode: false },
  { kernel: 2, stride: 2, padding: 0, ceilMode: false },
  { kernel: 2, stride: 2, padding: 0, ceilMode: true },
  { kernel: 3, stride: 3, padding: 0, ceilMode: false },
  { kernel: 3, stride: 3, padding: 0, ceilMode: true },
  { kernel: 3, stride: 2, padding: 0, ceilMode: true },
  { kernel: 3, stride: 2, padding: 1, ceilMode: true },
  { kernel: 3, stride: 1, padding: 1, ceilMode: false },
  { kernel: 2, stride: 3, padding: 1, ceilMode: true },
  { kernel: 5, stride: 2, padding: 4, ceilMode: false },
];
const SHAPES = [
  { planes: 1, h: 3, w: 5 },
  { planes: 7, h: 13, w: 17 },
  { planes: 3, h: 16, w: 8 },
];
for (const shape of SHAPES)
  testChecks(WINDOWS.flatMap((window) => [maxPoolForwardCheck(shape, window), maxPoolBackwardCheck(shape, window)]));

const one = { kernel: 2, stride: 2, padding: 0, ceilMode: true };
testChecks([maxPoolForwardCheck({ planes: 1, h: 1, w: 1 }, one), maxPoolBackwardCheck({ planes: 1, h: 1, w: 1 }, one)]);

test('more outputs and more cells than 65535 workgroups of 64', async () => {
  const shape = { planes: 65537, h: 8, w: 8 };
  const window = { kernel: 1, stride: 1, padding: 0, ceilMode: false };
  await runCheck(maxPoolForwardCheck(shape, window));
  await runCheck(maxPoolBackwardCheck(shape, window));
});

test("Caffe's pooling test, values and positions", async () => {
  const { input, kernel, stride, out, argmax } = golden.caffe_maxpool;
  const x = Float32Array.from(input.flat());
  const shape = { planes: 1, h: input.length, w: input[0].length };
  const window = { kernel, stride, padding: 0, ceilMode: true };
  const uniforms = poolUniforms(shape, window);
  const size = out.flat().length;
  const result = await launch(
    await sharedGpu(),
    maxPoolForward(window),
    { x, y: new Float32Array(size), argmax: new Int32Array(size) },
    uniforms,
  );
  assert.equal([...result.y], out.flat());
  assert.equal([...result.argmax], argmax.flat());
});

test('map sizes of VGG-16, ZF and VGG_CNN_M with ceil pooling', () => {
  const conv = (n: number, kernel: number, stride: number, padding: number) =>
    Math.floor((n + 2 * padding - kernel) / stride) + 1;
  const pool = (n: number, kernel: number, padding: number) =>
    poolOutputSize(n, { kernel, stride: 2, padding, ceilMode: true });
  const vgg16 = (n: number) => [1, 2, 3, 4].reduce((size) => pool(size, 2, 0), n);
  const zf = (n: number) => pool(conv(pool(conv(n, 7, 2, 3), 3, 1), 5, 2, 2), 3, 1);
  const cnnM = (n: number) => pool(conv(pool(conv(n, 7, 2, 0), 3, 0), 5, 2, 1), 3, 0);
  const sizes = golden.feature_size;
  assert.equal(sizes.n.map(vgg16), sizes.vgg16);
  assert.equal(sizes.n.map(zf), sizes.zf);
  assert.equal(sizes.n.map(cnnM), sizes.vgg_cnn_m);
});

test('no window is empty, none is missing', () => {
  for (let n = 1; n < 20; n++)
    for (let kernel = 1; kernel < 5; kernel++)
      for (let stride = 1; stride < 6; stride++)
        for (let padding = 0; padding < kernel; padding++)
          for (const ceilMode of [false, true]) {
            if (n + 2 * padding < kernel) continue;
            const size = poolOutputSize(n, { kernel, stride, padding, ceilMode });
            assert.ok((size - 1) * stride - padding < n, `n ${n}: the last window starts outside the map`);
            const reach = (size - 1) * stride - padding + kernel;
            if (ceilMode && stride <= kernel) assert.ok(reach >= n, `n ${n}: the last cells are in no window`);
          }
});

test('windows that cannot be are refused', () => {
  const window = { kernel: 2, stride: 2, padding: 0, ceilMode: false };
  assert.throws(() => poolOutputSize(1, window), /an input of 1 cells is too small for kernel 2/);
  assert.throws(() => poolOutputSize(8, { ...window, padding: 2 }), /padding < kernel/);
  assert.throws(() => poolOutputSize(8, { ...window, stride: 0 }), /stride/);
});

test('max pooling gradient against central differences', () => {
  const shape = { planes: 2, h: 6, w: 7 };
  const window = { kernel: 3, stride: 2, padding: 1, ceilMode: true };
  const x = Float64Array.from(randomArray(84, 1));
  const { y, argmax } = maxPoolReference(x, shape, window);
  const dy = Float64Array.from(randomArray(y.length, 2));
  expectGradient(
    maxPoolBackwardReference(dy, argmax, shape),
    (moved) => weighted(maxPoolReference(moved, shape, window).y, dy),
    x,
  );
});

test.run();

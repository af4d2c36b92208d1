import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readFileSync } from 'node:fs';
import { imagePrepareCheck } from '../../src/kernels/checks/spatial.ts';
import { imagePrepare, prepareUniforms, resizedSize, type PrepareSettings } from '../../src/kernels/imagePrepare.ts';
import { expectClose, launch, sharedGpu } from '../harness.ts';
import { runCheck, testChecks } from './runCheck.ts';

for (const flip of [false, true])
  for (const bgr of [false, true])
    testChecks([
      imagePrepareCheck(1, 1, 1, 1, { flip, bgr }),
      imagePrepareCheck(1, 7, 5, 31, { flip, bgr }),
      imagePrepareCheck(37, 53, 61, 79, { flip, bgr }),
      imagePrepareCheck(101, 67, 23, 31, { flip, bgr }),
    ]);
test('more pixels than 65535 workgroups of 64 hold', () =>
  runCheck(imagePrepareCheck(31, 31, 2049, 2049, { flip: true, bgr: true })));

test('sizes of py-faster-rcnn', () => {
  const golden = JSON.parse(
    readFileSync(new URL('../golden/preprocess_schedule.json', import.meta.url), 'utf8'),
  ).resize;
  golden.in_hw.forEach(([h, w]: [number, number], i: number) => {
    const { height, width, scale } = resizedSize(h, w, golden.target, golden.max);
    const [expectedScale, expectedHeight, expectedWidth] = golden.scale_outh_outw[i];
    assert.equal([height, width], [expectedHeight, expectedWidth], `${h} x ${w}`);
    expectClose([scale], [expectedScale], { atol: 0, rtol: 1e-9, what: 'scale' });
  });
});

test('halves round to even, a side never vanishes', () => {
  assert.equal(resizedSize(5, 8, 2.5, 100), { height: 2, width: 4, scale: 0.5 });
  assert.equal(resizedSize(7, 8, 3.5, 100), { height: 4, width: 4, scale: 0.5 });
  assert.equal(resizedSize(1, 5000, 600, 1000), { height: 1, width: 1000, scale: 0.2 });
});

const rgba = (r: number, g: number, b: number, a = 255) => (r | (g << 8) | (b << 16) | (a << 24)) >>> 0;

async function prepare(image: Uint32Array, settings: PrepareSettings): Promise<number[]> {
  const y = new Float32Array(3 * settings.outH * settings.outW);
  return [...(await launch(await sharedGpu(), imagePrepare, { image, y }, prepareUniforms(settings))).y];
}
const plain = { srcPerDstY: 1, srcPerDstX: 1, flip: false, bgr: false, mean: [0, 0, 0], factor: [1, 1, 1] } as const;

test('same size: channels, flip, mean and factor, exactly', async () => {
  const image = Uint32Array.of(rgba(1, 2, 3), rgba(10, 20, 30, 0), rgba(100, 150, 200));
  const size = { h: 1, w: 3, outH: 1, outW: 3 };
  assert.equal(await prepare(image, { ...size, ...plain }), [1, 10, 100, 2, 20, 150, 3, 30, 200]);
  const caffe = { ...size, ...plain, flip: true, bgr: true, mean: [1, 2, 3] as const, factor: [1, 2, 0.5] as const };
  assert.equal(await prepare(image, caffe), [199, 29, 2, 296, 36, 0, 48.5, 3.5, -1]);
});

test('twice as large: half-pixel centres, clamped borders', async () => {
  const image = Uint32Array.of(rgba(0, 0, 0), rgba(100, 0, 0));
  const y = await prepare(image, { ...plain, h: 1, w: 2, outH: 1, outW: 4, srcPerDstY: 1, srcPerDstX: 0.5 });
  assert.equal(y.slice(0, 4), [0, 25, 75, 100]);
});

test.run();

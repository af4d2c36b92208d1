/** The benchmark: what it measures is checked first, a wrong result is named and not timed, and the arithmetic of its columns. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type BenchCase, caseName, HALF_GROUP } from '../../src/bench/case.ts';
import { convCases } from '../../src/bench/cases/convolution.ts';
import { benchCases } from '../../src/bench/cases/index.ts';
import { matmulCase } from '../../src/bench/cases/matmul.ts';
import { reductionCases } from '../../src/bench/cases/reductions.ts';
import { parameterPieces, sgdCase } from '../../src/bench/cases/sgd.ts';
import { sortingCases } from '../../src/bench/cases/sorting.ts';
import { compareElements, compareExactly, sampleIndices, TOLERANCE } from '../../src/bench/compare.ts';
import { uniform } from '../../src/bench/inputs.ts';
import { copyProbe, measurePeaks, multiplyAddProbe } from '../../src/bench/probes.ts';
import { rate, runBench, runCase, selectCases } from '../../src/bench/run.ts';
import { farthest, summarize } from '../../src/bench/profile.ts';
import { roofline } from '../../src/bench/roofline.ts';
import { convBytes, convFlops, VGG16_LAYERS, ZF_LAYERS } from '../../src/bench/shapes.ts';
import { median } from '../../src/bench/statistics.ts';
import { BenchTable, milliseconds } from '../../src/bench/table.ts';
import type { Gpu } from '../../src/engine/gpu.ts';
import { fromHalf, HALF_ROUNDING, HALF_TINY, toHalf } from '../../src/kernels/half.ts';
import { linear } from '../../src/engine/ops/linear.ts';
import { scale } from '../../src/engine/ops/arithmetic.ts';
import { launch, sharedGpu } from '../harness.ts';

const PEAKS = { gflops: 100, gbps: 10 };
const SHORT = { repetitions: 2, budgetMs: 100 };

test('rates, operations and the median', () => {
  assert.is(rate(2e9, 500), 4);
  assert.is(rate(undefined, 500), null);
  assert.is(convFlops(VGG16_LAYERS[1]!), 2 * 64 * 64 * 9 * 300 * 400);
  assert.is(convFlops(ZF_LAYERS[0]!), 2 * 3 * 96 * 49 * 150 * 200);
  assert.is(median([5, 1, 3]), 3);
  assert.is(median([4, 1, 3, 2]), 2.5);
  assert.equal([1234, 12.34, 1.234, 0.1234, null].map(milliseconds), ['1234', '12.3', '1.23', '0.123', '']);
});

test('the roofline: bytes, intensity and which peak limits a row', () => {
  const layer = { C: 2, K: 3, side: 3, H: 4, W: 5, stride: 1, pad: 1 };
  assert.is(convBytes(layer), 4 * (2 * 20 + 3 * 2 * 9 + 3 * 20));
  const peaks = { gflops: 100, gbps: 10 }; // they meet at 10 operations a byte
  assert.equal(roofline({ flops: 2e9, bytes: 1e8 }, peaks), { bound: 'compute', milliseconds: 20 });
  assert.equal(roofline({ flops: 5e8, bytes: 1e8 }, peaks), { bound: 'memory', milliseconds: 10 });
  assert.equal(roofline({ bytes: 1e8 }, peaks), { bound: 'memory', milliseconds: 10 });
  assert.is(roofline({ flops: 5e8 }, peaks), null);
});

test('a profile: kernels, gaps, and how far each is from its roofline', () => {
  const dispatch = (name: string, begin: number, end: number, boundBytes: number, uniforms = {}) => ({
    name,
    begin,
    end,
    boundBytes,
    uniforms,
  });
  const { dispatches, busy_ms, gaps_ms, kernels } = summarize(
    [
      dispatch('matmul_assign', 0, 4, 1e6, { batch: 2, M: 100, N: 100, K: 1000 }),
      dispatch('relu', 5, 6, 5e6),
      dispatch('matmul_assign', 6.5, 8.5, 2e7, { batch: 1, M: 10, N: 10, K: 10 }),
    ],
    { gflops: 100, gbps: 10 },
  );
  assert.equal([dispatches, busy_ms, gaps_ms], [3, 7, 1.5]);
  assert.equal(kernels, [
    { name: 'matmul_assign', dispatches: 2, milliseconds: 6, flops: 4e7 + 2000, bytes: 2.1e7, bound_ms: 0.4 + 2 },
    { name: 'relu', dispatches: 1, milliseconds: 1, flops: 0, bytes: 5e6, bound_ms: 0.5 },
  ]);
  assert.is(farthest(kernels, 1)[0]!.name, 'matmul_assign');
});

test('samples of elements', () => {
  assert.equal(sampleIndices(3, 8), [0, 1, 2]);
  const indices = sampleIndices(1_000_000, 256);
  assert.equal(indices.slice(0, 2), [0, 999_999]);
  assert.is(new Set(indices).size, indices.length);
  assert.ok(indices.length > 250 && indices.every((i) => Number.isInteger(i) && i >= 0 && i < 1_000_000));
  for (let tenth = 0; tenth < 10; tenth++) {
    assert.ok(indices.filter((i) => Math.floor(i / 100_000) === tenth).length > 15, `tenth ${tenth}`);
  }
});

test('a comparison finds one wrong element and one that is not a number', () => {
  const expected = [1, 2, 3].map((value, index) => ({ index, value, magnitude: 10 }));
  assert.ok(compareElements([1, 2 + 9 * TOLERANCE, 3], expected).passed);
  const wrong = compareElements([1, 2 + 11 * TOLERANCE, NaN], expected);
  assert.not(wrong.passed);
  assert.is(wrong.problems.length, 2);
  assert.match(wrong.problems[1]!, /^\[2\] is NaN, expected 3$/);
});

test('names are unique, the short run has every group', () => {
  const cases = benchCases(2 ** 31);
  assert.is(new Set(cases.map(caseName)).size, cases.length);
  const groups = (rows: readonly BenchCase[]) => [...new Set(rows.map(({ group }) => group))];
  assert.equal(groups(selectCases(cases, '', true)), groups(cases));
  assert.equal(
    selectCases(cases, 'MATMUL', false).map(({ shape }) => shape),
    ['512x512x512', '1024x1024x1024', '1024x1024x1024'],
  );
});

test('all parameters of Faster R-CNN with VGG-16 in pieces that any device binds', () => {
  const pieces = parameterPieces(Infinity);
  // 138,357,544 of VGG-16 for 1000 classes, without its last layer; RPN and the layers of 21 classes instead.
  assert.is(
    pieces.reduce((sum, n) => sum + n, 0),
    138_357_544 - 4097 * 1000 + 513 * 54 + 512 * 513 + 512 * 512 * 8 + 4097 * 105,
  );
  assert.ok(Math.max(...pieces) * 4 <= 128 * 2 ** 20);
  const fitting = parameterPieces(1e6).reduce((sum, n) => sum + n, 0);
  assert.ok(fitting > 0 && fitting <= 1e6);
});

test('convolutions of any stride, products and updates pass', async () => {
  const gpu = await sharedGpu();
  const layers = [
    { C: 5, K: 7, side: 3, H: 9, W: 11, stride: 1, pad: 1 },
    { C: 3, K: 6, side: 5, H: 13, W: 12, stride: 2, pad: 2 },
  ];
  const cases = [...convCases('small', layers, []), matmulCase(33), sgdCase('few', 50_000, true)];
  const { rows, failed, peaks, adapter } = await runBench(gpu, cases, SHORT);
  rows.forEach((row) => assert.equal(row.problems, []));
  assert.is(failed, 0);
  assert.is(adapter, gpu.adapter.description);
  assert.ok(peaks.gflops > 0 && peaks.gbps > 0);
  for (const row of rows) {
    assert.ok(row.valid && row.compared > 30 && row.largest_error! < TOLERANCE, row.op);
    assert.ok(row.best_ms! > 0 && row.best_ms! <= row.median_ms! && row.first_ms! > 0, row.op);
    assert.ok(row.share_of_peak! > 0, row.op);
  }
  const [first, update] = [rows[0]!, rows.at(-1)!];
  assert.ok(Math.abs(first.gflops! - convFlops(layers[0]!) / first.best_ms! / 1e6) < 1e-9);
  assert.ok(Math.abs(first.share_of_peak! - first.gflops! / peaks.gflops) < 1e-9);
  assert.equal(
    [first.bound_ms, first.bound],
    [roofline({ flops: convFlops(layers[0]!), bytes: first.bytes! }, peaks)!.milliseconds, first.bound],
  );
  assert.ok(Math.abs(first.share_of_bound! - first.bound_ms! / first.best_ms!) < 1e-9);
  assert.ok(Math.abs(first.intensity! - convFlops(layers[0]!) / convBytes(layers[0]!)) < 1e-9);
  assert.ok(update.gflops === null && Math.abs(update.share_of_peak! - update.gbps! / peaks.gbps) < 1e-9);
});

test('half precision: one rounding more where the result is stored in f16', () => {
  const expected = [{ index: 0, value: 2, magnitude: 10 }];
  const passes = (found: number) => compareElements([found], expected, TOLERANCE, 'f16').passed;
  const bound = 10 * TOLERANCE + 2 * HALF_ROUNDING + HALF_TINY;
  assert.equal(
    [2 - bound, 2 + bound].map((found) => passes(found + (2 - found) / 100)),
    [true, true],
  );
  assert.equal(
    [2 - bound, 2 + bound, NaN].map((found) => passes(found - (2 - found) / 100)),
    [false, false, false],
  );
  assert.not(compareElements([2 + bound / 2], expected).passed);
});

test('inputs in f16 are held exactly by it', () => {
  const values = uniform(5000, 1, 'f16');
  assert.ok(values.every((value) => value >= -1 && value < 1 && fromHalf(toHalf(value)) === value));
  assert.ok(new Set(values).size > 2500);
});

test('integers are compared exactly', () => {
  assert.ok(compareExactly([3, 0, -1], [3, 0, -1]).passed);
  assert.equal(compareExactly([3, 1], [3, 0]).problems, ['[1] is 1, expected 0']);
});

test('rows in half precision pass, and are left out by name where the device has none', async () => {
  const gpu = await sharedGpu();
  const layer = { C: 5, K: 7, side: 3, H: 9, W: 11, stride: 1, pad: 1 };
  const half = [...convCases(HALF_GROUP, [layer], [], 'f16'), matmulCase(33, 'f16')];
  const { rows, skipped } = await runBench(gpu, [...half, matmulCase(33)], SHORT);
  rows.forEach((row) => assert.equal(row.problems, [], row.op));
  const left = gpu.hasHalf ? [] : half;
  assert.equal(skipped, left.map(caseName));
  assert.is(rows.length, half.length + 1 - left.length);
  if (gpu.hasHalf) {
    assert.equal(
      rows.slice(0, 3).map(({ bytes }) => bytes),
      [1, 1, 0].map((filtersInHalf) => convBytes(layer, 2, filtersInHalf ? 2 : 4)),
    );
  }
  const none: Gpu = Object.create(gpu, { hasHalf: { value: false } });
  const without = await runBench(none, half, SHORT);
  assert.equal([without.rows, without.skipped], [[], half.map(caseName)]);
});

test('sorting, selection, softmax and channel sums pass', async () => {
  const gpu = await sharedGpu();
  for (const item of selectCases([...sortingCases, ...reductionCases], '', true)) {
    const row = await runCase(gpu, item, PEAKS, SHORT);
    assert.equal(row.problems, [], caseName(item));
    assert.ok(row.compared > 200, caseName(item));
  }
});

test('the rows in half precision add none to the parts of a drill that filter', () => {
  const cases = benchCases(2 ** 33);
  for (const filter of ['VGG-16 600x800', 'VGG-16 convolutions', 'small backbone', 'matmul 512'])
    assert.ok(
      selectCases(cases, filter, false).every(({ half }) => !half),
      filter,
    );
  assert.is(selectCases(cases, '', false).filter(({ half }) => half).length, 9);
});

test('a wrong result is named and not timed', async () => {
  const gpu = await sharedGpu();
  const wrong = matmulCase(16, 'f32', (a, b) => scale(linear(a, b, null), 1.0001));
  const row = await runCase(gpu, wrong, PEAKS, SHORT);
  assert.not(row.valid);
  assert.match(row.problems[0]!, /^\[0\] is \S+, expected \S+$/);
  assert.equal([row.best_ms, row.median_ms, row.gflops, row.share_of_peak], [null, null, null, null]);
  const table = new BenchTable([wrong]).lines(row).join('\n');
  assert.match(table, /matmul +16x16x16 +WRONG\n +\[0\] is/);
});

test('a row that cannot run fails alone', async () => {
  const gpu = await sharedGpu();
  const broken = matmulCase(16, 'f32', () => {
    throw new Error('no such product');
  });
  const row = await runCase(gpu, broken, PEAKS, SHORT);
  assert.equal([row.valid, row.problems], [false, ['no such product']]);
  assert.ok((await runCase(gpu, matmulCase(16), PEAKS, SHORT)).valid);
});

test('nothing stays behind', async () => {
  const gpu = await sharedGpu();
  const before = gpu.statistics().liveBytes;
  for (const item of selectCases(benchCases(2 ** 31), 'small backbone', true)) {
    const row = await runCase(gpu, item, PEAKS, SHORT);
    assert.equal(row.problems, [], row.op);
  }
  await measurePeaks(gpu);
  assert.is(gpu.statistics().liveBytes, before);
});

test('the probes compute what they say', async () => {
  const gpu = await sharedGpu();
  const n = 100;
  const turns = 3;
  const { y } = await launch(gpu, multiplyAddProbe(4), { y: new Float32Array(n) }, { n, turns, factor: 0.5 });
  for (let i = 0; i < n; i++) {
    const b = i * 1e-6;
    let sum = 0;
    for (let chain = 0; chain < 16; chain++) {
      let s = b + chain;
      for (let k = 0; k < turns * 4; k++) s = s * 0.5 + b;
      sum += s;
    }
    assert.ok(Math.abs(y![i]! - sum) < 1e-6, `y[${i}] is ${y![i]}, expected ${sum}`);
  }
  for (const run of [64, 1024]) {
    const x = uniform(4 * 1500, run);
    const copied = await launch(gpu, copyProbe(run), { x, y: new Float32Array(x.length) }, { n: 1500 });
    assert.equal(copied.y, x);
  }
});

test.run();

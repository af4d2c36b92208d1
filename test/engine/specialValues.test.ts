/** NaN and infinity through layers that fuse several operations, whatever plan the device has for them. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { conv2d, linear } from '../../src/index.ts';
import { sharedGpu } from '../harness.ts';

const filled = (n: number, special: number) => Float32Array.from({ length: n }, (_, i) => (i === 5 ? special : -1));

test('linear with relu: a row with NaN is NaN, a negative one 0', async () => {
  const gpu = await sharedGpu();
  for (const [rows, columns] of [
    [3, 8],
    [64, 64],
    [37, 300],
  ] as const) {
    const x = gpu.tensor(filled(rows * columns, NaN), [rows, columns]);
    const weight = gpu.tensor(new Float32Array(10 * columns).fill(0.5), [10, columns]);
    const y = await linear(x, weight, gpu.tensor(new Float32Array(10), [10]), { relu: true }).read();
    const expected = Array.from({ length: rows * 10 }, (_, i) => (i < 10 ? NaN : 0));
    assert.equal([...y], expected, `${rows}x${columns}`);
  }
});

test('conv2d with relu: NaN reaches what its window reaches, and no other map', async () => {
  const gpu = await sharedGpu();
  for (const [channels, side, kernel] of [
    [4, 9, 1],
    [4, 9, 3],
    [32, 24, 3],
    [4, 9, 5],
  ] as const) {
    const pixels = side * side;
    const x = gpu.tensor(filled(2 * channels * pixels, NaN), [2, channels, side, side]);
    const weight = gpu.tensor(new Float32Array(8 * channels * kernel ** 2).fill(0.5), [8, channels, kernel, kernel]);
    const y = await conv2d(x, weight, null, { padding: (kernel - 1) / 2, relu: true }).read();
    assert.ok(Number.isNaN(y[5]), `${kernel}x${kernel} at the cell itself`);
    assert.is([...y.subarray(8 * pixels)].filter((value) => value !== 0).length, 0, 'the other image');
  }
});

test.run();

/**
 * NaN and infinity through layers that fuse several operations, whatever plan the device has for them; and that the table of
 * special values, which `rcnn info` checks, has every kernel of every operation.
 */
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as api from '../../src/index.ts';
import { conv2d, linear } from '../../src/index.ts';
import { specialValueChecks } from '../../src/kernels/checks/specialValues.ts';
import { sharedGpu } from '../harness.ts';
import { SAMPLES } from './samples.ts';

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

/** Of a kernel's name: what else is fused with it, how many values it takes at a time, and how it finds their places. */
const VARIANTS = [
  / f16$/,
  /(?<=^copy_(into|from)_slice)_\w+$/,
  /(?<=^(\w*_backward_[ab]|expand|strided_copy))_\w+$/,
  /_([ab]_(channels|ends)|strided_\d+)$/,
  /(?<=^where(_backward_[ab])?)_\d+$/,
  /(?<=^(max|min))_rows$/,
  /(?<=^add)_\d$/,
  /(?<=^(matmul|conv2d|winograd|smooth_l1|channel_sum|axis_sum)\w*)_(assign|accumulate|bias|relu|add|aligned|inside|outside)\b/,
  /(?<=^winograd\w*)_(tiles_channels|channels_tiles)/,
];
function familyOf(name: string): string {
  for (let before = ''; before !== name;) {
    before = name;
    for (const variant of VARIANTS) name = name.replace(variant, '');
  }
  return name;
}

/** They work on whole numbers, and on the boxes that `nms_keys` and `gather_sorted` left over. */
const AFTER_SORTING = /^(radix_|nms_(mask|removed|sweep|original))/;

test('the table of special values has every kernel of every operation of the package', async () => {
  const gpu = await sharedGpu();
  const folder = fileURLToPath(new URL('../../src/engine/ops', import.meta.url));
  const modules = await Promise.all(readdirSync(folder).map((file) => import(`${folder}/${file}`) as Promise<object>));
  const exported = modules.flatMap((module) =>
    Object.entries(module).flatMap(([name, value]) => ((api as Record<string, unknown>)[name] === value ? [name] : [])),
  );
  assert.equal(Object.keys(SAMPLES).sort(), exported.sort(), 'an operation without a sample');
  const checked = new Set(specialValueChecks.map((build) => familyOf(build().kernel.name)));
  const run = gpu.run;
  const missing = new Set<string>();
  for (const [operation, sample] of Object.entries(SAMPLES)) {
    gpu.run = (kernel, ...rest) => {
      const known = checked.has(familyOf(kernel.name)) || AFTER_SORTING.test(kernel.name);
      if (!known) missing.add(`${operation}: ${kernel.name}`);
      return run.call(gpu, kernel, ...rest);
    };
    try {
      gpu.scope(() => {
        for (const result of sample(gpu)) if ('backward' in result) api.sum(result).backward();
      });
    } finally {
      gpu.run = run;
    }
  }
  assert.equal([...missing], []);
});

test.run();

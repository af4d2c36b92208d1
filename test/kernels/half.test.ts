/** Variants in half precision: the checks of `rcnn info` where the device has f16, how they are written, and the conversion of numbers. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { halfChecks } from '../../src/kernels/checks/half.ts';
import { fill, scale } from '../../src/kernels/elementwise.ts';
import { fromHalf, halfVariant, toHalf } from '../../src/kernels/half.ts';
import { kernel } from '../../src/kernels/kernel.ts';
import { runKernelCheck } from '../../src/bench/kernelChecks.ts';
import { sharedGpu } from '../harness.ts';

test('numbers are rounded to the nearest of half precision, half to even', () => {
  for (let bits = 0; bits < 65536; bits++) {
    const value = fromHalf(bits);
    if (Number.isNaN(value)) assert.is(toHalf(value) & 0x7c00, 0x7c00);
    else assert.is(toHalf(value), bits);
  }
  const cases: [number, number][] = [
    [1 + 2 ** -11, 1], // half-way: to the even neighbour
    [1 + 3 * 2 ** -11, 1 + 2 ** -9],
    [1 + 2 ** -11 + 2 ** -30, 1 + 2 ** -10],
    [2 ** -25, 0],
    [3 * 2 ** -26, 2 ** -24],
    [65519.9, 65504],
    [65520, Infinity],
    [-70000, -Infinity],
    [0.1, 0.0999755859375],
  ];
  for (const [value, rounded] of cases) assert.is(fromHalf(toHalf(value)), rounded, String(value));
});

test('a variant loads, stores and adds through float32, and leaves everything else as it is', () => {
  const spec = kernel({
    name: 'text',
    buffers: { x: 'read', at: 'read u32', y: 'read_write', q: 'write vec4f' },
    uniforms: { n: 'u32' },
    each: 'n',
    body: 'let max_x = x[at[i] + 1u] * 2.0; y[u32(x[i])] += max_x - y[i]; if (y[i] == 0.0) { q[i][at[0]] = x[0]; } q[i] = vec4f(max_x);',
  });
  const { code } = halfVariant(spec, ['x', 'y', 'q']);
  for (const part of [
    'enable f16;\n',
    'x: array<f16>;',
    'at: array<u32>;',
    'q: array<vec4<f16>>;',
    'let max_x = f32(x[at[i] + 1u]) * 2.0;',
    'y[u32(f32(x[i]))] = f16(f32(y[u32(f32(x[i]))]) + (max_x - f32(y[i])));',
    'if (f32(y[i]) == 0.0)',
    'q[i][at[0]] = f16(f32(x[0]));',
    'q[i] = vec4<f16>(vec4f(max_x));',
  ])
    assert.ok(code.includes(part), `${part}\n${code}`);
  assert.is(halfVariant(spec, ['x', 'y', 'q']).code, code);
  assert.not.match(halfVariant(fill, ['y']).code, /array<vec4f>/);
  assert.is(halfVariant(scale, ['x']), halfVariant(scale, ['x']));
  const integers = kernel({
    name: 'integers',
    buffers: { x: 'write i32' },
    uniforms: { n: 'u32' },
    each: 'n',
    body: 'x[i] = 0;',
  });
  assert.throws(() => halfVariant(integers, ['x']), /integers: its buffer x holds i32, f16 was given/);
});

test('every variant computes what its float64 reference gives, within one rounding', async () => {
  const gpu = await sharedGpu();
  if (!gpu.hasHalf) return;
  const failed: string[] = [];
  for (const build of halfChecks(gpu.plans.device)) {
    const { name, passed, problems } = await runKernelCheck(gpu, build());
    if (!passed) failed.push([name, ...problems].join('\n  '));
  }
  assert.equal(failed, []);
});

test.run();

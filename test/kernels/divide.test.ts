/** `divide` against exact division, where a quotient is about to change and at the ends of its range. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DIVIDE_WGSL } from '../../src/kernels/divide.ts';
import { elementwise } from '../../src/kernels/elementwise.ts';
import { mix32 } from '../../src/kernels/rng.ts';
import { launch, sharedGpu } from '../harness.ts';

const quotients = elementwise({
  name: 'divide',
  buffers: { x: 'read u32', d: 'read u32', y: 'write u32' },
  functions: DIVIDE_WGSL,
  body: 'y[i] = divide(x[i], d[i]);',
});

test('exact for x < 2^31, 0 < d <= 2^22', async () => {
  const divisors = [1, 2, 3, 5, 7, 36, 40, 80, 255, 256, 1000, 4095, 65535, 65536, 1048575, 4194303, 4194304];
  for (let i = 0; i < 3000; i++) divisors.push(1 + (mix32(i) >>> (10 + (i % 22))));
  const largest = 2 ** 31 - 1;
  const pairs = divisors.flatMap((d, i) => {
    const whole = Math.floor(largest / d);
    const multiples = [
      0,
      1,
      whole,
      ...[11, 12, 13].map((k) => mix32(k * 7919 + i) % (whole + 1)),
      Math.min(whole, 513),
    ];
    return multiples
      .flatMap((q) => [q * d - 1, q * d, q * d + 1])
      .concat(largest)
      .filter((x) => x >= 0 && x <= largest)
      .map((x) => [x, d] as const);
  });
  const x = Uint32Array.from(pairs, ([value]) => value);
  const d = Uint32Array.from(pairs, ([, value]) => value);
  const { y } = await launch(await sharedGpu(), quotients, { x, d, y: new Uint32Array(x.length) }, { n: x.length });
  assert.equal(
    y,
    x.map((value, i) => Math.floor(value / d[i]!)),
  );
});

test.run();

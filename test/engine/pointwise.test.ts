import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dropout, localResponseNorm, multiply, sum } from '../../src/index.ts';
import { expectClose, randomArray, sharedGpu } from '../harness.ts';

test('dropout without a seed draws a new mask every call; with one, the same', async () => {
  const gpu = await sharedGpu();
  const x = gpu.tensor(new Float32Array(1000).fill(1), [1000]);
  const draws = [
    dropout(x, { p: 0.5 }),
    dropout(x, { p: 0.5 }),
    dropout(x, { p: 0.5, seed: 7 }),
    dropout(x, { p: 0.5, seed: 7 }),
  ];
  const [a, b, c, d] = await Promise.all(draws.map((draw) => draw.read()));
  assert.not.equal(a, b);
  assert.equal(c, d);
  const kept = a!.filter((value) => value !== 0).length;
  assert.ok(kept > 430 && kept < 570, `${kept} of 1000 kept at p = 0.5`);
  [x, ...draws].forEach((tensor) => tensor.dispose());
});

test('dropout drops the gradient where it dropped the value, with the same scale', async () => {
  const gpu = await sharedGpu();
  const w = gpu.parameter(new Float32Array(500).fill(1), [500], 'w');
  const c = gpu.tensor(randomArray(500, 3), [500]);
  const y = gpu.scope(() => {
    const dropped = dropout(w, { p: 0.25 });
    sum(multiply(dropped, c)).backward();
    return dropped;
  });
  const [values, factors, gradient] = await Promise.all([y.read(), c.read(), w.grad!.read()]);
  expectClose(gradient, values.map((value, i) => value * factors[i]!) as Float32Array, { atol: 1e-6, rtol: 1e-6 });
  [w, c, y].forEach((tensor) => tensor.dispose());
});

test('local response normalisation has the defaults of Caffe and PyTorch', async () => {
  const gpu = await sharedGpu();
  const x = gpu.tensor(randomArray(5 * 12, 1, 20), [1, 5, 3, 4]);
  const short = localResponseNorm(x, { size: 3 });
  const full = localResponseNorm(x, { size: 3, alpha: 1e-4, beta: 0.75, k: 1, mode: 'across' });
  assert.equal(await short.read(), await full.read());
  [x, short, full].forEach((tensor) => tensor.dispose());
});

test.run();

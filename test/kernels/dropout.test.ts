import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dropoutCheck } from '../../src/kernels/checks/elementwise.ts';
import { dropout, dropoutReference, invertedScale } from '../../src/kernels/dropout.ts';
import { launch, randomArray, sharedGpu } from '../harness.ts';
import { expectGradient, weighted } from './centralDifferences.ts';
import { testChecks } from './runCheck.ts';

testChecks([dropoutCheck(1), dropoutCheck(1031), dropoutCheck(4099, 0.1), dropoutCheck(67, 0), dropoutCheck(67, 1)]);

test('keeps a share of 1 - p, and another one with another seed or stream', async () => {
  const n = 100_000;
  const x = new Float32Array(n).fill(1);
  const kept = async (seed: number, stream: number) => {
    const uniforms = { n, p: 0.3, scale: 1, seed, stream };
    return (await launch(await sharedGpu(), dropout, { x, y: new Float32Array(n) }, uniforms)).y as Float32Array;
  };
  const a = await kept(7, 0);
  const share = a.reduce((sum, value) => sum + value, 0) / n;
  assert.ok(Math.abs(share - 0.7) < 0.006, `kept ${share}`); // four standard deviations
  for (const b of [await kept(8, 0), await kept(7, 1)]) {
    const same = a.reduce((sum, value, i) => sum + Number(value === b[i]), 0) / n;
    assert.ok(Math.abs(same - 0.58) < 0.007, `agree ${same}`); // 0.7^2 + 0.3^2
  }
  assert.equal(await kept(7, 0), a);
});

test('dropout of dy is the gradient of dropout of x', () => {
  const settings = { p: 0.4, scale: invertedScale(0.4), seed: 1, stream: 2 };
  const x = Float64Array.from(randomArray(40, 1));
  const dy = Float64Array.from(randomArray(40, 2));
  expectGradient(dropoutReference(dy, settings), (moved) => weighted(dropoutReference(moved, settings), dy), x);
});

test.run();

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { flagNonFiniteCheck } from '../../src/kernels/checks/elementwise.ts';
import { flagNonFinite } from '../../src/kernels/finite.ts';
import { launch, sharedGpu } from '../harness.ts';
import { testChecks } from './runCheck.ts';

for (const bad of [undefined, NaN, Infinity, -Infinity])
  testChecks([7, 1024, 4099].map((n) => flagNonFiniteCheck(n, bad)));

test('the last element counts, the one behind it does not', async () => {
  const gpu = await sharedGpu();
  const x = new Float32Array(1031);
  x[1030] = NaN;
  const flagged = async (n: number) =>
    (await launch(gpu, flagNonFinite, { x, flag: new Uint32Array(1) }, { n })).flag[0];
  assert.is(await flagged(1031), 1);
  assert.is(await flagged(1030), 0);
});

test('a flag that is set stays set', async () => {
  const buffers = { x: new Float32Array(3), flag: Uint32Array.of(1) };
  assert.equal((await launch(await sharedGpu(), flagNonFinite, buffers, { n: 3 })).flag, Uint32Array.of(1));
});

test.run();

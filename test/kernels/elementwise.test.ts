import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  accumulateCheck,
  accumulateSetsCheck,
  addCheck,
  broadcastScalarCheck,
  fillCheck,
  scaleCheck,
} from '../../src/kernels/checks/elementwise.ts';
import { fill } from '../../src/kernels/elementwise.ts';
import { linear, MAX_WORKGROUPS } from '../../src/kernels/kernel.ts';
import { launch, sharedGpu } from '../harness.ts';
import { runCheck, testChecks } from './runCheck.ts';

const SIZES = [1, 3, 63, 64, 65, 1023, 1024, 1025, 104729];

testChecks([addCheck(67, 3), addCheck(4099, 7)]);
testChecks([[1], [4099], [1, 70001, 3], [4096, 4096, 5, 64]].map(accumulateSetsCheck));
for (const build of [fillCheck, (n: number) => addCheck(n), accumulateCheck, scaleCheck, broadcastScalarCheck])
  testChecks(SIZES.map(build));

test('fill leaves elements from n on as they are', async () => {
  const y = new Float32Array(1100);
  const result = await launch(await sharedGpu(), fill, { y }, { n: 1031, value: 2 });
  assert.equal(result.y, y.fill(2, 0, 1031));
});

test('a grid folded into rows covers every element once', async () => {
  // accumulate would show an element visited twice; 4096 elements a workgroup and 10 workgroups, in rows of 3
  const check = accumulateCheck(9 * 4096 + 5);
  await runCheck({ ...check, kernel: { ...check.kernel, grid: () => [3, 4, 1] } });
});

test('linear folds above the limit of one dimension', () => {
  for (const groups of [1, MAX_WORKGROUPS, MAX_WORKGROUPS + 1, 3 * MAX_WORKGROUPS + 1, 5_000_011]) {
    const [x, y, z] = linear(groups * 64 - 63, 64);
    assert.ok(x <= MAX_WORKGROUPS && y <= MAX_WORKGROUPS && z === 1);
    assert.ok(x * y >= groups, `${groups} workgroups needed, ${x} x ${y} launched`);
    assert.ok(x * y < groups + y, `${groups} workgroups needed, ${x} x ${y} launched`);
  }
});

test.run();

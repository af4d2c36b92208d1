import { test } from 'uvu';
import { adamSets } from '../../src/kernels/adam.ts';
import {
  adamStepsCheck,
  averageSetsCheck,
  clampSetsCheck,
  clipFactorCheck,
  exchangeSetsCheck,
  scaleSetsCheck,
  squareSumsCheck,
} from '../../src/kernels/checks/optimisers.ts';
import { clipSets } from '../../src/kernels/clipGradients.ts';
import { sharedGpu } from '../harness.ts';
import { runCheck, testChecks } from './runCheck.ts';

const SIZES = [[1], [67], [4099], [1, 70001]];

testChecks(SIZES.flatMap((sizes) => [adamStepsCheck(sizes, false), adamStepsCheck(sizes, true, 1)]));
testChecks(
  SIZES.flatMap((sizes) =>
    [squareSumsCheck, scaleSetsCheck, clampSetsCheck, averageSetsCheck, exchangeSetsCheck].map((check) => check(sizes)),
  ),
);
testChecks([1, 64, 5000].flatMap((n) => [clipFactorCheck(n, 0.5), clipFactorCheck(n, 1e6)]));

test('as many parameters as the device binds', async () => {
  const { maxStorageBuffersPerShaderStage } = (await sharedGpu()).device.limits;
  const sizes = (sets: number): number[] => Array.from({ length: sets }, (_, k) => [5, 4097, 64, 9001, 1][k % 5]! + k);
  await runCheck(adamStepsCheck(sizes(adamSets(maxStorageBuffersPerShaderStage)), true));
  await runCheck(squareSumsCheck(sizes(clipSets(maxStorageBuffersPerShaderStage))));
  await runCheck(scaleSetsCheck(sizes(clipSets(maxStorageBuffersPerShaderStage))));
});

test.run();

import { test } from 'uvu';
import { addReluForwardCheck, reluBackwardCheck, reluForwardCheck } from '../../src/kernels/checks/elementwise.ts';
import { reluBackwardReference, reluReference } from '../../src/kernels/relu.ts';
import { randomArray } from '../harness.ts';
import { expectGradient, weighted } from './centralDifferences.ts';
import { testChecks } from './runCheck.ts';

const SIZES = [1, 67, 1024, 4099];
testChecks(SIZES.map(reluForwardCheck));
testChecks(SIZES.map(reluBackwardCheck));
testChecks(SIZES.map(addReluForwardCheck));

test('relu gradient against central differences', () => {
  const x = Float64Array.from(randomArray(50, 1)).map((value) => (Math.abs(value) < 1e-3 ? 0.1 : value));
  const dy = Float64Array.from(randomArray(50, 2));
  expectGradient(reluBackwardReference(reluReference(x), dy), (moved) => weighted(reluReference(moved), dy), x);
});

test.run();

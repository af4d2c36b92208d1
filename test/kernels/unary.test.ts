import { test } from 'uvu';
import { unaryBackwardCheck, unaryForwardCheck } from '../../src/kernels/checks/unary.ts';
import { UNARY, unaryBackwardReference, type UnaryName, unaryReference } from '../../src/kernels/unary.ts';
import { randomArray } from '../harness.ts';
import { expectGradient, weighted } from './centralDifferences.ts';
import { testChecks } from './runCheck.ts';

for (const name of Object.keys(UNARY) as UnaryName[]) {
  testChecks([7, 1025].flatMap((n) => [unaryForwardCheck(name, n), unaryBackwardCheck(name, n)]));

  test(`${name}: the written-out derivative is that of the function`, () => {
    const positive = ['log', 'sqrt', 'reciprocal'].includes(name);
    // Away from 0, where abs has no derivative.
    const x = Float64Array.from(randomArray(31, 1), (value) => {
      const away = Math.abs(value) + 0.2;
      return positive || value > 0 ? away : -away;
    });
    const dy = Float64Array.from(randomArray(31, 2));
    expectGradient(unaryBackwardReference(name, x, dy), (at) => weighted(unaryReference(name, at), dy), x);
  });
}

test.run();

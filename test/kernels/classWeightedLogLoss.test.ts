import { test } from 'uvu';
import {
  classWeightedLogLossBackwardCheck,
  classWeightedLogLossFinalCheck,
  classWeightedLogLossRowsCheck,
} from '../../src/kernels/checks/classWeightedLogLoss.ts';
import { testChecks } from './runCheck.ts';

testChecks([1, 64, 300].map(classWeightedLogLossFinalCheck));
testChecks(
  [1, 7, 300].flatMap((rows) => [classWeightedLogLossRowsCheck(rows, 21), classWeightedLogLossBackwardCheck(rows, 2)]),
);

test.run();

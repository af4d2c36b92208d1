/** The table of special values that `rcnn info` checks on the user's adapter. */
import { specialValueChecks } from '../../src/kernels/checks/specialValues.ts';
import { test } from 'uvu';
import { testChecks } from './runCheck.ts';

testChecks(specialValueChecks.map((build) => build()));

test.run();

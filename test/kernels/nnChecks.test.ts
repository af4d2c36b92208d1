/** The checks that `rcnn info` runs on the user's adapter. */
import { test } from 'uvu';
import { nnChecks } from '../../src/kernels/checks/nn.ts';
import { testChecks } from './runCheck.ts';

testChecks(nnChecks.map((build) => build()));

test.run();

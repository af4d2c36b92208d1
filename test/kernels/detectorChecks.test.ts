/** The checks of the detection kernels that `rcnn info` runs on the user's adapter. */
import { test } from 'uvu';
import { detectorChecks } from '../../src/kernels/checks/detector.ts';
import { testChecks } from './runCheck.ts';

testChecks(detectorChecks.map((build) => build()));

test.run();

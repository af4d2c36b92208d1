/** The checks of the detection kernels that `rcnn info` runs on the user's adapter. */
import { test } from 'uvu';
import { detectionChecks } from '../../src/kernels/checks/detection.ts';
import { testChecks } from './runCheck.ts';

testChecks(detectionChecks.map((build) => build()));

test.run();

import { lumaPartialCheck, placePictureCheck } from '../../src/kernels/checks/placePicture.ts';
import { test } from 'uvu';
import { testChecks } from './runCheck.ts';

const turnings = Array.from({ length: 8 }, (_, i) => ({
  turn: i % 2 === 1,
  mirrorX: (i >> 1) % 2 === 1,
  mirrorY: i >= 4,
}));

testChecks(turnings.map((turning, i) => placePictureCheck(37, 53, [0.6, 1, 1.3][i % 3]!, turning, i % 3 === 0)));
testChecks([1, 64, 4097].map(lumaPartialCheck));

test.run();

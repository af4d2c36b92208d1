/** One check or more of every network kernel but convolution and matrix product, at shapes that are no multiple of anything. */
import type { KernelCheck } from './check.ts';
import {
  accumulateCheck,
  addCheck,
  broadcastScalarCheck,
  copyFromSliceCheck,
  copyIntoSliceCheck,
  copyScalarsCheck,
  dropoutCheck,
  fillCheck,
  flagNonFiniteCheck,
  multiplyCheck,
  reluBackwardCheck,
  reluForwardCheck,
  scaleCheck,
  sgdStepsCheck,
} from './elementwise.ts';
import {
  channelSumCheck,
  columnSumCheck,
  reluBackwardChannelSumCheck,
  smoothL1BackwardCheck,
  smoothL1PartialCheck,
  softmaxBackwardCheck,
  softmaxForwardCheck,
  softmaxLogLossBackwardCheck,
  softmaxLogLossFinalCheck,
  softmaxLogLossPartialCheck,
  sumFinalCheck,
  sumPartialCheck,
} from './reductions.ts';
import {
  imagePrepareCheck,
  lrnBackwardCheck,
  lrnForwardCheck,
  maxPoolBackwardCheck,
  maxPoolForwardCheck,
} from './spatial.ts';

const N = 1999;
const RPN = { outer: 1, channels: 2, inner: 9 * 13 * 19 };
const HEAD = { outer: 127, channels: 21, inner: 1 };
const POOL_SHAPE = { planes: 5, h: 13, w: 17 };
const POOL = { kernel: 3, stride: 2, padding: 1, ceilMode: true };
const LRN_SHAPE = { images: 2, channels: 7, h: 5, w: 11 };
const LRN_WITHIN = { size: 3, alpha: 5e-2, beta: 0.75, k: 1, mode: 'within' } as const;
const LRN_ACROSS = { size: 5, alpha: 5e-2, beta: 0.75, k: 2, mode: 'across' } as const;

export const nnChecks: readonly (() => KernelCheck)[] = [
  () => fillCheck(N),
  () => addCheck(N),
  () => addCheck(N, 7),
  () => copyScalarsCheck(4),
  () => accumulateCheck(N),
  () => scaleCheck(N),
  () => multiplyCheck(N),
  () => reluForwardCheck(N),
  () => reluBackwardCheck(N),
  () => dropoutCheck(N),
  () => copyIntoSliceCheck(3, 11, 13, 4, 5),
  () => copyIntoSliceCheck(1, 11, 13, 4, 5),
  () => copyIntoSliceCheck(1, 11, 12, 4, 5),
  () => copyFromSliceCheck(3, 11, 13, 4, 5),
  () => copyFromSliceCheck(1, 11, 13, 4, 5),
  () => copyFromSliceCheck(1, 11, 12, 4, 5),
  () => sgdStepsCheck([N]),
  () => sgdStepsCheck([3 * N, 5]),
  () => flagNonFiniteCheck(N),
  () => flagNonFiniteCheck(N, NaN),
  () => flagNonFiniteCheck(N, Infinity),
  () => sumPartialCheck(3 * N),
  () => sumFinalCheck(N),
  () => broadcastScalarCheck(N),
  () => channelSumCheck({ outer: 3, channels: 7, inner: 131 }),
  () => channelSumCheck({ outer: 3, channels: 7, inner: 131 }, false),
  () => reluBackwardChannelSumCheck({ outer: 3, channels: 7, inner: 131 }),
  () => reluBackwardChannelSumCheck({ outer: 3, channels: 7, inner: 131 }, false),
  () => reluBackwardChannelSumCheck({ outer: 2, channels: 5, inner: 520 }),
  () => reluBackwardChannelSumCheck({ outer: 2, channels: 5, inner: 520 }, false),
  () => columnSumCheck(31, 67),
  () => columnSumCheck(31, 67, false),
  () => channelSumCheck({ outer: 2, channels: 5, inner: 520 }),
  () => channelSumCheck({ outer: 2, channels: 5, inner: 520 }, false),
  () => channelSumCheck({ outer: 131, channels: 7, inner: 1 }),
  () => softmaxForwardCheck(HEAD),
  () => softmaxBackwardCheck(HEAD),
  () => softmaxLogLossPartialCheck(RPN),
  () => softmaxLogLossFinalCheck(13),
  () => softmaxLogLossBackwardCheck(RPN),
  () => smoothL1PartialCheck(N, 3, true, true),
  () => smoothL1PartialCheck(N, 1, false, false),
  () => smoothL1BackwardCheck(N, 3, true, true),
  () => smoothL1BackwardCheck(N, 1, false, false),
  () => maxPoolForwardCheck(POOL_SHAPE, POOL),
  () => maxPoolBackwardCheck(POOL_SHAPE, POOL),
  () => lrnForwardCheck(LRN_SHAPE, LRN_WITHIN),
  () => lrnBackwardCheck(LRN_SHAPE, LRN_WITHIN),
  () => lrnForwardCheck(LRN_SHAPE, LRN_ACROSS),
  () => lrnBackwardCheck(LRN_SHAPE, LRN_ACROSS),
  () => imagePrepareCheck(37, 53, 61, 79, { flip: true, bgr: true }),
];

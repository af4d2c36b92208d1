/** At least one check of every network kernel except convolution and matrix product, at shapes that no tile divides. */
import type { KernelCheck } from './check.ts';
import {
  batchNormBackwardCheck,
  batchNormFoldBackwardCheck,
  batchNormFoldCheck,
  batchNormForwardCheck,
  batchNormStatisticsCheck,
  batchNormSumsCheck,
  batchNormTrackCheck,
} from './batchNorm.ts';
import {
  accumulateCheck,
  accumulateSetsCheck,
  castCheck,
  addCheck,
  broadcastScalarCheck,
  copyFromSliceCheck,
  copyIntoSliceCheck,
  copyScalarsCheck,
  dropoutCheck,
  fillCheck,
  flagLabelsCheck,
  flagNonFiniteCheck,
  addReluForwardCheck,
  reluBackwardCheck,
  reluForwardCheck,
  scaleCheck,
  sgdStepsCheck,
} from './elementwise.ts';
import { expandCheck, permuteCheck, stridedCopyCheck } from './placement.ts';
import { BINARY, type BinaryName } from '../binary.ts';
import { binaryBackwardCheck, binaryForwardCheck, repeatedLayout, sameLayout, stridedLayout } from './binary.ts';
import {
  axisSumCheck,
  axisSumPartCheck,
  channelSumCheck,
  channelSumPartCheck,
  reluBackwardChannelSumCheck,
  sigmoidLogLossBackwardCheck,
  sigmoidLogLossPartialCheck,
  smoothL1BackwardCheck,
  smoothL1PartialCheck,
  softmaxBackwardCheck,
  softmaxBackwardRowsCheck,
  softmaxForwardCheck,
  softmaxForwardRowsCheck,
  softmaxLogLossBackwardCheck,
  softmaxLogLossBackwardRowsCheck,
  softmaxLogLossFinalCheck,
  softmaxLogLossPartialCheck,
  softmaxLogLossRowsCheck,
  sumFinalCheck,
  sumPartialCheck,
} from './reductions.ts';
import {
  classWeightedLogLossBackwardCheck,
  classWeightedLogLossFinalCheck,
  classWeightedLogLossRowsCheck,
} from './classWeightedLogLoss.ts';
import {
  adamStepsCheck,
  averageSetsCheck,
  clampSetsCheck,
  clipFactorCheck,
  exchangeSetsCheck,
  scaleSetsCheck,
  squareSumsCheck,
} from './optimisers.ts';
import { lumaPartialCheck, placePictureCheck } from './placePicture.ts';
import { choiceChecks } from './choices.ts';
import { convShape, patchesCheck } from './matmul.ts';
import { groupedConvChecks } from './groupedConv.ts';
import {
  averagePoolBackwardCheck,
  averagePoolForwardCheck,
  imagePrepareCheck,
  lrnBackwardCheck,
  lrnForwardCheck,
  subsampleBackwardCheck,
  subsampleCheck,
  maxPoolBackwardCheck,
  maxPoolForwardCheck,
} from './spatial.ts';
import { UNARY, type UnaryName } from '../unary.ts';
import { unaryBackwardCheck, unaryForwardCheck } from './unary.ts';

const N = 1999;
const RPN = { outer: 1, channels: 2, inner: 9 * 13 * 19 };
const HEAD = { outer: 127, channels: 21, inner: 1 };
const WIDE_HEAD = { outer: 33, channels: 201, inner: 1 };
const POOL_SHAPE = { planes: 5, h: 13, w: 17 };
const POOL = { kernel: 3, stride: 2, padding: 1, ceilMode: true };
const MAPS = { outer: 3, channels: 7, inner: 131 };
const WIDE_MAPS = { outer: 2, channels: 5, inner: 520 };
const QUADS = { outer: 2, channels: 5, inner: 132 };
const LRN_SHAPE = { images: 2, channels: 7, h: 5, w: 11 };
const LRN_WITHIN = { size: 3, alpha: 5e-2, beta: 0.75, k: 1, mode: 'within' } as const;
const LRN_ACROSS = { size: 5, alpha: 5e-2, beta: 0.75, k: 2, mode: 'across' } as const;

/** Sides that the stride divides, and one that it does not. */
const SUBSAMPLED = [
  { planes: 6, h: 8, w: 12, outH: 4, outW: 6, stride: 2 },
  { planes: 3, h: 7, w: 10, outH: 3, outW: 4, stride: 3 },
];

/** The checks of kernels that networks in half precision use too: half.ts runs these same ones on f16. */
export const eitherPrecisionChecks: readonly (() => KernelCheck)[] = [
  () => fillCheck(N),
  () => addCheck(N),
  () => addCheck(N, 7),
  () => castCheck(N),
  () => accumulateCheck(N),
  () => reluForwardCheck(N),
  () => reluBackwardCheck(N),
  () => addReluForwardCheck(N),
  ...SUBSAMPLED.flatMap((shape) => [
    () => subsampleCheck(shape),
    () => subsampleBackwardCheck(shape, false),
    () => subsampleBackwardCheck(shape, true),
  ]),
  () => patchesCheck(convShape([2, 5, 13, 17], [1, 3, 3], 2, 1), 8, 24),
  () => patchesCheck(convShape([2, 5, 13, 17], [1, 3, 3], 2, 1), 0, 64),
  () => patchesCheck(convShape([1, 3, 7, 9], [1, 1, 1], 1, 0), 0, 64),
  () => dropoutCheck(N),
  () => copyIntoSliceCheck(3, 11, 13, 4, 5),
  () => copyIntoSliceCheck(1, 11, 13, 4, 5),
  () => copyIntoSliceCheck(1, 11, 12, 4, 5),
  () => copyFromSliceCheck(3, 11, 13, 4, 5),
  () => copyFromSliceCheck(1, 11, 13, 4, 5),
  () => copyFromSliceCheck(1, 11, 12, 4, 5),
  ...[MAPS, WIDE_MAPS].flatMap((view) =>
    [true, false].flatMap((add) => [() => channelSumCheck(view, add), () => reluBackwardChannelSumCheck(view, add)]),
  ),
  () => channelSumCheck({ outer: 131, channels: 7, inner: 1 }),
  () => channelSumPartCheck(WIDE_MAPS, 7),
  () => channelSumPartCheck(MAPS, 4),
  () => axisSumCheck({ outer: 1, channels: 31, inner: 67 }),
  () => axisSumCheck({ outer: 3, channels: 31, inner: 67 }, false),
  () => axisSumPartCheck({ outer: 1, channels: 31, inner: 67 }, 4),
  () => axisSumPartCheck({ outer: 3, channels: 10, inner: 5 }, 6),
  () => maxPoolForwardCheck(POOL_SHAPE, POOL),
  () => maxPoolBackwardCheck(POOL_SHAPE, POOL),
  () => averagePoolForwardCheck(POOL_SHAPE, POOL),
  () => averagePoolBackwardCheck(POOL_SHAPE, POOL),
  () => lrnForwardCheck(LRN_SHAPE, LRN_WITHIN),
  () => lrnBackwardCheck(LRN_SHAPE, LRN_WITHIN),
  () => lrnForwardCheck(LRN_SHAPE, LRN_ACROSS),
  () => lrnBackwardCheck(LRN_SHAPE, LRN_ACROSS),
  () => permuteCheck([5, 7, 11, 3], [2, 0, 3, 1]),
  () => permuteCheck([37, 53], [1, 0]),
  () => broadcastScalarCheck(N),
  () => sumPartialCheck(3 * N),
  () => scaleCheck(N),
  ...(Object.keys(UNARY) as UnaryName[]).flatMap((name) => [
    () => unaryForwardCheck(name, N),
    () => unaryBackwardCheck(name, N),
  ]),
  ...(Object.keys(BINARY) as BinaryName[]).flatMap((name) => [
    () => binaryForwardCheck(name, sameLayout(N)),
    ...(BINARY[name].gradients
      ? (['a', 'b'] as const).map((side) => () => binaryBackwardCheck(name, side, sameLayout(N)))
      : []),
  ]),
  () => binaryForwardCheck('add', repeatedLayout('b', 'channels', MAPS)),
  () => binaryForwardCheck('subtract', repeatedLayout('a', 'ends', MAPS)),
  () => binaryForwardCheck('multiply', repeatedLayout('b', 'channels', MAPS)),
  () => binaryForwardCheck('divide', stridedLayout([3, 1, 7, 1], [1, 5, 7, 11])),
  () => binaryBackwardCheck('divide', 'b', stridedLayout([3, 1, 7, 1], [1, 5, 7, 11])),
  () => binaryBackwardCheck('multiply', 'a', repeatedLayout('b', 'ends', MAPS)),
  () => stridedCopyCheck('repeat 3x1x7 to 3x5x7x2', 21, { extents: [3, 5, 7, 2], strides: [[7, 0, 1, 0]] }),
  () => expandCheck('ends', MAPS),
  () => expandCheck('channels', MAPS),
  ...[MAPS, QUADS].flatMap((view) => [
    () => batchNormStatisticsCheck(view),
    () => batchNormForwardCheck(view),
    () => batchNormSumsCheck(view),
    () => batchNormBackwardCheck(view, false),
    () => batchNormBackwardCheck(view, true),
  ]),
  ...groupedConvChecks,
];

export const nnChecks: readonly (() => KernelCheck)[] = [
  ...eitherPrecisionChecks,
  () => copyScalarsCheck(4),
  () => accumulateSetsCheck([N]),
  () => accumulateSetsCheck([3 * N, 5]),
  () => sgdStepsCheck([N]),
  () => sgdStepsCheck([3 * N, 5]),
  () => adamStepsCheck([N], false),
  () => adamStepsCheck([3 * N, 5], true),
  () => squareSumsCheck([9 * N, 5]),
  () => clipFactorCheck(300, 1),
  () => clipFactorCheck(1, 100),
  () => scaleSetsCheck([N, 5]),
  () => clampSetsCheck([N, 5]),
  () => averageSetsCheck([N, 5]),
  () => exchangeSetsCheck([N, 5]),
  () => lumaPartialCheck(5000),
  () => classWeightedLogLossRowsCheck(67, 21),
  () => classWeightedLogLossFinalCheck(300),
  () => classWeightedLogLossBackwardCheck(67, 21),
  () => placePictureCheck(37, 53, 1.3, { turn: true, mirrorX: true, mirrorY: false }, true),
  () => flagNonFiniteCheck(N),
  () => flagNonFiniteCheck(N, NaN),
  () => flagNonFiniteCheck(N, Infinity),
  () => flagLabelsCheck(N),
  () => flagLabelsCheck(N, 10),
  () => flagLabelsCheck(N, -2),
  () => sumFinalCheck(N),
  () => softmaxForwardCheck(HEAD),
  ...[WIDE_HEAD, { outer: 2, channels: 70, inner: 3 }].flatMap((view) => [
    () => softmaxForwardRowsCheck(view),
    () => softmaxBackwardRowsCheck(view),
    () => softmaxLogLossRowsCheck(view),
    () => softmaxLogLossBackwardRowsCheck(view),
  ]),
  () => softmaxBackwardCheck(HEAD),
  () => softmaxLogLossPartialCheck(RPN),
  () => softmaxLogLossFinalCheck(13),
  () => softmaxLogLossBackwardCheck(RPN),
  () => sigmoidLogLossPartialCheck(3 * N),
  () => sigmoidLogLossBackwardCheck(N),
  () => smoothL1PartialCheck(N, 3, true, true),
  () => smoothL1PartialCheck(N, 1, false, false),
  () => smoothL1BackwardCheck(N, 3, true, true),
  () => smoothL1BackwardCheck(N, 1, false, false),
  () => imagePrepareCheck(37, 53, 61, 79, { flip: true, bgr: true }),
  () => batchNormTrackCheck(67, 100),
  () => batchNormFoldCheck(13, 27),
  () => batchNormFoldBackwardCheck(13, 27),
  ...choiceChecks,
];

/**
 * A table of special values: the result of every operation for NaN, infinity, zero and numbers near the largest. Expected values
 * are worked out by hand from IEEE 754 and are those of PyTorch, not of a reference. The sign of a zero is not compared.
 */
import { adamSteps } from '../adam.ts';
import { averagePoolBackward, averagePoolForward } from '../averagePool.ts';
import {
  batchNormBackward,
  batchNormBackwardFixed,
  batchNormFold,
  batchNormFoldBackward,
  batchNormForward,
  batchNormStatistics,
  batchNormSums,
  batchNormTrack,
} from '../batchNorm.ts';
import { type BinaryName, binaryBackward, binaryForward, gradientReads } from '../binary.ts';
import { expand } from '../broadcast.ts';
import {
  classWeightedLogLossBackward,
  classWeightedLogLossFinal,
  classWeightedLogLossRows,
} from '../classWeightedLogLoss.ts';
import { clampSets, clipFactor, scaleSets, squareSums } from '../clipGradients.ts';
import { causalMask } from '../causalMask.ts';
import { clip, clipBackward } from '../clip.ts';
import { copyFromSlice, copyIntoSlice, copyScalars } from '../concat.ts';
import { convFilterGradient, convForward, convInputGradient } from '../conv2d.ts';
import {
  convFilterGradientWorkgroup,
  convForwardWorkgroup,
  convInputGradientWorkgroup,
  convUniforms,
} from '../conv2dWorkgroup.ts';
import { cumulativeSum } from '../cumulativeSum.ts';
import { dropout } from '../dropout.ts';
import { accumulate, add, cast, fill, scale } from '../elementwise.ts';
import { extremum, extremumBackward, topChannels } from '../extremum.ts';
import { embedding, embeddingBackward, embeddingKeys, gather, gatherBackward } from '../gather.ts';
import type { Kernel } from '../kernel.ts';
import { logSoftmaxBackward, logSoftmaxForward } from '../logSoftmax.ts';
import { lrnBackward, lrnForward } from '../lrn.ts';
import { matmul, matmulShape } from '../matmul.ts';
import { maxPoolBackward, maxPoolForward } from '../maxPool.ts';
import { averageSets, exchangeSets } from '../movingAverage.ts';
import { gatherSorted, nmsKeys } from '../nms.ts';
import { PORTABLE_TILE } from '../planner.ts';
import { LAST_KEY } from '../radixSort.ts';
import { axisSum, axisSumPart, broadcastScalar, channelSum, channelSumPart, sumFinal, sumPartial } from '../reduce.ts';
import { regionScales } from '../regionScales.ts';
import { addReluForward, reluBackward, reluForward } from '../relu.ts';
import { PYRAMID_BINS, pyramidPoolForward, pyramidShape } from '../pyramidPool.ts';
import { roiAlignBackward, roiAlignForward, roiAlignRows } from '../roiAlign.ts';
import { roiCropForward, roiCropUniforms } from '../roiCrop.ts';
import { roiPoolBackward, roiPoolForward } from '../roiPool.ts';
import { roiWarpBackwardInput, roiWarpBackwardRois, roiWarpForward } from '../roiWarp.ts';
import { placeProposals } from '../scaleProposals.ts';
import { sgdSteps } from '../sgd.ts';
import { sigmoidLogLossBackward, sigmoidLogLossPartial } from '../sigmoidLogLoss.ts';
import { smoothL1Backward, smoothL1Partial } from '../smoothL1Loss.ts';
import { softmaxBackward, softmaxBackwardRows, softmaxForward, softmaxForwardRows } from '../softmax.ts';
import { copyUniforms, permuteView, stridedCopy } from '../stridedCopy.ts';
import { sumPartials } from '../sumPartials.ts';
import {
  softmaxLogLossBackward,
  softmaxLogLossBackwardRows,
  softmaxLogLossFinal,
  softmaxLogLossPartial,
  softmaxLogLossRows,
} from '../softmaxLogLoss.ts';
import { subsample, subsampleBackward } from '../subsample.ts';
import { transpose } from '../transpose.ts';
import { unaryBackward, unaryForward, type UnaryName } from '../unary.ts';
import { upsampleBilinear, upsampleBilinearBackward } from '../upsampleBilinear.ts';
import { upsampleNearest, upsampleNearestBackward } from '../upsampleNearest.ts';
import { where, whereBackward } from '../where.ts';
import {
  winogradFilter,
  winogradFilterGradient,
  winogradGather,
  winogradScatter,
  type WinogradSize,
} from '../winograd.ts';
import { WORKGROUP_TILES } from '../workgroupPlans.ts';
import type { KernelCheck } from './check.ts';
import { convShape } from './matmul.ts';
import { tileUniforms } from './winograd.ts';

const I = Infinity;
const BIG = Math.fround(1e30);

const f32 = (...values: number[]): Float32Array => Float32Array.from(values);
const i32 = (...values: number[]): Int32Array => Int32Array.from(values);
const u32 = (...values: number[]): Uint32Array => Uint32Array.from(values);

/** One row of the table. Plain numbers are f32; an output starts as sevens. */
function row(
  name: string,
  kernel: Kernel,
  inputs: Record<string, readonly number[] | Int32Array | Uint32Array>,
  uniforms: Record<string, number>,
  outputs: Record<string, readonly number[] | Int32Array | Uint32Array>,
): KernelCheck {
  const buffers: KernelCheck['buffers'] = {};
  const expected: KernelCheck['expected'] = {};
  for (const [buffer, values] of Object.entries(outputs)) {
    buffers[buffer] = Array.isArray(values)
      ? new Float32Array(values.length).fill(7)
      : (values as Int32Array | Uint32Array).slice().fill(7);
    expected[buffer] = Array.isArray(values) ? Float64Array.from(values) : (values as Int32Array | Uint32Array);
  }
  for (const [buffer, values] of Object.entries(inputs))
    buffers[buffer] = Array.isArray(values) ? Float32Array.from(values) : (values as Int32Array | Uint32Array);
  return { name: `special values: ${name}`, kernel, buffers, uniforms, expected, atol: 1e-6, rtol: 1e-6 };
}

/** Inputs of the functions of one number. */
const X = [NaN, -NaN, I, -I, 0, -0, BIG, -BIG];
const SUBNORMAL = Math.fround(1e-40);
const FUNCTIONS: Record<UnaryName, readonly number[]> = {
  sigmoid: [NaN, NaN, 1, 0, 0.5, 0.5, 1, 0],
  tanh: [NaN, NaN, 1, -1, 0, 0, 1, -1],
  softplus: [NaN, NaN, I, 0, Math.LN2, Math.LN2, BIG, 0],
  exp: [NaN, NaN, I, 0, 1, 1, I, 0],
  log: [NaN, NaN, I, NaN, -I, -I, 69.07755279, NaN],
  sqrt: [NaN, NaN, I, NaN, 0, 0, 1e15, NaN],
  abs: [NaN, NaN, I, I, 0, 0, BIG, BIG],
  hardSigmoid: [NaN, NaN, 1, 0, 0.5, 0.5, 1, 0],
  hardSwish: [NaN, NaN, I, NaN, 0, 0, BIG, 0],
  gelu: [NaN, NaN, I, NaN, 0, 0, BIG, 0],
  silu: [NaN, NaN, I, NaN, 0, 0, BIG, 0],
  reciprocal: [NaN, NaN, 0, 0, I, -I, 0, 0],
};

/** Their derivatives, at results y or inputs x, whichever the kernel reads. */
const DERIVATIVES: Record<UnaryName, { value: readonly number[]; dx: readonly number[] }> = {
  sigmoid: { value: [NaN, 1, 0, 0.5], dx: [NaN, 0, 0, 0.25] },
  tanh: { value: [NaN, 1, -1, 0], dx: [NaN, 0, 0, 1] },
  softplus: { value: [NaN, I, -I, 0], dx: [NaN, 1, 0, 0.5] },
  exp: { value: [NaN, I, 0, 1], dx: [NaN, I, 0, 1] },
  log: { value: [NaN, I, -I, 0], dx: [NaN, 0, 0, I] },
  sqrt: { value: [NaN, I, 0, 1], dx: [NaN, 0, I, 0.5] },
  abs: { value: [NaN, I, -I, 0], dx: [NaN, 1, -1, 0] },
  hardSigmoid: { value: [NaN, I, -I, 0], dx: [NaN, 0, 0, 1 / 6] },
  hardSwish: { value: [NaN, I, -I, 0], dx: [NaN, 1, 0, 0.5] },
  gelu: { value: [NaN, BIG, -BIG, 0], dx: [NaN, 1, 0, 0.5] },
  silu: { value: [NaN, BIG, -BIG, 0], dx: [NaN, 1, 0, 0.5] },
  reciprocal: { value: [NaN, I, -I, 0], dx: [NaN, -I, -I, 0] },
};

/** Two numbers, the function, and the gradients of both for dy = 1. */
const PAIRS: Record<BinaryName, readonly (readonly number[])[]> = {
  add: [
    [NaN, 1, NaN, 1, 1],
    [I, -I, NaN, 1, 1],
    [I, I, I, 1, 1],
    [1, -I, -I, 1, 1],
  ],
  subtract: [
    [NaN, 1, NaN, 1, -1],
    [I, I, NaN, 1, -1],
    [I, -I, I, 1, -1],
    [1, I, -I, 1, -1],
  ],
  multiply: [
    [NaN, 0, NaN, 0, NaN],
    [I, 0, NaN, 0, I],
    [I, -1, -I, -1, I],
    [BIG, BIG, I, BIG, BIG],
  ],
  divide: [
    [NaN, 1, NaN, 1, NaN],
    [1, 0, I, I, -I],
    [0, 0, NaN, I, NaN],
    [I, I, NaN, 0, NaN],
    [1, I, 0, 0, 0],
    [-1, 0, -I, I, I],
  ],
  maximum: [
    [NaN, 1, NaN, 1, 1],
    [1, NaN, NaN, 1, 1],
    [I, 1, I, 1, 0],
    [-I, -BIG, -BIG, 0, 1],
    [0, -0, 0, 0.5, 0.5],
    [I, I, I, 0.5, 0.5],
  ],
  minimum: [
    [NaN, 1, NaN, 1, 1],
    [1, NaN, NaN, 1, 1],
    [I, 1, 1, 0, 1],
    [-I, -BIG, -I, 1, 0],
    [0, -0, 0, 0.5, 0.5],
    [I, I, I, 0.5, 0.5],
  ],
  pow: [
    [NaN, 0, 1, 0, NaN],
    [NaN, 1, NaN, 1, NaN],
    [1, NaN, 1, NaN, 0],
    [1, I, 1, I, 0],
    [-2, 3, -8, 12, NaN],
    [-2, 0.5, NaN, NaN, NaN],
    [0, 2, 0, 0, 0],
    [0, -1, I, -I, -I],
    [I, 2, I, I, I],
    [I, -1, 0, 0, NaN],
    [-I, 3, -I, I, NaN],
    [2, I, I, I, I],
    [0.5, I, 0, NaN, 0],
    [BIG, 2, I, 2 * BIG, I],
    [-0, -1, -I, -I, I],
    [4, 0, 1, 0, Math.log(4)],
    [0, -0, 1, 0, 0],
    [0, NaN, NaN, NaN, NaN],
    [-3, 2, 9, -6, NaN],
  ],
  equal: [
    [NaN, NaN, 0],
    [I, I, 1],
    [0, -0, 1],
    [1, 2, 0],
  ],
  notEqual: [
    [NaN, NaN, 1],
    [I, I, 0],
    [0, -0, 0],
    [1, 2, 1],
  ],
  less: [
    [NaN, 1, 0],
    [1, NaN, 0],
    [-I, -BIG, 1],
    [0, -0, 0],
    [-0, 0, 0],
    [I, I, 0],
  ],
  lessEqual: [
    [NaN, 1, 0],
    [1, NaN, 0],
    [-I, -BIG, 1],
    [0, -0, 1],
    [-0, 0, 1],
    [I, I, 1],
  ],
  greater: [
    [NaN, 1, 0],
    [1, NaN, 0],
    [-BIG, -I, 1],
    [0, -0, 0],
    [-0, 0, 0],
    [I, I, 0],
  ],
  greaterEqual: [
    [NaN, 1, 0],
    [1, NaN, 0],
    [-BIG, -I, 1],
    [0, -0, 1],
    [-0, 0, 1],
    [I, I, 1],
  ],
};

function pairRows(name: BinaryName): (() => KernelCheck)[] {
  const [a, b, y, da, db] = [0, 1, 2, 3, 4].map((column) => PAIRS[name].map((pair) => pair[column]!)) as number[][];
  const n = a!.length;
  const inputs = { a: a!, b: b! };
  const backward = (
    [
      ['a', da!],
      ['b', db!],
    ] as const
  ).map(([side, dx]) => () => {
    const read = (['a', 'b'] as const)
      .filter((of) => gradientReads(name, side, of))
      .map((of) => [of, inputs[of]] as const);
    const ones = Array<number>(n).fill(1);
    return row(
      `${name} backward`,
      binaryBackward(name, side, 'same'),
      { dy: ones, ...Object.fromEntries(read) },
      { n },
      { dx },
    );
  });
  const forward = () => row(name, binaryForward(name, 'same'), inputs, { n }, { y: y! });
  return [forward, ...(PAIRS[name][0]!.length > 3 ? backward : [])];
}

const FOUR = { outer: 1, channels: 4, inner: 1 };
const ROWS = { outer: 5, channels: 2, inner: 1 };
const ONE_ROW = { outer: 1, channels: 2, inner: 1, ignoreLabel: -1 };
const POOL = { kernel: 2, stride: 2, padding: 0, ceilMode: false };
/** Four windows of 2 x 2 side by side: NaN, infinities, the largest numbers. */
const POOLED = { planes: 1, h: 2, w: 8, outH: 1, outW: 4 };
const POOL_X = [NaN, 1, I, 1, -I, -I, -BIG, BIG, 2, -NaN, 3, I, -I, -I, 0, 1];
const CHANNEL = { outer: 1, channels: 3, inner: 2 };
const ROI_MAP = { images: 1, firstImage: 0, channels: 1, height: 2, width: 4, roiCount: 1, scale: 1 };

/** Three bins whose one sample each lies half way between two cells, and between both rows of the map. */
const ALIGNED = { images: 1, firstImage: 0, channels: 1, roiCount: 1, pooledH: 1, pooledW: 3, sampling: 1 };
const ALIGNED_LEVEL = { images: 1, level: 0, height: 2, width: 4, scale: 1 };
const ALIGNED_ROI = [0, 0, 0, 3, 1];

/** A product and a convolution of one factor each: every result is an element of the map, rectified. */
const FACTOR = [1];
const RECTIFIED_X = [NaN, -1, 2, I];
const RECTIFIED_Y = [NaN, 0, 2, I];
const PRODUCT = matmulShape({ M: 1, N: 4, K: 1, am: 1, ak: 1, bk: 4, bn: 1, cm: 4, cn: 1 });
const CONVOLUTION = convShape([1, 1, 1, 4], [1, 1, 1], 1, 0);
/** The smallest one, which every device has memory for. */
const WORKGROUP_TILE = WORKGROUP_TILES.at(-1)!;

/** Gradients of a convolution with one factor, each of which is its own input gradient. */
const GRADIENT = [NaN, -1, 2, I];
const TWO_FILTERS = convShape([1, 1, 1, 4], [2, 1, 1], 1, 0);
const TWO_GRADIENTS = [NaN, 0, 0, 0, I, 1, 1, 1];

/** Winograd's transforms: NaN in every place reaches every point, as sums have no weight of 0. */
function winogradRows(m: WinogradSize): (() => KernelCheck)[] {
  const side = m + 2;
  const points = side * side;
  const nans = (n: number): number[] => Array<number>(n).fill(NaN);
  const tiles = tileUniforms(m, [1, 1, side, side], 0, [0, 1]);
  const output = tileUniforms(m, [1, 1, m, m], 0, [0, 1]);
  return [
    () =>
      row(
        `winograd${m} input`,
        winogradGather(m, 'input', 'channels-tiles', false),
        { x: nans(points) },
        { ...tiles, tilesY: 1, tilesX: 1, total: 1 },
        { v: nans(points) },
      ),
    () =>
      row(
        `winograd${m} gradient of the output`,
        winogradGather(m, 'output', 'channels-tiles', false),
        { x: nans(m * m) },
        output,
        { v: nans(points) },
      ),
    ...[false, true].map(
      (turned) => () =>
        row(
          `winograd${m} filter${turned ? ', turned' : ''}`,
          winogradFilter(m, turned),
          { w: nans(9) },
          { K: 1, C: 1 },
          { v: nans(points) },
        ),
    ),
    () =>
      row(`winograd${m} result`, winogradScatter(m, false, 'assign', false), { v: nans(points) }, output, {
        y: nans(m * m),
      }),
    () =>
      row(
        `winograd${m} filter gradient`,
        winogradFilterGradient(m, false),
        { v: nans(points) },
        { K: 1, C: 1 },
        { dw: nans(9) },
      ),
  ];
}

const logLoss = (name: string, x: readonly number[], label: number, loss: number, clip = 0) =>
  [softmaxLogLossPartial, softmaxLogLossRows].map((kernel) => (): KernelCheck => {
    const expected = { losses: [loss], counts: i32(1) };
    return row(`${kernel.name} of ${name}`, kernel, { x, labels: i32(label) }, { ...ONE_ROW, clip }, expected);
  });

export const specialValueChecks: readonly (() => KernelCheck)[] = [
  ...(Object.keys(FUNCTIONS) as UnaryName[]).flatMap((name) => [
    () => row(name, unaryForward(name), { x: X }, { n: 8 }, { y: FUNCTIONS[name] }),
    () => {
      const { value, dx } = DERIVATIVES[name];
      return row(`${name} backward`, unaryBackward(name), { value, dy: [1, 1, 1, 1] }, { n: 4 }, { dx });
    },
  ]),
  () =>
    row(
      'log of a subnormal number',
      unaryForward('log'),
      { x: [SUBNORMAL, 0, 0, 0] },
      { n: 1 },
      { y: [Math.log(SUBNORMAL), -I, -I, -I] },
    ),
  () => row('relu', reluForward, { x: X }, { n: 8 }, { y: [NaN, NaN, I, 0, 0, 0, BIG, 0] }),
  () => {
    const y = [NaN, -NaN, I, 0, -0, 2, 2, 0];
    const dy = [1, 2, 3, 4, 5, NaN, -I, NaN];
    return row('relu backward', reluBackward, { y, dy }, { n: 8 }, { dx: [1, 2, 3, 0, 0, NaN, -I, 0] });
  },
  () => row('add', add(2), { x0: [NaN, I, I, 1], x1: [1, -I, I, I] }, { n: 4 }, { y: [NaN, NaN, I, I] }),
  ...(Object.keys(PAIRS) as BinaryName[]).flatMap(pairRows),
  () => row('scale', scale, { x: [NaN, I, -I, 1] }, { n: 4, factor: 0 }, { y: [NaN, NaN, NaN, 0] }),
  () => {
    const check = row('accumulate', accumulate, { x: [NaN, I, -I, BIG] }, { n: 4 }, { y: [NaN, I, -I, BIG] });
    return { ...check, buffers: { ...check.buffers, y: f32(1, 1, 1, 1) } };
  },
  () =>
    row(
      'broadcast',
      binaryForward('multiply', { repeated: 'b', of: 'channels' }),
      { a: [NaN, 1, I, 1, 0, 1], b: [1, 0, I] },
      { n: 6, ...CHANNEL },
      { y: [NaN, 1, NaN, 0, NaN, I] },
    ),
  () => row('expand', expand('channels'), { b: [NaN, I, -I] }, { n: 6, ...CHANNEL }, { y: [NaN, NaN, I, I, -I, -I] }),
  () => row('broadcast scalar', broadcastScalar, { dy: [NaN] }, { n: 4 }, { dx: [NaN, NaN, NaN, NaN] }),
  () => {
    const kept = { p: 0, scale: 1, seed: 1, stream: 1 };
    return row('dropout, kept', dropout, { x: [NaN, I, 1] }, { n: 3, ...kept }, { y: [NaN, I, 1] });
  },
  () => {
    const dropped = { p: 1, scale: 1, seed: 1, stream: 1 };
    return row('dropout, dropped', dropout, { x: [NaN, I, 1] }, { n: 3, ...dropped }, { y: [NaN, NaN, 0] });
  },
  () => row('sum with NaN', sumPartial, { x: [1, NaN, 2] }, { n: 3 }, { partials: [NaN] }),
  () => row('sum of infinities', sumPartial, { x: [I, 1, -I] }, { n: 3 }, { partials: [NaN] }),
  () => row('sum of partial sums', sumFinal, { partials: [BIG, I, 2] }, { n: 3 }, { y: [I] }),
  () => row('channel sum', channelSum(false, false), { dy: [NaN, 1, I, 1, I, -I] }, CHANNEL, { db: [NaN, I, NaN] }),
  () =>
    row(
      'relu backward and channel sum',
      channelSum(false, false, true),
      { y: [NaN, 0, 1, 1, 0, 0], dy: [2, 1, NaN, 1, NaN, I] },
      CHANNEL,
      { dx: [2, 0, NaN, 1, 0, 0], db: [2, NaN, 0] },
    ),
  () =>
    row(
      'sum of parts and relu',
      sumPartials('assign', true),
      { partial: [NaN, I, -I, -1, 1, -I, 1, 3] },
      { n: 4, parts: 2, columns: 4 },
      { y: [NaN, NaN, 0, 2] },
    ),
  () =>
    row(
      'winograd result and relu',
      winogradScatter(2, true, 'relu', false),
      { v: [NaN, ...Array<number>(15).fill(0)], bias: [1] },
      tileUniforms(2, [1, 1, 1, 1], 0, [0, 1]),
      { y: [NaN] },
    ),
  ...[PORTABLE_TILE, WORKGROUP_TILE].map(
    (tile) => () =>
      row(
        `${tile.variant} product and relu`,
        matmul(tile, PRODUCT, 'assign', true),
        { a: FACTOR, b: RECTIFIED_X },
        PRODUCT,
        { c: RECTIFIED_Y },
      ),
  ),
  () =>
    row(
      'register convolution and relu',
      convForward(PORTABLE_TILE, false, true),
      { x: RECTIFIED_X, w: FACTOR },
      CONVOLUTION,
      { y: RECTIFIED_Y },
    ),
  () =>
    row(
      'workgroup convolution and relu',
      convForwardWorkgroup(WORKGROUP_TILE, 'k', false, true),
      { x: RECTIFIED_X, w: FACTOR },
      convUniforms('forward', WORKGROUP_TILE, CONVOLUTION),
      { y: RECTIFIED_Y },
    ),
  () =>
    row(
      'register convolution, input gradient',
      convInputGradient(PORTABLE_TILE, false),
      { dy: GRADIENT, w: FACTOR },
      CONVOLUTION,
      { dx: GRADIENT },
    ),
  () =>
    row(
      'workgroup convolution, input gradient',
      convInputGradientWorkgroup(WORKGROUP_TILE, 'k', false),
      { dy: GRADIENT, w: FACTOR },
      convUniforms('input', WORKGROUP_TILE, CONVOLUTION),
      { dx: GRADIENT },
    ),
  () =>
    row(
      'register convolution, filter gradient',
      convFilterGradient(PORTABLE_TILE, false),
      { x: [1, 1, 1, 1], dy: TWO_GRADIENTS },
      { ...TWO_FILTERS, splits: 1 },
      { dw: [NaN, I] },
    ),
  () =>
    row(
      'workgroup convolution, filter gradient',
      convFilterGradientWorkgroup(WORKGROUP_TILE, false, false),
      { x: [1, 1, 1, 1], dy: TWO_GRADIENTS },
      convUniforms('filter', WORKGROUP_TILE, TWO_FILTERS, 1),
      { dw: [NaN, I] },
    ),
  ...([2, 4] as const).flatMap((m) => winogradRows(m)),
  () =>
    row(
      'channel sum in parts',
      channelSumPart(false),
      { dy: [NaN, 1, I, 1, I, -I] },
      { ...CHANNEL, parts: 1 },
      {
        partial: [NaN, I, NaN],
      },
    ),
  () => row('axis sum', axisSum(false), { x: [NaN, 1, I, 1, I, -I] }, CHANNEL, { y: [NaN, -I] }),
  () =>
    row(
      'axis sum in parts',
      axisSumPart,
      { x: [NaN, 1, I, 1, I, -I] },
      { ...CHANNEL, parts: 1 },
      { partial: [NaN, -I] },
    ),
  () => row('cast', cast, { x: X }, { n: 8 }, { y: X }),
  () => row('fill', fill, {}, { n: 4, value: I }, { y: [I, I, I, I] }),
  () =>
    row('softmax', softmaxForward, { x: [NaN, 1, I, 1, -I, 1, -I, -I, BIG, -BIG] }, ROWS, {
      y: [NaN, NaN, NaN, NaN, 0, 1, NaN, NaN, 1, 0],
    }),
  () =>
    row(
      'softmax backward',
      softmaxBackward,
      { y: [NaN, 0.5, 0.5, 0.5], dy: [1, 1, I, 1] },
      { ...ROWS, outer: 2 },
      {
        dx: [NaN, NaN, NaN, -I],
      },
    ),
  ...logLoss('NaN, another logit', [NaN, 1], 1, NaN),
  ...logLoss('NaN, its own logit', [NaN, 1], 0, NaN),
  ...logLoss('NaN, clipped', [NaN, 1], 1, NaN, 1),
  ...logLoss('logits of 1e30', [BIG, 0], 1, BIG),
  ...logLoss('logits of 1e30, clipped', [BIG, 0], 1, 126 * Math.LN2, 1),
  ...logLoss('a class that is impossible', [-I, 1], 0, I),
  ...logLoss('a class that is impossible, clipped', [-I, 1], 0, 126 * Math.LN2, 1),
  ...logLoss('a class that is certain', [-I, 1], 1, 0),
  ...logLoss('an infinite logit', [I, 1], 0, NaN),
  () =>
    row('softmax by rows', softmaxForwardRows, { x: [NaN, 1, I, 1, -I, 1, -I, -I, BIG, -BIG] }, ROWS, {
      y: [NaN, NaN, NaN, NaN, 0, 1, NaN, NaN, 1, 0],
    }),
  () =>
    row(
      'softmax backward by rows',
      softmaxBackwardRows,
      { y: [NaN, 0.5, 0.5, 0.5], dy: [1, 1, I, 1] },
      { ...ROWS, outer: 2 },
      {
        dx: [NaN, NaN, NaN, -I],
      },
    ),
  () =>
    row(
      'mean log loss',
      softmaxLogLossFinal,
      { losses: [1, NaN], counts: i32(1, 1) },
      { n: 2 },
      {
        loss: [NaN],
        count: i32(2),
      },
    ),
  () =>
    row(
      'mean log loss over no label',
      softmaxLogLossFinal,
      { losses: [0], counts: i32(0) },
      { n: 1 },
      {
        loss: [0],
        count: i32(0),
      },
    ),
  ...[softmaxLogLossBackward, softmaxLogLossBackwardRows].map(
    (kernel) => () =>
      row(
        kernel.name,
        kernel,
        { x: [NaN, 1, -I, 1, BIG, -BIG, I, 1], labels: i32(1, 0, 1, -1), count: i32(3), dloss: [3] },
        { ...ONE_ROW, outer: 4 },
        { dx: [NaN, NaN, -1, 1, 1, -1, 0, 0] },
      ),
  ),
  ...(
    [
      [NaN, NaN],
      [I, I],
      [-I, I],
      [BIG, BIG],
    ] as const
  ).map(
    ([pred, loss]) =>
      () =>
        row(
          `smooth L1 of ${pred}`,
          smoothL1Partial(false, false),
          { pred: [pred], targets: [0] },
          { n: 1, sigma: 1 },
          {
            partials: [loss],
          },
        ),
  ),
  () =>
    row(
      'smooth L1 of NaN without weight',
      smoothL1Partial(true, true),
      { pred: [NaN], targets: [0], insideWeights: [0], outsideWeights: [0] },
      { n: 1, sigma: 1 },
      { partials: [NaN] },
    ),
  () =>
    row(
      'smooth L1 backward',
      smoothL1Backward(false, false),
      { pred: [NaN, I, -I, BIG], targets: [0, 0, 0, 0], dloss: [2] },
      { n: 4, sigma: 1 },
      { dpred: [NaN, 2, -2, 2] },
    ),
  () =>
    row('max pooling', maxPoolForward(POOL), { x: POOL_X }, POOLED, { y: [NaN, I, -I, BIG], argmax: i32(9, 2, 4, 7) }),
  () =>
    row('max pooling backward', maxPoolBackward(POOL), { dy: [NaN, I, 3, 4], argmax: i32(9, 2, 4, 7) }, POOLED, {
      dx: [0, 0, I, 0, 3, 0, 0, 4, 0, NaN, 0, 0, 0, 0, 0, 0],
    }),
  () => row('average pooling', averagePoolForward(POOL), { x: POOL_X }, POOLED, { y: [NaN, I, -I, 0.25] }),
  () =>
    row('average pooling backward', averagePoolBackward(POOL), { dy: [NaN, I, -I, 4] }, POOLED, {
      dx: [NaN, NaN, I, I, -I, -I, 1, 1, NaN, NaN, I, I, -I, -I, 1, 1],
    }),
  () =>
    row(
      'local response normalisation',
      lrnForward('across'),
      { x: [NaN, 1, 1, 1, 1, I] },
      { images: 3, channels: 2, h: 1, w: 1, size: 3, alpha: 1, beta: 0.75, k: 1 },
      {
        y: [NaN, NaN, (5 / 3) ** -0.75, (5 / 3) ** -0.75, 0, NaN],
        scale: [NaN, NaN, 5 / 3, 5 / 3, I, I],
      },
    ),
  () =>
    row(
      'local response normalisation backward',
      lrnBackward('across'),
      { x: [1, 1, 1, 1], y: [1, 1, 1, 1], scale: [1, NaN, 1, 1], dy: [1, 1, I, 1] },
      { images: 2, channels: 2, h: 1, w: 1, size: 1, alpha: 1, beta: 0.5, k: 1 },
      { dx: [0, NaN, NaN, 0] },
    ),
  () =>
    row('batch statistics', batchNormStatistics(false), { x: [NaN, 1, I, 1, 2, 4] }, CHANNEL, {
      mean: [NaN, I, 3],
      variance: [NaN, NaN, 1],
    }),
  () =>
    row(
      'batch normalisation',
      batchNormForward(false),
      {
        x: [NaN, 1, I, 1, 2, 4],
        mean: [0, 0, NaN],
        variance: [1, 1, 1],
        weight: [1, 1, 1],
        bias: [0, 0, 0],
      },
      { n: 6, ...CHANNEL, epsilon: 0 },
      { y: [NaN, 1, I, 1, NaN, NaN] },
    ),
  () =>
    row(
      'batch normalisation, gradients of weight and bias',
      batchNormSums(false),
      { x: [1, 1, 1, 1, I, 1], dy: [NaN, 1, I, 1, 1, 1], mean: [0, 0, 0], variance: [1, 1, 1] },
      { ...CHANNEL, epsilon: 0 },
      { dweight: [NaN, I, I], dbias: [NaN, I, 2] },
    ),
  () =>
    row(
      'batch normalisation backward',
      batchNormBackward(false),
      {
        x: [1, 1, 1, 1, 1, 1],
        dy: [NaN, 1, 1, 1, I, 1],
        mean: [0, 0, 0],
        variance: [1, NaN, 1],
        weight: [1, 1, 1],
        dweight: [0, 0, 0],
        dbias: [0, 0, 0],
      },
      { n: 6, ...CHANNEL, count: 2, epsilon: 0 },
      { dx: [NaN, 1, NaN, NaN, I, 1] },
    ),
  () =>
    row(
      'batch normalisation backward, constants',
      batchNormBackwardFixed(false),
      { dy: [NaN, 1, 1, 1, I, 1], variance: [1, NaN, I], weight: [1, 1, 1] },
      { n: 6, ...CHANNEL, epsilon: 0 },
      { dx: [NaN, 1, NaN, NaN, NaN, 0] },
    ),
  () => {
    const check = row(
      'running statistics',
      batchNormTrack,
      { mean: [NaN, I], variance: [1, NaN] },
      { n: 2, momentum: 0.1, count: 4 },
      { runningMean: [NaN, I], runningVariance: [1.0333333, NaN] },
    );
    return { ...check, buffers: { ...check.buffers, runningMean: f32(0, 0), runningVariance: f32(1, 1) } };
  },
  () =>
    row(
      'RoI pooling',
      roiPoolForward,
      { x: [NaN, 1, 1, I, 2, -NaN, -I, 1], rois: [0, 0, 0, 3, 1] },
      { ...ROI_MAP, pooledH: 1, pooledW: 2 },
      { y: [NaN, I], argmax: i32(5, 3) },
    ),
  () =>
    row(
      'RoI pooling of -infinity',
      roiPoolForward,
      { x: [-I, -I, -I, -I, -I, -I, -I, -I], rois: [0, 1, 0, 3, 1] },
      { ...ROI_MAP, pooledH: 1, pooledW: 1 },
      { y: [-I], argmax: i32(1) },
    ),
  () =>
    row(
      'pyramid pooling',
      pyramidPoolForward,
      { x: [-I, -I, -I, NaN, -I, -I, -I, 1], rois: [0, 0, 0, 2, 2] },
      pyramidShape(ROI_MAP),
      { y: Array<number>(PYRAMID_BINS).fill(-I), argmax: new Int32Array(PYRAMID_BINS) },
    ),
  () =>
    row(
      'pyramid pooling of NaN',
      pyramidPoolForward,
      { x: [0, 1, I, NaN, 2, 3, 4, 5], rois: [0, 3, 0, 3, 0] },
      pyramidShape(ROI_MAP),
      { y: Array<number>(PYRAMID_BINS).fill(NaN), argmax: new Int32Array(PYRAMID_BINS).fill(3) },
    ),
  () =>
    row(
      'RoIAlign',
      roiAlignForward(1, false),
      { x0: [NaN, 1, 1, I, NaN, 1, 1, I], rois: ALIGNED_ROI },
      { ...ALIGNED, height0: 2, width0: 4, scale0: 1 },
      { y: [NaN, 1, I] },
    ),
  () =>
    row(
      'RoIAlign, the RoIs of each row',
      roiAlignRows(0, false),
      { rois: ALIGNED_ROI },
      { ...ALIGNED_LEVEL, firstImage: 0, roiCount: 1, pooledH: 1, sampling: 1 },
      { rows: u32(1, 0, 1, 0) },
    ),
  () =>
    row(
      'RoIAlign backward',
      roiAlignBackward(0, false),
      { dy: [NaN, I, 1], rois: ALIGNED_ROI, rows: u32(1, 0, 1, 0) },
      { ...ALIGNED, ...ALIGNED_LEVEL },
      { dx: [NaN, NaN, I, 0.25, NaN, NaN, I, 0.25] },
    ),
  () =>
    row(
      'nearest upsampling',
      upsampleNearest,
      { x: [NaN, I] },
      { planes: 1, h: 1, w: 2, outH: 1, outW: 4 },
      { y: [NaN, NaN, I, I] },
    ),
  () =>
    row(
      'nearest upsampling backward',
      upsampleNearestBackward,
      { dy: [NaN, 1, I, 1] },
      { planes: 1, h: 1, w: 2, outH: 1, outW: 4 },
      { dx: [NaN, I] },
    ),
  () =>
    row(
      'batch normalisation folded into filters',
      batchNormFold,
      { w: [NaN, I, 1, 2], mean: [1, I], variance: [1, 1], weight: [1, 1], bias: [NaN, 0] },
      { n: 4, per: 2, epsilon: 0 },
      { folded: [NaN, I, 1, 2], shift: [NaN, -I] },
    ),
  () =>
    row(
      'batch normalisation folded into filters, backward',
      batchNormFoldBackward,
      { dfolded: [NaN, I, 1, 2], variance: [1, 1], weight: [1, 1] },
      { n: 4, per: 2, epsilon: 0 },
      { dw: [NaN, I, 1, 2] },
    ),
  () =>
    row(
      'sigmoid log loss of NaN',
      sigmoidLogLossPartial,
      { x: [NaN], labels: i32(1) },
      { n: 1 },
      { losses: [NaN], counts: i32(1) },
    ),
  () =>
    row(
      'sigmoid log loss of a large logit, beside one that is ignored',
      sigmoidLogLossPartial,
      { x: [BIG, NaN], labels: i32(0, -1) },
      { n: 2 },
      { losses: [BIG], counts: i32(1) },
    ),
  () =>
    row(
      'sigmoid log loss backward',
      sigmoidLogLossBackward,
      { x: [NaN, I, -I, NaN], labels: i32(1, 1, 1, -1), count: i32(1), dloss: [1] },
      { n: 4 },
      { dx: [NaN, 0, -1, 0] },
    ),
  () =>
    row(
      'RoI pooling backward',
      roiPoolBackward,
      { dy: [NaN, I, 1], argmax: i32(5, 3, -1), rois: [0, 0, 0, 3, 1] },
      { ...ROI_MAP, pooledH: 1, pooledW: 3, bands: 1 },
      { dx: [0, 0, 0, I, 0, NaN, 0, 0] },
    ),
  () =>
    // Two pixels for each of the image; outside it there is the mean, whatever the border has.
    row(
      'crops of RoIs',
      roiCropForward,
      { x: [NaN, 1, 3, 2], rois: [0, 0, 0, 1, 1] },
      roiCropUniforms({
        images: 1,
        channels: 1,
        height: 2,
        width: 2,
        roiCount: 1,
        size: 4,
        context: 1,
        plusOne: 1,
      }),
      { y: [0, 0, 0, 0, 0, NaN, 1, 0, 0, 3, 2, 0, 0, 0, 0, 0] },
    ),
  () =>
    row(
      'RoI warping, gradient of the map',
      roiWarpBackwardInput,
      { dy: [NaN, I, 1], rois: [0, 0, 0, 3, 0] },
      { ...ROI_MAP, pooledH: 1, pooledW: 3 },
      { dx: [NaN, I, 1, 0, 0, 0, 0, 0] },
    ),
  () =>
    row(
      'RoI warping, gradient of the RoI',
      roiWarpBackwardRois,
      { dy: [1], x: [0, NaN, 1, 1, 0, NaN, 1, 1], rois: [0, 0.5, 0.5, 1, 1] },
      { ...ROI_MAP, pooledH: 1, pooledW: 1 },
      { drois: [0, NaN, NaN, NaN, NaN] },
    ),
  () =>
    row(
      'RoI warping',
      roiWarpForward,
      { x: [NaN, 1, 1, 1, 1, 1, 1, 1], rois: [0, 0, 0, 3.5, 1] },
      { ...ROI_MAP, pooledH: 1, pooledW: 7 },
      { y: [NaN, NaN, 1, 1, 1, 1, 1] },
    ),
  () => {
    const check = row(
      'SGD step',
      sgdSteps(1),
      { grad0: [NaN, I, 1, 1] },
      { n0: 4, lr0: 1, weightDecay0: 0, momentum: 0.5, gradScale: 1 },
      { w0: [NaN, -I, NaN, 0], h0: [NaN, I, NaN, 1] },
    );
    return { ...check, buffers: { ...check.buffers, w0: f32(1, 1, NaN, 1), h0: f32(0, 0, NaN, 0) } };
  },
  () => {
    const check = row(
      'Adam step',
      adamSteps(1),
      { grad0: [NaN, I, 0, 1] },
      {
        n0: 4,
        lr0: 1,
        weightDecay0: 0,
        keep0: 1,
        gradScale: 1,
        beta1: 0.5,
        rest1: 0.5,
        beta2: 0.75,
        rest2: 0.25,
        unbias: 1,
        epsilon: 1e-8,
      },
      { w0: [NaN, NaN, NaN, 0], m0: [NaN, I, NaN, 0.5], v0: [NaN, I, NaN, 0.25] },
    );
    const zeros = f32(0, 0, 0, 0);
    return { ...check, buffers: { ...check.buffers, w0: f32(1, 1, NaN, 1), m0: zeros, v0: zeros.slice() } };
  },
  () =>
    row(
      'weighted log loss of rows with NaN and infinity',
      classWeightedLogLossRows,
      { x: [NaN, 0, 0, I, 0, 0], labels: i32(1, 0, 5), weights: [2, 3] },
      { rows: 3, channels: 2 },
      { losses: [NaN, NaN, 0], rowWeights: [3, 2, 0] },
    ),
  () =>
    row(
      'weighted log loss without a row that counts',
      classWeightedLogLossFinal,
      { losses: [0, 0], rowWeights: [0, 0] },
      { n: 2 },
      { loss: [0], total: [0] },
    ),
  () =>
    row(
      'gradient of the weighted log loss of rows with NaN',
      classWeightedLogLossBackward,
      { x: [NaN, 0, 0, 0], labels: i32(1, -1), weights: [2, 3], total: [3], dloss: [1] },
      { rows: 2, channels: 2 },
      { dx: [NaN, NaN, 0, 0] },
    ),
  () =>
    row(
      'gradient of the weighted log loss of rows without weight',
      classWeightedLogLossBackward,
      { x: [1, 0], labels: i32(1), weights: [2, 0], total: [0], dloss: [1] },
      { rows: 1, channels: 2 },
      { dx: [0, 0] },
    ),
  () => row('squares with NaN', squareSums(1), { x0: [1, NaN] }, { n0: 2, start: 0 }, { partials: [NaN] }),
  () => row('squares with infinity', squareSums(1), { x0: [1, -I] }, { n0: 2, start: 0 }, { partials: [I] }),
  ...[
    { of: NaN, norm: NaN, factor: NaN },
    { of: I, norm: I, factor: 0 },
    { of: 0, norm: 0, factor: 1 },
  ].map(
    ({ of, norm, factor }) =>
      () =>
        row(
          `factor of a norm of ${of}`,
          clipFactor,
          { partials: [of] },
          { n: 1, bound: 1, epsilon: 1e-6 },
          { norm: [norm], factor: [factor] },
        ),
  ),
  () => {
    const check = row('scaled by NaN', scaleSets(1), { factor: [NaN] }, { n0: 4 }, { x0: [NaN, NaN, NaN, NaN] });
    return { ...check, buffers: { ...check.buffers, x0: f32(1, 0, I, NaN) } };
  },
  () => {
    const check = row('clamp', clampSets(1), {}, { n0: 4, bound: 2 }, { x0: [NaN, 2, -2, 0] });
    return { ...check, buffers: { ...check.buffers, x0: f32(NaN, I, -I, 0) } };
  },
  () => {
    const check = row(
      'average of weights',
      averageSets(1),
      { w0: [NaN, I, 1, -I] },
      { n0: 4, rate: 0.5 },
      { a0: [NaN, I, NaN, -I] },
    );
    return { ...check, buffers: { ...check.buffers, a0: f32(1, 1, NaN, 1) } };
  },
  () => {
    const [x0, y0] = [u32(0x7fc00001, 0xff800000, 1, 0), u32(0, 1, 0x7f800001, 0x80000000)];
    const check = row('exchange', exchangeSets(1), {}, { n0: 4 }, { x0: y0, y0: x0 });
    return { ...check, buffers: { x0, y0 } };
  },
  () =>
    row(
      'copy into a slice',
      copyIntoSlice('run'),
      { part: u32(0x7fc00001, 0xff800000, 1) },
      { n: 3, run: 3, pitch: 3, start: 0 },
      {
        whole: u32(0x7fc00001, 0xff800000, 1),
      },
    ),
  () =>
    row(
      'copy from a slice',
      copyFromSlice('run'),
      { whole: u32(0x7fc00001, 0xff800000, 1) },
      { n: 3, run: 3, pitch: 3, start: 0 },
      {
        part: u32(0x7fc00001, 0xff800000, 1),
      },
    ),
  () => row('copy numbers', copyScalars(1), { x0: u32(0x7fc00001) }, { start: 0 }, { whole: u32(0x7fc00001) }),
  () =>
    row(
      'permute',
      stridedCopy(2),
      { x: u32(0x7fc00001, 0xff800000, 1, 2) },
      copyUniforms(permuteView([2, 2], [1, 0])),
      {
        y: u32(0x7fc00001, 1, 0xff800000, 2),
      },
    ),
  () =>
    row(
      'every second cell',
      subsample,
      { x: [NaN, 1, I, 1, -I, 1] },
      { planes: 1, h: 1, w: 6, outH: 1, outW: 3, stride: 2 },
      { y: [NaN, I, -I] },
    ),
  () =>
    row(
      'every second cell backward',
      subsampleBackward(false),
      { dy: [NaN, I, -I] },
      { planes: 1, h: 1, w: 6, outH: 1, outW: 3, stride: 2 },
      { dx: [NaN, 0, I, 0, -I, 0] },
    ),
  () =>
    row(
      'relu of a sum',
      addReluForward,
      { a: [NaN, I, -I, I, BIG, 1, -1, 0], b: [1, 1, 1, -I, BIG, -2, 2, 0] },
      { n: 8 },
      { y: [NaN, I, 0, NaN, 2 * BIG, 0, 1, 0] },
    ),
  () => row('clip', clip, { x: [NaN, I, -I, 0.5] }, { n: 4, low: -1, high: 1 }, { y: [NaN, 1, -1, 0.5] }),
  () =>
    row('clip without bounds', clip, { x: [NaN, I, -I, BIG] }, { n: 4, low: -I, high: I }, { y: [NaN, I, -I, BIG] }),
  () =>
    row(
      'clip backward',
      clipBackward,
      { x: [NaN, I, -I, 1, 0], dy: [1, 1, 1, NaN, I] },
      { n: 5, low: -1, high: 1 },
      { dx: [0, 0, 0, NaN, I] },
    ),
  () =>
    row(
      'where',
      where(1),
      { condition: u32(0x7fc00000, 0x80000000, 0x3f800000, 0), a: [1, NaN, I, NaN], b: [NaN, 2, NaN, -I] },
      { n: 4, condition_s0: 1, a_s0: 1, b_s0: 1 },
      { y: [1, 2, I, -I] },
    ),
  ...(['a', 'b'] as const).map(
    (side, i) => () =>
      row(
        `where backward of ${side}`,
        whereBackward(side, 1),
        { condition: u32(0x3f800000, 0), dy: [NaN, I] },
        { n: 2, condition_s0: 1 },
        { dx: i === 0 ? [NaN, 0] : [0, I] },
      ),
  ),
  ...([false, true] as const).flatMap((shared) => [
    () =>
      row(`max with NaN, ${shared}`, extremum('max', shared), { x: [I, NaN, 1, NaN] }, FOUR, {
        y: [NaN],
        index: i32(1),
      }),
    () =>
      row(`min of infinities, ${shared}`, extremum('min', shared), { x: [I, -I, 1, -I] }, FOUR, {
        y: [-I],
        index: i32(1),
      }),
  ]),
  () => row('gradient of max', extremumBackward, { x: [1, I, -I, I], y: [I], dy: [I] }, FOUR, { dx: [0, I, 0, I] }),
  () =>
    row('gradient of max with NaN', extremumBackward, { x: [1, NaN, 1, 1], y: [NaN], dy: [1] }, FOUR, {
      dx: [NaN, NaN, NaN, NaN],
    }),
  () =>
    row(
      'top k',
      topChannels,
      { x: [-I, NaN, I, 0] },
      { ...FOUR, k: 4 },
      { y: [NaN, I, 0, -I], index: i32(1, 2, 3, 0) },
    ),
  () =>
    row(
      'gather',
      gather,
      { x: [NaN, I, 1, 2], index: i32(1, 0, 4, -1) },
      { ...FOUR, picks: 4 },
      { y: [I, NaN, NaN, NaN] },
    ),
  () =>
    row(
      'gradient of gather',
      gatherBackward,
      { dy: [NaN, I, 1, 2], index: i32(1, 0, 4, -1) },
      { ...FOUR, picks: 4 },
      { dx: [I, NaN, 0, 0] },
    ),
  () =>
    row(
      'embedding',
      embedding,
      { table: [NaN, I], index: i32(1, 0, 2) },
      { n: 3, rows: 2, columns: 1 },
      { y: [I, NaN, NaN] },
    ),
  () =>
    row(
      'keys of an embedding',
      embeddingKeys,
      { index: i32(1, -1) },
      { n: 2 },
      { keys: u32(1, 0xffffffff), order: u32(0, 1) },
    ),
  () =>
    row(
      'gradient of an embedding',
      embeddingBackward,
      { dy: [NaN, I, 1], keys: u32(0, 2, 0xffffffff), order: u32(1, 0, 2) },
      { n: 3, rows: 3, columns: 1 },
      { dtable: [I, 0, NaN] },
    ),
  () => row('cumulative sum', cumulativeSum(false), { x: [1, I, 2, -I] }, FOUR, { y: [1, I, I, NaN] }),
  () => row('cumulative sum, reversed', cumulativeSum(true), { x: [1, NaN, 2, I] }, FOUR, { y: [NaN, NaN, I, I] }),
  () =>
    row(
      'bilinear upsampling',
      upsampleBilinear,
      { x: [1, NaN] },
      { planes: 1, h: 1, w: 2, outH: 1, outW: 4 },
      {
        y: [NaN, NaN, NaN, NaN],
      },
    ),
  () =>
    row(
      'gradient of bilinear upsampling',
      upsampleBilinearBackward,
      { dy: [I, 0, 0, NaN] },
      { planes: 1, h: 1, w: 2, outH: 1, outW: 4 },
      {
        dx: [I, NaN],
      },
    ),
  () =>
    row(
      'log softmax',
      logSoftmaxForward,
      { x: [0, -I, BIG, -BIG] },
      { outer: 2, channels: 2, inner: 1 },
      { y: [0, -I, 0, -2 * BIG] },
    ),
  () => row('log softmax with NaN', logSoftmaxForward, { x: [0, NaN, 1, 2] }, FOUR, { y: [NaN, NaN, NaN, NaN] }),
  () =>
    row(
      'gradient of log softmax',
      logSoftmaxBackward,
      { y: [0, -I, NaN, 0], dy: [1, 1, 1, 1] },
      { outer: 2, channels: 2, inner: 1 },
      { dx: [-1, 1, NaN, -1] },
    ),
  () =>
    row(
      'causal mask',
      causalMask,
      { x: [NaN, NaN, I, 1] },
      { n: 4, rows: 2, columns: 2, value: -I },
      { y: [NaN, -I, I, 1] },
    ),
  () => row('transpose', transpose, { b: [NaN, I, -I, 0] }, { rows: 4, columns: 1 }, { c: [NaN, I, -I, 0] }),
  () =>
    row(
      'order of scores',
      nmsKeys,
      { scores: [NaN, I, -I, 0, -0, 1] },
      { n: 6 },
      {
        keys: u32(LAST_KEY, LAST_KEY, LAST_KEY, 0x7fffffff, 0x7fffffff, 0x7fffffff - 0x3f800000),
        order: u32(0, 1, 2, 3, 4, 5),
      },
    ),
  () =>
    row(
      'boxes in the order of scores',
      gatherSorted,
      { keys: u32(0x40000000, LAST_KEY), order: u32(1, 0), boxes: [NaN, NaN, NaN, NaN, 1, 2, 3, I] },
      { n: 2, capacity: 2, slices: 1 },
      { sorted: [1, 2, 3, I, 0, 0, 0, 0], counts: u32(1) },
    ),
  () =>
    row(
      'scale of a region',
      regionScales,
      { rois: [1, 0, NaN, 2, 2, 1, 0, 0, I, 1, 0, 0, 0, 2, 2], scales: [1, 2] },
      { roiCount: 3, scaleCount: 2, byArea: 1, side: 4, plusOne: 0 },
      { placed: [0, 0, NaN, 2, 2, 0, 0, 0, I, 1, 1, 0, 0, 4, 4] },
    ),
  () =>
    row(
      'proposals of a scale',
      placeProposals,
      {
        rois: [0, 1, 2, 3, I, 0, NaN, NaN, NaN, NaN],
        roiScores: [0.5, I],
        roiAnchors: i32(3, -1),
        roiCount: u32(1),
      },
      { capacity: 2, first: 0, scale: 4, factor: 2, imageHeight: 9, imageWidth: 9, plusOne: 1 },
      { boxes: [2, 4, 6, 8, 0, 0, 0, 0], scores: [0.5, NaN], origins: i32(3, 4, -1, 4) },
    ),
];

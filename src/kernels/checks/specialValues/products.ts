/** Special values of matrix products, convolutions and Winograd's transforms. */
import { convFilterGradient, convForward, convInputGradient } from '../../conv2d.ts';
import {
  convFilterGradientWorkgroup,
  convForwardWorkgroup,
  convInputGradientWorkgroup,
  convUniforms,
} from '../../conv2dWorkgroup.ts';
import { matmul, matmulShape } from '../../matmul.ts';
import { PORTABLE_TILE } from '../../planner.ts';
import { sumPartials } from '../../sumPartials.ts';
import {
  winogradFilter,
  winogradFilterGradient,
  winogradGather,
  winogradScatter,
  type WinogradSize,
} from '../../winograd.ts';
import { WORKGROUP_TILES } from '../../workgroupPlans.ts';
import type { KernelCheck } from '../check.ts';
import { convShape } from '../matmul.ts';
import { tileUniforms } from '../winograd.ts';
import { I, row } from './row.ts';

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

export const productsSpecialValues: readonly (() => KernelCheck)[] = [
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
];

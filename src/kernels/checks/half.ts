/**
 * Checks of the kernels' variants in half precision (half.ts): inputs that f16 holds exactly, the same float64 references, and
 * the bound of the float32 kernel with one rounding to f16 added for what is stored in f16.
 */
import { BINARY } from '../binary.ts';
import { HALF_ROUNDING, HALF_TINY, halfVariant } from '../half.ts';
import type { Capabilities } from '../machine.ts';
import { readsInput, UNARY, type UnaryName } from '../unary.ts';
import type { KernelCheck } from './check.ts';
import { convWorkgroupChecks } from './conv2dWorkgroup.ts';
import { halfInputs } from './inputs.ts';
import { matmulChecks } from './matmul.ts';
import { eitherPrecisionChecks } from './nn.ts';
import {
  ONE_MAP,
  PYRAMID,
  roiAlignBackwardCheck,
  roiAlignForwardCheck,
  upsampleNearestBackwardCheck,
  upsampleNearestCheck,
} from './pyramid.ts';
import {
  pyramidPoolForwardCheck,
  roiPoolBackwardCheck,
  roiPoolForwardCheck,
  roiCropCheck,
  roiWarpBackwardChecks,
  roiWarpForwardCheck,
} from './rois.ts';
import { winogradMapChecks } from './winograd.ts';

/** The buffers of each kernel that are f16 in a network of half precision; biases, gradients of parameters and points are f32. */
const HALVED: readonly (readonly [kernel: RegExp, buffers: readonly string[]])[] = [
  [/^conv2d_forward/, ['x', 'w', 'y']],
  [/^conv2d_input_gradient/, ['dy', 'w', 'dx']],
  [/^conv2d_filter_gradient/, ['x', 'dy']],
  [/^matmul_/, ['a', 'b', 'c']],
  [/^sum_partials/, ['y']],
  [/^transpose/, ['b', 'c']],
  [/^pack_/, ['w', 'packed']],
  [/^winograd\d_gather/, ['x', 'rows']],
  [/^winograd\d_scatter/, ['y']],
  [/^winograd\d_filter(_turned)?$/, ['w']],
  [/^(cast|relu_forward|dropout|strided_copy_\d|accumulate|fill|max_pool_forward|average_pool_forward)$/, ['x', 'y']],
  [/^add_\d$/, ['x0', 'x1', 'x2', 'x3', 'x4', 'x5', 'x6', 'y']],
  [/^subsample$/, ['x', 'y']],
  [/^patches$/, ['x', 'columns']],
  [/^subsample_backward/, ['dy', 'dx']],
  [/^add_relu_forward/, ['a', 'b', 'y']],
  [/^relu_backward/, ['y', 'dy', 'dx']],
  [/^channel_sum/, ['dy']],
  [/^axis_sum/, ['x']],
  [/^(max|average)_pool_backward/, ['dy', 'dx']],
  [/^lrn_forward/, ['x', 'y']],
  [/^lrn_backward/, ['x', 'y', 'dy', 'dx']],
  [/^copy_(into|from)_slice/, ['part', 'whole']],
  [/^(roi_pool|roi_crop|roi_warp|pyramid_pool)_forward/, ['x', 'y']],
  [/^roi_pool_backward/, ['dy']],
  [/^roi_warp_backward_input/, ['dy', 'dx']],
  [/^roi_warp_backward_rois/, ['dy', 'x']],
  [/^roi_align_forward/, ['x0', 'x1', 'x2', 'x3', 'y']],
  [/^(roi_align|upsample_\w+)_backward/, ['dy', 'dx']],
  [/^(upsample_|scale$)/, ['x', 'y']],
  [/^grouped_conv2d_forward/, ['x', 'w', 'y']],
  [/^grouped_conv2d_input_gradient/, ['dy', 'w', 'dx']],
  [/^grouped_conv2d_filter_gradient/, ['x', 'dy']],
  [/^batch_norm_(statistics|forward)/, ['x', 'y']],
  [/^batch_norm_(sums|backward)/, ['x', 'dy', 'dx']],
  [/^sum_partial$/, ['x']],
  [/^broadcast_scalar/, ['dy', 'dx']],
  [/^expand_/, ['b', 'y']],
  [new RegExp(`^(${Object.keys(UNARY).join('|')})$`), ['x', 'y']],
  [new RegExp(`^(${Object.keys(UNARY).join('|')})_backward$`), ['value', 'dy', 'dx']],
  [new RegExp(`^(${Object.keys(BINARY).join('|')})`), ['a', 'b', 'y', 'dy', 'dx']],
];

/** The error of a backward pass that comes from reading the result of the forward pass as f16. */
const ROUNDED_RESULT: readonly (readonly [kernel: RegExp, error: { atol: number; rtol: number }])[] = [
  [/^lrn_backward/, { atol: 2 ** -12, rtol: 0 }],
  [
    new RegExp(`^(${(Object.keys(UNARY) as UnaryName[]).filter((name) => !readsInput(name)).join('|')})_backward$`),
    { atol: 2 ** -9, rtol: 2 ** -10 },
  ],
];

/** A check turned into one in half precision. */
function halved(build: () => KernelCheck): KernelCheck {
  const check = halfInputs(build);
  const [, buffers = []] = HALVED.find(([kernel]) => kernel.test(check.kernel.name)) ?? [];
  const half = buffers.filter((name) => name in check.kernel.buffers);
  if (half.length === 0) throw new Error(`${check.kernel.name}: no network uses it in half precision`);
  const [, read = { atol: 0, rtol: 0 }] = ROUNDED_RESULT.find(([kernel]) => kernel.test(check.kernel.name)) ?? [];
  const stored = Object.keys(check.expected).some((name) => half.includes(name));
  return {
    ...check,
    name: `${check.name} f16`,
    kernel: halfVariant(check.kernel, half),
    half,
    atol: check.atol + (stored ? HALF_TINY : 0) + read.atol,
    rtol: check.rtol + (stored ? HALF_ROUNDING : 0) + read.rtol,
  };
}

/** Of the checks of products only every 11th runs: the tiles do not differ in anything that depends on f16. */
const EVERY = 11;

const ROIS = {
  images: 2,
  firstImage: 0,
  channels: 11,
  height: 9,
  width: 13,
  roiCount: 7,
  pooledH: 4,
  pooledW: 3,
  scale: 1 / 16,
};

const UPSAMPLED = { planes: 6, h: 5, w: 7, outH: 10, outW: 13 };

const mapChecks: readonly (() => KernelCheck)[] = [
  () => roiPoolForwardCheck(ROIS),
  () => pyramidPoolForwardCheck(ROIS),
  () => roiPoolBackwardCheck(ROIS, 2),
  () => roiCropCheck({ images: 2, channels: 3, height: 9, width: 13, roiCount: 7, size: 11, context: 2, plusOne: 1 }),
  () => roiWarpForwardCheck(ROIS),
  () => roiWarpBackwardChecks(ROIS)[0]!,
  () => roiWarpBackwardChecks(ROIS)[1]!,
  ...[ONE_MAP, PYRAMID].flatMap((shape) => [() => roiAlignForwardCheck(shape), () => roiAlignBackwardCheck(shape, 0)]),
  () => upsampleNearestCheck(UPSAMPLED),
  () => upsampleNearestBackwardCheck(UPSAMPLED),
];

/** The checks for a device with `shader-f16`. */
export function halfChecks(device: Capabilities): readonly (() => KernelCheck)[] {
  const products = [...matmulChecks(device), ...convWorkgroupChecks(device)];
  const taken = device.software ? products.filter((_, i) => i % EVERY === 0) : products;
  return [...taken, ...winogradMapChecks, ...eitherPrecisionChecks, ...mapChecks].map((build) => () => halved(build));
}

/** Convolution. */
import { convOutputSize, type ConvShape } from '../../kernels/conv2d.ts';
import {
  groupedConvFilterGradient,
  groupedConvForward,
  groupedConvInputGradient,
  type GroupedConvShape,
} from '../../kernels/groupedConv.ts';
import { sumsWithMask } from '../../kernels/planner.ts';
import { channelSum } from '../../kernels/reduce.ts';
import { reluBackward } from '../../kernels/relu.ts';
import { operation, onTape } from '../autograd.ts';
import { runChannelSum } from '../channelSums.ts';
import { runConvFilterGradient, runConvForward, runConvInputGradient } from '../convolution.ts';
import { asOperand, floatOf } from '../precision.ts';
import type { Tensor } from '../tensor.ts';
import { expectRank, expectShape } from './shapes.ts';

export interface Conv2dOptions {
  /** Default 1. */
  stride?: number;
  /** Zeros added on each side; default 0. */
  padding?: number;
  /** Applies ReLU to the result in the same kernel; default false. */
  relu?: boolean;
  /** Input and output channels are divided into this many groups, each convolved by itself; default 1. C: each channel alone. */
  groups?: number;
  /** Cells between the taps of a filter; default 1, neighbours. */
  dilation?: number;
  /** Of the result; default: that of x. */
  dtype?: 'f32' | 'f16';
}

interface Saved {
  x: Tensor;
  /** The filters as they were computed with. */
  w: Tensor;
  shape: ConvShape;
  /** The result, if ReLU was applied to it. */
  rectified: Tensor | null;
  /** What the forward pass computed from x and the filter gradient needs as well. */
  points: Tensor | null;
}

export const conv2dOperation = operation<Saved>(
  'conv2d',
  ({ dy: given, needs, into }, saved) => {
    const { x, w, shape, rectified, points } = saved;
    const { gpu } = given;
    const dy = rectified ? gpu.empty(given.shape, given.dtype, 'dy conv2d') : given;
    const bias = needs[2] ? into(2) : null;
    const cells = { outer: shape.B, channels: shape.K, inner: shape.OH * shape.OW };
    if (rectified && bias && sumsWithMask(gpu.plans.device, cells)) {
      gpu.run(
        channelSum(cells.inner % 4 === 0, bias.add, true),
        { y: rectified, dy: given, dx: dy, db: bias.sum },
        cells,
      );
    } else {
      if (rectified) gpu.run(reluBackward, { y: rectified, dy: given, dx: dy }, { n: dy.size });
      if (bias) runChannelSum(dy, bias.sum, cells, bias.add);
    }
    const input = needs[0] ? into(0) : null;
    if (input) runConvInputGradient(gpu, { dy, w, dx: input.sum }, shape, input.add);
    const filters = needs[1] ? into(1) : null;
    if (filters) runConvFilterGradient(gpu, { x, dy, dw: filters.sum, points }, shape, filters.add);
    if (rectified) dy.dispose();
    return [input, filters, bias].slice(0, needs.length).map((target) => target && target.sum);
  },
  true,
);

type GroupedSaved = { x: Tensor; w: Tensor; shape: GroupedConvShape; rectified: Tensor | null };

export const groupedConv2dOperation = operation<GroupedSaved>(
  'conv2d in groups',
  ({ dy: given, needs, into }, { x, w, shape, rectified }) => {
    const { gpu } = given;
    const dy = rectified ? gpu.empty(given.shape, given.dtype, 'dy conv2d') : given;
    if (rectified) gpu.run(reluBackward, { y: rectified, dy: given, dx: dy }, { n: dy.size });
    const bias = needs[2] ? into(2) : null;
    if (bias) runChannelSum(dy, bias.sum, { outer: shape.B, channels: shape.K, inner: shape.OH * shape.OW }, bias.add);
    const input = needs[0] ? into(0) : null;
    if (input) gpu.run(groupedConvInputGradient(input.add), { dy, w, dx: input.sum }, shape);
    const filters = needs[1] ? into(1) : null;
    if (filters) {
      const uniforms = { ...shape, inputs: shape.C / shape.groups };
      gpu.run(groupedConvFilterGradient(filters.add), { x, dy, dw: filters.sum }, uniforms);
    }
    if (rectified) dy.dispose();
    return [input, filters, bias].slice(0, needs.length).map((target) => target && target.sum);
  },
  true,
);

/**
 * y[b,k] = bias[k] + sum_c weight[k,c] * x[b,c]   (cross-correlation), then max(y, 0) with the option `relu`
 * @param x [N, C, H, W]   @param weight [K, C / groups, kh, kw]   @param bias [K] or null
 * Where x is f16, so are the filters it is computed with (`weight.half()`); bias and sums are f32.
 * @returns [N, K, floor((H + 2 padding - dilation (kh - 1) - 1) / stride) + 1, same for W]
 */
export function conv2d(x: Tensor, weight: Tensor, bias: Tensor | null = null, options: Conv2dOptions = {}): Tensor {
  const { stride = 1, padding: pad = 0, relu = false, groups = 1, dilation = 1, dtype = floatOf(x) } = options;
  expectRank('conv2d', 'x', x, 'N,C,H,W');
  expectRank('conv2d', 'weight', weight, 'K,C,kh,kw');
  const [B, C, H, W] = x.shape as [number, number, number, number];
  const [K, , R, S] = weight.shape as [number, number, number, number];
  for (const [name, value] of Object.entries({ stride, groups, dilation })) {
    if (!Number.isInteger(value) || value < 1) throw new Error(`conv2d: ${name} ${value} is not a positive integer`);
  }
  if (C % groups !== 0 || K % groups !== 0)
    throw new Error(`conv2d: ${C} channels and ${K} filters cannot be divided into ${groups} groups`);
  expectShape('conv2d', 'weight', weight, [K, C / groups, R, S]);
  if (bias) expectShape('conv2d', 'bias', bias, [K]);
  if (!Number.isInteger(pad) || pad < 0) throw new Error(`conv2d: padding ${pad} is not a whole number of pixels`);
  const OH = convOutputSize(H, dilation * (R - 1) + 1, stride, pad);
  const OW = convOutputSize(W, dilation * (S - 1) + 1, stride, pad);
  if (OH < 1 || OW < 1) {
    throw new Error(`conv2d: a ${R}x${S} filter does not fit into a ${H}x${W} map with padding ${pad}`);
  }
  const shape: ConvShape = { B, C, H, W, K, R, S, OH, OW, stride, pad };
  const { gpu } = x;
  const y = gpu.empty([B, K, OH, OW], dtype, `conv2d ${weight.name}`);
  const w = asOperand(weight, x);
  if (groups > 1 || dilation > 1) {
    const grouped = { ...shape, groups, dilation };
    gpu.run(groupedConvForward(bias !== null, relu), { x, w, ...(bias && { bias }), y }, grouped);
    const saved = { x, w, shape: grouped, rectified: relu ? y : null };
    return onTape(groupedConv2dOperation, bias ? [x, weight, bias] : [x, weight], y, saved);
  }
  const trained = weight.requiresGrad && gpu.gradientsEnabled;
  const points = runConvForward(gpu, { x, w, bias, y }, shape, relu, trained);
  const saved = { x, w, shape, rectified: relu ? y : null, points };
  return onTape(conv2dOperation, bias ? [x, weight, bias] : [x, weight], y, saved, points ? [points] : []);
}

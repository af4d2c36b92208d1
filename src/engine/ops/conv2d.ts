/** Convolution. */
import {
  addPartials,
  convFilterGradient,
  convForward,
  convInputGradient,
  convOutputSize,
  type ConvShape,
} from '../../kernels/conv2d.ts';
import { channelSum } from '../../kernels/reduce.ts';
import { filterSplits, matmulTile } from '../../kernels/tiles.ts';
import { operation, record } from '../autograd.ts';
import type { Tensor } from '../tensor.ts';
import { expectRank, expectShape } from './shapes.ts';

export interface Conv2dOptions {
  /** Default 1. */
  stride?: number;
  /** Zeros added on each side; default 0. */
  padding?: number;
}

interface Saved {
  x: Tensor;
  weight: Tensor;
  shape: ConvShape;
}

const conv2dOperation = operation<Saved>('conv2d', ({ dy, needs, into }, { x, weight, shape }) => {
  const { gpu } = dy;
  let dx: Tensor | null = null;
  if (needs[0]) {
    dx = gpu.empty(x.shape, 'f32', 'dx conv2d');
    gpu.run(convInputGradient(matmulTile(gpu.adapter.subgroupSize, shape.C)), { dy, w: weight, dx }, shape);
  }
  const dw = needs[1] ? filterGradient(x, dy, into[1] ?? null, weight, shape) : null;
  const results = [dx, dw];
  if (needs.length === 3) {
    let db: Tensor | null = null;
    if (needs[2]) {
      db = into[2] ?? gpu.zeros([shape.K], 'db conv2d');
      gpu.run(channelSum, { dy, db }, { outer: shape.B, channels: shape.K, inner: shape.OH * shape.OW });
    }
    results.push(db);
  }
  return results;
});

function filterGradient(x: Tensor, dy: Tensor, into: Tensor | null, weight: Tensor, shape: ConvShape): Tensor {
  const { gpu } = dy;
  const tile = matmulTile(gpu.adapter.subgroupSize, shape.K);
  const dw = into ?? gpu.zeros(weight.shape, 'dw conv2d');
  const whole = convFilterGradient(tile, false);
  const [columns, rows] = whole.grid({ ...shape, splits: 1 });
  const splits = filterSplits(columns * rows, shape.B * shape.OH);
  if (splits === 1) {
    gpu.run(whole, { x, dy, dw }, { ...shape, splits });
    return dw;
  }
  const partial = gpu.empty([splits, weight.size], 'f32', 'partial dw conv2d');
  gpu.run(convFilterGradient(tile, true), { x, dy, dw: partial }, { ...shape, splits });
  gpu.run(addPartials, { partial, y: dw }, { n: weight.size, parts: splits });
  partial.dispose();
  return dw;
}

/**
 * y[b,k] = bias[k] + sum_c weight[k,c] * x[b,c]   (cross-correlation)
 * @param x [N, C, H, W]   @param weight [K, C, kh, kw]   @param bias [K] or null
 * @returns [N, K, floor((H + 2 padding - kh) / stride) + 1, same for W]
 */
export function conv2d(x: Tensor, weight: Tensor, bias: Tensor | null, options: Conv2dOptions = {}): Tensor {
  const { stride = 1, padding: pad = 0 } = options;
  expectRank('conv2d', 'x', x, 'N,C,H,W');
  expectRank('conv2d', 'weight', weight, 'K,C,kh,kw');
  const [B, C, H, W] = x.shape as [number, number, number, number];
  const [K, , R, S] = weight.shape as [number, number, number, number];
  expectShape('conv2d', 'weight', weight, [K, C, R, S]);
  if (bias) expectShape('conv2d', 'bias', bias, [K]);
  if (!Number.isInteger(stride) || stride < 1) throw new Error(`conv2d: stride ${stride} is not a positive integer`);
  if (!Number.isInteger(pad) || pad < 0) throw new Error(`conv2d: padding ${pad} is not a whole number of pixels`);
  const OH = convOutputSize(H, R, stride, pad);
  const OW = convOutputSize(W, S, stride, pad);
  if (OH < 1 || OW < 1) {
    throw new Error(`conv2d: a ${R}x${S} filter does not fit into a ${H}x${W} map with padding ${pad}`);
  }
  const shape: ConvShape = { B, C, H, W, K, R, S, OH, OW, stride, pad };
  const { gpu } = x;
  const y = gpu.empty([B, K, OH, OW], 'f32', `conv2d ${weight.name}`);
  const kernel = convForward(matmulTile(gpu.adapter.subgroupSize, K), bias !== null);
  gpu.run(kernel, bias ? { x, w: weight, bias, y } : { x, w: weight, y }, shape);
  return record(conv2dOperation, bias ? [x, weight, bias] : [x, weight], y, { x, weight, shape });
}

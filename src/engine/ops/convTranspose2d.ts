/** Transposed convolution: the input gradient of a convolution as an operation of its own, which enlarges maps. */
import type { ConvShape } from '../../kernels/conv2d.ts';
import { operation, onTape } from '../autograd.ts';
import { runConvFilterGradient, runConvForward, runConvInputGradient } from '../convolution.ts';
import type { Tensor } from '../tensor.ts';
import { add } from './arithmetic.ts';
import { reshape } from './reshape.ts';
import { expectRank, expectShape } from './shapes.ts';

export interface ConvTranspose2dOptions {
  /** Cells of the result per cell of x; default 1. */
  stride?: number;
  /** Cells cut off the result on each side; default 0. */
  padding?: number;
  /** Extra cells at the end of the result, fewer than the stride; default 0. */
  outputPadding?: number;
}

/** `shape` is that of the convolution from the result to x. */
type Saved = { x: Tensor; weight: Tensor; shape: ConvShape };

export const convTranspose2dOperation = operation<Saved>(
  'convTranspose2d',
  ({ dy, needs, into }, { x, weight, shape }) => {
    const { gpu } = dy;
    const dx = needs[0] ? gpu.empty(x.shape, 'f32', 'dx convTranspose2d') : null;
    if (dx) runConvForward(gpu, { x: dy, w: weight, bias: null, y: dx }, shape, false, false);
    const filters = needs[1] ? into(1) : null;
    if (filters) runConvFilterGradient(gpu, { x: dy, dy: x, dw: filters.sum, points: null }, shape, filters.add);
    return [dx, filters && filters.sum];
  },
);

/**
 * Every cell of x adds its weighted filters to the result, `stride` cells apart; PyTorch's ConvTranspose2d.
 * @param x [N, C, H, W]   @param weight [C, K, kh, kw]   @param bias [K] or null
 * @returns [N, K, (H - 1) stride - 2 padding + kh + outputPadding, same for W]
 */
export function convTranspose2d(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null = null,
  options: ConvTranspose2dOptions = {},
): Tensor {
  const { stride = 1, padding = 0, outputPadding = 0 } = options;
  expectRank('convTranspose2d', 'x', x, 'N,C,H,W');
  expectRank('convTranspose2d', 'weight', weight, 'C,K,kh,kw');
  const [B, C, OH, OW] = x.shape as [number, number, number, number];
  const [, K, R, S] = weight.shape as [number, number, number, number];
  expectShape('convTranspose2d', 'weight', weight, [C, K, R, S]);
  if (bias) expectShape('convTranspose2d', 'bias', bias, [K]);
  const whole = [stride, padding, outputPadding].every((n) => Number.isInteger(n) && n >= 0);
  const [H, W] = [[OH, R] as const, [OW, S] as const].map(
    ([n, side]) => (n - 1) * stride - 2 * padding + side + outputPadding,
  ) as [number, number];
  if (!whole || stride < 1 || outputPadding >= stride || H < 1 || W < 1) {
    const settings = `stride ${stride}, padding ${padding}, outputPadding ${outputPadding}`;
    const why = 'expected whole numbers, outputPadding < stride, and a result of a cell at least';
    throw new Error(`convTranspose2d: a ${R}x${S} filter on a ${OH}x${OW} map with ${settings}; ${why}`);
  }
  // In that convolution the channels of x are the filters.
  const shape: ConvShape = { B, C: K, H, W, K: C, R, S, OH, OW, stride, pad: padding };
  const y = x.gpu.empty([B, K, H, W], 'f32', `convTranspose2d ${weight.name}`);
  runConvInputGradient(x.gpu, { dy: x, w: weight, dx: y }, shape, false);
  const map = onTape(convTranspose2dOperation, [x, weight], y, { x, weight, shape });
  return bias ? add(map, reshape(bias, [K, 1, 1])) : map;
}

/** Upsampling of maps. */
import { upsampleNearest as upsampleKernel, upsampleNearestBackward } from '../../kernels/upsampleNearest.ts';
import { upsampleBilinear as bilinearKernel, upsampleBilinearBackward } from '../../kernels/upsampleBilinear.ts';
import { operation, onTape } from '../autograd.ts';
import type { Shape, Tensor } from '../tensor.ts';
import { expectRank } from './shapes.ts';

type Saved = { x: Shape; uniforms: Record<keyof typeof upsampleKernel.uniforms, number> };

const upsampleOperation = operation<Saved>('upsampleNearest', ({ dy }, { x, uniforms }) => {
  const dx = dy.gpu.empty(x, 'f32', 'dx upsampleNearest');
  dy.gpu.run(upsampleNearestBackward, { dy, dx }, uniforms);
  return [dx];
});

/**
 * Each cell repeated so that the map has `size` [height, width], at least its own: y[i, j] = x[floor(i H / height), floor(j W / width)].
 * @param x [N, C, H, W]   @returns [N, C, height, width]
 */
export function upsampleNearest(x: Tensor, [outH, outW]: readonly [number, number]): Tensor {
  expectRank('upsampleNearest', 'x', x, 'N,C,H,W');
  const [B, C, h, w] = x.shape as [number, number, number, number];
  if (!(Number.isInteger(outH) && Number.isInteger(outW) && outH >= h && outW >= w))
    throw new Error(`upsampleNearest: size is ${outH}x${outW}, expected whole numbers from ${h}x${w} on`);
  const y = x.gpu.empty([B, C, outH, outW], 'f32', `upsampleNearest ${x.name}`);
  const uniforms = { planes: B * C, h, w, outH, outW };
  x.gpu.run(upsampleKernel, { x, y }, uniforms);
  return onTape(upsampleOperation, [x], y, { x: x.shape, uniforms });
}

const bilinearOperation = operation<Saved>('upsampleBilinear', ({ dy }, { x, uniforms }) => {
  const dx = dy.gpu.empty(x, 'f32', 'dx upsampleBilinear');
  dy.gpu.run(upsampleBilinearBackward, { dy, dx }, uniforms);
  return [dx];
});

/**
 * Maps of `size` [height, width], each cell mixed of its four neighbours: PyTorch's `interpolate` with align_corners=False.
 * @param x [N, C, H, W]   @returns [N, C, height, width]
 */
export function upsampleBilinear(x: Tensor, [outH, outW]: readonly [number, number]): Tensor {
  expectRank('upsampleBilinear', 'x', x, 'N,C,H,W');
  const [B, C, h, w] = x.shape as [number, number, number, number];
  if (!(Number.isInteger(outH) && Number.isInteger(outW) && outH >= 1 && outW >= 1))
    throw new Error(`upsampleBilinear: size is ${outH}x${outW}, expected whole numbers from 1 on`);
  const y = x.gpu.empty([B, C, outH, outW], 'f32', `upsampleBilinear ${x.name}`);
  const uniforms = { planes: B * C, h, w, outH, outW };
  x.gpu.run(bilinearKernel, { x, y }, uniforms);
  return onTape(bilinearOperation, [x], y, { x: x.shape, uniforms });
}

/** Max pooling and local response normalisation. */
import { lrnBackward, lrnForward, type LrnSettings } from '../../kernels/lrn.ts';
import {
  maxPoolBackward,
  maxPoolForward,
  maxPoolUniforms,
  poolOutputSize,
  type PoolWindow,
} from '../../kernels/maxPool.ts';
import { operation, record } from '../autograd.ts';
import type { Tensor } from '../tensor.ts';
import { expectRank } from './shapes.ts';

export interface MaxPool2dOptions {
  kernel: number;
  /** Default: the kernel. */
  stride?: number;
  /** Default 0. Padding is never the maximum: the window is clipped to the map. */
  padding?: number;
  /** Round the output size up, as Caffe does. Default false. */
  ceilMode?: boolean;
}

type PoolSaved = {
  argmax: Tensor;
  x: readonly number[];
  window: PoolWindow;
  uniforms: ReturnType<typeof maxPoolUniforms>;
};

const maxPoolOperation = operation<PoolSaved>('maxPool2d', ({ dy }, { argmax, x, window, uniforms }) => {
  const dx = dy.gpu.empty(x, 'f32', 'dx maxPool2d');
  dy.gpu.run(maxPoolBackward(window), { dy, argmax, dx }, uniforms);
  return [dx];
});

/** Maximum over windows. @param x [N, C, H, W] @returns [N, C, OH, OW]; the first of equal values gets the gradient. */
export function maxPool2d(x: Tensor, options: MaxPool2dOptions): Tensor {
  expectRank('maxPool2d', 'x', x, 'N,C,H,W');
  const { kernel, stride = kernel, padding = 0, ceilMode = false } = options;
  if (padding * 2 > kernel) throw new Error(`maxPool2d: padding ${padding} is more than half the kernel ${kernel}`);
  const [B, C, H, W] = x.shape as [number, number, number, number];
  const window = { kernel, stride, padding, ceilMode };
  const shape = [B, C, poolOutputSize(H, window), poolOutputSize(W, window)];
  if (shape[2]! < 1 || shape[3]! < 1) throw new Error(`maxPool2d: a window of ${kernel} does not fit into ${H}x${W}`);
  const uniforms = maxPoolUniforms({ planes: B * C, h: H, w: W }, window);
  const { gpu } = x;
  const y = gpu.empty(shape, 'f32', `maxPool2d ${x.name}`);
  const argmax = gpu.empty(shape, 'i32', `argmax ${x.name}`);
  gpu.run(maxPoolForward(window), { x, y, argmax }, uniforms);
  return record(maxPoolOperation, [x], y, { argmax, x: x.shape, window, uniforms }, [argmax]);
}

/** Odd `size` of the window; the rest has defaults. */
export type LocalResponseNormOptions = Pick<LrnSettings, 'size'> & Partial<LrnSettings>;

type LrnSaved = { x: Tensor; y: Tensor; scale: Tensor; mode: LrnSettings['mode']; uniforms: LrnUniforms };
type LrnUniforms = Record<'images' | 'channels' | 'h' | 'w' | 'size' | 'alpha' | 'beta' | 'k', number>;

const lrnOperation = operation<LrnSaved>('localResponseNorm', ({ dy }, { x, y, scale, mode, uniforms }) => {
  const dx = dy.gpu.empty(x.shape, 'f32', 'dx localResponseNorm');
  dy.gpu.run(lrnBackward(mode), { x, y, scale, dy, dx }, uniforms);
  return [dx];
});

/**
 * x (k + alpha/n sum x^2)^-beta over `size` neighbouring channels (mode 'across', n = size) or a size x size window of
 * its own channel, zero padded (mode 'within', n = size^2). Defaults, Caffe's and PyTorch's: across, alpha 1e-4, beta 0.75, k 1.
 * @param x [N, C, H, W]
 */
export function localResponseNorm(x: Tensor, options: LocalResponseNormOptions): Tensor {
  expectRank('localResponseNorm', 'x', x, 'N,C,H,W');
  const { size, alpha = 1e-4, beta = 0.75, k = 1, mode = 'across' } = options;
  if (size % 2 !== 1) throw new Error(`localResponseNorm: size ${size} is even, a window needs a centre`);
  const [images, channels, h, w] = x.shape as [number, number, number, number];
  const uniforms: LrnUniforms = { images, channels, h, w, size, alpha, beta, k };
  const y = x.gpu.empty(x.shape, 'f32', `localResponseNorm ${x.name}`);
  const scale = x.gpu.empty(x.shape, 'f32', 'localResponseNorm scale');
  x.gpu.run(lrnForward(mode), { x, y, scale }, uniforms);
  return record(lrnOperation, [x], y, { x, y, scale, mode, uniforms }, [scale]);
}

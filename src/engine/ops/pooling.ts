/** Max pooling, average pooling and local response normalisation. */
import { averagePoolBackward, averagePoolForward } from '../../kernels/averagePool.ts';
import { lrnBackward, lrnForward, type LrnSettings } from '../../kernels/lrn.ts';
import { maxPoolBackward, maxPoolForward } from '../../kernels/maxPool.ts';
import { poolOutputSize, poolUniforms, type PoolWindow } from '../../kernels/pooling.ts';
import { operation, record } from '../autograd.ts';
import type { Shape, Tensor } from '../tensor.ts';
import { expectRank } from './shapes.ts';

export interface Pool2dOptions {
  kernel: number;
  /** Default: the kernel. */
  stride?: number;
  /** Default 0. Padding is never the maximum: the window is clipped to the map. In an average it counts as zeros. */
  padding?: number;
  /** Round the output size up, as Caffe does. Default false. */
  ceilMode?: boolean;
}

type PoolUniforms = ReturnType<typeof poolUniforms>;
type MaxPoolSaved = { argmax: Tensor; x: Shape; window: PoolWindow; uniforms: PoolUniforms };

const maxPoolOperation = operation<MaxPoolSaved>('maxPool2d', ({ dy }, { argmax, x, window, uniforms }) => {
  const dx = dy.gpu.empty(x, 'f32', 'dx maxPool2d');
  dy.gpu.run(maxPoolBackward(window), { dy, argmax, dx }, uniforms);
  return [dx];
});

/** Maximum over windows. @param x [N, C, H, W] @returns [N, C, OH, OW]; the first of equal values gets the gradient. */
export function maxPool2d(x: Tensor, options: Pool2dOptions): Tensor {
  const { window, shape, uniforms } = pooledMap('maxPool2d', x, options);
  const { gpu } = x;
  const y = gpu.empty(shape, 'f32', `maxPool2d ${x.name}`);
  const argmax = gpu.empty(shape, 'i32', `argmax ${x.name}`);
  gpu.run(maxPoolForward(window), { x, y, argmax }, uniforms);
  return record(maxPoolOperation, [x], y, { argmax, x: x.shape, window, uniforms }, [argmax]);
}

type AveragePoolSaved = Omit<MaxPoolSaved, 'argmax'>;

const averagePoolOperation = operation<AveragePoolSaved>('averagePool2d', ({ dy }, { x, window, uniforms }) => {
  const dx = dy.gpu.empty(x, 'f32', 'dx averagePool2d');
  dy.gpu.run(averagePoolBackward(window), { dy, dx }, uniforms);
  return [dx];
});

/** Mean over windows, padding included. Over whole maps: `mean(x, [2, 3])`. @param x [N, C, H, W] @returns [N, C, OH, OW] */
export function averagePool2d(x: Tensor, options: Pool2dOptions): Tensor {
  const { window, shape, uniforms } = pooledMap('averagePool2d', x, options);
  const y = x.gpu.empty(shape, 'f32', `averagePool2d ${x.name}`);
  x.gpu.run(averagePoolForward(window), { x, y }, uniforms);
  return record(averagePoolOperation, [x], y, { x: x.shape, window, uniforms });
}

function pooledMap(operation: string, x: Tensor, options: Pool2dOptions) {
  expectRank(operation, 'x', x, 'N,C,H,W');
  const { kernel, stride = kernel, padding = 0, ceilMode = false } = options;
  if (padding * 2 > kernel) throw new Error(`${operation}: padding ${padding} is more than half the kernel ${kernel}`);
  const [B, C, H, W] = x.shape as [number, number, number, number];
  const window: PoolWindow = { kernel, stride, padding, ceilMode };
  const shape = [B, C, poolOutputSize(H, window, operation), poolOutputSize(W, window, operation)];
  return { window, shape, uniforms: poolUniforms({ planes: B * C, h: H, w: W }, window) };
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

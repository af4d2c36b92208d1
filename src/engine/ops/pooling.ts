/** Max pooling and average pooling. */
import { averagePoolBackward, averagePoolForward } from '../../kernels/averagePool.ts';
import { maxPoolBackward, maxPoolForward } from '../../kernels/maxPool.ts';
import { poolOutputSize, poolUniforms, type PoolWindow } from '../../kernels/pooling.ts';
import { operation, onTape } from '../autograd.ts';
import { floatOf } from '../precision.ts';
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

export const maxPoolOperation = operation<MaxPoolSaved>(
  'maxPool2d',
  ({ dy }, { argmax, x, window, uniforms }) => {
    const dx = dy.gpu.empty(x, dy.dtype, 'dx maxPool2d');
    dy.gpu.run(maxPoolBackward(window), { dy, argmax, dx }, uniforms);
    return [dx];
  },
  true,
);

/** Maximum over windows. @param x [N, C, H, W] @returns [N, C, OH, OW]; the first of equal values gets the gradient. */
export function maxPool2d(x: Tensor, options: Pool2dOptions): Tensor {
  const { window, shape, uniforms } = pooledMap('maxPool2d', x, options);
  const { gpu } = x;
  const y = gpu.empty(shape, floatOf(x), `maxPool2d ${x.name}`);
  const argmax = gpu.empty(shape, 'i32', `argmax ${x.name}`);
  gpu.run(maxPoolForward(window), { x, y, argmax }, uniforms);
  return onTape(maxPoolOperation, [x], y, { argmax, x: x.shape, window, uniforms }, [argmax]);
}

type AveragePoolSaved = Omit<MaxPoolSaved, 'argmax'>;

export const averagePoolOperation = operation<AveragePoolSaved>(
  'averagePool2d',
  ({ dy }, { x, window, uniforms }) => {
    const dx = dy.gpu.empty(x, dy.dtype, 'dx averagePool2d');
    dy.gpu.run(averagePoolBackward(window), { dy, dx }, uniforms);
    return [dx];
  },
  true,
);

/** Mean over windows, padding included. Over whole maps: `mean(x, [2, 3])`. @param x [N, C, H, W] @returns [N, C, OH, OW] */
export function averagePool2d(x: Tensor, options: Pool2dOptions): Tensor {
  const { window, shape, uniforms } = pooledMap('averagePool2d', x, options);
  const y = x.gpu.empty(shape, floatOf(x), `averagePool2d ${x.name}`);
  x.gpu.run(averagePoolForward(window), { x, y }, uniforms);
  return onTape(averagePoolOperation, [x], y, { x: x.shape, window, uniforms });
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

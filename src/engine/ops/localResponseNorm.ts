/** Local response normalisation (Krizhevsky et al. 2012). */
import { lrnBackward, lrnForward, type LrnSettings } from '../../kernels/lrn.ts';
import { operation, onTape } from '../autograd.ts';
import { floatOf } from '../precision.ts';
import type { Tensor } from '../tensor.ts';
import { expectRank } from './shapes.ts';

/** Odd `size` of the window; the rest has defaults. */
export type LocalResponseNormOptions = Pick<LrnSettings, 'size'> & Partial<LrnSettings>;

type LrnSaved = { x: Tensor; y: Tensor; scale: Tensor; mode: LrnSettings['mode']; uniforms: LrnUniforms };
type LrnUniforms = Record<'images' | 'channels' | 'h' | 'w' | 'size' | 'alpha' | 'beta' | 'k', number>;

export const lrnOperation = operation<LrnSaved>(
  'localResponseNorm',
  ({ dy }, { x, y, scale, mode, uniforms }) => {
    const dx = dy.gpu.empty(x.shape, dy.dtype, 'dx localResponseNorm');
    dy.gpu.run(lrnBackward(mode), { x, y, scale, dy, dx }, uniforms);
    return [dx];
  },
  true,
);

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
  const y = x.gpu.empty(x.shape, floatOf(x), `localResponseNorm ${x.name}`);
  const scale = x.gpu.empty(x.shape, 'f32', 'localResponseNorm scale');
  x.gpu.run(lrnForward(mode), { x, y, scale }, uniforms);
  return onTape(lrnOperation, [x], y, { x, y, scale, mode, uniforms }, [scale]);
}

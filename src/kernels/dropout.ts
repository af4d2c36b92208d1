/**
 * Dropout.   y_i = x_i m_i,  m_i = scale where r_i >= p, else 0       r_i = random_f32(seed, stream, i), uniform in [0, 1)
 *
 * Linear in x with a mask that is a function of (seed, stream, i) alone: the backward pass is the same kernel on dy, and
 * no mask is stored. scale = 1/(1 - p) is inverted dropout (nothing to do at test time); scale = 1 is Caffe's
 * `scale_train: false`, which multiplies by 1 - p at test time instead. NaN and infinity times 0 are NaN, as in PyTorch.
 */
import { elementwise } from './elementwise.ts';
import { randomF32, RNG_WGSL } from './rng.ts';

export const dropout = elementwise({
  name: 'dropout',
  buffers: { x: 'read', y: 'write' },
  uniforms: { p: 'f32', scale: 'f32', seed: 'u32', stream: 'u32' },
  functions: RNG_WGSL,
  body: 'y[i] = x[i] * select(0.0, u.scale, random_f32(u.seed, u.stream, i) >= u.p);',
});

/** The scale of inverted dropout; 0 where everything is dropped. */
export const invertedScale = (p: number): number => (p < 1 ? 1 / (1 - p) : 0);

export interface DropoutSettings {
  p: number;
  scale: number;
  seed: number;
  stream: number;
}

/** p is rounded to f32 as the shader's uniform is, so that the masks agree bit for bit. */
export const dropoutReference = (x: Float64Array, { p, scale, seed, stream }: DropoutSettings): Float64Array =>
  x.map((value, i) => value * (randomF32(seed, stream, i) >= Math.fround(p) ? scale : 0));

/**
 * Adam (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019), PyTorch's form, for one parameter of n elements at update t:
 *
 *   g = gradScale grad + weightDecay w
 *   m <- beta1 m + (1 - beta1) g           v <- beta2 v + (1 - beta2) g^2
 *   w <- keep w - lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon)
 *
 * Adam adds the decay to the gradient (keep is 1); AdamW shrinks the weight instead (weightDecay is 0, keep is 1 - lr decay).
 * `lr` here is already divided by 1 - beta1^t, and `unbias` is 1 / sqrt(1 - beta2^t): both are computed once, in float64.
 */
import { elementwiseSets } from './elementwise.ts';
import { memoize, type Kernel } from './kernel.ts';

const update = (k: number) => /* wgsl */ `let weight = w${k}[i];
    let g = u.gradScale * grad${k}[i] + u.weightDecay${k} * weight;
    let mean = u.beta1 * m${k}[i] + u.rest1 * g;
    let square = u.beta2 * v${k}[i] + u.rest2 * g * g;
    m${k}[i] = mean;
    v${k}[i] = square;
    w${k}[i] = u.keep${k} * weight - u.lr${k} * mean / (sqrt(square) * u.unbias + u.epsilon);`;

/** Parameters that one dispatch of `adamSteps` updates, four buffers each; by default WebGPU binds 8 buffers. */
export const adamSets = (maxBuffers: number): number => Math.floor(Math.min(maxBuffers, 24) / 4);

/** A step of `count` parameters at once: w0, m0, v0, grad0, n0, lr0, weightDecay0, keep0, w1, ... */
export const adamSteps = memoize((count: number): Kernel =>
  elementwiseSets({
    name: `adam_steps_${count}`,
    count,
    buffers: { w: 'read_write vec4f', m: 'read_write vec4f', v: 'read_write vec4f', grad: 'read vec4f' },
    uniforms: { lr: 'f32', weightDecay: 'f32', keep: 'f32' },
    shared: {
      gradScale: 'f32',
      beta1: 'f32',
      /** 1 - beta1 and 1 - beta2, which float32 would round. */
      rest1: 'f32',
      beta2: 'f32',
      rest2: 'f32',
      unbias: 'f32',
      epsilon: 'f32',
    },
    body: update,
  }),
);

export interface AdamSettings {
  lr: number;
  weightDecay: number;
  /** As in AdamW: the decay shrinks the weight and does not go through the moments. */
  decoupled: boolean;
  betas: readonly [number, number];
  epsilon: number;
  gradScale: number;
}

/** What the kernel's uniforms are for one parameter, and for all, at update `t`, which begins at 1. */
export function adamUniforms(
  { lr, weightDecay, decoupled, betas: [beta1, beta2], epsilon, gradScale }: AdamSettings,
  t: number,
) {
  return {
    own: {
      lr: lr / (1 - beta1 ** t),
      weightDecay: decoupled ? 0 : weightDecay,
      keep: decoupled ? 1 - lr * weightDecay : 1,
    },
    shared: {
      gradScale,
      beta1,
      rest1: 1 - beta1,
      beta2,
      rest2: 1 - beta2,
      unbias: 1 / Math.sqrt(1 - beta2 ** t),
      epsilon,
    },
  };
}

export function adamReference(
  { w, m, v, grad }: Record<'w' | 'm' | 'v' | 'grad', Float64Array>,
  { lr, weightDecay, decoupled, betas: [beta1, beta2], epsilon, gradScale }: AdamSettings,
  t: number,
): Record<'w' | 'm' | 'v', Float64Array> {
  const g = grad.map((value, i) => gradScale * value + (decoupled ? 0 : weightDecay * w[i]!));
  const mean = m.map((value, i) => beta1 * value + (1 - beta1) * g[i]!);
  const square = v.map((value, i) => beta2 * value + (1 - beta2) * g[i]! ** 2);
  const next = w.map((weight, i) => {
    const kept = decoupled ? weight - lr * weightDecay * weight : weight;
    return kept - (lr * (mean[i]! / (1 - beta1 ** t))) / (Math.sqrt(square[i]! / (1 - beta2 ** t)) + epsilon);
  });
  return { w: next, m: mean, v: square };
}

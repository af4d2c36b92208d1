/**
 * Stochastic gradient descent with momentum and weight decay, Caffe's rule (sgd_solver.cpp), one parameter of n elements.
 *
 *   g = gradScale grad + weightDecay w
 *   h <- momentum h + lr g                 w <- w - h
 *
 * The learning rate goes into the momentum buffer h, so a change of rate acts on new gradients only; PyTorch's rule
 * (w <- w - lr h) differs where the rate changes. gradScale divides by the number of images whose gradients were accumulated.
 */
import { elementwiseSets } from './elementwise.ts';
import { memoize, type Kernel } from './kernel.ts';

const update = (k: number) => /* wgsl */ `let weight = w${k}[i];
    let g = u.gradScale * grad${k}[i] + u.weightDecay${k} * weight;
    let step = u.momentum * h${k}[i] + u.lr${k} * g;
    h${k}[i] = step;
    w${k}[i] = weight - step;`;

/** The most buffers that `sgdSteps` binds: those of eight parameters. */
export const SGD_BUFFERS = 24;

/** Parameters that one dispatch of `sgdSteps` updates, three buffers each; by default WebGPU binds 8 buffers. */
export const sgdSets = (maxBuffers: number): number => Math.floor(Math.min(maxBuffers, SGD_BUFFERS) / 3);

/** A step of `count` parameters at once: w0, h0, grad0, n0, lr0, weightDecay0, w1, ... */
export const sgdSteps = memoize((count: number): Kernel =>
  elementwiseSets({
    name: `sgd_steps_${count}`,
    count,
    buffers: { w: 'read_write vec4f', h: 'read_write vec4f', grad: 'read vec4f' },
    uniforms: { lr: 'f32', weightDecay: 'f32' },
    shared: { momentum: 'f32', gradScale: 'f32' },
    body: update,
  }),
);

export interface SgdSettings {
  lr: number;
  momentum: number;
  weightDecay: number;
  gradScale: number;
}

export function sgdReference(
  w: Float64Array,
  h: Float64Array,
  grad: Float64Array,
  { lr, momentum, weightDecay, gradScale }: SgdSettings,
): { w: Float64Array; h: Float64Array } {
  const step = h.map((value, i) => momentum * value + lr * (gradScale * grad[i]! + weightDecay * w[i]!));
  return { w: w.map((value, i) => value - step[i]!), h: step };
}

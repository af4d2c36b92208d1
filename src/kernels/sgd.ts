/**
 * Stochastic gradient descent with momentum and weight decay, Caffe's rule (sgd_solver.cpp), one parameter of n elements.
 *
 *   g = gradScale grad + weightDecay w
 *   h <- momentum h + lr g                 w <- w - h
 *
 * The learning rate goes into the momentum buffer h, so a change of rate acts on new gradients only; PyTorch's rule
 * (w <- w - lr h) differs where the rate changes. gradScale divides by the images accumulated or clips the norm.
 */
import { elementwise } from './elementwise.ts';

export const sgdStep = elementwise({
  name: 'sgd_step',
  buffers: { w: 'read_write', h: 'read_write', grad: 'read' },
  uniforms: { lr: 'f32', momentum: 'f32', weightDecay: 'f32', gradScale: 'f32' },
  body: /* wgsl */ `let g = u.gradScale * grad[i] + u.weightDecay * w[i];
    let step = u.momentum * h[i] + u.lr * g;
    h[i] = step;
    w[i] -= step;`,
});

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

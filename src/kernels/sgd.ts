/**
 * Stochastic gradient descent with momentum and weight decay, Caffe's rule (sgd_solver.cpp), for two parameters a dispatch
 * (a layer's weight and bias): starting a dispatch costs more than updating a small parameter.
 *
 *   g = gradScale grad + decay w
 *   h <- momentum h + rate g               w <- w - h
 *
 * The learning rate goes into the momentum buffer h, so a change of rate acts on new gradients only; PyTorch's rule
 * (w <- w - lr h) differs where the rate changes. gradScale divides by the images accumulated or clips the norm.
 * Rates and decays are each parameter's own. n elements of the first parameter, m of the second; m may be 0.
 */
import { ceilDiv, kernel, linear } from './kernel.ts';

const RUN = 64 * 16;

const update = (w: string, h: string, grad: string, which: string): string => `
    let g = u.gradScale * ${grad}[i] + u.decay${which} * ${w}[i];
    let step = u.momentum * ${h}[i] + u.rate${which} * g;
    ${h}[i] = step;
    ${w}[i] -= step;`;

const vectorsOf = (n: number): number => ceilDiv(n, 4);

export const sgdStep = kernel({
  name: 'sgd_step',
  buffers: {
    w: 'read_write vec4f',
    h: 'read_write vec4f',
    grad: 'read vec4f',
    w2: 'read_write vec4f',
    h2: 'read_write vec4f',
    grad2: 'read vec4f',
  },
  uniforms: {
    n: 'u32',
    m: 'u32',
    rate: 'f32',
    decay: 'f32',
    rate2: 'f32',
    decay2: 'f32',
    momentum: 'f32',
    gradScale: 'f32',
  },
  grid: ({ n, m }) => linear(vectorsOf(n) + vectorsOf(m), RUN),
  wgsl: /* wgsl */ `
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  // The vectors of the first parameter, then those of the second.
  let first = (u.n + 3u) / 4u;
  let second = (u.m + 3u) / 4u;
  let start = linear_index(group, groups, 0u, ${RUN}u);
  let end = min(start + ${RUN}u, first + second);
  for (var i = start + lane; i < min(end, first); i += 64u) {${update('w', 'h', 'grad', '')}
  }
  if (end <= first) { return; }
  for (var i = max(start, first) - first + lane; i < end - first; i += 64u) {${update('w2', 'h2', 'grad2', '2')}
  }
}`,
});

export interface SgdSettings {
  rate: number;
  momentum: number;
  decay: number;
  gradScale: number;
}

export function sgdReference(
  w: Float64Array,
  h: Float64Array,
  grad: Float64Array,
  { rate, momentum, decay, gradScale }: SgdSettings,
): { w: Float64Array; h: Float64Array } {
  const step = h.map((value, i) => momentum * value + rate * (gradScale * grad[i]! + decay * w[i]!));
  return { w: w.map((value, i) => value - step[i]!), h: step };
}

/**
 * Rectified linear unit.   y = max(x, 0)      dx = dy where y > 0, else 0
 *   of a sum               y = max(a + b, 0)  with the same backward pass, for a and b alike
 *
 * The backward pass reads y, not x, so x need not be kept. The derivative at x = 0 is 0. NaN stays NaN and lets its
 * gradient pass, as in PyTorch; WGSL's `max` may turn it into 0, so signs are read from the bits (ieee.ts).
 */
import { elementwise4 } from './elementwise.ts';
import { IEEE_WGSL } from './ieee.ts';

/**
 * `relu(x)` and `relu4(x)`. The bits of a negative number (-infinity included) minus those of -0 are at most those of
 * infinity. `passes(y)` and `passes4(y)`: whether the result y of a ReLU lets its gradient through, which all but zeros do.
 */
export const RELU_WGSL = /* wgsl */ `${IEEE_WGSL}
fn relu(x: f32) -> f32 { return select(x, 0.0, bitcast<u32>(x) - 0x80000000u <= INFINITY_BITS); }
fn relu4(x: vec4f) -> vec4f {
  return select(x, vec4f(), bitcast<vec4u>(x) - vec4u(0x80000000u) <= vec4u(INFINITY_BITS));
}
fn passes(y: f32) -> bool { return (bitcast<u32>(y) & 0x7fffffffu) != 0u; }
fn passes4(y: vec4f) -> vec4<bool> { return (bitcast<vec4u>(y) & vec4u(0x7fffffffu)) != vec4u(); }
`;

export const reluForward = elementwise4({
  name: 'relu_forward',
  buffers: { x: 'read vec4f', y: 'write vec4f' },
  functions: RELU_WGSL,
  body: 'y[i] = relu4(x[i]);',
});

export const addReluForward = elementwise4({
  name: 'add_relu_forward',
  buffers: { a: 'read vec4f', b: 'read vec4f', y: 'write vec4f' },
  functions: RELU_WGSL,
  body: 'y[i] = relu4(a[i] + b[i]);',
});

export const reluBackward = elementwise4({
  name: 'relu_backward',
  buffers: { y: 'read vec4f', dy: 'read vec4f', dx: 'write vec4f' },
  functions: RELU_WGSL,
  body: 'dx[i] = select(vec4f(), dy[i], passes4(y[i]));',
});

export const reluReference = (x: Float64Array): Float64Array => x.map((value) => Math.max(value, 0));

export const reluBackwardReference = (y: Float64Array, dy: Float64Array): Float64Array =>
  dy.map((value, i) => (y[i] === 0 ? 0 : value));

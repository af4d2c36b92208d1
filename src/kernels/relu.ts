/**
 * Rectified linear unit.   y = max(x, 0)      dx = dy where y > 0, else 0
 *
 * The backward pass reads y, not x, so that x need not be kept. The derivative at x = 0 is 0.
 */
import { elementwise4 } from './elementwise.ts';

export const reluForward = elementwise4({
  name: 'relu_forward',
  buffers: { x: 'read vec4f', y: 'write vec4f' },
  body: 'y[i] = max(x[i], vec4f(0.0));',
});

export const reluBackward = elementwise4({
  name: 'relu_backward',
  buffers: { y: 'read vec4f', dy: 'read vec4f', dx: 'write vec4f' },
  body: 'dx[i] = select(vec4f(0.0), dy[i], y[i] > vec4f(0.0));',
});

export const reluReference = (x: Float64Array): Float64Array => x.map((value) => Math.max(value, 0));

export const reluBackwardReference = (y: Float64Array, dy: Float64Array): Float64Array =>
  dy.map((value, i) => (y[i]! > 0 ? value : 0));

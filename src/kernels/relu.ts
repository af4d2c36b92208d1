/**
 * Rectified linear unit.   y = max(x, 0)      dx = dy where y > 0, else 0
 *
 * The backward pass reads y, not x, so that x need not be kept. The derivative at x = 0 is 0.
 */
import { vectors } from './elementwise.ts';

export const reluForward = vectors({
  name: 'relu_forward',
  buffers: { x: 'read', y: 'write' },
  body: 'y[i] = max(x[i], vec4f());',
});

export const reluBackward = vectors({
  name: 'relu_backward',
  buffers: { y: 'read', dy: 'read', dx: 'write' },
  body: 'dx[i] = select(vec4f(), dy[i], y[i] > vec4f());',
});

export const reluReference = (x: Float64Array): Float64Array => x.map((value) => Math.max(value, 0));

export const reluBackwardReference = (y: Float64Array, dy: Float64Array): Float64Array =>
  dy.map((value, i) => (y[i]! > 0 ? value : 0));

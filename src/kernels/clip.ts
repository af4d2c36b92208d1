/** Bounds: y = min(max(x, low), high), dx = dy where low <= x <= high, else 0, as PyTorch's clamp. NaN stays NaN. */
import { elementwise } from './elementwise.ts';
import { IEEE_WGSL, ORDER_WGSL } from './ieee.ts';

const uniforms = { low: 'f32', high: 'f32' } as const;
const functions = IEEE_WGSL + ORDER_WGSL;

export const clip = elementwise({
  name: 'clip',
  buffers: { x: 'read', y: 'write' },
  uniforms,
  functions,
  body: /* wgsl */ `let value = x[i];
    let raised = select(value, u.low, key(value) < key(u.low));
    y[i] = select(select(raised, u.high, key(raised) > key(u.high)), value, is_nan(value));`,
});

export const clipBackward = elementwise({
  name: 'clip_backward',
  buffers: { x: 'read', dy: 'read', dx: 'write' },
  uniforms,
  functions,
  body: /* wgsl */ `let value = x[i];
    let inside = key(value) >= key(u.low) && key(value) <= key(u.high) && !is_nan(value);
    dx[i] = select(0.0, dy[i], inside);`,
});

export const clipReference = (x: Float64Array, low: number, high: number): Float64Array =>
  x.map((value) => Math.min(Math.max(value, low), high));

export const clipBackwardReference = (x: Float64Array, dy: Float64Array, low: number, high: number): Float64Array =>
  dy.map((value, i) => (x[i]! >= low && x[i]! <= high ? value : 0));

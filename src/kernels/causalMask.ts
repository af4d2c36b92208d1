/**
 * x [.., rows, columns] with `value` wherever a row may not look: y[r, c] = x[r, c] if c <= r, else value. Minus infinity hides scores of
 * attention from softmax; 0 does so with their gradients.
 */
import { elementwise } from './elementwise.ts';

export const causalMask = elementwise({
  name: 'causal_mask',
  buffers: { x: 'read', y: 'write' },
  uniforms: { rows: 'u32', columns: 'u32', value: 'f32' },
  body: 'y[i] = select(u.value, x[i], i % u.columns <= i / u.columns % u.rows);',
});

export const causalMaskReference = (x: Float64Array, rows: number, columns: number, value: number): Float64Array =>
  x.map((score, i) => (i % columns <= Math.floor(i / columns) % rows ? score : value));

/**
 * b [rows, columns] -> c [columns, rows], both dense; `rows` is a multiple of four and c is written four values at a time.
 * A factor of a product that is contiguous along k is read one value at a time; transposing it first pays if it is used often.
 */
import { ceilDiv, kernel } from './kernel.ts';

export const transpose = kernel({
  name: 'transpose',
  buffers: { b: 'read', c: 'write vec4f' },
  uniforms: { rows: 'u32', columns: 'u32' },
  grid: ({ rows, columns }) => [ceilDiv(columns, 8), ceilDiv(rows, 32), 1],
  body: /* wgsl */ `
  // Eight columns by eight groups of four rows: neighbours read, and write, neighbouring addresses.
  let column = group.x * 8u + lane % 8u;
  let row = (group.y * 8u + lane / 8u) * 4u;
  if (column >= u.columns || row >= u.rows) { return; }
  let at = row * u.columns + column;
  c[(column * u.rows + row) / 4u] = vec4f(b[at], b[at + u.columns], b[at + 2u * u.columns], b[at + 3u * u.columns]);`,
});

export function transposeReference(b: Float64Array, rows: number, columns: number): Float64Array {
  const c = new Float64Array(rows * columns);
  for (let r = 0; r < rows; r++) for (let k = 0; k < columns; k++) c[k * rows + r] = b[r * columns + k]!;
  return c;
}

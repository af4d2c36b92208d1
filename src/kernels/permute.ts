/**
 * Reorders the axes of a tensor: y[i0, i1, ...] is x at the offset i0 s0 + i1 s1 + ..., where s are the strides in x of the
 * axes of y. Words are copied as u32, whatever they hold (concat.ts). The backward pass is the same kernel with the inverse
 * order.
 */
import { elementwise } from './elementwise.ts';
import { type Kernel, memoize, type Scalar } from './kernel.ts';

/** Uniforms of `permute`: the extents of y but the first, and the strides in x of all its axes. */
export function permuteUniforms(shape: readonly number[], order: readonly number[]): Record<string, number> {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, n) => product * n, 1));
  const uniforms: Record<string, number> = { n: shape.reduce((product, n) => product * n, 1) };
  order.forEach((axis, i) => {
    if (i > 0) uniforms[`e${i}`] = shape[axis]!;
    uniforms[`s${i}`] = strides[axis]!;
  });
  return uniforms;
}

export const permute = memoize((rank: number): Kernel => {
  const axes = Array.from({ length: rank }, (_, i) => i);
  const uniforms = axes.flatMap((i) => (i > 0 ? [`e${i}`, `s${i}`] : [`s${i}`])).map((name) => [name, 'u32'] as const);
  return elementwise<string, string>({
    name: `permute_${rank}`,
    buffers: { x: 'read u32', y: 'write u32' },
    uniforms: Object.fromEntries(uniforms) as Record<string, Scalar>,
    body: `var rest = i;
    var at = 0u;
    ${axes
      .slice(1)
      .reverse()
      .map((i) => `at += rest % u.e${i} * u.s${i}; rest /= u.e${i};`)
      .join('\n    ')}
    y[i] = x[at + rest * u.s0];`,
  });
});

export function permuteReference(x: Float64Array, shape: readonly number[], order: readonly number[]): Float64Array {
  const y = new Float64Array(x.length);
  const coordinates = shape.map(() => 0);
  const placeInY = (): number => order.reduce((at, axis) => at * shape[axis]! + coordinates[axis]!, 0);
  x.forEach((value) => {
    y[placeInY()] = value;
    for (let axis = shape.length - 1; axis >= 0 && ++coordinates[axis]! === shape[axis]!; axis--) coordinates[axis] = 0;
  });
  return y;
}

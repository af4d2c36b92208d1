/**
 * Concatenation along an axis, one part at a time: copies a part [outer, length, inner] into, or out of, the slice that
 * starts at `offset` of a whole [outer, axis, inner]. Into is the forward pass (part x, whole y), out of the backward pass
 * (whole dy, part dx). Words are copied as u32: an integer seen as f32 is a subnormal number, which a GPU may turn into 0.
 */
import { elementwise } from './elementwise.ts';
import { type Kernel, kernel, memoize } from './kernel.ts';

/** Rows of the part and of the whole as the kernels see them: contiguous runs of `run` words, `pitch` apart in the whole. */
export function sliceUniforms(outer: number, axis: number, inner: number, offset: number, length: number) {
  return { n: outer * length * inner, run: length * inner, pitch: axis * inner, start: offset * inner };
}

const uniforms = { run: 'u32', pitch: 'u32', start: 'u32' } as const;
/** A single run (channels of one image) needs no division, which would cost more than the copy. */
const place = (single: boolean): string => (single ? 'u.start + i' : 'i / u.run * u.pitch + u.start + i % u.run');
const suffix = (single: boolean): string => (single ? '_single' : '');

/** `single`: `outer` is 1. */
export const copyIntoSlice = memoize((single: boolean) =>
  elementwise({
    name: `copy_into_slice${suffix(single)}`,
    buffers: { part: 'read u32', whole: 'write u32' },
    uniforms,
    body: `whole[${place(single)}] = part[i];`,
  }),
);

/** `single`: `outer` is 1. */
export const copyFromSlice = memoize((single: boolean) =>
  elementwise({
    name: `copy_from_slice${suffix(single)}`,
    buffers: { whole: 'read u32', part: 'write u32' },
    uniforms,
    body: `part[i] = whole[${place(single)}];`,
  }),
);

/** whole[start + k] = xk[0] for `count` numbers x0, x1, ... */
export const copyScalars = memoize((count: number): Kernel => {
  const scalars = Array.from({ length: count }, (_, k) => `x${k}`);
  return kernel<string, 'start'>({
    name: `copy_scalars_${count}`,
    buffers: { ...Object.fromEntries(scalars.map((x) => [x, 'read u32' as const])), whole: 'read_write u32' },
    uniforms: { start: 'u32' },
    grid: () => [1, 1, 1],
    wgsl: /* wgsl */ `
@compute @workgroup_size(1)
fn main() {
  ${scalars.map((x, k) => `whole[u.start + ${k}u] = ${x}[0];`).join('\n  ')}
}`,
  });
});

/** The concatenation of parts [outer, lengths[p], inner] along the middle axis. */
export function concatReference(
  parts: readonly Float64Array[],
  outer: number,
  lengths: readonly number[],
  inner: number,
): Float64Array {
  const whole: number[] = [];
  for (let o = 0; o < outer; o++)
    parts.forEach((part, p) => {
      const run = lengths[p]! * inner;
      whole.push(...part.subarray(o * run, (o + 1) * run));
    });
  return Float64Array.from(whole);
}

/**
 * Operations on one element at a time, and the pattern they share.
 *
 *   fill        y = value            add         y = a + b          accumulate  y += x
 *   scale       y = factor x         multiply    y = a b
 *
 * n elements of any shape. A workgroup takes a run of elements and its invocations walk through it side by side, so that
 * neighbours touch neighbouring words at every turn. Sixteen turns: fewer leave a software adapter busy with starting
 * workgroups (lavapipe, ReLU of 4 million elements: 14 ms with four turns, 9.6 ms with sixteen). Arithmetic that is the
 * same for every element goes four at a time (`vectors`), for which software adapters pay little more than for one.
 */
import { type Access, ceilDiv, kernel, linear, type BufferSpec, type Kernel, type Scalar } from './kernel.ts';

const WIDTH = 64;
const RUN = WIDTH * 16;

interface ElementwiseSpec<B extends string, U extends string> {
  name: string;
  buffers: Record<B, BufferSpec>;
  /** Besides `n`. */
  uniforms?: Record<U, Scalar>;
  /** WGSL functions that the body calls. */
  functions?: string;
  /** WGSL statements for element `i`. */
  body: string;
}

/** A kernel that runs `body` once for every i in [0, n). */
export const elementwise = <B extends string, U extends string = never>(
  spec: ElementwiseSpec<B, U>,
): Kernel<B, U | 'n'> => walk(spec, 1);

/**
 * The same for vectors of four elements, each buffer an array of vec4f: the body runs once for every i in [0, n / 4), rounded
 * up. The last vector reaches up to three elements beyond n, into the padding that every buffer has (engine/memory.ts).
 */
export const vectors = <B extends string, U extends string = never>(
  spec: Omit<ElementwiseSpec<B, U>, 'buffers'> & { buffers: Record<B, Access> },
): Kernel<B, U | 'n'> => {
  const buffers = Object.fromEntries(
    Object.entries<Access>(spec.buffers).map(([name, access]) => [name, `${access} vec4f`]),
  );
  return walk({ ...spec, buffers: buffers as Record<B, BufferSpec> }, 4);
};

function walk<B extends string, U extends string>(spec: ElementwiseSpec<B, U>, width: 1 | 4): Kernel<B, U | 'n'> {
  return kernel<B, U | 'n'>({
    name: spec.name,
    buffers: spec.buffers,
    uniforms: { n: 'u32', ...spec.uniforms } as Record<U | 'n', Scalar>,
    grid: ({ n }) => linear(ceilDiv(n, width), RUN),
    wgsl: /* wgsl */ `${spec.functions ?? ''}
@compute @workgroup_size(${WIDTH})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let start = linear_index(group, groups, 0u, ${RUN}u);
  let end = ${width === 4 ? '(u.n + 3u) / 4u' : 'u.n'};
  for (var i = start + lane; i < min(start + ${RUN}u, end); i += ${WIDTH}u) {
    ${spec.body}
  }
}
`,
  });
}

export const fill = vectors({
  name: 'fill',
  buffers: { y: 'write' },
  uniforms: { value: 'f32' },
  body: 'y[i] = vec4f(u.value);',
});

/** Zero in up to four buffers of a, b, c and d elements: starting a dispatch costs more than clearing a small buffer. */
export const clearFour = kernel({
  name: 'clear_four',
  buffers: { a: 'write vec4f', b: 'write vec4f', c: 'write vec4f', d: 'write vec4f' },
  uniforms: { na: 'u32', nb: 'u32', nc: 'u32', nd: 'u32' },
  grid: ({ na, nb, nc, nd }) => linear(ceilDiv(Math.max(na, nb, nc, nd), 4), RUN),
  wgsl: /* wgsl */ `
@compute @workgroup_size(${WIDTH})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let start = linear_index(group, groups, 0u, ${RUN}u);
  for (var i = start + lane; i < start + ${RUN}u; i += ${WIDTH}u) {
    if (i < (u.na + 3u) / 4u) { a[i] = vec4f(); }
    if (i < (u.nb + 3u) / 4u) { b[i] = vec4f(); }
    if (i < (u.nc + 3u) / 4u) { c[i] = vec4f(); }
    if (i < (u.nd + 3u) / 4u) { d[i] = vec4f(); }
  }
}
`,
});

export const add = vectors({
  name: 'add',
  buffers: { a: 'read', b: 'read', y: 'write' },
  body: 'y[i] = a[i] + b[i];',
});

export const accumulate = vectors({
  name: 'accumulate',
  buffers: { x: 'read', y: 'read_write' },
  body: 'y[i] += x[i];',
});

export const scale = vectors({
  name: 'scale',
  buffers: { x: 'read', y: 'write' },
  uniforms: { factor: 'f32' },
  body: 'y[i] = u.factor * x[i];',
});

export const multiply = vectors({
  name: 'multiply',
  buffers: { a: 'read', b: 'read', y: 'write' },
  body: 'y[i] = a[i] * b[i];',
});

/** `add` and, with y for b, `accumulate`. */
export const addReference = (a: Float64Array, b: Float64Array): Float64Array => a.map((value, i) => value + b[i]!);

export const scaleReference = (x: Float64Array, factor: number): Float64Array => x.map((value) => factor * value);

export const multiplyReference = (a: Float64Array, b: Float64Array): Float64Array => a.map((value, i) => value * b[i]!);

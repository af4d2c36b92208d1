/**
 * Operations on one element at a time, and the pattern they share.
 *
 *   fill        y = value            add         y = a + b          accumulate  y += x
 *   scale       y = factor x         multiply    y = a b
 *
 * n elements of any shape. A workgroup takes a run of elements and its invocations walk through it side by side, so that
 * neighbours touch neighbouring words at every turn. Sixteen turns: fewer leave a software adapter busy with starting
 * workgroups (lavapipe, ReLU of 4 million elements: 14 ms with four turns, 9.6 ms with sixteen).
 */
import { kernel, linear, type BufferSpec, type Kernel, type Scalar } from './kernel.ts';

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
export function elementwise<B extends string, U extends string = never>(
  spec: ElementwiseSpec<B, U>,
): Kernel<B, U | 'n'> {
  return kernel<B, U | 'n'>({
    name: spec.name,
    buffers: spec.buffers,
    uniforms: { n: 'u32', ...spec.uniforms } as Record<U | 'n', Scalar>,
    grid: ({ n }) => linear(n, RUN),
    wgsl: /* wgsl */ `${spec.functions ?? ''}
@compute @workgroup_size(${WIDTH})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let start = linear_index(group, groups, 0u, ${RUN}u);
  for (var i = start + lane; i < min(start + ${RUN}u, u.n); i += ${WIDTH}u) {
    ${spec.body}
  }
}
`,
  });
}

export const fill = elementwise({
  name: 'fill',
  buffers: { y: 'write' },
  uniforms: { value: 'f32' },
  body: 'y[i] = u.value;',
});

export const add = elementwise({
  name: 'add',
  buffers: { a: 'read', b: 'read', y: 'write' },
  body: 'y[i] = a[i] + b[i];',
});

export const accumulate = elementwise({
  name: 'accumulate',
  buffers: { x: 'read', y: 'read_write' },
  body: 'y[i] += x[i];',
});

export const scale = elementwise({
  name: 'scale',
  buffers: { x: 'read', y: 'write' },
  uniforms: { factor: 'f32' },
  body: 'y[i] = u.factor * x[i];',
});

export const multiply = elementwise({
  name: 'multiply',
  buffers: { a: 'read', b: 'read', y: 'write' },
  body: 'y[i] = a[i] * b[i];',
});

/** `add` and, with y for b, `accumulate`. */
export const addReference = (a: Float64Array, b: Float64Array): Float64Array => a.map((value, i) => value + b[i]!);

export const scaleReference = (x: Float64Array, factor: number): Float64Array => x.map((value) => factor * value);

export const multiplyReference = (a: Float64Array, b: Float64Array): Float64Array => a.map((value, i) => value * b[i]!);

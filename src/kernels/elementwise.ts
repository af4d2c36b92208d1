/**
 * Operations on one element at a time, and the pattern they share.
 *
 *   fill        y = value            add         y = a + b          accumulate  y += x
 *   scale       y = factor x         multiply    y = a b
 *
 * n elements of any shape. An invocation takes four elements, a workgroup's width apart, so that neighbouring
 * invocations touch neighbouring words at every turn.
 */
import { kernel, linear, type BufferSpec, type Kernel, type Scalar } from './kernel.ts';

export const ELEMENTWISE_WIDTH = 64;
export const ELEMENTWISE_TURNS = 4;

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
  const perGroup = ELEMENTWISE_WIDTH * ELEMENTWISE_TURNS;
  return kernel<B, U | 'n'>({
    name: spec.name,
    buffers: spec.buffers,
    uniforms: { n: 'u32', ...spec.uniforms } as Record<U | 'n', Scalar>,
    grid: ({ n }) => linear(n, perGroup),
    wgsl: /* wgsl */ `${spec.functions ?? ''}
@compute @workgroup_size(${ELEMENTWISE_WIDTH})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let start = linear_index(group, groups, lane, ${perGroup}u);
  for (var turn = 0u; turn < ${ELEMENTWISE_TURNS}u; turn++) {
    let i = start + turn * ${ELEMENTWISE_WIDTH}u;
    if (i < u.n) {
      ${spec.body}
    }
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

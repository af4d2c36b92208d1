/**
 * Elementwise operations, and the pattern they share.
 *
 *   fill        y = value            add         y = x0 + x1 + ...  accumulate  y += x        scale       y = factor x
 *
 * n elements of any shape; functions of one and two numbers are in unary.ts and binary.ts. A workgroup takes a run of elements and its invocations walk through it side by side, so that
 * neighbours touch neighbouring words at every turn. With fewer than sixteen turns a software adapter is busy starting
 * workgroups (lavapipe, ReLU of 300 000 elements, one word a turn: 750 us with four turns, 420 us with sixteen).
 *
 * `elementwise4` takes four elements a turn as a vec4f, which halves the time again. Its last turn is whole: what a buffer
 * holds between n and the next multiple of four is overwritten. Buffers of the engine are padded to that length.
 */
import { ceilDiv, kernel, linear, memoize, type BufferSpec, type Kernel, type Scalar } from './kernel.ts';

const WIDTH = 64;
/** Elements (or vec4f) that each invocation takes, one per turn. */
const RUN = WIDTH * 16;

export interface ElementwiseSpec<B extends string, U extends string> {
  name: string;
  buffers: Record<B, BufferSpec>;
  /** Uniforms besides `n`. */
  uniforms?: Record<U, Scalar>;
  /** WGSL functions that the body calls. */
  functions?: string;
  /** WGSL statements for element `i`, or for the four elements of vec4f `i`. */
  body: string;
}

/** A kernel that runs `body` once for every i in [0, n). */
export const elementwise = <B extends string, U extends string = never>(
  spec: ElementwiseSpec<B, U>,
): Kernel<B, U | 'n'> => walk(spec, 1);

/** A kernel that runs `body` once for every vec4f i in [0, n / 4), rounded up; the buffers are bound as vec4f. */
export const elementwise4 = <B extends string, U extends string = never>(
  spec: ElementwiseSpec<B, U>,
): Kernel<B, U | 'n'> => walk(spec, 4);

function walk<B extends string, U extends string>(spec: ElementwiseSpec<B, U>, each: 1 | 4): Kernel<B, U | 'n'> {
  return kernel<B, U | 'n'>({
    name: spec.name,
    buffers: spec.buffers,
    uniforms: { n: 'u32', ...spec.uniforms } as Record<U | 'n', Scalar>,
    grid: ({ n }) => linear(ceilDiv(n, each), RUN),
    lanes: WIDTH,
    functions: spec.functions,
    body: /* wgsl */ `
  let start = linear_index(group, groups, 0u, ${RUN}u);
  let end = min(start + ${RUN}u, ${each === 1 ? 'u.n' : '(u.n + 3u) / 4u'});
  for (var i = start + lane; i < end; i += ${WIDTH}u) {
    ${spec.body}
  }`,
  });
}

/** Unlike the others, it leaves everything beyond n untouched. */
export const fill = elementwise4({
  name: 'fill',
  buffers: { y: 'write vec4f' },
  uniforms: { value: 'f32' },
  body: /* wgsl */ `if (4u * i + 4u <= u.n) {
      y[i] = vec4f(u.value);
    } else {
      for (var k = 0u; k < u.n % 4u; k++) { y[i][k] = u.value; }
    }`,
});

/** y = x0 + x1 + ..., `count` terms, added in this order; WebGPU binds seven besides y by default. */
export const add = memoize((count: number): Kernel => {
  const terms = Array.from({ length: count }, (_, k) => `x${k}`);
  return elementwise4<string, never>({
    name: `add_${count}`,
    buffers: { ...Object.fromEntries(terms.map((x) => [x, 'read vec4f' as const])), y: 'write vec4f' },
    body: `y[i] = ${terms.map((x) => `${x}[i]`).join(' + ')};`,
  });
});

export const accumulate = elementwise4({
  name: 'accumulate',
  buffers: { x: 'read vec4f', y: 'read_write vec4f' },
  body: 'y[i] += x[i];',
});

/** y = x, between buffers of different precision (half.ts). */
export const cast = elementwise4({
  name: 'cast',
  buffers: { x: 'read vec4f', y: 'write vec4f' },
  body: 'y[i] = x[i];',
});

export const scale = elementwise4({
  name: 'scale',
  buffers: { x: 'read vec4f', y: 'write vec4f' },
  uniforms: { factor: 'f32' },
  body: 'y[i] = u.factor * x[i];',
});

/** One part of a kernel that does the same to several sets of buffers: WGSL statements for vec4f `i` of set `k`. */
interface SetsSpec {
  name: string;
  /** Sets in one dispatch; set k's buffers and uniforms carry k at the end of their names. */
  count: number;
  buffers: Record<string, BufferSpec>;
  /** Uniforms of every set, besides `n`. */
  uniforms?: Record<string, Scalar>;
  /** Uniforms and buffers that all sets share. */
  shared?: Record<string, Scalar>;
  sharedBuffers?: Record<string, BufferSpec>;
  /** WGSL functions that the body calls. */
  functions?: string;
  body: (k: number) => string;
}

/**
 * `elementwise4` on several sets of buffers in one dispatch, one after another along the grid: a network has many small
 * parameters, and a dispatch costs more (lavapipe: 35 us) than updating one of them.
 */
export function elementwiseSets(spec: SetsSpec): Kernel {
  const sets = Array.from({ length: spec.count }, (_, k) => k);
  const numbered = <V>(fields: Record<string, V>): Record<string, V> =>
    Object.fromEntries(sets.flatMap((k) => Object.entries(fields).map(([name, value]) => [`${name}${k}`, value])));
  const groups = (n: number) => ceilDiv(ceilDiv(n, 4), RUN);
  return kernel<string, string>({
    name: spec.name,
    buffers: { ...numbered(spec.buffers), ...spec.sharedBuffers },
    functions: spec.functions,
    uniforms: { ...numbered<Scalar>({ n: 'u32', ...spec.uniforms }), ...spec.shared },
    grid: (u) =>
      linear(
        sets.reduce((total, k) => total + groups(u[`n${k}`]!), 0),
        1,
      ),
    lanes: WIDTH,
    body: /* wgsl */ `
  var at = linear_index(group, groups, 0u, 1u);
${sets
  .map(
    (k) => `  {
    let quads = (u.n${k} + 3u) / 4u;
    let own = (quads + ${RUN - 1}u) / ${RUN}u;
    if (at < own) {
      for (var i = at * ${RUN}u + lane; i < min((at + 1u) * ${RUN}u, quads); i += ${WIDTH}u) {
        ${spec.body(k)}
      }
      return;
    }
    at -= own;
  }`,
  )
  .join('\n')}`,
  });
}

/** Sums that one dispatch of `accumulateSets` adds to, two buffers each. */
export const sumsAtOnce = (maxBuffers: number): number => Math.floor(Math.min(maxBuffers, 24) / 2);

/** `accumulate` on `count` pairs of buffers at once: x0, y0, n0, x1, ... */
export const accumulateSets = memoize((count: number): Kernel =>
  elementwiseSets({
    name: `accumulate_sets_${count}`,
    count,
    buffers: { x: 'read vec4f', y: 'read_write vec4f' },
    body: (k) => `y${k}[i] += x${k}[i];`,
  }),
);

/** `add` and, with y for b, `accumulate` and `accumulateSets`. */
export const addReference = (...terms: readonly Float64Array[]): Float64Array =>
  terms.reduce((sum, term) => sum.map((value, i) => value + term[i]!));

export const scaleReference = (x: Float64Array, factor: number): Float64Array => x.map((value) => factor * value);

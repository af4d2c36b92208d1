/**
 * A kernel is plain data: the shader text, its bindings, its uniforms and its launch grid.
 * It knows nothing of tensors and devices; `Gpu.run` (engine/gpu.ts) launches it.
 *
 * Conventions that every kernel file follows:
 *   - binding 0 is the uniform block `u` (all fields 4 bytes wide), bindings 1.. are the buffers in the order written;
 *   - shapes go in uniforms, tile sizes and fused epilogues in the text, so that few pipelines serve many shapes;
 *   - the entry point is `main`, which `kernel` writes around a `body`;
 *   - a grid above 65535 workgroups is folded into y by `linear` and unfolded by `linear_index`.
 */

export type Scalar = 'f32' | 'i32' | 'u32';
export type Access = 'read' | 'write' | 'read_write';
/** `'read'` means f32; other element types are named: `'read i32'`, `'write u32'`, `'read vec4f'`. */
export type BufferSpec = Access | `${Access} ${Scalar | 'vec4f' | 'vec2u' | 'vec4u' | 'atomic<u32>'}`;
export type Grid = readonly [x: number, y: number, z: number];

export interface Kernel<B extends string = string, U extends string = string> {
  readonly name: string;
  readonly buffers: Readonly<Record<B, BufferSpec>>;
  readonly uniforms: Readonly<Record<U, Scalar>>;
  /** Number of workgroups for given uniform values. */
  readonly grid: (uniforms: Readonly<Record<U, number>>) => Grid;
  /** The complete shader: the generated bindings and prelude, then the kernel's own text. The pipeline cache's key. */
  readonly code: string;
}

/** A factor of a number of items: a uniform, or the number of blocks that it fills (`blocksOf`). */
export type Factor<U extends string> = U | { readonly uniform: U; readonly size: number };

/** The number of blocks of `size` that `uniform` items fill, rounded up. */
export const blocksOf = <U extends string>(uniform: U, size: number): Factor<U> => ({ uniform, size });

/** The statements of `main`, and the declarations outside it. */
export interface KernelBody {
  /** WGSL functions, structures and workgroup variables that the body uses. */
  functions?: string;
  /** WGSL statements. `group` (workgroup_id), `groups` (num_workgroups) and `lane` (local_invocation_index) are in scope. */
  body: string;
  /** Invocations of a workgroup: 64 by default. */
  lanes?: number;
  /** `holder`, the place of the invocation in its subgroup (subgroup_invocation_id), is in scope too; needs subgroups. */
  subgroups?: boolean;
}

/** `body` runs once for every `i` from 0 to the product of the factors: the common case. */
interface EachInvocation<U extends string> extends KernelBody {
  each: NoInfer<U> | readonly Factor<NoInfer<U>>[];
}

/** A workgroup runs `body` for every `item` from 0 to the product of the factors; its invocations share the work. */
interface EachWorkgroup<U extends string> extends KernelBody {
  eachWorkgroup: NoInfer<U> | readonly Factor<NoInfer<U>>[];
}

/** The body works out from `group` and `lane` what to do. */
interface OwnGrid<U extends string> extends KernelBody {
  grid: (uniforms: Readonly<Record<U, number>>) => Grid;
}

export type KernelSpec<B extends string, U extends string> = {
  name: string;
  buffers: Record<B, BufferSpec>;
  uniforms: Record<U, Scalar>;
} & (EachInvocation<U> | EachWorkgroup<U> | OwnGrid<U>);

/** WebGPU's default limit on workgroups in one dimension; grids stay below it on every adapter. */
export const MAX_WORKGROUPS = 65535;

export const ceilDiv = (a: number, b: number): number => Math.floor((a + b - 1) / b);

/** A one-dimensional grid of `ceil(count / size)` workgroups, folded into rows if it exceeds the limit of one dimension. */
export function linear(count: number, size: number): Grid {
  const groups = Math.max(1, ceilDiv(count, size));
  if (groups <= MAX_WORKGROUPS) return [groups, 1, 1];
  const y = ceilDiv(groups, MAX_WORKGROUPS);
  return [ceilDiv(groups, y), y, 1];
}

/** The inverse of `linear` in the shader: the global index of an invocation. It may exceed the count. */
const LINEAR_INDEX = /* wgsl */ `
fn linear_index(group: vec3u, groups: vec3u, lane: u32, size: u32) -> u32 {
  return (group.y * groups.x + group.x) * size + lane;
}
`;

/** The number of items: in the shader, and in numbers. */
function itemCount<U extends string>(each: U | readonly Factor<U>[]) {
  const factors = typeof each === 'string' ? [each] : each;
  return {
    wgsl: factors
      .map((f) => (typeof f === 'string' ? `u.${f}` : `((u.${f.uniform} + ${f.size - 1}u) / ${f.size}u)`))
      .join(' * '),
    of: (u: Readonly<Record<U, number>>): number =>
      factors.reduce((n, f) => n * (typeof f === 'string' ? u[f] : ceilDiv(u[f.uniform], f.size)), 1),
  };
}

/** `main` around a body. */
const entry = (
  { functions = '', body, lanes = 64, subgroups }: KernelBody,
  opening: string,
): string => /* wgsl */ `${functions}
@compute @workgroup_size(${lanes})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,${subgroups ? '\n  @builtin(subgroup_invocation_id) holder: u32,' : ''}
) {${opening}
  ${body.trim()}
}
`;

/** The grid and the text of a specification, without its bindings. */
function program<B extends string, U extends string>(
  spec: KernelSpec<B, U>,
): { grid: (uniforms: Readonly<Record<U, number>>) => Grid; wgsl: string } {
  if ('grid' in spec) return { grid: spec.grid, wgsl: entry(spec, '') };
  const { lanes = 64 } = spec;
  if ('each' in spec) {
    const { wgsl, of } = itemCount(spec.each);
    const opening = `
  let i = linear_index(group, groups, lane, ${lanes}u);
  if (i >= ${wgsl}) { return; }`;
    return { grid: (u) => linear(of(u), lanes), wgsl: entry(spec, opening) };
  }
  const { wgsl, of } = itemCount(spec.eachWorkgroup);
  const opening = `
  let item = linear_index(group, groups, 0u, 1u);
  if (item >= ${wgsl}) { return; }`;
  return { grid: (u) => linear(of(u), 1), wgsl: entry(spec, opening) };
}

export function kernel<B extends string, U extends string>(spec: KernelSpec<B, U>): Kernel<B, U> {
  const { grid, wgsl } = program(spec);
  const buffers = Object.entries(spec.buffers) as [B, BufferSpec][];
  const uniforms = Object.entries(spec.uniforms) as [U, Scalar][];
  const lines = [`// ${spec.name}`];
  if (spec.subgroups) lines.unshift('enable subgroups;');
  if (uniforms.length > 0) {
    lines.push(`struct Uniforms { ${uniforms.map(([name, type]) => `${name}: ${type}`).join(', ')} }`);
    lines.push('@group(0) @binding(0) var<uniform> u: Uniforms;');
  }
  buffers.forEach(([name, text], i) => {
    const [access, type = 'f32'] = text.split(' ') as [Access, string?];
    const mode = access === 'read' ? 'read' : 'read_write';
    lines.push(`@group(0) @binding(${i + 1}) var<storage, ${mode}> ${name}: array<${type}>;`);
  });
  if (wgsl.includes('linear_index(')) lines.push(LINEAR_INDEX.trim());
  const { name } = spec;
  return { name, buffers: spec.buffers, uniforms: spec.uniforms, grid, code: `${lines.join('\n')}\n${wgsl}` };
}

/**
 * Remembers the kernels that a parametrised kernel has already built, so that a steady step generates no text. Arguments
 * are compared by their values; objects (tiles) by their identity first, and then by their JSON.
 */
export function memoize<A extends readonly (string | number | boolean | object | undefined)[], R>(
  build: (...args: A) => R,
): (...args: A) => R {
  const built = new Map<string, R>();
  const text = new WeakMap<object, string>();
  const keyOf = (arg: A[number]): string => {
    if (typeof arg !== 'object') return String(arg);
    let key = text.get(arg);
    if (key === undefined) text.set(arg, (key = JSON.stringify(arg)));
    return key;
  };
  return (...args) => {
    const key = args.map(keyOf).join('|');
    let value = built.get(key);
    if (value === undefined) built.set(key, (value = build(...args)));
    return value;
  };
}

/**
 * What a kernel is: plain data. The shader text, its bindings, its uniforms and its launch grid.
 * A kernel knows no tensor and no device; `Gpu.run` (engine/gpu.ts) launches it.
 *
 * Conventions every kernel file follows:
 *   - binding 0 is the uniform block `u` (all fields 4 bytes wide), bindings 1.. are the buffers in the order written;
 *   - shapes go in uniforms, tile sizes and fused epilogues in the text, so few pipelines serve many shapes;
 *   - entry point `main`; a grid above 65535 workgroups is folded into y by `linear` and unfolded by `linear_index`.
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

export interface KernelSpec<B extends string, U extends string> {
  name: string;
  buffers: Record<B, BufferSpec>;
  uniforms: Record<U, Scalar>;
  grid: (uniforms: Readonly<Record<U, number>>) => Grid;
  /** Lines that must stand first in the shader, such as `enable subgroups;`. */
  enable?: string;
  wgsl: string;
}

/** WebGPU's default limit on workgroups in one dimension; grids stay below it on every adapter. */
export const MAX_WORKGROUPS = 65535;

export const ceilDiv = (a: number, b: number): number => Math.floor((a + b - 1) / b);

/** A one-dimensional grid of `ceil(count / size)` workgroups, folded into rows where it is longer than a dimension may be. */
export function linear(count: number, size: number): Grid {
  const groups = Math.max(1, ceilDiv(count, size));
  if (groups <= MAX_WORKGROUPS) return [groups, 1, 1];
  const y = ceilDiv(groups, MAX_WORKGROUPS);
  return [ceilDiv(groups, y), y, 1];
}

/** The inverse of `linear` in the shader: the global index of an invocation. It may exceed the count: always compare. */
const LINEAR_INDEX = /* wgsl */ `
fn linear_index(group: vec3u, groups: vec3u, lane: u32, size: u32) -> u32 {
  return (group.y * groups.x + group.x) * size + lane;
}
`;

export function kernel<B extends string, U extends string>(spec: KernelSpec<B, U>): Kernel<B, U> {
  const buffers = Object.entries(spec.buffers) as [B, BufferSpec][];
  const uniforms = Object.entries(spec.uniforms) as [U, Scalar][];
  const lines = [`// ${spec.name}`];
  if (spec.enable) lines.unshift(spec.enable);
  if (uniforms.length > 0) {
    lines.push(`struct Uniforms { ${uniforms.map(([name, type]) => `${name}: ${type}`).join(', ')} }`);
    lines.push('@group(0) @binding(0) var<uniform> u: Uniforms;');
  }
  buffers.forEach(([name, text], i) => {
    const [access, type = 'f32'] = text.split(' ') as [Access, string?];
    const mode = access === 'read' ? 'read' : 'read_write';
    lines.push(`@group(0) @binding(${i + 1}) var<storage, ${mode}> ${name}: array<${type}>;`);
  });
  if (spec.wgsl.includes('linear_index(')) lines.push(LINEAR_INDEX.trim());
  return {
    name: spec.name,
    buffers: spec.buffers,
    uniforms: spec.uniforms,
    grid: spec.grid,
    code: lines.join('\n') + '\n' + spec.wgsl,
  };
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

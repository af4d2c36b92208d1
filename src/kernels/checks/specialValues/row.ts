/** Rows of the tables of special values. */
import type { Kernel } from '../../kernel.ts';
import type { KernelCheck } from '../check.ts';

export const I = Infinity;
export const BIG = Math.fround(1e30);

export const f32 = (...values: number[]): Float32Array => Float32Array.from(values);
export const i32 = (...values: number[]): Int32Array => Int32Array.from(values);
export const u32 = (...values: number[]): Uint32Array => Uint32Array.from(values);

/** One row of the table. Plain numbers are f32; an output starts as sevens. */
export function row(
  name: string,
  kernel: Kernel,
  inputs: Record<string, readonly number[] | Int32Array | Uint32Array>,
  uniforms: Record<string, number>,
  outputs: Record<string, readonly number[] | Int32Array | Uint32Array>,
): KernelCheck {
  const buffers: KernelCheck['buffers'] = {};
  const expected: KernelCheck['expected'] = {};
  for (const [buffer, values] of Object.entries(outputs)) {
    buffers[buffer] = Array.isArray(values)
      ? new Float32Array(values.length).fill(7)
      : (values as Int32Array | Uint32Array).slice().fill(7);
    expected[buffer] = Array.isArray(values) ? Float64Array.from(values) : (values as Int32Array | Uint32Array);
  }
  for (const [buffer, values] of Object.entries(inputs))
    buffers[buffer] = Array.isArray(values) ? Float32Array.from(values) : (values as Int32Array | Uint32Array);
  return { name: `special values: ${name}`, kernel, buffers, uniforms, expected, atol: 1e-6, rtol: 1e-6 };
}

export const FOUR = { outer: 1, channels: 4, inner: 1 };

export const CHANNEL = { outer: 1, channels: 3, inner: 2 };

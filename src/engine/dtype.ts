/** Types of a tensor's elements. */

/** f16 where the device has `shader-f16`: half the memory, computed with in float32 (kernels/half.ts). */
export type Dtype = 'f32' | 'f16' | 'i32';

/** Bytes of an element. */
export const BYTES: Readonly<Record<Dtype, number>> = { f32: 4, f16: 2, i32: 4 };

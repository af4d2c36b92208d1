/**
 * One kernel, one set of inputs, the outputs its float64 reference gives. The kernel tests run these, and `rcnn info`
 * runs the same ones on the user's adapter.
 */
import type { Kernel } from '../kernel.ts';

export interface KernelCheck {
  /** What is checked, with the shape: 'max_pool_forward 3x5 ceil'. */
  name: string;
  kernel: Kernel;
  /** Initial contents of every buffer; the array's type and length are the buffer's. */
  buffers: Record<string, Float32Array | Int32Array | Uint32Array>;
  /** The buffers that hold f16; their contents are rounded to it. */
  half?: readonly string[];
  uniforms: Record<string, number>;
  /** Contents after the dispatch, of the buffers that are compared. Integers are compared exactly. */
  expected: Record<string, Float64Array | Int32Array | Uint32Array>;
  /** |actual - expected| <= atol + rtol * |expected| */
  atol: number;
  rtol: number;
}

/** The tolerance of kernels that move, count or round as their reference does. */
export const EXACT = { atol: 0, rtol: 0 };

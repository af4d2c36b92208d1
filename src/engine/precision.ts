/** Half precision in operations: which type their operands have. The kernels convert (kernels/half.ts). */
import type { Bindable } from './memory.ts';
import type { Tensor } from './tensor.ts';

/** A parameter as an operation on x computes with it: in f16 where x is. */
export const asOperand = (parameter: Tensor, x: Tensor): Tensor => (x.dtype === 'f16' ? parameter.half() : parameter);

/** The type of a floating-point tensor, for another of its kind. */
export const floatOf = ({ dtype }: Bindable): 'f32' | 'f16' => (dtype === 'f16' ? 'f16' : 'f32');

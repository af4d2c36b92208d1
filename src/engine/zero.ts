/** Zeroes many tensors in few dispatches. */
import { zero, ZERO_SETS } from '../kernels/elementwise.ts';
import type { Tensor } from './tensor.ts';

/** Tensors of one `Gpu`, each with memory of its own. */
export function zeroAll(tensors: readonly Tensor[]): void {
  for (let first = 0; first < tensors.length; first += ZERO_SETS) {
    const sets = tensors.slice(first, first + ZERO_SETS);
    const buffers: Record<string, Tensor> = {};
    const uniforms: Record<string, number> = {};
    sets.forEach((tensor, k) => {
      buffers[`y${k}`] = tensor;
      uniforms[`n${k}`] = tensor.size;
    });
    sets[0]!.gpu.run(zero(sets.length), buffers, uniforms);
  }
}

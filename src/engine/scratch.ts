/** Working buffers of a stage of several dispatches (kernels/sequence.ts). */
import type { Gpu } from './gpu.ts';
import type { Tensor } from './tensor.ts';

/** One tensor per name, with the given number of 4-byte elements. Dispose of them once the stage is recorded. */
export function scratch<Names extends string>(
  gpu: Gpu,
  sizes: Readonly<Record<Names, number>>,
): { tensors: Record<Names, Tensor>; dispose(): void } {
  const entries = Object.entries<number>(sizes).map(([name, size]) => [name, gpu.empty([size], 'i32', name)] as const);
  return {
    tensors: Object.fromEntries(entries) as Record<Names, Tensor>,
    dispose: () => entries.forEach(([, tensor]) => tensor.dispose()),
  };
}

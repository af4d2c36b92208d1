import type { Kernel } from '../kernels/kernel.ts';
import type { Tensor } from './tensor.ts';

/** What a kernel on several sets of buffers (`elementwiseSets`) needs for one of them: names without their number. */
export interface BufferSet {
  buffers: Readonly<Record<string, Tensor>>;
  /** Besides `n`, which is the size of the first buffer. */
  uniforms?: Readonly<Record<string, number>>;
}

export interface SharedInputs {
  buffers?: Readonly<Record<string, Tensor>>;
  uniforms?: Readonly<Record<string, number>>;
}

/** Records a kernel on all sets, at most `most` in a dispatch; `kernel(count)` is the one for `count` sets. */
export function runSets(
  sets: readonly BufferSet[],
  most: (maxBuffers: number) => number,
  kernel: (count: number) => Kernel,
  shared: SharedInputs = {},
): void {
  const gpu = Object.values(sets[0]?.buffers ?? {})[0]?.gpu;
  if (!gpu) return;
  const count = most(gpu.device.limits.maxStorageBuffersPerShaderStage);
  for (let first = 0; first < sets.length; first += count) {
    const together = sets.slice(first, first + count);
    const buffers: Record<string, Tensor> = { ...shared.buffers };
    const uniforms: Record<string, number> = { ...shared.uniforms };
    together.forEach((set, k) => {
      for (const [name, tensor] of Object.entries(set.buffers)) buffers[`${name}${k}`] = tensor;
      for (const [name, value] of Object.entries(set.uniforms ?? {})) uniforms[`${name}${k}`] = value;
      uniforms[`n${k}`] = Object.values(set.buffers)[0]!.size;
    });
    gpu.run(kernel(together.length), buffers, uniforms);
  }
}

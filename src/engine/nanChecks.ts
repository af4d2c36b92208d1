/**
 * NaN check mode: kernels set a flag when they find a value that must not occur. The flags stay on the GPU until the next
 * read, which throws for the first one set.
 */
import { flagNonFinite } from '../kernels/finite.ts';
import type { Kernel } from '../kernels/kernel.ts';
import type { Gpu } from './gpu.ts';
import type { Bindable, DeviceBuffer } from './memory.ts';
import type { Tensor } from './tensor.ts';

export class NanChecks {
  private readonly gpu: Gpu;
  private pending: { flag: DeviceBuffer; problem: string }[] = [];

  constructor(gpu: Gpu) {
    this.gpu = gpu;
  }

  /** If `tensor` is not finite, the next read throws an error that names `what`. */
  finite(tensor: Tensor, what: string): void {
    this.flag(flagNonFinite, { x: tensor }, { n: tensor.size }, `${what} gave a value that is not finite`);
  }

  /** Runs a kernel that sets `flag` if it finds something; the next read then throws `problem`. */
  flag<B extends string, U extends string>(
    kernel: Kernel<B | 'flag', U>,
    buffers: Readonly<Record<Exclude<B, 'flag'>, Bindable>>,
    uniforms: Readonly<Record<U, number>>,
    problem: string,
  ): void {
    const { gpu } = this;
    if (gpu.rehearsal) return;
    const flag = gpu.allocate(4, 'flag');
    gpu.write(flag, new Uint32Array(1));
    gpu.run<string, U>(kernel, { ...buffers, flag }, uniforms);
    this.pending.push({ flag, problem });
  }

  /** Throws for the first check that found something, and starts over. */
  async report(): Promise<void> {
    const checks = this.pending;
    this.pending = []; // the flags are read through the same `read` that calls this
    let found: string | undefined;
    for (const { flag, problem } of checks) {
      if (found === undefined && new Uint32Array(await this.gpu.read(flag, 4))[0] !== 0) found = problem;
      this.gpu.release(flag);
    }
    if (found !== undefined) throw new Error(found);
  }
}

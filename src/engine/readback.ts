/** Memory that the device copies results to and the CPU reads, made once and used in every step (`Tensor.read` makes its own). */
import type { Gpu } from './gpu.ts';
import type { Tensor } from './tensor.ts';
import { BUFFER_USAGE } from './webgpuConstants.ts';

export class Readback {
  private readonly gpu: Gpu;
  private readonly buffer: GPUBuffer;
  private readonly size: number;

  /** For `size` values of f32. */
  constructor(gpu: Gpu, size: number, label: string) {
    this.gpu = gpu;
    this.size = size;
    const usage = BUFFER_USAGE.COPY_DST | BUFFER_USAGE.MAP_READ;
    this.buffer = gpu.device.createBuffer({ label, size: Math.max(4, 4 * size), usage });
  }

  /** Records a copy of `count` values of `from`, from `first` on, to place `at`. Not while it is mapped. */
  copy(from: Tensor, first: number, count: number, at: number): void {
    this.gpu.copy(from, first, this.buffer, at, count);
  }

  /** Submits what is recorded; resolves with the bytes once the copies are done. They are gone with `unmap`. */
  async map(): Promise<Uint8Array> {
    await this.gpu.map(this.buffer);
    return new Uint8Array(this.buffer.getMappedRange(), 0, 4 * this.size);
  }

  unmap(): void {
    this.buffer.unmap();
  }

  dispose(): void {
    this.buffer.destroy();
  }
}

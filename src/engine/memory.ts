/**
 * GPU memory: exact-size buffers with reference counts, and the pool they return to.
 *
 * A training step asks for the same sizes in the same order every time, so an exact-size pool hits after the first step.
 * Of several waiting buffers the oldest is handed out, whatever order they came back in: a step that finds the same buffers
 * waiting gets the same ones at the same places, and with them the bind groups of the step before. (The last one released
 * would permute them from step to step, and the groups of one permutation after the other would have to be made.)
 * A released buffer may be handed out again at once, even while dispatches that use it are recorded and not submitted:
 * dispatches run in recorded order, so the new use comes after the old one. Only the CPU overtakes recorded work
 * (`queue.writeBuffer`, `destroy`); `Gpu` flushes first in those cases.
 */
import { UserError } from './errors.ts';
import { BUFFER_USAGE } from './webgpuConstants.ts';

/** Anything a kernel can bind: a buffer, or a tensor that stands on one. */
export interface Bindable {
  readonly storage: DeviceBuffer;
}

export class DeviceBuffer implements Bindable {
  readonly id: number;
  private readonly gpuBuffer: GPUBuffer | null;
  readonly bytes: number;
  /** The operation or tensor it currently serves. */
  label: string;
  references = 1;
  /** The batch of recorded dispatches that used it last; see `Gpu.write`. */
  lastBatch = -1;

  /** `gpuBuffer` null: a buffer that is only counted (`BufferPool.measure`). */
  constructor(id: number, gpuBuffer: GPUBuffer | null, bytes: number, label: string) {
    this.id = id;
    this.gpuBuffer = gpuBuffer;
    this.bytes = bytes;
    this.label = label;
  }

  get storage(): DeviceBuffer {
    return this;
  }

  get made(): boolean {
    return this.gpuBuffer !== null;
  }

  get handle(): GPUBuffer {
    if (!this.gpuBuffer) throw new Error(`${this.label}: inside gpu.measure a tensor has no values`);
    return this.gpuBuffer;
  }
}

/** Pooled bytes above which released buffers are destroyed instead of kept. */
const POOL_CAP_BYTES = 1024 * 1024 * 1024;

export class BufferPool {
  private readonly device: GPUDevice;
  /** By size; descending ids, so that the oldest buffer is the last of its list. */
  private readonly free = new Map<number, DeviceBuffer[]>();
  private readonly onDestroy: (buffer: DeviceBuffer) => void;
  private nextId = 1;
  /** Bytes of buffers in use, of buffers waiting in the pool, and the most in use at once. */
  liveBytes = 0;
  pooledBytes = 0;
  peakBytes = 0;
  created = 0;
  private dry = false;

  constructor(device: GPUDevice, onDestroy: (buffer: DeviceBuffer) => void) {
    this.device = device;
    this.onDestroy = onDestroy;
  }

  /** From now until the function it returns is called buffers are counted and not made; that gives the most bytes in use. */
  measure(): () => number {
    const { peakBytes, liveBytes } = this;
    this.peakBytes = liveBytes;
    this.dry = true;
    return () => {
      this.dry = false;
      const peak = this.peakBytes;
      this.peakBytes = peakBytes;
      this.liveBytes = liveBytes;
      return peak;
    };
  }

  acquire(bytes: number, label: string): DeviceBuffer {
    const size = Math.max(16, Math.ceil(bytes / 16) * 16);
    const limit = Math.min(this.device.limits.maxBufferSize, this.device.limits.maxStorageBufferBindingSize);
    if (size > limit) {
      const what = `${label}: needs a buffer of ${size} bytes, but this device binds at most ${limit}`;
      throw new UserError(`${what}; use smaller or fewer images at once, or another adapter`);
    }
    this.liveBytes += size;
    this.peakBytes = Math.max(this.peakBytes, this.liveBytes);
    if (this.dry) return new DeviceBuffer(-1, null, size, label);
    const pooled = this.free.get(size)?.pop();
    if (pooled) {
      this.pooledBytes -= size;
      pooled.label = label;
      pooled.references = 1;
      return pooled;
    }
    this.created++;
    const usage = BUFFER_USAGE.STORAGE | BUFFER_USAGE.COPY_SRC | BUFFER_USAGE.COPY_DST;
    return new DeviceBuffer(this.nextId++, this.device.createBuffer({ label, size, usage }), size, label);
  }

  release(buffer: DeviceBuffer): void {
    if (--buffer.references > 0) return;
    if (!buffer.made && !this.dry) return;
    this.liveBytes -= buffer.bytes;
    if (!buffer.made) return;
    if (this.pooledBytes + buffer.bytes > POOL_CAP_BYTES) {
      this.onDestroy(buffer);
      buffer.handle.destroy();
      return;
    }
    this.pooledBytes += buffer.bytes;
    let list = this.free.get(buffer.bytes);
    if (!list) this.free.set(buffer.bytes, (list = []));
    let at = list.length;
    while (at > 0 && list[at - 1]!.id < buffer.id) at--;
    list.splice(at, 0, buffer);
  }

  /** Gives a buffer up for good, unless it was only counted. */
  destroy(buffer: DeviceBuffer): void {
    this.liveBytes -= buffer.bytes;
    if (this.dry || !buffer.made) return;
    this.onDestroy(buffer);
    buffer.handle.destroy();
  }

  /** Destroys the waiting buffers. The caller has flushed. */
  trim(): void {
    for (const list of this.free.values()) {
      for (const buffer of list) {
        this.onDestroy(buffer);
        buffer.handle.destroy();
      }
    }
    this.free.clear();
    this.pooledBytes = 0;
  }
}

/**
 * GPU memory: buffers with reference counts, and the pool they return to.
 *
 * The pool holds at most BUDGET times the peak number of bytes in use. If a scope exceeds that while it is recorded, the
 * buffers that have waited longest are destroyed; at the end of the scope the set of buffers that it needs is planned and
 * allocated (memoryPlan.ts), and from then on a tensor takes the smallest buffer that is large enough. A later step with the
 * same shapes finds all it needs. Without a plan, and outside scopes, where a tensor may stay, a buffer must fit exactly.
 *
 * Among waiting buffers of equal size the oldest is handed out, in whatever order they were released: a step that finds the
 * same buffers waiting uses each of them where the step before did, and so reuses its bind groups. (Handing out the most
 * recently released one would permute them from step to step, and each permutation would need bind groups of its own.)
 * A released buffer may be handed out again at once, even while dispatches that use it are recorded and not submitted:
 * dispatches run in recorded order, so the new use comes after the old one. Only the CPU overtakes recorded work
 * (`queue.writeBuffer`, `destroy`); `Gpu` flushes first in those cases.
 */
import type { Dtype } from './dtype.ts';
import { UserError } from './errors.ts';
import { bestFit, insert, type Lease, planBuffers } from './memoryPlan.ts';
import { BUFFER_USAGE } from './webgpuConstants.ts';

/** What to do where memory is short. */
export const SMALLER = 'use smaller or fewer images at once, or another adapter';

/** Anything a kernel can bind: a buffer, or a tensor that stands on one. */
export interface Bindable {
  readonly storage: DeviceBuffer;
  /** Of its elements; that of a buffer is what the kernel says. */
  readonly dtype?: Dtype;
}

export class DeviceBuffer implements Bindable {
  readonly id: number;
  readonly device: GPUDevice;
  private readonly gpuBuffer: GPUBuffer | null;
  /** It may be larger than what its user asked for, the lease. */
  readonly bytes: number;
  lease: Lease;
  /** The operation or tensor it currently serves. */
  label: string;
  references = 1;
  /** The batch of recorded dispatches that used it last; see `Gpu.write`. */
  lastBatch = -1;

  /** A null `gpuBuffer` makes a buffer that is only counted (`BufferPool.measure`). */
  constructor(device: GPUDevice, id: number, gpuBuffer: GPUBuffer | null, lease: Lease, label: string) {
    this.device = device;
    this.id = id;
    this.gpuBuffer = gpuBuffer;
    this.bytes = lease.bytes;
    this.lease = lease;
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

/** Bytes of all buffers, as a multiple of the peak number of bytes in use. */
const BUDGET = 1.25;
/** Waiting bytes above which buffers released outside of scopes are destroyed instead of kept. */
const POOL_CAP_BYTES = 1024 * 1024 * 1024;

const bySizeAndAge = (a: DeviceBuffer, b: DeviceBuffer): number => a.bytes - b.bytes || a.id - b.id;

export class BufferPool {
  private readonly device: GPUDevice;
  /** Waiting buffers, by size and age. */
  private free: DeviceBuffer[] = [];
  private readonly onDestroy: (buffer: DeviceBuffer) => void;
  private nextId = 1;
  /** Bytes in use now, their peak, and the bytes of all buffers, waiting ones included. */
  liveBytes = 0;
  peakBytes = 0;
  madeBytes = 0;
  created = 0;
  private dry = false;
  private clock = 0;
  /** What was leased since the outermost scope began to be recorded; null outside of scopes. */
  private journal: Lease[] | null = null;
  /** Whether the waiting buffers were planned, and whether any had to be destroyed since `begin`. */
  private planned = false;
  private overflowed = false;

  constructor(device: GPUDevice, onDestroy: (buffer: DeviceBuffer) => void) {
    this.device = device;
    this.onDestroy = onDestroy;
  }

  /** Until the returned function is called, which gives the peak in bytes, buffers are counted but not allocated. */
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

  /** An outermost scope begins to be recorded. */
  begin(): void {
    this.journal = [];
  }

  /** The scope has been recorded. If it needed too many buffers, the waiting ones are replaced by a planned set. */
  end(): void {
    const leases = this.journal!.filter(({ until }) => until < Infinity);
    this.journal = null;
    if (!this.overflowed) return;
    this.overflowed = false;
    this.planned = true;
    const kept: DeviceBuffer[] = [];
    const missing = planBuffers(leases).filter((bytes) => {
      const waiting = this.take(bytes);
      if (waiting) kept.push(waiting);
      return !waiting;
    });
    this.trim();
    kept.forEach((buffer) => this.keep(buffer));
    for (const bytes of missing) this.keep(this.make({ bytes, from: this.clock, until: this.clock }, 'planned'));
  }

  acquire(bytes: number, label: string): DeviceBuffer {
    const size = Math.max(16, Math.ceil(bytes / 16) * 16);
    const limit = Math.min(this.device.limits.maxBufferSize, this.device.limits.maxStorageBufferBindingSize);
    if (size > limit) {
      const what = `${label}: needs a buffer of ${size} bytes, but this device binds at most ${limit}`;
      throw new UserError(`${what}; ${SMALLER}`);
    }
    this.liveBytes += size;
    this.peakBytes = Math.max(this.peakBytes, this.liveBytes);
    const lease = { bytes: size, from: this.clock++, until: Infinity };
    if (this.dry) return new DeviceBuffer(this.device, -1, null, lease, label);
    this.journal?.push(lease);
    const waiting = this.take(size);
    if (waiting) {
      waiting.lease = lease;
      waiting.label = label;
      waiting.references = 1;
      return waiting;
    }
    if (this.journal) this.makeRoom(size);
    return this.make(lease, label);
  }

  /** A waiting buffer; it may be larger than requested only while a scope that has a plan is being recorded. */
  private take(bytes: number): DeviceBuffer | undefined {
    const at = bestFit(this.free, bytes);
    const mayBeLarger = this.planned && this.journal !== null;
    if (at < 0 || !(mayBeLarger || this.free[at]!.bytes === bytes)) return undefined;
    return this.free.splice(at, 1)[0];
  }

  /** Destroys the buffers that have waited longest until this many more bytes fit the budget. */
  private makeRoom(bytes: number): void {
    while (this.free.length > 0 && this.madeBytes + bytes > BUDGET * this.peakBytes) {
      const oldest = this.free.reduce((a, b) => (b.lease.until < a.lease.until ? b : a));
      this.free.splice(this.free.indexOf(oldest), 1);
      this.destroy(oldest);
      this.overflowed = true;
      this.planned = false;
    }
  }

  private make(lease: Lease, label: string): DeviceBuffer {
    const size = lease.bytes;
    this.created++;
    this.madeBytes += size;
    const usage = BUFFER_USAGE.STORAGE | BUFFER_USAGE.COPY_SRC | BUFFER_USAGE.COPY_DST;
    const buffer = this.device.createBuffer({ label, size, usage });
    return new DeviceBuffer(this.device, this.nextId++, buffer, lease, label);
  }

  release(buffer: DeviceBuffer): void {
    if (--buffer.references > 0) return;
    if (!buffer.made && !this.dry) return;
    this.liveBytes -= buffer.lease.bytes;
    if (!buffer.made) return;
    buffer.lease.until = this.clock++;
    if (this.madeBytes - this.liveBytes > POOL_CAP_BYTES && !this.journal) this.destroy(buffer);
    else this.keep(buffer);
  }

  private keep(buffer: DeviceBuffer): void {
    insert(this.free, buffer, bySizeAndAge);
  }

  private destroy(buffer: DeviceBuffer): void {
    this.onDestroy(buffer);
    buffer.handle.destroy();
    this.madeBytes -= buffer.bytes;
  }

  /** Destroys the waiting buffers. */
  trim(): void {
    for (const buffer of this.free) this.destroy(buffer);
    this.free = [];
  }
}

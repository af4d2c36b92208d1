/**
 * Times single dispatches with timestamp queries: while a profile is taken every dispatch has a compute pass of its own,
 * whose beginning and end the device records. Separate passes cost a little, so the sum of a profile exceeds what the same
 * work takes in one pass; a profile shows shares, not totals.
 */
import { BUFFER_USAGE, MAP_MODE_READ } from './webgpuConstants.ts';

/** WebGPU's largest query set. */
const CAPACITY = 4096;

/** What one kernel cost: its dispatches, and the milliseconds between their beginnings and ends. */
export interface KernelTime {
  name: string;
  dispatches: number;
  milliseconds: number;
}

/** One dispatch: its kernel's name and uniforms, the bytes of all buffers that it binds, and when it ran. */
export interface Dispatched {
  readonly name: string;
  readonly uniforms: Readonly<Record<string, number>>;
  readonly boundBytes: number;
}

export interface DispatchTime extends Dispatched {
  /** Milliseconds on the device's clock, of which only differences mean anything. */
  readonly begin: number;
  readonly end: number;
}

export class Profiler {
  private readonly device: GPUDevice;
  private readonly queries: GPUQuerySet;
  private readonly dispatched: Dispatched[] = [];

  /** The device has the feature `timestamp-query`. */
  constructor(device: GPUDevice) {
    this.device = device;
    this.queries = device.createQuerySet({ label: 'profile', type: 'timestamp', count: CAPACITY });
  }

  /** Where the next dispatch's pass writes its two times. */
  next(dispatched: Dispatched): GPUComputePassTimestampWrites {
    const at = 2 * this.dispatched.length;
    if (at >= CAPACITY) throw new Error(`profile: more than ${CAPACITY / 2} dispatches; profile less work at a time`);
    this.dispatched.push(dispatched);
    return { querySet: this.queries, beginningOfPassWriteIndex: at, endOfPassWriteIndex: at + 1 };
  }

  /** The time of each dispatch, in their order. All passes have been submitted. */
  async end(): Promise<DispatchTime[]> {
    const times = await this.readTimes();
    const since = (i: number): number => Number(times[i]! - times[0]!) / 1e6;
    // If the clock was reset in between, the difference is meaningless; it must not be negative.
    return this.dispatched.map((one, i) => ({
      ...one,
      begin: since(2 * i),
      end: Math.max(since(2 * i), since(2 * i + 1)),
    }));
  }

  private async readTimes(): Promise<BigUint64Array> {
    const { device, dispatched } = this;
    if (dispatched.length === 0) return new BigUint64Array();
    const size = dispatched.length * 16;
    const resolved = device.createBuffer({ size, usage: BUFFER_USAGE.QUERY_RESOLVE | BUFFER_USAGE.COPY_SRC });
    const staging = device.createBuffer({ size, usage: BUFFER_USAGE.COPY_DST | BUFFER_USAGE.MAP_READ });
    try {
      const encoder = device.createCommandEncoder({ label: 'profile' });
      encoder.resolveQuerySet(this.queries, 0, dispatched.length * 2, resolved, 0);
      encoder.copyBufferToBuffer(resolved, 0, staging, 0, size);
      device.queue.submit([encoder.finish()]);
      await staging.mapAsync(MAP_MODE_READ);
      return new BigUint64Array(staging.getMappedRange().slice(0));
    } finally {
      resolved.destroy();
      staging.destroy();
    }
  }

  /** Frees the queries. */
  dispose(): void {
    this.queries.destroy();
  }
}

/** The times by kernel, the most expensive first. */
export function byKernel(dispatches: readonly DispatchTime[]): KernelTime[] {
  const kernels = new Map<string, KernelTime>();
  for (const { name, begin, end } of dispatches) {
    const time = kernels.get(name) ?? { name, dispatches: 0, milliseconds: 0 };
    kernels.set(name, time);
    time.dispatches++;
    time.milliseconds += end - begin;
  }
  return [...kernels.values()].sort((a, b) => b.milliseconds - a.milliseconds);
}

/**
 * Recording: dispatches go into one compute pass, and a batch of them is submitted at once.
 *
 * A batch's uniforms live in one arena, 256 bytes per dispatch. It is uploaded just before the submit, so it is never
 * overwritten while recorded work still needs it. Bind groups are kept by pipeline and buffers until one of these is destroyed.
 */
import type { Grid, Kernel } from '../kernels/kernel.ts';
import { MAX_WORKGROUPS } from '../kernels/kernel.ts';
import { type Bindable, DeviceBuffer } from './memory.ts';
import { type Pipeline, PipelineCache } from './pipelines.ts';
import type { Profiler } from './profiler.ts';
import { BUFFER_USAGE } from './webgpuConstants.ts';

/** The most dispatches in one submit. */
const MAX_RECORDED = 256;
const UNIFORM_SLOT = 256;

export class Recorder {
  /** While it is set, every dispatch has a pass of its own, which it times. */
  profiler: Profiler | null = null;
  dispatches = 0;
  submits = 0;
  bindGroupsCreated = 0;
  private readonly device: GPUDevice;
  readonly pipelines: PipelineCache;
  private readonly bindGroups = new Map<string, GPUBindGroup>();
  private readonly groupsOfBuffer = new Map<number, Set<string>>();
  private readonly arena: GPUBuffer;
  private readonly arenaData = new ArrayBuffer(MAX_RECORDED * UNIFORM_SLOT);
  private readonly arenaView = new DataView(this.arenaData);
  private encoder: GPUCommandEncoder | null = null;
  private pass: GPUComputePassEncoder | null = null;
  private recorded = 0;
  private batch = 0;

  /** `onShaderError`: called for a kernel that does not compile, some time after it was recorded. */
  constructor(device: GPUDevice, onShaderError: (error: Error) => void) {
    this.device = device;
    this.pipelines = new PipelineCache(device, onShaderError);
    this.arena = device.createBuffer({
      label: 'uniform arena',
      size: this.arenaData.byteLength,
      usage: BUFFER_USAGE.UNIFORM | BUFFER_USAGE.COPY_DST,
    });
  }

  /** Records one dispatch of `kernel`; no dimension of its grid is 0. */
  record(
    kernel: Kernel,
    buffers: Readonly<Record<string, Bindable>>,
    uniforms: Readonly<Record<string, number>>,
    [x, y, z]: Grid,
  ): void {
    if (!(x <= MAX_WORKGROUPS && y <= MAX_WORKGROUPS && z <= MAX_WORKGROUPS)) {
      throw new Error(`${kernel.name}: a grid of ${x} x ${y} x ${z} workgroups; a dimension holds ${MAX_WORKGROUPS}`);
    }
    const pipeline = this.pipelines.get(kernel);
    if (this.recorded === MAX_RECORDED) this.flush();
    this.encoder ??= this.device.createCommandEncoder({ label: 'batch' });
    if (this.profiler) {
      this.endPass();
      const bound = new Set(Object.values(buffers).map(({ storage }) => storage));
      const boundBytes = [...bound].reduce((sum, { lease }) => sum + lease.bytes, 0);
      const timestampWrites = this.profiler.next({ name: kernel.name, uniforms: { ...uniforms }, boundBytes });
      this.pass = this.encoder.beginComputePass({ label: 'batch', timestampWrites });
    }
    this.pass ??= this.encoder.beginComputePass({ label: 'batch' });
    const group = this.bindGroup(pipeline, buffers, kernel.name);
    this.pass.setPipeline(pipeline.handle);
    if (pipeline.hasUniforms) {
      const offset = this.recorded * UNIFORM_SLOT;
      this.writeUniforms(pipeline, uniforms, offset, kernel.name);
      this.pass.setBindGroup(0, group, [offset]);
    } else {
      this.pass.setBindGroup(0, group);
    }
    this.pass.dispatchWorkgroups(x, y, z);
    this.recorded++;
    this.dispatches++;
  }

  /** Records a copy of `bytes` bytes between two places in buffers, given in bytes: all are multiples of 4. */
  copy(from: DeviceBuffer, fromByte: number, to: GPUBuffer | DeviceBuffer, toByte: number, bytes: number): void {
    this.endPass();
    this.encoder ??= this.device.createCommandEncoder({ label: 'batch' });
    from.lastBatch = this.batch;
    if (to instanceof DeviceBuffer) to.lastBatch = this.batch;
    this.encoder.copyBufferToBuffer(from.handle, fromByte, to instanceof DeviceBuffer ? to.handle : to, toByte, bytes);
  }

  /** Whether recorded work that has not been submitted uses a buffer. */
  uses(buffer: DeviceBuffer): boolean {
    return buffer.lastBatch === this.batch && this.encoder !== null;
  }

  /** Submits what is recorded. */
  flush(): void {
    if (!this.encoder) return;
    this.endPass();
    if (this.recorded > 0) {
      this.device.queue.writeBuffer(this.arena, 0, this.arenaData, 0, this.recorded * UNIFORM_SLOT);
    }
    this.device.queue.submit([this.encoder.finish()]);
    this.encoder = null;
    this.recorded = 0;
    this.batch++;
    this.submits++;
  }

  /** Drops what is recorded: the device is going away. */
  discard(): void {
    this.endPass();
    this.encoder = null;
  }

  /** A buffer is about to be destroyed: submits what uses it and drops its bind groups. */
  forget(buffer: DeviceBuffer): void {
    if (buffer.lastBatch === this.batch) this.flush();
    for (const key of this.groupsOfBuffer.get(buffer.id) ?? []) {
      this.bindGroups.delete(key);
      const [, ...bound] = key.split(':').map(Number);
      for (const id of bound) this.groupsOfBuffer.get(id)?.delete(key);
    }
    this.groupsOfBuffer.delete(buffer.id);
  }

  private endPass(): void {
    this.pass?.end();
    this.pass = null;
  }

  private writeUniforms(
    pipeline: Pipeline,
    uniforms: Readonly<Record<string, number>>,
    offset: number,
    name: string,
  ): void {
    for (const [field, type] of pipeline.uniforms) {
      const value = uniforms[field];
      if (value === undefined) throw new Error(`${name}: uniform ${field} is missing`);
      if (type === 'f32') this.arenaView.setFloat32(offset, value, true);
      else if (type === 'i32') this.arenaView.setInt32(offset, value, true);
      else this.arenaView.setUint32(offset, value, true);
      offset += 4;
    }
  }

  private bindGroup(pipeline: Pipeline, buffers: Readonly<Record<string, Bindable>>, name: string): GPUBindGroup {
    let key = `${pipeline.id}`;
    const bound: DeviceBuffer[] = [];
    for (const field of pipeline.buffers) {
      const bindable = buffers[field];
      if (!bindable) throw new Error(`${name}: buffer ${field} is missing`);
      const buffer = bindable.storage;
      if (buffer.device !== this.device) throw new Error(`${name}: ${buffer.label} (${field}) belongs to another Gpu`);
      buffer.lastBatch = this.batch;
      bound.push(buffer);
      key += `:${buffer.id}`;
    }
    let group = this.bindGroups.get(key);
    if (!group) {
      const entries: GPUBindGroupEntry[] = bound.map((buffer, i) => ({
        binding: i + 1,
        resource: { buffer: buffer.handle },
      }));
      if (pipeline.hasUniforms) {
        entries.unshift({ binding: 0, resource: { buffer: this.arena, size: UNIFORM_SLOT } });
      }
      group = this.device.createBindGroup({ label: name, layout: pipeline.layout, entries });
      this.bindGroups.set(key, group);
      this.bindGroupsCreated++;
      for (const buffer of bound) {
        const keys = this.groupsOfBuffer.get(buffer.id);
        if (keys) keys.add(key);
        else this.groupsOfBuffer.set(buffer.id, new Set([key]));
      }
    }
    return group;
  }
}

/**
 * The device, as everything above the kernels sees it: tensors, recorded dispatches, reads, scopes, errors.
 *
 * Guarantees: dispatches take effect in the order of `run`; `read` sees all of them; `write` is ordered after those
 * recorded before it. Nothing is submitted per operation (recorder.ts): a submit happens at a read, at `flush`, before a
 * write to a buffer that recorded work uses, or when a batch is full.
 */
import type { Kernel } from '../kernels/kernel.ts';
import { DeviceLostError, UserError } from './errors.ts';
import { type Bindable, BufferPool, DeviceBuffer, SMALLER } from './memory.ts';
import { NanChecks } from './nanChecks.ts';
import { Plans } from './plans.ts';
import { byKernel, type DispatchTime, type KernelTime, Profiler } from './profiler.ts';
import { Recorder } from './recorder.ts';
import { ScopeStack } from './scope.ts';
import { synchronous } from './synchronous.ts';
import { fill } from '../kernels/elementwise.ts';
import { halfVariant } from '../kernels/half.ts';
import { machineOf } from '../kernels/machine.ts';
import { BYTES, type Dtype } from './dtype.ts';
import { Tensor, elementCount, type Shape } from './tensor.ts';
import { filledOperation, onTrace, type Tracing } from './trace.ts';
import type { Initializer } from './initializers.ts';
import { BUFFER_USAGE, MAP_MODE_READ } from './webgpuConstants.ts';

export type TypedArray = Float32Array | Int32Array | Uint32Array;

/** One line about the adapter, which every command prints. */
export interface AdapterSummary {
  /** The driver's own name for the adapter. */
  description: string;
  /** It computes on the CPU. */
  software: boolean;
  /** The fewest lanes of any subgroup, if the subgroup variant of matmulCore.ts can rely on them; otherwise 0. */
  subgroupSize: number;
}

/** What surrounds a device: differs between Node and browsers. */
export interface Host {
  /** Awaits a promise of the device. */
  wait?<T>(promise: Promise<T>): Promise<T>;
  /** After `close()`. */
  closed?(): void;
}

export interface GpuStatistics {
  /** Bytes that tensors need now, and their peak. */
  liveBytes: number;
  peakBytes: number;
  /** Bytes that the device holds besides: waiting buffers, and the slack of buffers larger than their tensors. */
  pooledBytes: number;
  buffersCreated: number;
  bindGroupsCreated: number;
  pipelines: number;
  /** Time spent making pipelines, in `compile` or when a kernel was first recorded. */
  compileMilliseconds: number;
  dispatches: number;
  submits: number;
}

/** What `Gpu.compile` did. */
export interface CompileReport {
  /** Shaders compiled by this call; those compiled earlier are not counted. */
  shaders: number;
  milliseconds: number;
}

/** A run of a function that records nothing (`measure`, `compile`). */
interface Rehearsal {
  /** Changes to undo at its end. */
  readonly undo: (() => void)[];
  /** The kernels it would have dispatched. */
  readonly kernels: Set<Kernel>;
}

export class Gpu {
  readonly device: GPUDevice;
  readonly adapter: AdapterSummary;
  /** Which kernels compute convolutions and matrix products: the device's own plans, inside `withPlans` the given ones. */
  plans: Plans;
  /**
   * When set, every operation's output, every gradient and the labels of a log loss are checked, and the next `read` names
   * the first operation whose values were not finite, or not classes. Each check is one more dispatch: for debugging.
   */
  nanCheck = false;
  readonly checks = new NanChecks(this);
  /** How many dropout masks were drawn without a given seed; see ops/pointwise.ts. */
  masksDrawn = 0;
  /** Off inside `withoutGradients`. */
  gradientsEnabled = true;
  /** Inside `trace` (trace.ts): what has been run so far. */
  tracing: Tracing | null = null;
  /** Live tensors by scope; see `scope`. */
  readonly scopes: ScopeStack;
  private readonly pool: BufferPool;
  private readonly recorder: Recorder;
  private readonly host: Host;
  /** Inside `measure` and `compile`, where nothing is recorded. */
  rehearsal: Rehearsal | null = null;
  /** Whether a tensor of f16 has been made. */
  private usesHalf = false;
  private failure: Error | null = null;
  private readonly lossReported: Promise<void>;
  private closed = false;

  private constructor(device: GPUDevice, host: Host) {
    this.device = device;
    this.host = host;
    this.adapter = summarize(device);
    const { maxStorageBufferBindingSize, maxBufferSize } = device.limits;
    this.plans = new Plans({
      ...this.adapter,
      maxBindingBytes: Math.min(maxStorageBufferBindingSize, maxBufferSize),
      workgroupMemory: device.limits.maxComputeWorkgroupStorageSize,
      workgroupInvocations: device.limits.maxComputeInvocationsPerWorkgroup,
      machine: machineOf(wordsOf(device.adapterInfo)),
    });
    this.recorder = new Recorder(device, (error) => (this.failure ??= error));
    this.pool = new BufferPool(device, (buffer) => this.recorder.forget(buffer));
    this.scopes = new ScopeStack(this.pool);
    device.addEventListener('uncapturederror', (event) => {
      event.preventDefault(); // the next call throws it: nothing is printed
      const error = toError((event as GPUUncapturedErrorEvent).error);
      const fail = (): void => void (this.failure ??= error);
      // It may be the consequence of a shader that does not compile; then the shader's own error is the one to report.
      const checked = this.recorder.pipelines.checked();
      if (checked) void checked.then(fail);
      else fail();
    });
    this.lossReported = device.lost.then((info) => {
      if (this.closed || this.failure instanceof UserError) return;
      // It replaces an error that led to it: a driver reports the failed submit before the loss.
      const reason = (info.message || info.reason).replace(/\s*\n\s*/g, ' ').replace(/[.\s]+$/, '');
      this.failure = new DeviceLostError(
        `the GPU device was lost (${reason}): its driver was reset, updated or stopped`,
      );
    });
  }

  /** The engine on a device you own. */
  static fromDevice(device: GPUDevice, host: Host = {}): Gpu {
    return new Gpu(device, host);
  }

  /** An uninitialised buffer from the pool. */
  allocate(bytes: number, label: string): DeviceBuffer {
    this.assertHealthy();
    return this.pool.acquire(bytes, label);
  }

  release(buffer: DeviceBuffer): void {
    this.pool.release(buffer);
  }

  /** Records one dispatch of `kernel`. */
  run<B extends string, U extends string>(
    kernel: Kernel<B, U>,
    buffers: Readonly<Record<B, Bindable>>,
    uniforms: Readonly<Record<U, number>>,
  ): void {
    this.assertHealthy();
    const grid = kernel.grid(uniforms);
    if (grid.includes(0)) return;
    const run = this.inBuffers(kernel as unknown as Kernel, buffers);
    if (this.rehearsal) {
      this.rehearsal.kernels.add(run);
      if (this.tracing) this.traceKernel(this.tracing, kernel as unknown as Kernel, buffers);
      return;
    }
    this.recorder.record(run, buffers, uniforms, grid);
  }

  private traceKernel(tracing: Tracing, kernel: Kernel, buffers: Readonly<Record<string, Bindable>>): void {
    for (const [name, spec] of Object.entries(kernel.buffers)) {
      const buffer = buffers[name];
      if (/write/.test(spec) && buffer instanceof Tensor) tracing.unclaimed.set(buffer, kernel.name);
    }
  }

  /** The kernel, or its variant for those of these buffers that are tensors of f16. */
  private inBuffers(kernel: Kernel, buffers: Readonly<Record<string, Bindable>>): Kernel {
    if (!this.usesHalf) return kernel;
    const names = Object.keys(kernel.buffers).filter((name) => buffers[name]?.dtype === 'f16');
    return names.length > 0 ? halfVariant(kernel, names) : kernel;
  }

  /** Copies `data` into a buffer, after everything recorded so far. */
  write(buffer: DeviceBuffer, data: TypedArray, byteOffset = 0): void {
    this.assertHealthy();
    if (this.rehearsal) return;
    if (this.recorder.uses(buffer)) this.flush();
    this.device.queue.writeBuffer(buffer.handle, byteOffset, data.buffer, data.byteOffset, data.byteLength);
  }

  /** The first `bytes` of a buffer, once everything recorded so far has run. */
  async read(buffer: DeviceBuffer, bytes: number): Promise<ArrayBuffer> {
    this.assertHealthy();
    const size = Math.max(4, bytes);
    const usage = BUFFER_USAGE.COPY_DST | BUFFER_USAGE.MAP_READ;
    const staging = this.device.createBuffer({ label: `read ${buffer.label}`, size, usage });
    let copy: ArrayBuffer;
    try {
      this.recorder.copy(buffer, 0, staging, 0, size);
      await this.map(staging);
      copy = staging.getMappedRange().slice(0, bytes);
    } finally {
      staging.destroy();
    }
    await this.checks.report();
    return copy;
  }

  /** Copies `count` elements of a tensor to another tensor or to a readback, after everything recorded so far. */
  copy(from: Tensor, first: number, to: Tensor | GPUBuffer, at: number, count: number): void {
    this.assertHealthy();
    if (this.rehearsal || count === 0) return;
    this.recorder.copy(from.storage, 4 * first, to instanceof Tensor ? to.storage : to, 4 * at, 4 * count);
  }

  /** Submits what is recorded and waits until `buffer` is mapped for reading. */
  async map(buffer: GPUBuffer): Promise<void> {
    this.assertHealthy();
    this.flush();
    await this.settle(buffer.mapAsync(MAP_MODE_READ));
  }

  /** Submits what is recorded. */
  flush(): void {
    this.recorder.flush();
  }

  /** A tensor with the given values, row-major: f32, or i32 from an `Int32Array`, as labels and indices are. */
  tensor(data: ArrayLike<number>, shape: Shape, name = 'unnamed'): Tensor {
    const values = data instanceof Float32Array || data instanceof Int32Array ? data : Float32Array.from(data);
    if (values.length !== elementCount(shape)) {
      throw new Error(`tensor ${name}: ${values.length} values do not fill the shape [${shape}]`);
    }
    const tensor = this.empty(shape, values instanceof Int32Array ? 'i32' : 'f32', name);
    tensor.write(values);
    return tensor;
  }

  /** A tensor with undefined contents, for values yet to be computed. */
  empty(shape: Shape, dtype: Dtype = 'f32', name = 'unnamed'): Tensor {
    for (const n of shape) {
      if (!Number.isInteger(n) || n < 0)
        throw new Error(`tensor ${name}: [${shape}] is not a shape; extents are whole numbers`);
    }
    if (dtype === 'f16' && !this.usesHalf) this.beginHalf();
    return new Tensor(this, shape, dtype, this.allocate(elementCount(shape) * BYTES[dtype], name), name);
  }

  /** Whether it has tensors of f16 (`shader-f16`). */
  get hasHalf(): boolean {
    return this.device.features.has('shader-f16');
  }

  private beginHalf(): void {
    if (!this.hasHalf) {
      throw new UserError(
        `${this.adapter.description} has no half precision (WebGPU's feature shader-f16): compute in f32, as by default`,
      );
    }
    this.usesHalf = true;
  }

  zeros(shape: Shape, name = 'zeros', dtype: 'f32' | 'f16' = 'f32'): Tensor {
    return this.filled(shape, 0, name, dtype);
  }

  /** A tensor with one value throughout, filled on the device: a write would submit what has been recorded. */
  filled(shape: Shape, value: number, name = String(value), dtype: 'f32' | 'f16' = 'f32'): Tensor {
    const tensor = this.empty(shape, dtype, name);
    this.run(fill, { y: tensor }, { n: tensor.size, value });
    return onTrace(filledOperation, [], tensor, { value });
  }

  /** A trained tensor: it requires a gradient and outlives scopes. With `requiresGrad = false` it is frozen. */
  parameter(init: ArrayLike<number> | Initializer, shape: Shape, name: string): Tensor {
    const parameter = this.rehearsal
      ? this.empty(shape, 'f32', name) // drawing the values of a large network takes seconds
      : this.tensor(typeof init === 'function' ? init(shape) : init, shape, name);
    parameter.persistent = true;
    parameter.requiresGrad = true;
    return parameter;
  }

  /** Runs `fn`, which must not be async, without putting its operations on the tape: for inference. */
  withoutGradients<T>(fn: () => T): T {
    const before = this.gradientsEnabled;
    this.gradientsEnabled = false;
    try {
      return synchronous('withoutGradients', fn());
    } finally {
      this.gradientsEnabled = before;
    }
  }

  /**
   * Runs `fn` with other plans than the device's own; the gradients of what it records are computed with them too. Each
   * model has plans of its own, so the kernels chosen for one change no bit of another.
   */
  withPlans<T>(plans: Plans, fn: () => T): T {
    const before = this.plans;
    this.plans = plans;
    try {
      return synchronous('withPlans', fn());
    } finally {
      this.plans = before;
    }
  }

  /** Waits until the device has done everything recorded so far. */
  async finish(): Promise<void> {
    this.assertHealthy();
    this.flush();
    await this.settle(this.device.queue.onSubmittedWorkDone());
  }

  /** Awaits a promise of the device, then throws any error that the device has reported in the meantime. */
  private async settle<T>(promise: Promise<T>): Promise<T> {
    try {
      return await this.wait(promise);
    } catch (error) {
      // A lost device rejects every promise, some of them before it reports the loss.
      await Promise.race([this.lossReported, new Promise((resolve) => setTimeout(resolve, LOSS_REPORT_MS))]);
      throw error;
    } finally {
      await this.recorder.pipelines.checked();
      this.assertHealthy();
    }
  }

  /**
   * Runs `fn` and frees every tensor made inside, except what it returns (a tensor, or arrays and plain objects of
   * them) and parameters. `fn` may be async; scopes nest.
   */
  scope<T>(fn: () => T): T {
    return this.scopes.run(fn);
  }

  /**
   * A scope for one layer: everything that `fn` (not async) makes besides its result is freed, unless the result is on the
   * tape: then its backward pass may need it. So inference and frozen layers hold no more than one layer's tensors.
   */
  transient(fn: () => Tensor): Tensor {
    return this.scopes.run(
      () => synchronous('transient', fn()),
      (result) => result.requiresGrad,
    );
  }

  /**
   * The peak number of bytes in use while `fn` runs, including what is in use now. Nothing is computed or allocated: `fn`,
   * which must not be async, records as usual, but its tensors have no memory, and reading them fails.
   */
  measure(fn: () => void): number {
    return this.rehearse('measure', fn).bytes;
  }

  /**
   * Compiles the shaders that `fn` needs and that have not been used yet, in parallel and without blocking this thread;
   * otherwise each is compiled when it is first recorded, and the thread waits. `fn` is run as by `measure`: nothing is
   * computed. Throws if a shader does not compile.
   */
  async compile(fn: () => void): Promise<CompileReport> {
    this.assertHealthy();
    const { kernels } = this.rehearse('compile', fn);
    const start = performance.now();
    const shaders = await this.settle(this.recorder.pipelines.prepare(kernels));
    return { shaders, milliseconds: performance.now() - start };
  }

  private rehearse(caller: string, fn: () => void): { bytes: number; kernels: Set<Kernel> } {
    if (this.rehearsal) throw new Error(`${caller}: it is called inside gpu.measure or gpu.compile; they do not nest`);
    const { masksDrawn } = this;
    const end = this.pool.measure();
    const undo: (() => void)[] = [];
    const kernels = new Set<Kernel>();
    this.rehearsal = { undo, kernels };
    let bytes = 0;
    try {
      this.scope(() => synchronous(caller, fn()));
    } finally {
      undo.reverse().forEach((step) => step());
      this.rehearsal = null;
      this.masksDrawn = masksDrawn;
      bytes = end();
    }
    return { bytes, kernels };
  }

  /**
   * The time each kernel takes in what `fn`, which may be async, records: the most expensive first; at most 2048 dispatches.
   * Throws if the adapter has no timestamp queries (feature `timestamp-query`).
   */
  async profile(fn: () => unknown): Promise<KernelTime[]> {
    return byKernel(await this.profileDispatches(fn));
  }

  /** Like `profile`, but each dispatch separately, in order. */
  async profileDispatches(fn: () => unknown): Promise<DispatchTime[]> {
    if (!this.device.features.has('timestamp-query')) {
      throw new Error('profile: this adapter has no timestamp queries');
    }
    if (this.recorder.profiler) throw new Error('profile: another profile is being taken; await it first');
    this.flush();
    const profiler = (this.recorder.profiler = new Profiler(this.device));
    try {
      try {
        await fn();
      } finally {
        this.flush();
        this.recorder.profiler = null;
      }
      return await this.settle(profiler.end());
    } finally {
      profiler.dispose();
    }
  }

  statistics(): GpuStatistics {
    return {
      liveBytes: this.pool.liveBytes,
      peakBytes: this.pool.peakBytes,
      pooledBytes: this.pool.madeBytes - this.pool.liveBytes,
      buffersCreated: this.pool.created,
      bindGroupsCreated: this.recorder.bindGroupsCreated,
      pipelines: this.recorder.pipelines.size,
      compileMilliseconds: this.recorder.pipelines.milliseconds,
      dispatches: this.recorder.dispatches,
      submits: this.recorder.submits,
    };
  }

  /** Destroys the buffers that wait for reuse. */
  trim(): void {
    this.flush();
    this.pool.trim();
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.recorder.discard();
    this.device.destroy();
    this.host.closed?.();
  }

  /** Throws the first error that the device reported, now and at every later call: shader, validation, memory or loss. */
  assertHealthy(): void {
    if (this.closed) throw new Error('this Gpu is closed');
    const { failure } = this;
    if (!failure) return;
    if (failure instanceof DeviceLostError) throw new DeviceLostError(failure.what, { cause: failure });
    throw new (failure instanceof UserError ? UserError : Error)(failure.message, { cause: failure });
  }

  private wait<T>(promise: Promise<T>): Promise<T> {
    return this.host.wait ? this.host.wait(promise) : promise;
  }
}

/** How long to wait, after a rejected promise, for a report that the device was lost. */
const LOSS_REPORT_MS = 100;

/** Running out of memory gives the same advice as never having had enough (`BufferPool.acquire`). */
function toError(error: GPUError): Error {
  const isMemory = error.constructor.name === 'GPUOutOfMemoryError';
  return isMemory
    ? new UserError(`the device is out of memory (${error.message}); ${SMALLER}`)
    : new Error(error.message);
}

/** Everything that an adapter says about itself; older browsers say nothing. */
const wordsOf = (info: Partial<GPUAdapterInfo> = {}): string =>
  [info.vendor, info.architecture, info.device, info.description].filter(Boolean).join(' ');

/** Subgroups with at least this many lanes may differ in size: the rows of a tile fit into any of them. */
const ROWS_FIT = 16;

function summarize(device: GPUDevice): AdapterSummary {
  const info: Partial<GPUAdapterInfo> = device.adapterInfo ?? {}; // older browsers lack it
  const description =
    info.description || [info.vendor, info.architecture, info.device].filter(Boolean).join(' ') || 'GPU';
  const software = info.isFallbackAdapter || /llvmpipe|lavapipe|swiftshader|software|basic render/i.test(description);
  const { subgroupMinSize: least = 0, subgroupMaxSize: most } = info;
  const reliable = device.features.has('subgroups') && (least === most || least >= ROWS_FIT);
  return { description, software, subgroupSize: reliable ? least : 0 };
}

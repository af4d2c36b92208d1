/** Compute pipelines, keyed by the complete shader text, and the bind-group layouts they share. */
import type { Kernel } from '../kernels/kernel.ts';
import { dispatchNothing } from './emptyDispatches.ts';
import { SHADER_STAGE_COMPUTE } from './webgpuConstants.ts';

export interface Pipeline {
  readonly id: number;
  readonly handle: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  readonly hasUniforms: boolean;
  /** Buffer names in binding order, and uniform names with their types in block order. */
  readonly buffers: readonly string[];
  readonly uniforms: readonly (readonly [name: string, type: string])[];
}

/** One line a source line, numbered, for error messages. */
const numbered = (code: string): string =>
  code
    .split('\n')
    .map((line, i) => `${String(i + 1).padStart(4)} | ${line}`)
    .join('\n');

const shaderError = (kernel: Kernel, message: string): Error =>
  new Error(`shader ${kernel.name}: ${message}\n${numbered(kernel.code)}`);

export class PipelineCache {
  /** Milliseconds spent making pipelines; a driver may defer part of the work for those from `get` until their first use. */
  milliseconds = 0;
  private readonly device: GPUDevice;
  private readonly onError: (error: Error) => void;
  private readonly byCode = new Map<string, Pipeline>();
  /** A shortcut past hashing the text: kernels are constants, so the object itself finds its pipeline. */
  private readonly byKernel = new WeakMap<Kernel, Pipeline>();
  private readonly layouts = new Map<string, GPUBindGroupLayout>();
  /** Validation results that the device has yet to report. */
  private readonly verdicts = new Set<Promise<void>>();

  /** `onError`: called for a kernel that does not compile, some time after `get` returned its pipeline. */
  constructor(device: GPUDevice, onError: (error: Error) => void) {
    this.device = device;
    this.onError = onError;
  }

  get size(): number {
    return this.byCode.size;
  }

  /** The pipeline of a kernel, made now if it does not exist yet. */
  get(kernel: Kernel): Pipeline {
    let pipeline = this.byKernel.get(kernel);
    if (!pipeline) {
      pipeline = this.byCode.get(kernel.code) ?? this.make(kernel);
      this.byKernel.set(kernel, pipeline);
    }
    return pipeline;
  }

  /**
   * Makes the pipelines of kernels that have none, side by side and without blocking this thread, ready to be dispatched.
   * @returns how many; kernels that do not compile are not among them and were given to `onError`
   */
  async prepare(kernels: Iterable<Kernel>): Promise<number> {
    const start = performance.now();
    const missing = new Map<string, Kernel>();
    for (const kernel of kernels) if (!this.byCode.has(kernel.code)) missing.set(kernel.code, kernel);
    if (missing.size === 0) return 0;
    const found = await Promise.all([...missing.values()].map((kernel) => this.prepareOne(kernel)));
    const made = found.filter((pipeline) => pipeline !== null);
    dispatchNothing(this.device, made);
    await this.device.queue.onSubmittedWorkDone();
    this.milliseconds += performance.now() - start;
    return made.length;
  }

  private async prepareOne(kernel: Kernel): Promise<Pipeline | null> {
    const { device } = this;
    const { layout, descriptor } = this.describe(kernel);
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ label: kernel.name, code: kernel.code });
    const invalid = device.popErrorScope().catch(() => null); // a lost device, which says so itself
    let handle: GPUComputePipeline;
    try {
      handle = await device.createComputePipelineAsync(descriptor(module));
    } catch (error) {
      this.onError(shaderError(kernel, ((await invalid) ?? (error as Error)).message));
      return null;
    }
    // `get` may have made it in the meantime.
    return this.byCode.get(kernel.code) ?? this.add(kernel, layout, handle);
  }

  private make(kernel: Kernel): Pipeline {
    const start = performance.now();
    const { device } = this;
    const { layout, descriptor } = this.describe(kernel);
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ label: kernel.name, code: kernel.code });
    const handle = device.createComputePipeline(descriptor(module));
    const verdict = device.popErrorScope().then(
      (error) => {
        this.verdicts.delete(verdict);
        if (error) this.onError(shaderError(kernel, error.message));
      },
      () => void this.verdicts.delete(verdict), // a lost device, which says so itself
    );
    this.verdicts.add(verdict);
    this.milliseconds += performance.now() - start;
    return this.add(kernel, layout, handle);
  }

  /** Resolves once the device has reported for every shader so far whether it compiles; null if no report is pending. */
  checked(): Promise<unknown> | null {
    return this.verdicts.size > 0 ? Promise.all(this.verdicts) : null;
  }

  private describe(kernel: Kernel) {
    const buffers = Object.keys(kernel.buffers);
    const limit = this.device.limits.maxStorageBuffersPerShaderStage;
    if (buffers.length > limit) {
      throw new Error(`${kernel.name}: binds ${buffers.length} buffers, but this device allows ${limit} in one shader`);
    }
    const layout = this.layout(kernel);
    const descriptor = (module: GPUShaderModule): GPUComputePipelineDescriptor => ({
      label: kernel.name,
      layout: this.device.createPipelineLayout({ label: kernel.name, bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: 'main' },
    });
    return { layout, descriptor };
  }

  private add(kernel: Kernel, layout: GPUBindGroupLayout, handle: GPUComputePipeline): Pipeline {
    const uniforms = Object.entries(kernel.uniforms);
    const pipeline: Pipeline = {
      id: this.byCode.size,
      handle,
      layout,
      hasUniforms: uniforms.length > 0,
      buffers: Object.keys(kernel.buffers),
      uniforms,
    };
    this.byCode.set(kernel.code, pipeline);
    return pipeline;
  }

  private layout(kernel: Kernel): GPUBindGroupLayout {
    const hasUniforms = Object.keys(kernel.uniforms).length > 0;
    const modes = Object.values(kernel.buffers).map((spec) => spec.split(' ')[0] === 'read');
    const key = `${hasUniforms}:${modes.join()}`;
    let layout = this.layouts.get(key);
    if (!layout) {
      const entries: GPUBindGroupLayoutEntry[] = modes.map((read, i) => ({
        binding: i + 1,
        visibility: SHADER_STAGE_COMPUTE,
        buffer: { type: read ? 'read-only-storage' : 'storage' },
      }));
      if (hasUniforms) {
        const buffer: GPUBufferBindingLayout = { type: 'uniform', hasDynamicOffset: true };
        entries.unshift({ binding: 0, visibility: SHADER_STAGE_COMPUTE, buffer });
      }
      layout = this.device.createBindGroupLayout({ label: key, entries });
      this.layouts.set(key, layout);
    }
    return layout;
  }
}

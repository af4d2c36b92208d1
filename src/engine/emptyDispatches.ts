/**
 * Dispatches each of some pipelines with zero workgroups. A driver may defer machine code until a shader is first dispatched
 * (Mesa's lavapipe spends most of its compile time there), and an empty dispatch is enough to trigger it.
 */
import type { Pipeline } from './pipelines.ts';
import { BUFFER_USAGE } from './webgpuConstants.ts';

/** At least as large as any binding requires: a whole slot of uniforms. */
const DUMMY_BYTES = 256;

/** Submits them. Each writable binding has a buffer of its own, as WebGPU requires; none is read or written. */
export function dispatchNothing(device: GPUDevice, pipelines: readonly Pipeline[]): void {
  const made: GPUBuffer[] = [];
  const dummy = (usage: number): GPUBuffer => {
    const buffer = device.createBuffer({ label: 'empty dispatches', size: DUMMY_BYTES, usage });
    made.push(buffer);
    return buffer;
  };
  // The workgroup counts, all zero, come from a buffer: browsers warn about a zero in the call itself.
  const counts = dummy(BUFFER_USAGE.INDIRECT);
  const uniforms = dummy(BUFFER_USAGE.UNIFORM);
  const most = Math.max(0, ...pipelines.map(({ buffers }) => buffers.length));
  const bound = Array.from({ length: most }, () => dummy(BUFFER_USAGE.STORAGE));
  const encoder = device.createCommandEncoder({ label: 'empty dispatches' });
  const pass = encoder.beginComputePass();
  for (const { handle, layout, buffers, hasUniforms } of pipelines) {
    const entries: GPUBindGroupEntry[] = buffers.map((_, i) => ({
      binding: i + 1,
      resource: { buffer: bound[i]! },
    }));
    if (hasUniforms) entries.push({ binding: 0, resource: { buffer: uniforms, size: DUMMY_BYTES } });
    pass.setPipeline(handle);
    pass.setBindGroup(0, device.createBindGroup({ layout, entries }), hasUniforms ? [0] : []);
    pass.dispatchWorkgroupsIndirect(counts, 0);
  }
  pass.end();
  device.queue.submit([encoder.finish()]);
  made.forEach((buffer) => buffer.destroy());
}

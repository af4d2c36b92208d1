/** Runs a stage of several dispatches (kernels/sequence.ts) on the shared device. */
import type { DeviceBuffer } from '../../src/engine/memory.ts';
import type { TypedArray } from '../../src/engine/gpu.ts';
import type { Run, StageVariant } from '../../src/kernels/sequence.ts';
import { sharedGpu } from '../harness.ts';

/**
 * Uploads `inputs`, makes `scratch` (sizes in elements) and `outputs` (arrays that give size and type), records the stage
 * and reads the outputs back, and inputs that `outputs` names again. All but the inputs starts as rubbish: no stage may
 * count on cleared buffers.
 */
export async function runStage<I extends string, S extends string, O extends string>(
  inputs: Record<I, TypedArray>,
  scratch: Record<S, number>,
  outputs: Record<O, TypedArray>,
  record: (run: Run<DeviceBuffer>, buffers: Record<I | S | O, DeviceBuffer>) => void,
): Promise<Record<O, TypedArray>> {
  const gpu = await sharedGpu();
  const buffers: Record<string, DeviceBuffer> = {};
  const upload = (name: string, data: TypedArray) => {
    buffers[name] = gpu.allocate(data.byteLength, name);
    gpu.write(buffers[name], data);
  };
  const rubbish = (size: number) => new Uint32Array(size).fill(0x7fc0dead);
  for (const [name, data] of Object.entries<TypedArray>(inputs)) upload(name, data);
  for (const [name, size] of Object.entries<number>(scratch)) upload(name, rubbish(size));
  for (const [name, data] of Object.entries<TypedArray>(outputs))
    if (!(name in inputs)) upload(name, rubbish(data.length));
  record((kernel, bound, uniforms) => gpu.run(kernel, bound, uniforms), buffers as Record<I | S | O, DeviceBuffer>);
  const results: Record<string, TypedArray> = {};
  for (const [name, data] of Object.entries<TypedArray>(outputs)) {
    const bytes = await gpu.read(buffers[name]!, data.byteLength);
    results[name] = new (data.constructor as new (bytes: ArrayBuffer) => TypedArray)(bytes);
  }
  for (const buffer of Object.values(buffers)) gpu.release(buffer);
  return results as Record<O, TypedArray>;
}

/** The results of `run` with the narrow kernels and with the wide ones. */
export async function eachVariant<T>(run: (variant: StageVariant) => Promise<T>): Promise<[narrow: T, wide: T]> {
  return [await run('narrow'), await run('wide')];
}

/**
 * Measures what recording a steady training step costs on the CPU, in JavaScript and in Dawn: a preset's network and one digit
 * scene per step, on Dawn's null backend, which validates calls but computes nothing.
 *
 *   npx tsx bench/recording.ts [PRESET] [STEPS]
 */
import { create } from 'webgpu';
import { Gpu, Sgd } from '../src/index.ts';
import { makeDetector } from '../src/model/detectors.ts';
import { openDataset } from '../src/data/registry.ts';
import { findPreset } from '../src/run/config/runConfig.ts';

const { preset } = findPreset(process.argv[2] ?? 'demo', 'digits');
const steps = Number(process.argv[3] ?? 400);
const instance: { current: GPU | null } = { current: create(['backend=null']) };
const adapter = await instance.current!.requestAdapter();
if (!adapter) throw new Error('this build of Dawn has no null backend');
const closed = (): void => void setImmediate(() => (instance.current = null));
const gpu = Gpu.fromDevice(withSmallBuffers(await adapter.requestDevice()), { closed });

const dataset = await openDataset('digits', { split: 'train' });
const model = makeDetector(gpu, { ...preset.detector, classes: dataset.classes }, 1);
const optimizer = new Sgd(Object.values(model.parameters), preset.training);
const sample = dataset.samples[0]!;
const pixels = await sample.load();

/** The null backend holds at most half a gigabyte. It computes nothing, so a buffer need not be larger than the step's uploads. */
function withSmallBuffers(device: GPUDevice): GPUDevice {
  const most = 1 << 18;
  const createBuffer = device.createBuffer.bind(device);
  device.createBuffer = (buffer) => createBuffer({ ...buffer, size: Math.min(buffer.size, most) });
  const { queue } = device;
  const writeBuffer = queue.writeBuffer.bind(queue);
  queue.writeBuffer = (buffer, offset, data, from, size) => {
    if ((size ?? data.byteLength) <= most) writeBuffer(buffer, offset, data, from, size);
  };
  return device;
}

function step(seed: number): void {
  optimizer.zeroGrad();
  gpu.scope(() => {
    const image = model.prepare(pixels);
    const losses = model.losses(image, model.truth(sample.boxes, image), { random: true, seed });
    model.total(losses).backward({ free: true });
  });
  optimizer.step();
  gpu.flush();
}

/**
 * Milliseconds of wall time, and of processor time, which other work on the machine does not affect. A step counts as
 * recorded once it is submitted; what the device does afterwards is not included.
 */
async function milliseconds(count: number): Promise<{ clock: number[]; processor: number[] }> {
  const clock: number[] = [];
  const processor: number[] = [];
  for (let i = 0; i < count; i++) {
    const [start, used] = [performance.now(), process.cpuUsage()];
    step(i);
    const { user, system } = process.cpuUsage(used);
    clock.push(performance.now() - start);
    processor.push((user + system) / 1000);
    await gpu.finish();
  }
  return { clock: clock.sort((a, b) => a - b), processor: processor.sort((a, b) => a - b) };
}

await milliseconds(100);
const before = gpu.statistics();
const { clock, processor } = await milliseconds(steps);
const after = gpu.statistics();
const each = (name: 'dispatches' | 'submits' | 'bindGroupsCreated' | 'buffersCreated') =>
  ((after[name] - before[name]) / steps).toFixed(1);
const line = (sorted: number[]) => `median ${sorted[steps >> 1]!.toFixed(2)} ms, best ${sorted[0]!.toFixed(2)} ms`;
console.log(`recording a step: ${line(clock)}; on the processor ${line(processor)}`);
console.log(`${each('dispatches')} dispatches, ${each('submits')} submits`);
console.log(`made: ${each('bindGroupsCreated')} bind groups, ${each('buffersCreated')} buffers`);
gpu.close();

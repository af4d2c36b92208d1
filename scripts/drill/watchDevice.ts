/**
 * Loaded before a program (`node --import`): counts what it does on its device, and destroys the device on request.
 *
 *   LOSE_AT=12          the device is lost at the 12th submit
 *   DEVICE_LOG=file     keeps in this file, as JSON, how many submits and buffers there have been, and how many buffers are left
 */
import * as fs from 'node:fs';
import { globals } from 'webgpu';

const { LOSE_AT, DEVICE_LOG } = process.env;
const { GPUDevice, GPUBuffer, GPUQueue } = globals as unknown as Record<string, { prototype: object }>;
const lost = Number(LOSE_AT ?? 0);
const alive = new WeakSet<GPUBuffer>();
const counts = { submits: 0, buffersMade: 0, buffers: 0 };
let device: GPUDevice | undefined;

/** Calls `around` in place of a method, passing it the method and the object it was called on. */
function wrap<T, A extends unknown[], R>(
  { prototype }: { prototype: object },
  name: string,
  around: (self: T, original: (...args: A) => R, args: A) => R,
): void {
  const original = (prototype as Record<string, (...args: A) => R>)[name]!;
  Object.defineProperty(prototype, name, {
    value(this: T, ...args: A): R {
      return around(this, (...given) => original.apply(this, given), args);
    },
  });
}

wrap<GPUDevice, [GPUBufferDescriptor], GPUBuffer>(GPUDevice!, 'createBuffer', (self, original, args) => {
  device = self;
  const buffer = original(...args);
  alive.add(buffer);
  counts.buffersMade++;
  counts.buffers++;
  return buffer;
});

wrap<GPUBuffer, [], undefined>(GPUBuffer!, 'destroy', (self, original) => {
  if (alive.delete(self)) counts.buffers--;
  return original();
});

wrap<GPUQueue, [GPUCommandBuffer[]], undefined>(GPUQueue!, 'submit', (_, original, args) => {
  counts.submits++;
  if (counts.submits === lost) device!.destroy();
  return original(...args);
});

if (DEVICE_LOG !== undefined) {
  const log = (): void => fs.writeFileSync(DEVICE_LOG, JSON.stringify(counts));
  setInterval(log, 250).unref();
  process.once('exit', log);
}

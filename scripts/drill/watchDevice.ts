/**
 * Loaded before a program (`node --import`): counts what it does on its device, and destroys the device on request.
 *
 *   LOSE_AT=12          the device is lost at the 12th submit
 *   DEVICE_LOG=file     keeps in this file, as JSON, how many submits and buffers there have been, how many buffers are left, and
 *                       the process's memory after a garbage collection
 */
import * as fs from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { globals } from 'webgpu';

/** What the collector has not got to yet is no leak, and how much that is changes from hour to hour. */
const COLLECT_EVERY_MS = 3000;

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
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  let megabytes = 0;
  const log = (): void => fs.writeFileSync(DEVICE_LOG, JSON.stringify({ ...counts, megabytes }));
  setInterval(log, 250).unref();
  setInterval(() => {
    collect();
    megabytes = Math.round(process.memoryUsage.rss() / 2 ** 20);
  }, COLLECT_EVERY_MS).unref();
  process.once('exit', log);
}

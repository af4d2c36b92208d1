/**
 * Opens a device in Node through Dawn (npm package `webgpu`): on hardware, or on a software adapter where there is none.
 *
 * Software adapters, the faster first: Mesa lavapipe, if the system has a recent one; SwiftShader, unpacked from an npm
 * package (softwareAdapter.ts). Environment:
 *   WEBGPU_RCNN_SOFTWARE=lavapipe|swiftshader   which software adapter; with `auto` it also passes over hardware
 *   WEBGPU_RCNN_DEFAULT_LIMITS=1                a device with no feature and no limit beyond WebGPU's defaults
 */
import { UserError } from '../errors.ts';
import { Gpu } from '../gpu.ts';
import { everythingUseful } from '../request.ts';
import { privateTemporaryFolder } from './folders.ts';
import { type AdapterChoice, chooseAdapter, hardwareNames } from './adapters.ts';
import { unusable } from './optionalPackages.ts';
import { patiently } from './patience.ts';
import { hasSystemLoader, message, swiftShader } from './softwareAdapter.ts';

export interface OpenOptions {
  /** `auto` (default) prefers hardware and falls back to a software adapter. */
  adapter?: 'auto' | 'hardware' | 'software';
  /** Request only WebGPU's default features and limits. */
  defaultLimits?: boolean;
  /**
   * Where a machine has several GPUs, which of them to take: 0 is the first in the order in which the system lists them, and the
   * count begins again after the last. Default: the one that the system puts first.
   */
  turn?: number | undefined;
}

/** Dawn's name for the driver of a software adapter, or a part of it. */
const SYSTEM_SOFTWARE = process.platform === 'win32' ? 'Microsoft Basic Render' : 'llvmpipe';

type Dawn = typeof import('webgpu');

interface Opened {
  adapter: GPUAdapter;
  /** Dawn runs, and keeps the process alive, for as long as this is referenced. */
  instance: { current: GPU | null };
}

/**
 * Opens a device. Close it (`gpu.close()`) for the process to end.
 * Throws one line that says what to do if `webgpu` is not installed or no adapter of the requested kind works.
 */
export async function openGpu(options: OpenOptions = {}): Promise<Gpu> {
  const { adapter: kind = 'auto', defaultLimits = process.env['WEBGPU_RCNN_DEFAULT_LIMITS'] === '1', turn } = options;
  if (!['auto', 'hardware', 'software'].includes(kind)) {
    throw new UserError(`openGpu: adapter is '${kind}'; it is one of 'auto', 'hardware', 'software'`);
  }
  const dawn = await loadDawn();
  const { adapter, instance } = await openAdapter(dawn, kind, turn);
  const device = await adapter.requestDevice(defaultLimits ? {} : everythingUseful(adapter)).catch((error: unknown) => {
    throw new UserError(`${adapter.info.description} opens no device (${message(error)}): update its driver`);
  });
  // Dawn may be released only after a turn of the event loop has delivered the device's end: a process that keeps working
  // and then exits within the same turn would be crashed by Dawn's threads.
  const closed = (): void => void setImmediate(() => (instance.current = null));
  return Gpu.fromDevice(device, { wait: patiently, closed });
}

async function loadDawn(): Promise<Dawn> {
  try {
    const dawn = await import('webgpu');
    Object.assign(globalThis, dawn.globals);
    return dawn;
  } catch (error) {
    throw unusable('webgpu', error);
  }
}

async function openAdapter(dawn: Dawn, kind: 'auto' | 'hardware' | 'software', turn?: number): Promise<Opened> {
  const software = process.env['WEBGPU_RCNN_SOFTWARE'];
  if (software && software !== 'lavapipe' && software !== 'swiftshader') {
    throw new UserError(`WEBGPU_RCNN_SOFTWARE is '${software}'; it is 'lavapipe' or 'swiftshader'`);
  }
  if (kind === 'hardware') {
    const opened = await requestFirst(dawn, turn);
    if (opened && !opened.adapter.info.isFallbackAdapter) return opened;
    const found = opened ? `, only ${opened.adapter.info.description}` : '';
    throw new UserError(
      `no hardware adapter was found${found}: install the GPU's driver, or use the adapter 'software'`,
    );
  }
  if (kind === 'auto' && !software) {
    // Dawn sorts adapters, those on the CPU last: the first is hardware if there is any, else the system's software adapter.
    const opened = await requestFirst(dawn, turn);
    if (opened) return opened;
  } else if (software !== 'swiftshader') {
    const opened = await requestSystem(dawn, [`adapter=${SYSTEM_SOFTWARE}`]);
    if (opened) return opened;
    if (software) throw new UserError(`no lavapipe was found: ${INSTALL_MESA}`);
  }
  let reason = 'it does not start';
  try {
    const opened = await request(dawn, ['adapter=SwiftShader'], await swiftShader());
    if (opened) return opened;
  } catch (error) {
    reason = message(error);
  }
  const what = software ? 'SwiftShader cannot be used' : `no ${kind === 'auto' ? '' : 'software '}adapter was found`;
  throw new UserError(`${what} (${reason}): run npm i -D @sparticuz/chromium${software ? '' : `, or ${INSTALL_MESA}`}`);
}

const INSTALL_MESA = 'install Mesa 25 or later (Debian, Ubuntu: apt-get install libvulkan1 mesa-vulkan-drivers)';

/** The system's first adapter or, of several GPUs, the one whose turn it is. */
async function requestFirst(dawn: Dawn, turn: number | undefined): Promise<Opened | null> {
  const choice = turn === undefined ? null : await choiceAmong(dawn, turn);
  return requestSystem(dawn, choice?.flags ?? [], choice?.env);
}

/** A user who has chosen by the environment is not overruled. */
async function choiceAmong(dawn: Dawn, turn: number): Promise<AdapterChoice | null> {
  if (process.env['MESA_VK_DEVICE_SELECT'] || process.env['DRI_PRIME']) return null;
  return chooseAdapter(await adaptersOf(dawn), turn);
}

/** The names of the adapters of the system's drivers, but for software adapters. */
export async function hardwareAdapters(): Promise<string[]> {
  return adaptersOf(await loadDawn()); // an exported type of Dawn's would bring its types into every program
}

async function adaptersOf(dawn: Dawn): Promise<string[]> {
  if (!hasDrivers()) return [];
  try {
    await requestOrThrow(dawn, ['adapter=?'], {}); // there is none with this name, so the error lists those there are
    return [];
  } catch (error) {
    return hardwareNames(message(error));
  }
}

/** An adapter of the system's own drivers. */
async function requestSystem(
  dawn: Dawn,
  flags: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Opened | null> {
  return hasDrivers() ? request(dawn, flags, env) : null;
}

/** Without a Vulkan loader Linux has no adapter, and Dawn would complain about that. */
const hasDrivers = (): boolean => process.platform !== 'linux' || hasSystemLoader();

/** The first adapter that Dawn offers under these options, or null; Dawn reports "none" by null or by an error. */
const request = (...args: Parameters<typeof requestOrThrow>): Promise<Opened | null> =>
  requestOrThrow(...args).catch(() => null);

async function requestOrThrow(
  dawn: Dawn,
  flags: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Opened | null> {
  // Mesa complains if it is not set.
  const runtime = process.env['XDG_RUNTIME_DIR'] || privateTemporaryFolder();
  const instance: Opened['instance'] = { current: dawn.create([...flags]) };
  const adapter = await withEnvironment({ XDG_RUNTIME_DIR: runtime, ...env }, () =>
    instance.current!.requestAdapter({ powerPreference: 'high-performance' }),
  );
  return adapter && { adapter, instance };
}

/** Sets the environment until `requestAdapter` returns: by then Dawn has loaded the drivers, and they have read it. */
function withEnvironment<T>(env: Readonly<Record<string, string>>, fn: () => T): T {
  const before = Object.keys(env).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, env);
  try {
    return fn();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

/** Opening a device, each case in a process of its own: what drivers a process finds is decided once. */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openGpu } from '../../src/node.ts';
import { skip } from '../harness.ts';
import { hiding } from './hiddenPackages.ts';

const ENTRY = new URL('../../src/node.ts', import.meta.url).href;
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'rcnn-open-'));
test.after(() => fs.rmSync(scratch, { recursive: true, force: true }));

/** Opens a device, computes nothing, prints what it got as JSON; must end by itself. */
const OPEN = `
  import { openGpu } from '${ENTRY}';
  try {
    const gpu = await openGpu({ adapter: process.env.TEST_ADAPTER });
    const { maxBufferSize } = gpu.device.limits;
    console.log(JSON.stringify({ ...gpu.adapter, features: [...gpu.device.features], maxBufferSize }));
    gpu.close();
  } catch (error) {
    console.log(JSON.stringify({ error: error.message }));
  }`;

/** A folder for LD_LIBRARY_PATH in which the Vulkan loader cannot be opened: as on a system without one. */
function withoutLoader(): string {
  const folder = path.join(scratch, 'no-loader');
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, 'libvulkan.so.1'), '');
  return folder;
}

interface Outcome {
  description: string;
  software: boolean;
  features: string[];
  maxBufferSize: number;
  error?: string;
}

function open(adapter: string, env: Record<string, string> = {}, hidden: readonly string[] = []): Outcome {
  const inherited = { ...process.env };
  for (const name of ['WEBGPU_RCNN_SOFTWARE', 'WEBGPU_RCNN_DEFAULT_LIMITS']) delete inherited[name];
  const child = spawnSync(
    process.execPath,
    ['--import', 'tsx', ...hiding(...hidden), '--input-type=module', '-e', OPEN],
    {
      cwd: path.dirname(new URL(import.meta.url).pathname),
      env: { ...inherited, ...env, TEST_ADAPTER: adapter },
      encoding: 'utf8',
      timeout: 60_000,
    },
  );
  assert.is(child.status, 0, `the process ends by itself, not by ${child.signal}:\n${child.stdout}${child.stderr}`);
  return JSON.parse(child.stdout.trim().split('\n').at(-1)!) as Outcome;
}

const linux = process.platform === 'linux' && process.arch === 'x64';

test('auto finds an adapter and asks for what it offers', () => {
  const outcome = open('auto');
  assert.is(outcome.error, undefined);
  assert.ok(outcome.description.length > 0);
});

test('SwiftShader comes from the npm package where the system has no Vulkan loader', () => {
  if (!linux) return skip('the package has SwiftShader for linux-x64 only');
  const env = { LD_LIBRARY_PATH: withoutLoader(), XDG_CACHE_HOME: path.join(scratch, 'cache') };
  for (const adapter of ['software', 'auto']) {
    const outcome = open(adapter, env);
    assert.match(outcome.description, /SwiftShader/, JSON.stringify(outcome));
    assert.is(outcome.software, true);
  }
  const unpacked = fs.readdirSync(path.join(scratch, 'cache', 'webgpu-rcnn'));
  assert.is(unpacked.length, 1, `unpacked once, nothing left beside it: ${unpacked}`);
});

test('SwiftShader unpacks under the temporary folder where the cache folders cannot be written', () => {
  if (!linux) return skip('the package has SwiftShader for linux-x64 only');
  // A file where the cache folder should be: not even root can write below it.
  const file = path.join(scratch, 'file');
  fs.writeFileSync(file, '');
  const tmp = path.join(scratch, 'tmp');
  fs.mkdirSync(tmp);
  const outcome = open('software', {
    WEBGPU_RCNN_SOFTWARE: 'swiftshader',
    XDG_CACHE_HOME: file,
    HOME: file,
    TMPDIR: tmp,
  });
  assert.match(outcome.description, /SwiftShader/, JSON.stringify(outcome));
  const [folder] = fs.readdirSync(tmp).filter((name) => name.startsWith('webgpu-rcnn'));
  assert.ok(fs.readdirSync(path.join(tmp, folder!)).some((name) => name.startsWith('swiftshader-')));
});

test('default limits', () => {
  const outcome = open('auto', { WEBGPU_RCNN_DEFAULT_LIMITS: '1' });
  assert.is(outcome.maxBufferSize, 256 * 2 ** 20);
  assert.equal(outcome.features.filter((name) => name !== 'core-features-and-limits').sort(), []);
});

test('no driver at all: the message says what to install', () => {
  if (!linux) return skip('a Vulkan loader can be hidden on Linux only');
  const { error } = open('auto', { LD_LIBRARY_PATH: withoutLoader() }, ['@sparticuz/chromium']);
  assert.is(
    error,
    'no adapter was found (the npm package @sparticuz/chromium is not installed): run npm i -D @sparticuz/chromium, ' +
      'or install Mesa 25 or later (Debian, Ubuntu: apt-get install libvulkan1 mesa-vulkan-drivers)',
  );
});

test('hardware asked, none there', () => {
  if (!linux) return skip('a Vulkan loader can be hidden on Linux only');
  const { error } = open('hardware', { LD_LIBRARY_PATH: withoutLoader() });
  assert.is(error, "no hardware adapter was found: install the GPU's driver, or use the adapter 'software'");
});

test('the package webgpu is missing', () => {
  const { error } = open('auto', {}, ['webgpu']);
  assert.is(error, 'the npm package webgpu, which opens devices, is not installed: run npm i webgpu');
});

test('a device that is lost: one line that says so, at whatever is called next', async () => {
  const gpu = await openGpu();
  const tensor = gpu.zeros([4]);
  gpu.device.destroy();
  for (const call of [() => tensor.read(), () => gpu.finish(), async () => gpu.zeros([4])]) {
    const error = await call().then(
      () => null,
      (error: Error) => error,
    );
    assert.is(error?.name, 'UserError');
    assert.match(
      error!.message,
      /^the GPU device was lost \(device was destroyed\): .*run the command again, a training with --resume$/,
    );
  }
  gpu.close();
});

test('an unknown adapter or software adapter', () => {
  assert.is(open('gpu').error, "openGpu: adapter is 'gpu'; it is one of 'auto', 'hardware', 'software'");
  const { error } = open('software', { WEBGPU_RCNN_SOFTWARE: 'warp' });
  assert.is(error, "WEBGPU_RCNN_SOFTWARE is 'warp'; it is 'lavapipe' or 'swiftshader'");
});

test('a process that is busy after close() ends in peace', () => {
  const code = `
    import { openGpu } from '${ENTRY}';
    (await openGpu()).close();
    const end = Date.now() + 500;
    while (Date.now() < end);`;
  const { status, signal, stderr } = spawnSync(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '-e', code],
    {
      encoding: 'utf8',
    },
  );
  assert.is(status, 0, `${signal} ${stderr}`);
});

test.run();

/** The drill: what it makes of parts that fail, hang or are ended; where it looks for a Vulkan driver; its page. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { drillPage, type DrillReport } from '../../bench/drill/page.ts';
import { type Outcome, type Part, runParts } from '../../bench/drill/parts.ts';
import { bringLibraries, candidates, findDrivers, whyNone } from '../../bench/drill/vulkan.ts';
import { temporaryFolder } from '../data/fixtures.ts';

const shell = (script: string) => ({ command: 'bash', args: ['-c', script] });

const part = (name: string, script: string, limitSeconds = 30, file = ''): Part => ({
  name,
  title: name,
  limitSeconds,
  commands: [shell(script)],
  collect: () => (fs.existsSync(file) ? fs.readFileSync(file, 'utf8').trim() : null),
});

async function run(parts: readonly Part[], seconds = 60, signal = new AbortController().signal) {
  const saved: Outcome[][] = [];
  const outcomes = await runParts(parts, {
    env: process.env,
    cwd: temporaryFolder(),
    log() {},
    save: (now) => saved.push(structuredClone([...now])),
    deadline: performance.now() + seconds * 1000,
    signal,
  });
  return { outcomes: outcomes.map(({ state, why, result }) => [state, why, result]), saved };
}

test('a part that loses the device, crashes, hangs or cannot start does not take the others along', async () => {
  const file = path.join(temporaryFolder(), 'rows');
  const lost = 'rcnn bench: the GPU device was lost (reset): its driver was reset; run the command again';
  const { outcomes, saved } = await run([
    part('lost', `echo 12 rows >${file}; echo '${lost}' >&2; exit 1`, 30, file),
    part('crash', 'kill -SEGV $$'),
    part('hang', `echo half >${file}; sleep 60 & wait`, 1, file),
    { ...part('missing', ''), commands: [{ command: 'no-such-program', args: [] }] },
    part('fine', 'true'),
  ]);
  assert.equal(outcomes, [
    ['failed', lost, '12 rows'],
    ['failed', 'ended by SIGSEGV, as a driver that crashes does', null],
    ['over its limit', 'ended after 1 s; what it had written counts', 'half'],
    ['failed', 'spawn no-such-program ENOENT', null],
    ['done', null, null],
  ]);
  assert.equal(
    saved[0]!.map(({ state }) => state),
    ['waiting', 'waiting', 'waiting', 'waiting', 'waiting'],
  );
});

test('parts that have no time left, or come after the end, are not run', async () => {
  assert.equal((await run([part('late', 'true')], 1)).outcomes, [['not run', 'no time was left', null]]);
  const ending = new AbortController();
  setTimeout(() => ending.abort(), 300);
  assert.equal((await run([part('cut', 'sleep 60'), part('later', 'true')], 60, ending.signal)).outcomes, [
    ['failed', 'the drill was ended', null],
    ['not run', 'the drill was ended', null],
  ]);
});

/** A file system of empty files. */
function tree(files: readonly string[]): string {
  const root = temporaryFolder();
  for (const file of files) {
    fs.mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    fs.writeFileSync(path.join(root, file), '');
  }
  return root;
}

test('a driver without a manifest gets one, one in an unusual place is found', () => {
  const root = tree(['/usr/local/nvidia/lib64/libGLX_nvidia.so.0', '/usr/local/nvidia/lib64/libcuda.so.1']);
  const found = findDrivers({}, root);
  assert.equal(found.manifests, []);
  assert.equal(found.drivers, [`${root}/usr/local/nvidia/lib64/libGLX_nvidia.so.0`]);
  const work = temporaryFolder();
  const [asItIs, written, ...more] = candidates(found, { LD_LIBRARY_PATH: '/x' }, work);
  assert.equal([asItIs!.env, more], [{}, []]);
  assert.is(written!.env['LD_LIBRARY_PATH'], `${root}/usr/local/nvidia/lib64:/x`);
  const manifest = JSON.parse(fs.readFileSync(written!.env['VK_DRIVER_FILES']!, 'utf8'));
  assert.is(manifest.ICD.library_path, found.drivers[0]);

  const other = tree(['/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json', '/etc/vulkan/icd.d/a.json']);
  const [, all] = candidates(findDrivers({}, other), {}, work);
  assert.is(
    all!.env['VK_DRIVER_FILES'],
    `${other}/etc/vulkan/icd.d/a.json:${other}/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json`,
  );
});

test('why there is no device: CUDA without graphics libraries, a driver that does not answer, nothing', () => {
  const why = (files: string[]) => whyNone(findDrivers({}, tree(files)));
  assert.match(
    why(['/usr/lib64/libcuda.so.1']),
    /^no Vulkan device: .*libcuda\.so\.1 is there, .*NVIDIA_DRIVER_CAPABILITIES/,
  );
  assert.match(why(['/usr/lib64/libEGL_nvidia.so.0']), /^no Vulkan device, although .*libEGL_nvidia\.so\.0 exist$/);
  assert.match(why([]), /^no Vulkan driver: /);
});

test('packed libraries are brought where the system lacks them alone', () => {
  const packed = tree(['/libvulkan.so.1', '/libX11.so.6']);
  const folder = path.join(temporaryFolder(), 'lib');
  assert.equal(
    bringLibraries(packed, folder, (library) => library === 'libX11.so.6'),
    ['libvulkan.so.1'],
  );
  assert.equal(fs.readdirSync(folder), ['libvulkan.so.1']);
});

const report = (changes: Partial<DrillReport> = {}): DrillReport => ({
  date: '2026-01-01T00:00:00.000Z',
  pack: { version: '0.1.0', commit: 'abc', node: 'v20', dawn: '0.6' },
  form: 'full',
  machine: { os: 'Linux', cpu: '2 x CPU', memory_gb: 8, nvidia_smi: 'none' },
  device: { adapter: 'A GPU', software: false, tried: ['the system as it is: A GPU'], note: null },
  parts: [],
  ended: true,
  ...changes,
});

test('the page says what was measured, what was not, and why', () => {
  const outcome = (name: string, state: Outcome['state'], why: string | null, result: unknown): Outcome => ({
    name,
    title: name,
    state,
    seconds: 5,
    why,
    result,
  });
  const row = {
    group: 'Matrix product',
    op: 'matmul',
    shape: '8x8x8',
    valid: true,
    best_ms: 2,
    gflops: 50,
    gbps: 1,
    share_of_peak: 0.5,
    problems: [],
  };
  const bench = {
    peaks: { gflops: 100, gbps: 10 },
    rows: [row],
    failed: 0,
    complete: false,
    skipped: ['Half precision: matmul f16 8x8x8'],
  };
  const page = drillPage(
    report({
      ended: false,
      parts: [
        outcome('info', 'done', null, {
          passed: 2,
          failed: 1,
          kernels: [{ name: 'relu', passed: false, problems: ['y[0] is 1'] }],
        }),
        outcome('bench', 'failed', 'the GPU device was lost (reset)', bench),
        outcome('torch', 'done', null, {
          available: true,
          note: 'PyTorch 2',
          rows: [{ name: 'Matrix product: matmul 8x8x8', ms: { strict: 1, tf32: 'no tf32' } }],
        }),
        outcome('bits', 'done', null, { steps: 200, hashes: ['aa', 'bb'] }),
        outcome('tune', 'not run', 'no time was left', null),
      ],
    }),
  );
  for (const text of [
    'Device: **A GPU**.',
    '| bench | failed | 5 | the GPU device was lost (reset) |',
    '| tune | not run | 5 | no time was left |',
    'The drill is still running',
    '2 right, 1 wrong.',
    '- **relu**',
    '1 rows, 0 wrong; cut off',
    "Left out, as this device has no half precision (WebGPU's feature shader-f16): Half precision: matmul f16 8x8x8.",
    '| Matrix product: matmul 8x8x8 | 2.000 | 50 GFLOP/s | 50 % |  | 1.000 | 50 % |',
    '| Matrix product: matmul 8x8x8 | 1.000 | no tf32 |  |',
    'Twice 200 steps: **different bits**',
  ])
    assert.ok(page.includes(text), `${text}\n${page}`);
  const none = drillPage(report({ device: { adapter: null, software: false, tried: [], note: 'no Vulkan driver' } }));
  assert.match(none, /^\*\*No device\*\*: no Vulkan driver\.$/m);
});

test.run();

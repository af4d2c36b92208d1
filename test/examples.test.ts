/** The examples, in short, as a user runs them; and that docs/engine.md says what is so. */
import { spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as entry from '../src/node.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const manual = fs.readFileSync(path.join(root, 'docs', 'engine.md'), 'utf8');

/** What a program prints; it must end well. */
async function output(
  file: string,
  args: readonly string[] = [],
  { env = {}, cwd = root }: { env?: Record<string, string>; cwd?: string } = {},
): Promise<string> {
  const tsx = ['--import', import.meta.resolve('tsx')];
  const options = { cwd, env: { ...process.env, ...env }, timeout: 200_000, killSignal: 'SIGKILL' } as const;
  const child = spawn(process.execPath, [...tsx, file, ...args], options);
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const code = await new Promise((resolve) => child.on('close', resolve));
  assert.is(code, 0, `${path.basename(file)} ${args.join(' ')}: ${stderr}`);
  return stdout;
}

const example = (name: string, ...args: string[]) => output(path.join(root, 'examples', `${name}.ts`), args);
const number = (text: string, pattern: RegExp): number => Number(pattern.exec(text)?.[1] ?? NaN);
const above = (actual: number, least: number) => assert.ok(actual > least, `${actual}, expected above ${least}`);
const below = (actual: number, most: number) => assert.ok(actual < most, `${actual}, expected below ${most}`);

test('mnist: most test digits after 100 steps', async () => {
  above(number(await example('mnist', '100'), /accuracy ([\d.]+) %/), 90);
});

test('residual: most test digits after 60 steps, with the running statistics', async () => {
  above(number(await example('residual', '60'), /accuracy ([\d.]+) %/), 70);
});

test('autoencoder: half the error of a grey image after 100 steps', async () => {
  below(number(await example('autoencoder', '100'), /step 100: loss ([\d.]+)/), 0.1);
});

test('unet: ink is told from bars of the same brightness after 60 steps', async () => {
  above(number(await example('unet', '60'), /union of ink in 100 test pictures: ([\d.]+)/), 0.7);
});

test('addition: the loss of a transformer falls below that of a guess in 60 steps', async () => {
  const text = await example('addition', '60');
  below(number(text, /step 60: loss ([\d.]+)/), 2);
  assert.match(text, /% of 200 sums that it never saw/);
});

test('words: nearly all are nearest to one of their kind after 200 steps', async () => {
  above(number(await example('words', '200'), /(\d+) of 24 words are nearest/), 20);
});

test('an operation of its own has the gradient it claims, and learns', async () => {
  const text = await example('ownOperation');
  below(number(text, /central differences: ([\d.e-]+)/), 1e-3);
  below(number(text, /loss ([\d.]+)/), 0.01);
});

test('a detector on a backbone of its own learns', async () => {
  const text = await example('ownBackbone', '60');
  const [first, last] = [number(text, /went from ([\d.]+) to/), number(text, /went from [\d.]+ to ([\d.]+)/)];
  below(last, 0.8 * first);
});

test('docs/engine.md lists every example', () => {
  for (const file of fs.readdirSync(path.join(root, 'examples'))) {
    const helper = !fs.readFileSync(path.join(root, 'examples', file), 'utf8').includes('npx tsx examples/');
    assert.ok(helper || manual.includes(`(../examples/${file})`), `${file} is not in docs/engine.md`);
  }
});

test('docs/engine.md names everything that is exported, and no call that is not', () => {
  const code = [...manual.matchAll(/`([^`\n]+)`/g)].map((match) => match[1]!).join('\n');
  const missing = Object.keys(entry).filter((name) => !new RegExp(`\\b${name}\\b`).test(code));
  assert.equal(missing, []);
  const table = /## Operations\n([\s\S]*?)\n## /.exec(manual)![1]!;
  const called = [...table.matchAll(/(?<![.\w])([a-z]\w+)\(/g)].map((match) => match[1]!);
  assert.ok(called.length > 20);
  assert.equal(
    called.filter((name) => !(name in entry)),
    [],
  );
});

/** The programs of the manual that say what they print. */
const programs = [...manual.matchAll(/^```ts\n([\s\S]*?)^```/gm)].flatMap(([, program]) => {
  const expected = /console\.log\(.*\/\/ (.*)$/m.exec(program!)?.[1];
  return expected === undefined ? [] : [{ program: program!, expected }];
});

test('the programs in docs/engine.md compile and print what they say', async () => {
  assert.is(programs.length, 2);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rcnn-manual-'));
  try {
    const files = programs.map((_, i) => path.join(folder, `program${i}.ts`));
    files.forEach((file, i) => fs.writeFileSync(file, programs[i]!.program));
    fs.writeFileSync(path.join(folder, 'package.json'), '{"type":"module"}');
    const compilerOptions = {
      paths: { 'webgpu-rcnn/node': [path.join(root, 'src', 'node.ts')] },
      typeRoots: [path.join(root, 'node_modules', '@types'), path.join(root, 'node_modules')],
    };
    const config = { extends: path.join(root, 'tsconfig.json'), include: files, compilerOptions };
    const tsconfig = path.join(folder, 'tsconfig.json');
    fs.writeFileSync(tsconfig, JSON.stringify(config));
    const tsc = path.join(root, 'node_modules', '.bin', 'tsc');
    const { status, stdout } = spawnSync(tsc, ['-p', folder], { encoding: 'utf8' });
    assert.is(status, 0, stdout);
    for (const [i, file] of files.entries()) {
      const printed = await output(file, [], { env: { TSX_TSCONFIG_PATH: tsconfig }, cwd: folder });
      assert.is(printed.trim(), programs[i]!.expected);
    }
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
});

test.run();

/** The house rules that no compiler holds: imports go one way, the browser's entry reaches no Node, kernels have references. */
import * as fs from 'node:fs';
import { builtinModules } from 'node:module';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const src = fileURLToPath(new URL('../src', import.meta.url));
const files = fs
  .readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.replaceAll(path.sep, '/'))
  .sort();
const text = new Map(files.map((file) => [file, fs.readFileSync(path.join(src, file), 'utf8')]));

/** What each layer may import besides itself; the files beside the layers (index.ts, node.ts) have no rule here. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  kernels: [],
  engine: ['kernels'],
  model: ['engine', 'kernels'],
  data: ['engine', 'kernels'],
  eval: ['kernels'], // its float64 box arithmetic; no engine, so no GPU
  proposals: ['data', 'engine', 'kernels'],
  draw: ['data', 'eval', 'engine', 'kernels'],
  distributed: ['engine', 'kernels'],
  onnx: ['model', 'engine', 'kernels'],
  run: ['distributed', 'draw', 'data', 'eval', 'model', 'engine', 'kernels'],
  bench: ['run', 'data', 'model', 'engine', 'kernels'],
  cli: ['bench', 'run', 'onnx', 'distributed', 'proposals', 'draw', 'data', 'eval', 'model', 'engine', 'kernels'],
};

interface Import {
  specifier: string;
  /** Erased by the compiler: it orders the layers, but nothing is loaded. */
  typeOnly: boolean;
}

/** The imports and re-exports of a file, static and dynamic. */
function importsOf(file: string): Import[] {
  const code = text.get(file)!.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  const statements = /^\s*(?:import|export)\s+(type\s)?(?:[^'"`;]*?\sfrom\s*)?['"]([^'"]+)['"]/gm;
  const dynamic = /\bimport\(\s*['"]([^'"]+)['"]\s*\)/g;
  return [
    ...[...code.matchAll(statements)].map((match) => ({ specifier: match[2]!, typeOnly: match[1] !== undefined })),
    ...[...code.matchAll(dynamic)].map((match) => ({
      specifier: match[1]!,
      typeOnly: /\btypeof\s+$/.test(code.slice(0, match.index)),
    })),
  ];
}

/** A relative import as a path under src. */
const resolve = (file: string, specifier: string): string => path.posix.join(path.posix.dirname(file), specifier);

test('imports go one way', () => {
  const wrong: string[] = [];
  for (const file of files) {
    const [layer, ...below] = file.split('/');
    if (below.length === 0) continue;
    assert.ok(layer! in MAY_IMPORT, `src/${layer} is no known layer: give it a place in this test`);
    for (const { specifier } of importsOf(file)) {
      if (!specifier.startsWith('.')) continue;
      const target = resolve(file, specifier);
      assert.ok(text.has(target), `src/${file} imports ${specifier}, which is no file`);
      const into = target.split('/')[0]!;
      const entry = !target.includes('/') && layer === 'cli';
      if (into !== layer && !entry && !MAY_IMPORT[layer!]!.includes(into))
        wrong.push(`src/${file} imports src/${target}`);
    }
  }
  assert.equal(wrong, []);
});

/** What each room of src/run may import of the others: a run and its files first, training last. */
const ROOMS_MAY_IMPORT: Record<string, readonly string[]> = {
  config: ['storage'],
  storage: ['config'],
  reports: ['config', 'storage'],
  evaluation: ['config', 'storage'],
  training: ['config', 'storage', 'evaluation'],
};

test('the rooms of run import one way', () => {
  const wrong: string[] = [];
  for (const file of files.filter((file) => file.startsWith('run/'))) {
    const room = file.split('/')[1]!;
    assert.ok(room in ROOMS_MAY_IMPORT, `src/run/${room} is no known room: give it a place in this test`);
    for (const { specifier } of importsOf(file).filter(({ specifier }) => specifier.startsWith('.'))) {
      const [layer, into] = resolve(file, specifier).split('/');
      if (layer === 'run' && into !== room && !ROOMS_MAY_IMPORT[room]!.includes(into!))
        wrong.push(`src/${file} imports ${specifier}`);
    }
  }
  assert.equal(wrong, []);
});

/** Files that import one another in a circle, each with the way back to itself. */
function circles(within: string, types: boolean): string[] {
  const graph = new Map(
    files
      .filter((file) => file.startsWith(within))
      .map((file) => [
        file,
        importsOf(file)
          .filter(({ specifier, typeOnly }) => specifier.startsWith('.') && (types || !typeOnly))
          .map(({ specifier }) => resolve(file, specifier)),
      ]),
  );
  return [...graph.keys()].filter((file) => {
    const reached = new Set(graph.get(file));
    for (const next of reached) for (const further of graph.get(next) ?? []) reached.add(further);
    return reached.has(file);
  });
}

test('no files load one another in a circle; those of data and kernels do not even share types in one', () => {
  assert.equal(circles('', false), []);
  assert.equal([...circles('data/', true), ...circles('kernels/', true)], []);
});

test('kernels and eval import no package and no Node', () => {
  const wrong = files
    .filter((file) => /^(kernels|eval)\//.test(file))
    .flatMap((file) => importsOf(file).map(({ specifier }) => `src/${file} imports ${specifier}`))
    .filter((line) => !/ imports \./.test(line));
  assert.equal(wrong, []);
});

test('proposals without learning need neither the GPU nor, outside node/, anything that has files', () => {
  const wrong = files
    .filter((file) => file.startsWith('proposals/'))
    .flatMap((file) =>
      importsOf(file)
        .filter(({ specifier, typeOnly }) => !typeOnly && (specifier.startsWith('.') || !file.includes('/node/')))
        .map(({ specifier }) => ({ file, target: resolve(file, specifier) })),
    )
    .filter(({ file, target }) =>
      file.includes('/node/')
        ? target.startsWith('engine/') && target !== 'engine/errors.ts'
        : !/^(proposals\/[^/]+|kernels\/rng)\.ts$/.test(target),
    );
  assert.equal(wrong, []);
});

test('index.ts reaches no Node', () => {
  const reached = new Map([['index.ts', 'src/index.ts']]);
  const wrong: string[] = [];
  for (const [file, way] of reached) {
    for (const { specifier, typeOnly } of importsOf(file)) {
      if (typeOnly) continue;
      const onward = `${way} > ${specifier}`;
      if (!specifier.startsWith('.')) {
        if (specifier.startsWith('node:') || builtinModules.includes(specifier)) wrong.push(onward);
        if (['webgpu', 'sharp', '@napi-rs/canvas', 'commander', 'cli-progress'].includes(specifier)) wrong.push(onward);
        continue;
      }
      const target = resolve(file, specifier);
      if (!reached.has(target)) reached.set(target, onward);
    }
  }
  assert.equal(wrong, []);
  assert.ok(reached.size > 5, 'the walk follows imports');
});

test('the page uses the library by its public entry alone', () => {
  const web = fileURLToPath(new URL('../web', import.meta.url));
  const pages = fs
    .readdirSync(web, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => file.replaceAll(path.sep, '/'));
  const imports = /^(?:import|\}).*? from '([^']+)';$|\bimport\('([^']+)'\)/gm;
  const used = pages.flatMap((file) =>
    [...fs.readFileSync(path.join(web, file), 'utf8').matchAll(imports)].map((match) => {
      const name = match[1] ?? match[2]!;
      return name.startsWith('.') ? path.posix.join(path.posix.dirname(file), name) : name;
    }),
  );
  assert.ok(used.includes('../src/index.ts') && used.includes('session.ts') && used.includes('label/label.ts'));
  const others = [...new Set(used)].filter((name) => !pages.includes(name) && name !== '../src/index.ts');
  assert.equal(others.sort(), ['chart.js', 'fflate', 'idb']);
});

test('every file with kernels exports a float64 reference', () => {
  const kernels = files.filter(
    (file) => /^kernels\//.test(file) && /(?<!function )\bkernel(<[^>]*>)?\(/.test(text.get(file)!),
  );
  assert.ok(kernels.length > 0);
  const without = kernels.filter((file) => !/^export (async )?(function|const) \w*Reference\b/m.test(text.get(file)!));
  assert.equal(without, []);
});

test('sources cite the paper and public code, never notes that are not in the repository', () => {
  const note = ['REFERENCE', 'md'].join('.');
  assert.equal(
    files.filter((file) => text.get(file)!.includes(note)),
    [],
  );
});

test.run();

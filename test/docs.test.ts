/** What the documents name is there: files, links, headings, functions, settings, commands and options; programs compile. */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { withSettings } from '../src/run/config/configSchema.ts';
import { newProgram } from '../src/cli/program.ts';
import { PRESETS } from '../src/run/config/presets.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const names = ['README.md', ...fs.readdirSync(path.join(root, 'docs')).map((file) => `docs/${file}`)];
const docs = names
  .filter((name) => name.endsWith('.md'))
  .map((name) => ({ name, text: fs.readFileSync(path.join(root, name), 'utf8') }));

const exists = (file: string): boolean => fs.existsSync(path.join(root, file));
const read = (file: string): string => fs.readFileSync(path.join(root, file), 'utf8');

/** Fails with every line of `wrong`; `looked` must be many, or the pattern no longer finds what it is for. */
function assertNone(wrong: readonly string[], looked: number, least: number): void {
  assert.ok(looked >= least, `only ${looked} found in the documents`);
  assert.equal(wrong, []);
}

/** The text without its blocks of code. */
const prose = (text: string): string => text.replace(/^```[\s\S]*?^```$/gm, '');

/** Code in a line, and the lines of blocks, with those that end in a backslash joined. */
function codeOf(text: string): string[] {
  const blocks = [...text.matchAll(/^```\w*\n([\s\S]*?)^```$/gm)].flatMap((match) =>
    match[1]!.replaceAll('\\\n', ' ').split('\n'),
  );
  return [...blocks, ...[...prose(text).matchAll(/`([^`]+)`/g)].map((match) => match[1]!.replaceAll('\n', ' '))];
}

/** Every line or piece of code of every document. */
const code = docs.flatMap(({ name, text }) => codeOf(text).map((line) => ({ name, line })));

/** The names by which headings are linked, as GitHub makes them. */
const anchorsOf = (text: string): string[] =>
  [...prose(text).matchAll(/^#+ (.*)$/gm)].map((match) =>
    match[1]!
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );

interface Link {
  name: string;
  text: string;
  /** From the root; '' within the document. */
  file: string;
  anchor: string | undefined;
}

const links: Link[] = docs.flatMap(({ name, text }) =>
  [...prose(text).matchAll(/\[([^\]]*)\]\(([^)\s]+)\)/g)]
    .filter((match) => !/^https?:/.test(match[2]!))
    .map((match) => {
      const [file, anchor] = match[2]!.split('#') as [string, string?];
      const target = file === '' ? name : path.posix.join(path.posix.dirname(name), file);
      return { name, text: match[1]!, file: target, anchor };
    }),
);

test('links lead to a file or a heading that is there', () => {
  const wrong = links
    .filter(({ file, anchor }) => !exists(file) || (anchor !== undefined && !anchorsOf(read(file)).includes(anchor)))
    .map(({ name, file, anchor }) => `${name}: ${file}${anchor === undefined ? '' : `#${anchor}`}`);
  assertNone(wrong, links.length, 60);
});

test('every document can be reached from the README', () => {
  const reached = new Set(['README.md']);
  for (const at of reached) for (const { name, file } of links) if (name === at) reached.add(file);
  assert.equal(
    docs.map(({ name }) => name).filter((name) => !reached.has(name)),
    [],
  );
});

test('what a link to a source file names stands in that file', () => {
  const named = links.flatMap(({ name, text, file }) =>
    /\.ts$/.test(file) && /^`[\w.-]+`$/.test(text)
      ? text
          .slice(1, -1)
          .split('.')
          .map((word) => ({ name, word, file }))
      : [],
  );
  const wrong = named
    .filter(({ word, file }) => exists(file) && !path.basename(file).startsWith(word))
    .filter(({ word, file }) => !new RegExp(`\\b${word}\\b`).test(read(file)))
    .map(({ name, word, file }) => `${name}: ${word} in ${file}`);
  assertNone(wrong, named.length, 50);
});

test('source files are where the documents say', () => {
  const folders = ['src', 'test', 'bench', 'scripts', 'examples', 'experiments', 'web'];
  const sources = folders.flatMap((folder) =>
    fs.readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' }).map((file) => `${folder}/${file}`),
  );
  const files = code.flatMap(({ name, line }) =>
    [...line.matchAll(/(?<![\w./-])[\w./-]+\.(?:ts|py)(?![\w./-])/g)]
      .map(([file]) => ({ name, file: file.replace(/^(\.\.?\/)+/, '') }))
      .filter(({ file }) => !/NAME/.test(file)),
  );
  const wrong = files
    .filter(({ file }) => !sources.some((source) => `/${source}`.endsWith(`/${file}`)))
    .map(({ name, file }) => `${name}: ${file}`);
  assertNone(wrong, files.length, 20);
});

test('settings are settings, with values that are allowed', () => {
  const { detector, training, staged } = PRESETS['paper-vgg16-voc07']!;
  // Each setting is tried alone; the scales of an image need a longer side that the same command sets.
  const input = { ...detector.input, longerSide: 2000 };
  const config = {
    detector: { ...detector, input, classes: ['__background__', 'thing'] },
    training: { ...training, ...staged?.training },
  };
  const settings = code.flatMap(({ name, line }) =>
    [...line.matchAll(/\b(?:detector|training)(?!\.ts\b)(?:\.\w+)+(?:=(?:\[(?:[^[\]]|\[[^\]]*\])*\]|[\w.]+))?/g)]
      .map(([setting]) => ({ name, setting }))
      .filter(({ setting }) => !/=\[\.\.\.\]/.test(setting)),
  );
  const wrong = settings.flatMap(({ name, setting }) => {
    try {
      withSettings(config, [setting.includes('=') ? setting : `${setting}=null`]);
      return [];
    } catch (error) {
      const { message } = error as Error;
      // No value is null, but a setting that exists says so in other words.
      return setting.includes('=') || message.includes('there is no ') ? [`${name}: ${message}`] : [];
    }
  });
  assertNone(wrong, settings.length, 30);
});

const optionsOf = new Map(
  newProgram().commands.map((command) => [command.name(), ['--help', ...command.options.map(({ long }) => long!)]]),
);
/** Of the scripts that the documents name, and of Node's own tools. */
const OTHER_OPTIONS = ['scripts/web.ts', 'bench/peers/run.ts', 'experiments/run.ts'].flatMap((file) =>
  [...read(file).matchAll(/--[a-z][\w-]+/g)].map(([option]) => option),
);
const OPTION = /(?<![\w-])--[a-z][\w-]*/g;

test('commands and their options are there', () => {
  const commands = code.flatMap(({ name, line }) =>
    [...line.matchAll(/(?:^|[\s(])rcnn(?: --)? ([a-z]+)([^#|;&]*)/g)].map((match) => ({
      name,
      command: match[1]!,
      options: [...match[2]!.matchAll(OPTION)].map(([option]) => option),
    })),
  );
  const wrong = commands.flatMap(({ name, command, options }) => {
    const known = optionsOf.get(command);
    if (!known) return [`${name}: rcnn ${command}`];
    return options.filter((option) => !known.includes(option)).map((option) => `${name}: rcnn ${command} ${option}`);
  });
  assertNone(wrong, commands.length, 40);
});

test('options that stand alone belong to some command', () => {
  const known = new Set([...[...optionsOf.values()].flat(), ...OTHER_OPTIONS]);
  const options = code.flatMap(({ name, line }) =>
    /^--/.test(line) ? [...line.matchAll(OPTION)].map(([option]) => ({ name, option })) : [],
  );
  const wrong = options.filter(({ option }) => !known.has(option)).map(({ name, option }) => `${name}: ${option}`);
  assertNone(wrong, options.length, 30);
});

test('scripts of npm are in package.json', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  const run = code.flatMap(({ name, line }) =>
    [...line.matchAll(/\bnpm run (?:-s )?([\w:]+)/g)].map((match) => ({ name, script: match[1]! })),
  );
  const wrong = run.filter(({ script }) => !(script in scripts)).map(({ name, script }) => `${name}: ${script}`);
  assertNone(wrong, run.length, 10);
});

test('nothing that the package or a clone installs is under the GPL or the AGPL, as the README says', () => {
  assert.ok(/nothing that it depends on is under the GPL or the AGPL/.test(read('README.md')));
  const { packages } = JSON.parse(read('package-lock.json')) as { packages: Record<string, { license?: string }> };
  const licences = Object.entries(packages).map(([name, { license = 'none' }]) => `${name}: ${license}`);
  assertNone(
    licences.filter((line) => /(^|[^L])GPL|: none$/.test(line)),
    licences.length,
    100,
  );
});

test('programs compile', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rcnn-docs-'));
  try {
    const programs = docs.flatMap(({ name, text }) =>
      [...text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map((match, i) => {
        const file = `${path.basename(name, '.md')}-${i + 1}.ts`;
        fs.writeFileSync(path.join(folder, file), match[1]!);
        return file;
      }),
    );
    assert.ok(programs.length >= 4, `only ${programs.length} found in the documents`);
    const compilerOptions = {
      paths: {
        'webgpu-rcnn': [path.join(root, 'src', 'index.ts')],
        'webgpu-rcnn/node': [path.join(root, 'src', 'node.ts')],
      },
      typeRoots: [path.join(root, 'node_modules', '@types'), path.join(root, 'node_modules')],
    };
    const config = { extends: path.join(root, 'tsconfig.json'), include: ['*.ts'], compilerOptions };
    fs.writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify(config));
    fs.writeFileSync(path.join(folder, 'package.json'), '{"type":"module"}');
    const tsc = path.join(root, 'node_modules', '.bin', 'tsc');
    const { status, stdout } = spawnSync(tsc, ['-p', folder], { encoding: 'utf8' });
    assert.is(status, 0, stdout);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
});

test('every preset and every command is described', () => {
  const all = docs.map(({ text }) => text).join('\n');
  const missing = [...Object.keys(PRESETS), ...[...optionsOf.keys()].map((command) => `rcnn ${command}`)].filter(
    (name) => !all.includes(name) && !(name === 'rcnn demo' && all.includes('npm run demo')),
  );
  assert.equal(missing, []);
});

test.run();

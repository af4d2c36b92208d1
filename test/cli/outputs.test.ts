/** What a command may write over, and what it prints of names that came from files. */
import { execFile } from 'node:child_process';
import { existsSync, linkSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { assertOutputs } from '../../src/cli/outputs.ts';
import { escapeControls, isTerminal } from '../../src/cli/output.ts';
import { temporaryFolder } from '../data/fixtures.ts';
import { rcnn, start } from './command.ts';

const entry = fileURLToPath(new URL('../../src/cli/rcnn.ts', import.meta.url));

test('an output that is also an input, by whatever name, is refused; so are two results in one file', () => {
  const folder = temporaryFolder();
  const at = (...names: string[]): string => join(folder, ...names);
  for (const name of ['run', 'data', 'data/images']) mkdirSync(at(name));
  for (const name of ['img.jpg', 'run/config.json', 'data/images/a.jpg', 'a.json']) writeFileSync(at(name), '{}');
  symlinkSync('img.jpg', at('symbolic'));
  linkSync(at('img.jpg'), at('hard'));
  symlinkSync('run', at('other-run'));
  const replaced = 'this command reads it, so it would be replaced; choose another name';
  const inputs = { files: [at('img.jpg')], model: at('run'), data: `coco:${at('data')},${at('a.json')}` };
  for (const name of [
    'img.jpg',
    'symbolic',
    'hard',
    'run/config.json',
    'other-run/config.json',
    'data/images/a.jpg',
    'a.json',
  ]) {
    for (const path of [at(name), relative(process.cwd(), at(name))]) {
      assert.throws(
        () => assertOutputs([path], inputs),
        (error: Error) => error.message === `${path}: ${replaced}`,
      );
    }
  }
  assertOutputs([at('new.json'), undefined, at('run', 'report.json'), at('data', 'new.json')], inputs);
  const twice = /b\.json: two results would go to this file; choose another name for one$/;
  assert.throws(() => assertOutputs([at('b.json'), at('run', '..', 'b.json')]), twice);
  assert.throws(() => assertOutputs([at('run', 'b.json'), at('other-run', 'b.json')]), twice);
  assert.throws(() => assertOutputs(['-']), /^-: standard output has this command's messages; name a file$/);
  if (process.platform !== 'win32') assertOutputs(['/dev/null', '/dev/null']);
});

test('detect does not replace its image, nor eval the checkpoint', async () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'run'));
  writeFileSync(join(folder, 'img.png'), 'picture');
  writeFileSync(join(folder, 'run', 'checkpoint.safetensors'), 'weights');
  const results = await Promise.all([
    rcnn(folder, 'detect', 'img.png', '--model', 'run', '--json', 'img.png'),
    rcnn(folder, 'eval', '--model', 'run', '--data', 'digits', '--json', 'run/checkpoint.safetensors'),
  ]);
  for (const { code, stderr } of results) {
    assert.is(code, 1);
    assert.match(stderr, /^rcnn \w+: \S+: this command reads it, so it would be replaced; .*\n$/);
  }
  assert.is(readFileSync(join(folder, 'img.png'), 'utf8'), 'picture');
  assert.is(readFileSync(join(folder, 'run', 'checkpoint.safetensors'), 'utf8'), 'weights');
});

test('a link that leads back to itself is one line', async () => {
  if (!unix) return;
  const folder = temporaryFolder();
  symlinkSync('loop', join(folder, 'loop'));
  const { code, stderr } = await rcnn(folder, 'detect', 'loop', '--model', 'run');
  assert.is(code, 1);
  assert.match(stderr, /^rcnn detect: loop: is a symbolic link [^\n]*\n$/);
});

test('control characters are printed as escapes', async () => {
  assert.is(escapeControls('a\x1b[31mb\x07\x7f\x9b\u202e'), 'a\\x1b[31mb\\x07\\x7f\\x9b\\u202e');
  assert.is(escapeControls('two\nlines\tund größe 猫'), 'two\nlines\tund größe 猫');
  const { code, stderr } = await rcnn(temporaryFolder(), 'detect', '\x1b[31mcat.jpg', '--model', 'run');
  assert.is(code, 1);
  assert.match(stderr, /\\x1b\[31mcat\.jpg: there is no such file/);
  assert.not.match(stderr, /\x1b/);
});

test('a dumb terminal is no terminal: nothing is redrawn there', () => {
  const [term, isTTY] = [process.env['TERM'], process.stdout.isTTY];
  try {
    process.stdout.isTTY = true;
    for (const [name, expected] of [
      ['xterm', true],
      ['dumb', false],
    ] as const) {
      process.env['TERM'] = name;
      assert.is(isTerminal(), expected);
    }
  } finally {
    process.stdout.isTTY = isTTY;
    if (term === undefined) delete process.env['TERM'];
    else process.env['TERM'] = term;
  }
});

const train = ['train', '--preset', 'demo', '--steps', '4', '--out', 'run'];
const unix = process.platform !== 'win32';

test('a training whose output is no longer read continues to its end', async () => {
  if (!unix) return;
  const cwd = temporaryFolder();
  const command = `set -o pipefail; "$0" --import ${import.meta.resolve('tsx')} ${entry} ${train.join(' ')} | head -n 1`;
  await promisify(execFile)('bash', ['-c', command, process.execPath], { cwd, timeout: 120_000 });
  assert.match(readFileSync(join(cwd, 'run', 'metrics.jsonl'), 'utf8'), /"step":4,/);
});

test('a closed terminal and Ctrl-\\ save as Ctrl-C does', async () => {
  if (!unix) return;
  for (const signal of ['SIGHUP', 'SIGQUIT'] as const) {
    const cwd = temporaryFolder();
    const { child, result } = start([...train.slice(0, 3), '--steps', '2000', '--out', 'run'], cwd);
    let seen = '';
    child.stdout!.on('data', (text: string) => {
      if (!child.killed && /^step \d/m.test((seen += text))) child.kill(signal);
    });
    const { code, stdout } = await result;
    assert.is(code, 130, signal);
    assert.match(
      stdout,
      /^stopped after \d+ steps?, .*; saved in run\. Continue with: rcnn train --resume --out run$/m,
    );
  }
});

test('a second process that would write the same run is refused, and the first continues', async () => {
  const cwd = temporaryFolder();
  const begin = [...train.slice(0, 3), '--steps', '2000', '--out', 'run'];
  const first = start(begin, cwd);
  while (!existsSync(join(cwd, 'run', 'config.json')) && first.child.exitCode === null)
    await new Promise((resolve) => setTimeout(resolve, 20));
  const others = [begin, ['train', '--resume', '--out', 'run'], ['pretrain', '--out', 'run'], ['demo', '--out', 'run']];
  for (const { code, stderr } of await Promise.all(others.map((args) => rcnn(cwd, ...args)))) {
    assert.is(code, 1, stderr);
    const line = `rcnn \\w+: run: process ${first.child.pid} on \\S+ writes this run since \\S+; stop that one first, or choose another --out\\n`;
    assert.match(stderr, new RegExp(`^${line}$`));
  }
  first.child.kill('SIGTERM');
  assert.is((await first.result).code, unix ? 130 : 'SIGTERM');
  if (unix) assert.not(existsSync(join(cwd, 'run', 'run.lock')));
});

test('initial weights in the folder of the run are not replaced by it', async () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'run'));
  writeFileSync(join(folder, 'run', 'best.safetensors'), 'weights');
  for (const command of ['train', 'pretrain']) {
    const { code, stderr } = await rcnn(folder, command, '--init', 'run/best.safetensors', '--out', 'run');
    assert.is(code, 1);
    assert.match(stderr, /^rcnn \w+: \S+: this command reads it, so it would be replaced; .*\n$/);
  }
  assert.is(readFileSync(join(folder, 'run', 'best.safetensors'), 'utf8'), 'weights');
});

test.run();

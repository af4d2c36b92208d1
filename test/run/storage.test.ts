/** What a run directory promises: one writer, nothing left behind by a dead one, lines that are records. */
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join, relative } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { replaceFile } from '../../src/engine/node/writeFile.ts';
import { thisProcess } from '../../src/engine/node/processes.ts';
import { configureRun } from '../../src/run/config/runConfig.ts';
import { RunDirectory } from '../../src/run/storage/runDirectory.ts';
import { asOnlyWriter, lockPath } from '../../src/run/storage/runLock.ts';
import { temporaryFolder, userError } from '../data/fixtures.ts';

/** The number of a process that has ended. */
const deadPid = (): number => spawnSync(process.execPath, ['-e', '']).pid;

test('a second writer is refused in one line, and the first one’s lock goes with it', async () => {
  const folder = join(temporaryFolder(), 'runs', 'a');
  await asOnlyWriter(folder, async () => {
    const { pid, since } = JSON.parse(readFileSync(lockPath(folder), 'utf8'));
    assert.is(pid, process.pid);
    assert.ok(Math.abs(Date.parse(since) - Date.now()) < 60_000);
    assert.is(await userError(asOnlyWriter(folder, async () => {})), `${folder}: this process writes the run already`);
    assert.ok(existsSync(lockPath(folder)), 'the refused one leaves the lock');
    writeFileSync(join(folder, 'result'), '');
  });
  assert.equal(readdirSync(folder), ['result']);
});

test('a folder that a writer made and left empty goes again, by a relative path too', async () => {
  const root = temporaryFolder();
  for (const path of [join(root, 'runs', 'a'), relative(process.cwd(), join(root, 'b'))]) {
    const failed = asOnlyWriter(path, () => Promise.reject(new Error('no data')));
    assert.is((await failed.catch((error: Error) => error)) instanceof Error, true);
    assert.equal(readdirSync(root), []);
  }
});

test('a lock is believed while its process runs, and taken over when it does not', async () => {
  const folder = temporaryFolder();
  const me = thisProcess();
  const write = (holder: object | string): void =>
    writeFileSync(lockPath(folder), typeof holder === 'string' ? holder : JSON.stringify({ since: 'noon', ...holder }));
  const enter = () => asOnlyWriter(folder, async () => 'entered');

  const parent = { host: me.host, pid: process.ppid, started: null };
  write(parent);
  assert.is(
    await userError(enter()),
    `${folder}: process ${process.ppid} on ${me.host} writes this run since noon; stop that one first, or choose another --out`,
  );
  write({ ...parent, host: 'elsewhere', pid: deadPid() });
  assert.match(
    await userError(enter()),
    /: process \d+ on elsewhere writes this run since noon; wait for its end or, if that host no longer runs it, delete \S+run\.lock$/,
  );
  const stale: [string, object | string][] = [
    ['ended', { ...parent, pid: deadPid() }],
    ['empty', ''],
    ['garbage', '\0\0\0'],
  ];
  // Its number is that of a living process, which started at another time.
  if (me.started !== null) stale.push(['reused', { ...parent, started: 'another boot 1' }]);
  for (const [what, holder] of stale) {
    write(holder);
    assert.is(await enter(), 'entered', what);
    assert.equal(readdirSync(folder), [], what);
  }
});

test('a link in place of the lock that leads nowhere, or to itself, is no lock', async () => {
  if (process.platform === 'win32') return;
  const folder = temporaryFolder();
  for (const target of ['nowhere', 'run.lock']) {
    symlinkSync(target, lockPath(folder));
    assert.is(await asOnlyWriter(folder, async () => 'entered'), 'entered', target);
    assert.equal(readdirSync(folder), [], target);
  }
});

test('a writer removes the temporary files of dead processes of this host, and nothing else', async () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, '2-detector'));
  const host = hostname()
    .replace(/[^\w-]/g, '-')
    .slice(0, 40);
  const name = (pid: number, on = host): string => `checkpoint.safetensors.${on}.${pid}.tmp`;
  const dead = deadPid();
  const kept = [name(process.ppid), name(dead, 'elsewhere'), `checkpoint.${dead}.tmp`, 'notes.tmp'];
  for (const file of [name(dead), name(process.pid), join('2-detector', name(dead)), ...kept]) {
    writeFileSync(join(folder, file), 'x');
  }
  await asOnlyWriter(folder, async () => {});
  assert.equal(readdirSync(folder).sort(), ['2-detector', ...kept].sort());
  assert.equal(readdirSync(join(folder, '2-detector')), []);
});

test('a file is replaced through a temporary file of its own, never through a planted one, and keeps its mode', () => {
  if (process.platform === 'win32') return;
  const folder = temporaryFolder();
  const path = join(folder, 'config.json');
  const victim = join(folder, 'victim');
  const host = hostname()
    .replace(/[^\w-]/g, '-')
    .slice(0, 40);
  writeFileSync(path, 'old');
  chmodSync(path, 0o640);
  writeFileSync(victim, 'precious');
  symlinkSync(victim, `${path}.${host}.${process.pid}.tmp`);
  replaceFile(path, 'new');
  assert.is(readFileSync(path, 'utf8'), 'new');
  assert.is(statSync(path).mode & 0o777, 0o640);
  assert.is(readFileSync(victim, 'utf8'), 'precious');
  assert.equal(readdirSync(folder).sort(), ['config.json', 'victim']);
  replaceFile(join(folder, 'ä'.repeat(120)), 'a name of 240 bytes');
});

const line = { step: 10, lr: 0.001, loss: 2, rpn_cls: 1, seconds: 1, data_seconds: 0 };
const evaluated = { step: 10, mAP: 0.5, ap: { cat: 0.5, dog: null }, loss: 2, images: 3, seconds: 1 };

/** JSON, but no record. */
const strangers = [
  'null',
  '5',
  '"text"',
  '[]',
  '{}',
  '{"step":"10","loss":1}',
  '{"step":-1,"loss":1}',
  '{"step":1.5,"loss":1}',
  '{"step":20}',
  '{"step":20,"loss":"low"}',
  '{"step":20,"loss":1,"ap":[],"mAP":{}}',
  '['.repeat(100_000) + ']'.repeat(100_000),
  '{"a":'.repeat(100_000) + '1' + '}'.repeat(100_000),
  '{"step":20,"loss":1,"lr":' + '['.repeat(100_000) + ']'.repeat(100_000) + '}',
  '\0\0\0',
  '{"step":20,"lo',
];

test('lines that do not fit are left out, wherever they stand', () => {
  const directory = new RunDirectory(temporaryFolder());
  for (const text of strangers) appendFileSync(directory.metricsPath, text + '\n');
  directory.appendMetrics(line as never);
  for (const text of strangers) appendFileSync(directory.metricsPath, text + '\n');
  assert.equal(directory.readMetrics(), [line]);
  directory.truncateMetrics(10);
  assert.is(readFileSync(directory.metricsPath, 'utf8'), JSON.stringify(line) + '\n');
  for (const text of strangers) appendFileSync(directory.validationPath, text + '\n');
  directory.appendValidation(evaluated as never);
  directory.appendValidation({ ...evaluated, step: 20, mAP: NaN } as never);
  assert.equal(directory.readValidation(), [evaluated, { ...evaluated, step: 20, mAP: NaN }]);
});

test('a new run replaces no file that is not a run’s', async () => {
  const told = async (directory: RunDirectory): Promise<string> =>
    userError(Promise.resolve().then(() => directory.assertFree()));
  for (const [name, text] of [
    ['config.json', '{"model_type": "bert"}'],
    ['config.json', '{"format": 1}'],
    ['metrics.jsonl', '{"accuracy": 1}\n'],
    ['best.safetensors', 'x'],
    [join('1-rpn', 'config.json'), '{}'],
  ] as const) {
    const directory = new RunDirectory(temporaryFolder());
    mkdirSync(join(directory.path, '1-rpn'));
    writeFileSync(join(directory.path, name), text);
    const line = `${directory.path}: is not a run of 'rcnn train', so its ${name} is not replaced; choose another --out`;
    assert.is(await told(directory), line);
    assert.is(readFileSync(join(directory.path, name), 'utf8'), text);
  }
  const { config } = await configureRun({ preset: 'demo' });
  const own = new RunDirectory(temporaryFolder());
  own.create(config);
  own.appendMetrics(line as never);
  own.create(config); // it never reached a checkpoint
  assert.equal(readdirSync(own.path), ['config.json']);
});

test('a folder in the place of a file of the run is reported in one line', async () => {
  const directory = new RunDirectory(temporaryFolder());
  for (const path of [directory.metricsPath, directory.configPath]) mkdirSync(path);
  const told = async (fn: () => unknown) => userError(Promise.resolve().then(fn));
  assert.is(await told(() => directory.readMetrics()), `${directory.metricsPath}: is a folder; name a file`);
  assert.is(await told(() => directory.readConfig()), `${directory.configPath}: is a folder; name a file`);
  assert.is(
    await told(() => directory.appendMetrics(line as never)),
    `${directory.metricsPath}: could not be written, there is a folder of this name; choose another name`,
  );
});

test.run();

/** `rcnn bench` as a user runs it. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { benchJsonSchema, type BenchReport, benchReportSchema } from '../../src/bench/report.ts';
import { temporaryFolder } from '../data/fixtures.ts';
import { rcnn } from './command.ts';

test('rows of a filter, as a table and as JSON', async () => {
  const folder = temporaryFolder();
  const { code, stdout, stderr } = await rcnn(
    folder,
    'bench',
    '--quick',
    '--filter',
    'matrix product',
    '--json',
    'bench.json',
  );
  assert.is(code, 0, stdout + stderr);
  assert.is(stderr, '');
  assert.match(stdout, /^computing on \S+|^no GPU found: computing on the CPU with \S+/m);
  assert.match(stdout, /^kernels timed by /m);
  assert.match(stdout, /^peaks of this adapter: [\d.]+ GFLOP\/s multiply-add, [\d.]+ GB\/s copy$/m);
  assert.match(stdout, /^Matrix product +first ms +median ms +best ms +rate +of peak +of bound$/m);
  assert.match(stdout, /^  matmul +512x512x512 +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+ GFLOP\/s +\d+ % +\d+ %$/m);
  assert.match(stdout, /^2 rows right, 0 wrong$/m);
  const report = JSON.parse(readFileSync(join(folder, 'bench.json'), 'utf8'));
  assert.equal(Object.keys(report), Object.keys(benchReportSchema.shape));
  assert.ok(benchReportSchema.parse(report).complete);
  assert.is(report.system.node, process.version);
  assert.is(report.system.adapter.description, report.adapter);
  assert.equal(
    report.rows.map(({ op, shape, valid }: Record<string, unknown>) => [op, shape, valid]),
    [
      ['matmul', '512x512x512', true],
      ['matmul', '1024x1024x1024', true],
    ],
  );
  for (const name of ['first_ms', 'median_ms', 'best_ms', 'gflops', 'share_of_peak', 'largest_error', 'repetitions']) {
    assert.type(report.rows[0][name], 'number', name);
  }
});

test('the list of rows needs no device', async () => {
  const { code, stdout } = await rcnn(temporaryFolder(), 'bench', '--list', '--filter', 'roipool');
  assert.is(code, 0);
  assert.equal(
    stdout.trim().split('\n'),
    ['forward 512x38x50, 300', 'backward 512x38x50, 128'].map((text) => `RoIs: roiPool ${text} RoIs, 7x7`),
  );
});

test('a filter that no row has', async () => {
  const folder = temporaryFolder();
  const { code, stderr } = await rcnn(folder, 'bench', '--filter', 'fft', '--json', 'bench.json');
  assert.is(code, 1);
  assert.is(stderr, 'rcnn bench: --filter fft: no row has this in its name; rcnn bench --list prints them\n');
  assert.not(existsSync(join(folder, 'bench.json')));
});

/** A report with these best times, of rows 0, 1, ... of one group. */
const reportOf = (times: readonly (number | null)[], adapter = 'one'): BenchReport => ({
  adapter,
  software: true,
  subgroup_size: 8,
  clock: 'wall',
  peaks: { gflops: 1, gbps: 1 },
  rows: times.map((time, i) => ({
    group: 'Rows',
    op: 'op',
    shape: `${i}`,
    valid: time !== null,
    compared: 1,
    largest_error: 0,
    problems: [],
    first_ms: time,
    median_ms: time,
    best_ms: time,
    repetitions: 1,
    gflops: null,
    gbps: null,
    share_of_peak: null,
  })),
  failed: times.filter((time) => time === null).length,
});

test('two reports: ratios, what got slower or wrong, the exit code', async () => {
  const folder = temporaryFolder();
  const write = (name: string, value: unknown) => writeFileSync(join(folder, name), JSON.stringify(value));
  write('a.json', reportOf([10, 20, 30]));
  write('same.json', reportOf([9, 22, 30, 5]));
  write('slower.json', reportOf([5, 30, null]));
  write('other.json', reportOf([10, 20, 30], 'two'));
  write('bad.json', { ...reportOf([1]), peaks: 3 });
  const compare = (...args: string[]) => rcnn(folder, 'bench', '--compare', ...args);

  const same = await compare('a.json', 'same.json');
  assert.is(same.code, 0, same.stderr);
  assert.match(same.stdout, /^  Rows: op 0 +10\.0 +9\.00 +1\.11$/m);
  assert.match(same.stdout, /^geometric mean of 3 rows: 1\.00 times as fast$/m);
  assert.match(same.stdout, /^only in one report.*: Rows: op 3$/m);
  assert.match(same.stdout, /^no row takes more than 1\.15 times as long$/m);
  assert.is((await compare('a.json', 'same.json', '--tolerance', '1.05')).code, 1);

  const slower = await compare('a.json', 'slower.json');
  assert.is(slower.code, 1);
  assert.match(slower.stdout, /^SLOWER  Rows: op 1: takes 1\.50 times as long$/m);
  assert.match(slower.stdout, /^WRONG   Rows: op 2$/m);

  const refused: [args: string[], text: RegExp][] = [
    [
      ['a.json', 'other.json'],
      /^rcnn bench: the reports are of different devices, one and two: .*--different-devices$/m,
    ],
    [['a.json'], /^rcnn bench: --compare: 1 files; give two reports, the earlier first$/m],
    [['a.json', 'none.json'], /^rcnn bench: none\.json: there is no such file/m],
    [['bad.json', 'a.json'], /^rcnn bench: bad\.json: peaks: .*give a report of rcnn bench --json$/m],
  ];
  for (const [args, text] of refused) {
    const { code, stderr } = await compare(...args);
    assert.is(code, 1);
    assert.match(stderr, text);
  }
  assert.is((await compare('a.json', 'other.json', '--different-devices')).code, 0);
});

test('docs/bench.schema.json is the schema of the report', () => {
  const file = new URL('../../docs/bench.schema.json', import.meta.url);
  assert.equal(JSON.parse(readFileSync(file, 'utf8')), JSON.parse(JSON.stringify(benchJsonSchema())));
});

test.run();

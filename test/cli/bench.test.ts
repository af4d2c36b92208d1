/** `rcnn bench` as a user runs it. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { temporaryFolder } from '../data/fixtures.ts';
import { rcnn } from './command.ts';

test('rows of a filter, as a table and as JSON', async () => {
  const folder = temporaryFolder();
  const { code, stdout, stderr } = await rcnn(folder, 'bench', '--quick', '--filter', 'matmul', '--json', 'bench.json');
  assert.is(code, 0, stdout + stderr);
  assert.is(stderr, '');
  assert.match(stdout, /^computing on \S+|^no GPU found: computing on the CPU with \S+/m);
  assert.match(stdout, /^kernels timed by /m);
  assert.match(stdout, /^peaks of this adapter: [\d.]+ GFLOP\/s multiply-add, [\d.]+ GB\/s copy$/m);
  assert.match(stdout, /^Matrix product +first ms +median ms +best ms +rate +of peak$/m);
  assert.match(stdout, /^  matmul +512x512x512 +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+ GFLOP\/s +\d+ %$/m);
  assert.match(stdout, /^2 rows right, 0 wrong$/m);
  const report = JSON.parse(readFileSync(join(folder, 'bench.json'), 'utf8'));
  assert.equal(Object.keys(report), ['adapter', 'software', 'subgroup_size', 'clock', 'peaks', 'rows', 'failed']);
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
    ['forward 512x38x50, 300', 'backward 512x38x50, 128'].map((text) => `Regions: roiPool ${text} RoIs, 7x7`),
  );
});

test('a filter that no row has', async () => {
  const folder = temporaryFolder();
  const { code, stderr } = await rcnn(folder, 'bench', '--filter', 'fft', '--json', 'bench.json');
  assert.is(code, 1);
  assert.is(stderr, 'rcnn bench: --filter fft: no row has this in its name; rcnn bench --list prints them\n');
  assert.not(existsSync(join(folder, 'bench.json')));
});

test.run();

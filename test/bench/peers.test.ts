/** The comparison with other engines: its arithmetic, its checks and what it writes. None of the others is needed. */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compareRow, type Respondent } from '../../bench/peers/compare.ts';
import { convolutionModel, message } from '../../bench/peers/engines/onnx.ts';
import { between, geomeans, makeRow, markdown, type PeersReport } from '../../bench/peers/report.ts';
import { geometricMean } from '../../src/bench/statistics.ts';
import { describeRow, expectedElements, type PeerRow, ROWS, sampledElements } from '../../bench/peers/rows.ts';
import { temporaryFolder } from '../data/fixtures.ts';

const conv = (op: string, shape = 'a') => ({ op, shape, flops: 3e9 });

test('ratio, rate, share of peak and geometric means', () => {
  const row = makeRow(conv('forward'), 100, { tfjs: 900, 'jax-js': 400 }, 60, []);
  assert.is(row.ratio_to_best_peer, 4);
  assert.is(row.gflops, 30);
  assert.is(row.share_of_peak, 0.5);
  assert.is(makeRow(conv('forward'), 100, {}, 60, []).ratio_to_best_peer, null);
  const wrong = makeRow(conv('forward'), null, { tfjs: 900 }, 60, []);
  assert.equal([wrong.ratio_to_best_peer, wrong.gflops, wrong.share_of_peak], [null, null, null]);
  assert.is(geometricMean([]), null);
  assert.ok(Math.abs(geometricMean([2, 8])! - 4) < 1e-12);
  const rows = [
    row,
    makeRow(conv('forward'), 100, { tfjs: 900 }, 60, []),
    wrong,
    makeRow(conv('matmul'), 1, { tfjs: 99 }, 60, []),
  ];
  const { forward, input_gradient } = geomeans(rows);
  assert.ok(Math.abs(forward! - 6) < 1e-12);
  assert.is(input_gradient, null);
});

/** Answers as an engine that needs `milliseconds` and whose results are `factor` times what is right. */
function respondent(name: string, milliseconds: number, factor = 1): Respondent & { runs: number } {
  let row: PeerRow | undefined;
  const engine = {
    name,
    runs: 0,
    async ask(request: Parameters<Respondent['ask']>[0]) {
      if (request.kind === 'prepare') {
        row = ROWS[request.row];
        return { kind: 'prepared', possible: Number.isFinite(milliseconds) };
      }
      if (request.kind === 'run') engine.runs++;
      if (request.kind === 'run') return { kind: 'ran', milliseconds: milliseconds + 10 / engine.runs };
      if (request.kind === 'dispose') return { kind: 'disposed' };
      const values = expectedElements(row as Extract<PeerRow, { kind: 'matmul' }>).map(({ value }) => factor * value);
      return { kind: 'elements', values };
    },
  };
  return engine as unknown as ReturnType<typeof respondent>;
}

const product = ROWS.findIndex(({ kind }) => kind === 'matmul');

test('a wrong peer has no time, one without the operation is left out', async () => {
  const engines = [
    respondent('webgpu-rcnn', 10),
    respondent('tfjs', 60),
    respondent('jax-js', 1, 1.001),
    respondent('onnxruntime-node', NaN),
  ];
  const row = await compareRow(engines, product, 100);
  assert.equal(Object.keys(row.peers), ['tfjs']);
  assert.is(row.ours_ms, 10 + 10 / 4, 'the best of three rounds after a warm-up');
  assert.is(row.ratio_to_best_peer, (60 + 10 / 4) / row.ours_ms!);
  assert.is(row.notes.length, 1);
  assert.match(row.notes[0]!, /^jax-js is wrong: \[0\] is \S+, expected \S+/);
  assert.equal(
    engines.map(({ runs }) => runs),
    [4, 4, 1, 0],
  );
});

test('a wrong result of our own engine gets no time either', async () => {
  const row = await compareRow([respondent('webgpu-rcnn', 10, 1.001), respondent('tfjs', 60)], product, 100);
  assert.equal([row.ours_ms, row.ratio_to_best_peer], [null, null]);
  assert.match(row.notes[0]!, /^webgpu-rcnn is wrong/);
});

test('an engine that takes long gets one round', async () => {
  const slow = respondent('tfjs', 15_000);
  await compareRow([respondent('webgpu-rcnn', 10), slow], product, 100);
  assert.is(slow.runs, 2);
});

test('rows: the 3x3 layers of VGG-16 three times, products, training steps, a detector; samples lie within the results', () => {
  const ops = ROWS.map((row) => describeRow(row).op);
  for (const pass of ['forward', 'input_gradient', 'filter_gradient'])
    assert.is(ops.filter((op) => op === pass).length, 9);
  assert.equal(ops.slice(27, 30), ['matmul', 'matmul', 'training_step']);
  assert.equal(
    ROWS.slice(30).map((row) => describeRow(row)),
    ['800x1066', '256x341'].flatMap((size) =>
      ['detection', 'training_step'].map((op) => ({ op, shape: `ResNet-50-FPN ${size}`, flops: null })),
    ),
  );
  const forward = ROWS[1]!;
  assert.equal(describeRow(forward), { op: 'forward', shape: '64->64 3x3 300x400', flops: 2 * 64 * 64 * 9 * 120_000 });
  const indices = sampledElements(forward);
  assert.ok(indices.every((i) => i < 120_000 || (i >= 63 * 120_000 && i < 64 * 120_000)));
  assert.ok(indices.some((i) => i >= 63 * 120_000) && indices.length > 100);
});

test('a protobuf message and a model that names what it holds', () => {
  assert.equal([...message([1, 150], [2, 'ab'], [3, Uint8Array.of(8, 1)])], [8, 150, 1, 18, 2, 97, 98, 26, 2, 8, 1]);
  const weights = { shape: [2, 1, 1, 1], values: Float32Array.of(1, 2) };
  const text = Buffer.from(convolutionModel([1, 1, 4, 4], weights, { stride: 1, pad: 0 })).toString('latin1');
  for (const name of ['Conv', 'Relu', 'Slice', 'strides', 'pads']) assert.ok(text.includes(name), name);
});

const REPORT: PeersReport = {
  adapter: 'llvmpipe',
  date: '2026-01-02T03:04:05.678Z',
  peak_gflops: 60,
  versions: { tfjs: '4.22.0' },
  rows: [makeRow(conv('input_gradient', '3->64 3x3 300x400'), 100, { tfjs: 400 }, 60, ['jax-js failed: why'])],
  geomean: { forward: null, input_gradient: 4, filter_gradient: null },
  missing: { 'onnxruntime-node': 'no driver' },
};

test('the table in Markdown, between the marks of a document and nowhere else', () => {
  const text = markdown(REPORT, ['tfjs']);
  assert.match(text, /^llvmpipe, 2026-01-02; multiply-add peak 60 GFLOP\/s\.$/m);
  assert.match(text, /^\| operation \| shape \| webgpu-rcnn \| tfjs \| ratio \| GFLOP\/s \| of peak \|$/m);
  assert.match(text, /^\| input gradient \| 3->64 3x3 300x400 \| 100 \| 400 \| 4\.00 \| 30\.0 \| 50 % \|$/m);
  assert.match(text, /^Geometric mean of the ratios: forward not measured, input gradient 4\.00, /m);
  assert.match(text, /^onnxruntime-node did not start: no driver\.$/m);
  assert.match(text, /^input gradient 3->64 3x3 300x400: jax-js failed: why\.$/m);
  const [begin, end] = ['<!-- peers:begin -->', '<!-- peers:end -->'];
  assert.is(between(`a\n${begin}\nold\n${end}\nb`, 'new'), `a\n${begin}\n\nnew\n\n${end}\nb`);
  assert.is(between(`a ${begin}`, 'new'), null);
  assert.is(between(`${end} ${begin}`, 'new'), null);
});

/** Runs bench/peers/run.ts; what it writes. */
function peers(cwd: string, ...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const entry = fileURLToPath(new URL('../../bench/peers/run.ts', import.meta.url));
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ['--import', import.meta.resolve('tsx'), entry, ...args],
      { cwd },
      (error, stdout, stderr) => resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });
}

test('the command: its rows, and bad input in one line before anything is installed or measured', async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'plain.md'), 'no marks\n');
  const [list, ...bad] = await Promise.all([
    peers(folder, '--list', '--filter', 'matmul'),
    peers(folder, '--filter', 'fft'),
    peers(folder, '--peers', 'tfjs,torch'),
    peers(folder, '--markdown', 'plain.md'),
    peers(folder, '--jsn', 'x'),
  ]);
  assert.equal([list!.code, list!.stdout], [0, 'matmul 512x512x512\nmatmul 1024x1024x1024\n']);
  const texts = [
    /^bench:peers: --filter fft: no row has this in its name/,
    /^bench:peers: --peers torch: unknown; there are onnxruntime-node, onnxruntime-cpu, tfjs, jax-js, torchvision$/m,
    /^bench:peers: --markdown plain\.md: has no two lines/,
    /^bench:peers: unknown option '--jsn'/,
  ];
  bad.forEach(({ code, stdout, stderr }, i) => {
    assert.is(code, 1, stderr);
    assert.is(stdout, '');
    assert.match(stderr, texts[i]!);
    assert.is(stderr.trim().split('\n').length, 1, stderr);
  });
});

test.run();

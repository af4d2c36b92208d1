/** Runs with truncated region layers: how near they are to the whole ones, and choices that cannot be. */
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { gpuProducts } from '../../src/engine/gpuProducts.ts';
import { loadSafetensors } from '../../src/engine/node/safetensorsFile.ts';
import { compressRun, type CompressOptions } from '../../src/run/storage/compressRun.ts';
import { detectImage } from '../../src/run/evaluation/detect.ts';
import { evaluate } from '../../src/run/evaluation/evaluate.ts';
import { loadModel } from '../../src/run/storage/loadModel.ts';
import { RunDirectory } from '../../src/run/storage/runDirectory.ts';
import { temporaryFolder, userError } from '../data/fixtures.ts';
import { expectClose, randomArray, sharedGpu } from '../harness.ts';
import { tinyRun, trainHere } from './tinyRun.ts';

/** fc6 of 128 x 576, hardly trained. */
const trained = (async () => {
  const run = await tinyRun({ steps: 4, set: ['detector.test.scoreThreshold=0.001'] });
  const { model, directory } = await trainHere(run);
  model.dispose();
  return { path: directory.path, samples: run.dataset };
})();

async function compressed(ranks: Partial<CompressOptions['ranks']>, model?: string) {
  const out = new RunDirectory(join(temporaryFolder(), 'run'));
  const options = { gpu: await sharedGpu(), model: model ?? (await trained).path, out, weights: 'last' as const };
  const layers = await compressRun({ ...options, ranks: { fc6: undefined, fc7: undefined, ...ranks } });
  return { layers, path: out.path, tensors: (await loadSafetensors(out.checkpointPath)).tensors };
}

test('products of a matrix on the GPU, whole and in shards, are those of float64', async () => {
  await trained; // which holds memory of its own meanwhile
  const gpu = await sharedGpu();
  const { device } = gpu.plans;
  const [rows, columns, k] = [80, 48, 300]; // two blocks of vectors
  const data = randomArray(rows * columns, 1);
  const x = Float64Array.from(randomArray(k * rows, 2));
  const y = Float64Array.from(randomArray(k * columns, 3));
  const expectedX = new Float64Array(k * columns);
  const expectedY = new Float64Array(k * rows);
  for (let v = 0; v < k; v++) {
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) {
        expectedX[v * columns + j]! += x[v * rows + i]! * data[i * columns + j]!;
        expectedY[v * rows + i]! += y[v * columns + j]! * data[i * columns + j]!;
      }
    }
  }
  for (const maxBindingBytes of [device.maxBindingBytes, 32 * columns * 4]) {
    const before = gpu.statistics().liveBytes;
    gpu.plans.planFor({ ...device, maxBindingBytes });
    const products = gpuProducts(gpu, data, [rows, columns]);
    gpu.plans.planFor(device);
    expectClose(await products.times(x, k), expectedX, { atol: 1e-4, rtol: 0, what: 'x A' });
    expectClose(await products.timesTransposed(y, k), expectedY, { atol: 1e-4, rtol: 0, what: 'y A^T' });
    products.dispose();
    assert.is(gpu.statistics().liveBytes, before);
  }
});

test('with all its singular values a run detects as before; with fewer it has fewer weights and still evaluates', async () => {
  const gpu = await sharedGpu();
  const { path, samples } = await trained;
  const whole = await loadModel(gpu, path);
  const picture = await samples.samples[0]!.load();
  const expected = await detectImage(whole, picture);
  assert.ok(expected.length > 10);
  const full = await compressed({ fc6: 128 });
  assert.ok(Math.abs(full.layers[0]!.kept - 1) < 1e-5);
  const same = await loadModel(gpu, full.path);
  const found = await detectImage(same, picture);
  expectClose(
    found.slice(0, 10).flatMap(({ x1, y1, x2, y2, score }) => [x1, y1, x2, y2, 100 * score]),
    expected.slice(0, 10).flatMap(({ x1, y1, x2, y2, score }) => [x1, y1, x2, y2, 100 * score]),
    { atol: 0.02, rtol: 0, what: 'detections' },
  );
  const small = await compressed({});
  assert.equal(
    small.layers.map(({ layer, rank, outputs, inputs }) => [layer, rank, outputs, inputs]),
    [['fc6', 32, 128, 576]],
  );
  const reduced = await loadModel(gpu, small.path);
  assert.equal(reduced.config.ranks, { fc6: 32 });
  const names = ['fc6_L.weight', 'fc6_U.weight', 'fc6_U.bias'];
  assert.equal(
    names.map((name) => reduced.parameters[name]!.shape),
    [[32, 576], [128, 32], [128]], // prettier-ignore
  );
  assert.not.ok('fc6.weight' in reduced.parameters);
  assert.equal(names.map((name) => reduced.partOf(name)), ['regions', 'regions', 'regions']); // prettier-ignore
  const { report } = await evaluate(reduced, { ...samples, samples: samples.samples.slice(0, 2) }, 'voc10');
  assert.is(report.images, 2);
  [whole, same, reduced].forEach((model) => model.dispose());
});

test('what is left of a weight is nearest among all of its rank, and the same bits a second time', async () => {
  const { path } = await trained;
  const before = (await loadSafetensors(new RunDirectory(path).checkpointPath)).tensors;
  const weight = before['fc6.weight']!.data;
  const { tensors, layers } = await compressed({ fc6: 16 });
  const [lower, upper] = [tensors['fc6_L.weight']!.data, tensors['fc6_U.weight']!.data];
  let [error, all] = [0, 0];
  for (let i = 0; i < 128; i++) {
    for (let j = 0; j < 576; j++) {
      let near = 0;
      for (let r = 0; r < 16; r++) near += upper[i * 16 + r]! * lower[r * 576 + j]!;
      error += (weight[i * 576 + j]! - near) ** 2;
      all += weight[i * 576 + j]! ** 2;
    }
  }
  // What a projection leaves and what it keeps add up (Pythagoras).
  assert.ok(Math.abs(1 - error / all - layers[0]!.kept) < 1e-5);
  assert.equal(tensors['fc6_U.bias']!.data, before['fc6.bias']!.data);
  const again = await compressed({ fc6: 16 });
  assert.equal(again.tensors['fc6_L.weight']!.data, lower);
  assert.equal(Object.keys(again.tensors).filter((name) => name.startsWith('momentum/')), []); // prettier-ignore
});

test('ranks and layers that there are not are one line, and nothing is written', async () => {
  const small = await compressed({});
  const wrong: [Parameters<typeof compressed>, RegExp][] = [
    [[{ fc6: 129 }], /^--fc6 129: the layer is 128 x 576; choose a number up to 128$/],
    [[{ fc7: 8 }], /^--fc7: the backbone small has no such layer; leave the option out$/],
    [[{ fc6: 'whole' }], /run: no layer is left to compress; give --fc6 or --fc7 a number of singular values$/],
    [[{}, small.path], /run: is compressed already; compress the run that it was made from$/],
    [[{}, temporaryFolder()], /config\.json: there is no such file/],
  ];
  for (const [args, message] of wrong) assert.match(await userError(compressed(...args)), message);
  const taken = new RunDirectory(small.path);
  const options = { gpu: await sharedGpu(), model: (await trained).path, out: taken, weights: 'last' as const };
  const message = await userError(compressRun({ ...options, ranks: { fc6: 8, fc7: undefined } }));
  assert.match(message, /already holds a run/);
});

test.run();

/** Training and detection in half precision, where the device has it; one clear line where it has not. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cast, conv2d, greater, multiply, softmax, sum, relu, Sgd } from '../../src/index.ts';
import { fromHalf, toHalf } from '../../src/kernels/half.ts';
import { LOSS_TERMS } from '../../src/model/detector.ts';
import { FasterRcnn } from '../../src/model/fasterRcnn.ts';
import { batchOf, padTo } from '../../src/model/imageBatch.ts';
import { detectImage } from '../../src/run/evaluation/detect.ts';
import { openGpu } from '../../src/node.ts';
import { randomArray, sharedGpu } from '../harness.ts';
import { checkpointBits, resumeHere, stoppedAt, tinyRun, trainHere } from './tinyRun.ts';

const half = (await sharedGpu()).hasHalf;
const testHalf = half ? test : test.skip;

test('a device without f16 says so in one line', async () => {
  const gpu = await openGpu({ adapter: 'auto', defaultLimits: true });
  try {
    const { config } = await tinyRun({ precision: 'f16' });
    assert.throws(
      () => new FasterRcnn(gpu, config.detector, 1),
      /^--precision f16: .* does not have it \(WebGPU's feature shader-f16\); use --precision f32$/,
    );
    assert.throws(() => gpu.empty([2], 'f16'), /has no half precision \(WebGPU's feature shader-f16\)/);
  } finally {
    gpu.close();
  }
});

testHalf('tensors of f16 take half the memory and are read and written as numbers', async () => {
  const gpu = await sharedGpu();
  const values = randomArray(101, 1);
  const whole = gpu.tensor(values, [101]);
  const rounded = cast(whole, 'f16');
  assert.equal(
    await rounded.read(),
    values.map((x) => fromHalf(toHalf(x))),
  );
  assert.equal(await cast(rounded, 'f32').read(), await rounded.read());
  assert.ok(rounded.storage.bytes < whole.storage.bytes);
  rounded.write(Array.from({ length: 101 }, (_, i) => i));
  assert.equal(
    [...(await rounded.read())],
    Array.from({ length: 101 }, (_, i) => i),
  );
  assert.throws(() => multiply(rounded, whole), /multiply: a is f16 and b is f32, expected one type/);
  const twice = multiply(rounded, 2);
  assert.is(twice.dtype, 'f16');
  assert.is(greater(rounded, 50).dtype, 'f16');
  assert.equal(
    [...(await twice.read())],
    [...(await rounded.read())].map((x) => fromHalf(toHalf(2 * x))),
  );
  assert.throws(
    () => softmax(cast(gpu.parameter(values, [1, 101], 'p'), 'f16'), 1),
    /softmax: .* is f16, expected f32/,
  );
});

testHalf('images in half precision go through the network together', async () => {
  const gpu = await sharedGpu();
  const { config, dataset } = await tinyRun({ precision: 'f16' });
  const model = new FasterRcnn(gpu, config.detector, 1);
  const [sample] = dataset.samples;
  const { width, height, rgba } = await sample!.load();
  await gpu.scope(async () => {
    const lower = { width, height: height / 2, rgba: rgba.slice(0, 2 * width * height) };
    const images = [{ width, height, rgba }, lower].map((pixels) => {
      const image = model.prepare(pixels);
      return { image, truth: model.truth(sample!.boxes.slice(0, 1), image), sampling: { random: false, seed: 0 } };
    });
    const { tensor } = batchOf(images.map(({ image }) => image));
    assert.is(tensor.dtype, 'f16');
    const [, , h, w] = tensor.shape as [number, number, number, number];
    for (const [k, losses] of model.batchLosses(images).entries()) {
      const { image, truth, sampling } = images[k]!;
      const alone = model.losses({ ...image, tensor: padTo(image.tensor, [h, w]) }, truth, sampling);
      for (const term of LOSS_TERMS) {
        const [found, expected] = [(await losses[term].read())[0]!, (await alone[term].read())[0]!];
        assert.ok(Math.abs(found - expected) <= 1e-3 * expected, `${term} of image ${k}: ${found}, ${expected}`);
      }
    }
  });
  model.dispose();
});

testHalf('gradients of parameters are float32, and a changed parameter is rounded again', async () => {
  const gpu = await sharedGpu();
  const w = gpu.parameter(randomArray(4 * 3 * 9, 2), [4, 3, 3, 3], 'w');
  const image = gpu.tensor(randomArray(3 * 64, 4), [1, 3, 8, 8]);
  const sgd = new Sgd([w], { learningRate: 0.1 });
  const gradients = async (precision: 'f32' | 'f16', scale: number) => {
    sgd.zeroGrad();
    const y = cast(relu(conv2d(cast(image, precision), w)), 'f32');
    sum(y).backward({ scale });
    assert.is(w.grad!.dtype, 'f32');
    return Float64Array.from(await w.grad!.read(), (g) => g / scale);
  };
  const exact = await gradients('f32', 1);
  const largest = Math.max(...exact.map(Math.abs));
  (await gradients('f16', 1024)).forEach((g, i) => assert.ok(Math.abs(g - exact[i]!) < 4e-3 * largest, `${i}: ${g}`));
  const before = await w.half().read();
  sgd.step(1024);
  assert.not.equal(await w.half().read(), before);
  assert.equal(
    await w.half().read(),
    Float32Array.from(await w.read(), (x) => fromHalf(toHalf(x))),
  );
});

testHalf('training in f16: the same bits twice and after a stop, losses near those of float32', async () => {
  const f16 = () => tinyRun({ steps: 10, precision: 'f16' });
  const whole = await trainHere(await f16());
  assert.is(whole.directory.readConfig().detector.precision, 'f16');
  const run = await f16();
  const { directory } = await stoppedAt(5, (options) => trainHere(run, options));
  await resumeHere(directory);
  assert.equal(await checkpointBits(directory), await checkpointBits(whole.directory));
  const usual = await trainHere(await tinyRun({ steps: 10 }));
  assert.not.equal(await checkpointBits(usual.directory), await checkpointBits(whole.directory));
  const last = (run: typeof usual) => run.directory.readMetrics().at(-1)!.loss;
  assert.ok(Math.abs(last(usual) - last(whole)) < 0.05 * last(usual), `${last(usual)}, ${last(whole)}`);
  const picture = await run.dataset.samples[0]!.load();
  const found = await detectImage(whole.model, picture);
  assert.equal(await detectImage(whole.model, picture), found);
});

test.run();

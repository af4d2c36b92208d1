import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { conv2d, heNormal, maxPool2d, relu, sum, zeros, type Tensor } from '../../src/index.ts';
import { expectClose, randomArray, sharedGpu } from '../harness.ts';

/** A stack of convolutions and pools whose activations are of 64 KiB and more. */
async function network() {
  const gpu = await sharedGpu();
  const weights = [3, 16, 16, 16].map((inputs, i) => gpu.parameter(heNormal(i), [16, inputs, 3, 3], `w${i}`));
  const bias = gpu.parameter(zeros, [16], 'bias');
  const x = gpu.tensor(randomArray(3 * 64 * 64, 1), [1, 3, 64, 64]);
  const layers: ((x: Tensor) => Tensor)[] = weights.map((w) => (x) => relu(conv2d(x, w, bias, { padding: 1 })));
  layers.splice(2, 0, (x) => maxPool2d(x, { kernel: 2 }));
  const forward = (): Tensor => sum(layers.reduce((value, layer) => layer(value), x));
  const dispose = () => [...weights, bias, x].forEach((tensor) => tensor.dispose());
  return { gpu, weights, bias, x, layers, forward, dispose };
}

test('a backward pass that frees gives the same gradients from less memory', async () => {
  const { gpu, weights, forward, dispose } = await network();
  const run = async (free: boolean) => {
    for (const w of weights) if (w.grad) (w.grad.dispose(), (w.grad = null));
    const peak = gpu.measure(() => forward().backward({ free }));
    assert.is(weights[0]!.grad, null);
    gpu.scope(() => forward().backward({ free }));
    return { peak, gradients: await Promise.all(weights.map((w) => w.grad!.read())) };
  };
  const kept = await run(false);
  const freed = await run(true);
  assert.equal(freed.gradients, kept.gradients);
  assert.ok(freed.peak < kept.peak, `${freed.peak} of ${kept.peak} bytes`);
  // Nothing but the gradients on their way comes on top of the forward pass: at most two of the largest maps at a time.
  const activations = gpu.measure(() => void forward());
  const parameters = weights.reduce((sum, w) => sum + 4 * w.size, 256);
  assert.ok(freed.peak - activations <= 2 * 4 * 16 * 64 * 64 + parameters, `${freed.peak} after ${activations} bytes`);
  dispose();
});

test('an activation that was freed on the way says so; a loss can still be read', async () => {
  const { gpu, x, layers, dispose } = await network();
  const value = layers[0]!(x);
  const loss = sum(value);
  loss.backward({ free: true });
  assert.throws(() => value.storage, /was freed/);
  assert.ok(Number.isFinite((await loss.read())[0]));
  loss.dispose();
  dispose();
  gpu.flush();
});

test('what is measured is the peak that a run then has, and leaves nothing behind', async () => {
  const { gpu, weights, bias, forward, dispose } = await network();
  const step = () => gpu.scope(() => forward().backward({ free: true }));
  step(); // gradients and workspaces exist from here on
  const before = gpu.statistics();
  const measured = gpu.measure(step);
  const after = gpu.statistics();
  for (const key of ['liveBytes', 'peakBytes', 'buffersCreated', 'dispatches'] as const)
    assert.is(after[key], before[key]);
  const gradient = await weights[0]!.grad!.read();
  let peak = 0;
  const acquire = gpu.allocate.bind(gpu);
  gpu.allocate = (bytes, label) => {
    const buffer = acquire(bytes, label);
    peak = Math.max(peak, gpu.statistics().liveBytes);
    return buffer;
  };
  step();
  gpu.allocate = acquire;
  assert.is(peak, measured);
  const doubled = await weights[0]!.grad!.read();
  expectClose(
    doubled,
    gradient.map((value) => 2 * value),
    { atol: 1e-3, rtol: 1e-5 },
  );
  assert.ok(bias.grad);
  dispose();
});

test('inside measure nothing can be read', async () => {
  const gpu = await sharedGpu();
  let reading: Promise<unknown> | undefined;
  gpu.measure(() => {
    reading = gpu.zeros([4]).read();
    reading.catch(() => {});
  });
  await reading!.then(
    () => assert.unreachable('it was read'),
    (error: Error) => assert.match(error.message, /inside gpu.measure a tensor has no values/),
  );
});

test('a frozen layer holds nothing but its result, a trained one what its gradient needs', async () => {
  const { gpu, weights, bias, x, layers, dispose } = await network();
  for (const requiresGrad of [false, true]) {
    for (const parameter of [...weights, bias]) parameter.requiresGrad = requiresGrad;
    const live = gpu.statistics().liveBytes;
    gpu.scope(() => {
      const y = gpu.transient(() => layers[1]!(layers[0]!(x)));
      const held = gpu.statistics().liveBytes - live;
      assert.is(held === 4 * y.size, !requiresGrad, `${held} bytes`);
      if (requiresGrad) sum(y).backward();
    });
  }
  dispose();
});

test('a workspace is one buffer for all its uses, and grows', async () => {
  const gpu = await sharedGpu();
  const small = gpu.workspace('test', 1000);
  assert.is(gpu.workspace('test', 500), small);
  const large = gpu.workspace('test', 2000);
  assert.is.not(large, small);
  assert.is(gpu.workspace('test', 1000), large);
});

test.run();

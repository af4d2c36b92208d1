import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Lease, planBuffers } from '../../src/engine/memoryPlan.ts';
import { conv2d, type Gpu, heNormal, maxPool2d, relu, sum, zeros, type Tensor } from '../../src/index.ts';
import { Random } from '../../src/kernels/rng.ts';
import { openGpu } from '../../src/node.ts';
import { expectClose, heldBytes, randomArray, sharedGpu } from '../harness.ts';

/** A stack of convolutions and pools whose activations are of 64 KiB and more. */
async function network(device?: Gpu) {
  const gpu = device ?? (await sharedGpu());
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
    for (const w of weights) {
      w.grad?.dispose();
      w.grad = null;
    }
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
  step(); // gradients exist from here on
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

test('the device holds at most 1.25 times what is live at once, and a step of known shapes makes no buffer', async () => {
  const gpu = await openGpu();
  const { weights, forward } = await network(gpu);
  const held = heldBytes(gpu);
  const step = async (): Promise<unknown> => {
    gpu.scope(() => forward().backward({ free: true }));
    const gradients = await Promise.all(weights.map(({ grad }) => grad!.read()));
    weights.forEach((weight) => weight.clearGrad());
    return gradients;
  };
  const gradients = await step(); // in buffers that fit exactly; then in planned ones
  const { buffersCreated } = gpu.statistics();
  for (let i = 0; i < 3; i++) assert.equal(await step(), gradients);
  assert.is(gpu.statistics().buffersCreated, buffersCreated);
  const { peakBytes } = gpu.statistics();
  assert.ok(held() <= 1.25 * peakBytes, `${held()} bytes for ${peakBytes}`);
  gpu.close();
});

test('planned buffers serve every lease at best fit, in less than buffers of exact size take', () => {
  const random = new Random(1);
  for (let round = 0; round < 20; round++) {
    const leases = Array.from({ length: 100 }, () => {
      const from = random.uniform(0, 1) * 1000;
      return { bytes: 16 << (random.uniform(0, 1) * 8), from, until: from + random.uniform(0, 1) * 200 };
    });
    const pool = planBuffers(leases).sort((a, b) => a - b);
    const total = pool.reduce((sum, bytes) => sum + bytes, 0);
    const live = (tick: number) => leases.filter(({ from, until }) => from <= tick && tick < until);
    const needed = Math.max(...leases.map(({ from }) => live(from).reduce((sum, { bytes }) => sum + bytes, 0)));
    const taken = new Map<Lease, number>();
    for (const lease of [...leases].sort((a, b) => a.from - b.from)) {
      for (const [user, bytes] of taken)
        if (user.until < lease.from) {
          taken.delete(user);
          pool.push(bytes);
        }
      pool.sort((a, b) => a - b);
      const at = pool.findIndex((bytes) => bytes >= lease.bytes);
      assert.ok(at >= 0, `no buffer for ${lease.bytes} bytes`);
      taken.set(lease, pool.splice(at, 1)[0]!);
    }
    assert.ok(total <= 1.5 * needed, `${total} bytes for ${needed}`);
  }
});

test.run();

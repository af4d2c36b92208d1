import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  Linear,
  Sgd,
  add,
  conv2d,
  gaussian,
  linear,
  maxPool2d,
  multiply,
  relu,
  reshape,
  softmaxLogLoss,
  sum,
} from '../../src/index.ts';
import { openGpu } from '../../src/node.ts';
import { expectClose, randomArray, sharedGpu } from '../harness.ts';

test('a tensor used twice gets the sum of both gradients', async () => {
  const gpu = await sharedGpu();
  const w = gpu.parameter(Float32Array.of(1, -2, 3), [3], 'w');
  gpu.scope(() => sum(add(add(w, w), relu(w))).backward());
  expectClose(await w.grad!.read(), [3, 2, 3], { atol: 0, rtol: 0 });
  w.dispose();
});

test('a leaf is said to have its gradient once, when all its uses have been passed', async () => {
  const gpu = await sharedGpu();
  const [early, late, unused] = ['early', 'late', 'unused'].map((name) => gpu.parameter([2], [1], name));
  const reads: [string, Promise<ArrayLike<number>>][] = [];
  gpu.scope(() => {
    const first = multiply(early!, late!);
    const loss = sum(multiply(first, late!));
    loss.backward({ onGradient: (leaf) => reads.push([leaf.name, leaf.grad!.read()]) });
  });
  const seen = await Promise.all(reads.map(async ([name, values]) => [name, (await values)[0]]));
  assert.equal(seen.sort(), [
    ['early', 4],
    ['late', 8],
  ]);
  [early, late, unused].forEach((parameter) => parameter!.dispose());
});

test('gradients of parameters accumulate until zeroGrad', async () => {
  const gpu = await sharedGpu();
  const w = gpu.parameter(Float32Array.of(1, 2), [2], 'w');
  const optimizer = new Sgd([w], { learningRate: 1 });
  for (let i = 0; i < 3; i++) gpu.scope(() => sum(w).backward());
  expectClose(await w.grad!.read(), [3, 3], { atol: 0, rtol: 0 });
  optimizer.zeroGrad();
  expectClose(await w.grad!.read(), [0, 0], { atol: 0, rtol: 0 });
  w.dispose();
});

test('an optimizer can be freed after its device', async () => {
  const gpu = await openGpu();
  const w = gpu.parameter(Float32Array.of(1, 2), [2], 'w');
  const optimizer = new Sgd([w], { learningRate: 1 });
  gpu.scope(() => sum(w).backward());
  optimizer.zeroGrad();
  gpu.close();
  optimizer.dispose();
});

test('what is only measured does not touch gradients, those that zeroGrad cleared either', async () => {
  const gpu = await sharedGpu();
  const w = gpu.parameter(randomArray(2 * 3, 1), [2, 3], 'w');
  const pass = () => sum(linear(gpu.tensor(randomArray(3, 2), [1, 3]), w, null)).backward();
  const optimizer = new Sgd([w], { learningRate: 1 });
  gpu.measure(pass);
  assert.is(w.grad, null);
  gpu.scope(pass);
  const once = await w.grad!.read();
  gpu.measure(() => {
    pass();
    optimizer.zeroGrad();
    pass();
  });
  assert.equal(await w.grad!.read(), once);
  optimizer.zeroGrad();
  gpu.measure(pass);
  gpu.scope(pass);
  assert.equal(await w.grad!.read(), once);
  w.dispose();
});

test('the gradients of everything that uses an activation are added up, whichever kernels add them', async () => {
  const gpu = await sharedGpu();
  const parameter = (seed: number, shape: number[]) =>
    gpu.parameter(
      randomArray(
        shape.reduce((a, b) => a * b),
        seed,
      ),
      shape,
      `w${seed}`,
    );
  const w = parameter(1, [16, 2, 3, 3]);
  const wide = parameter(2, [16, 16, 3, 3]); // Winograd's form
  const point = parameter(3, [5, 16, 1, 1]);
  const strided = parameter(4, [3, 16, 3, 3]);
  const dense = parameter(5, [7, 16 * 64]);
  const image = randomArray(2 * 64, 6);
  type Use = (h: ReturnType<typeof relu>) => ReturnType<typeof relu>;
  const uses: Use[] = [
    (h) => sum(conv2d(h, wide, null, { padding: 1, relu: true })),
    (h) => sum(conv2d(h, point, null)),
    (h) => sum(conv2d(h, strided, null, { stride: 2, padding: 1 })),
    (h) => sum(linear(reshape(h, [1, -1]), dense, null)),
    (h) => sum(maxPool2d(h, { kernel: 2 })),
    (h) => sum(add(h, conv2d(h, wide, null, { padding: 1 }))),
    (h) => sum(h),
  ];
  const gradient = async (chosen: readonly Use[]) => {
    w.clearGrad();
    gpu.scope(() => {
      const h = conv2d(gpu.tensor(image, [1, 2, 8, 8]), w, null, { padding: 1, relu: true });
      chosen
        .map((use) => use(h))
        .reduce((a, b) => add(a, b))
        .backward();
    });
    return (await w.grad!.read()) as Float32Array;
  };
  const single: Float32Array[] = [];
  for (const use of uses) single.push(await gradient([use]));
  const expected = single[0]!.map((_, i) => single.reduce((total, part) => total + part[i]!, 0));
  for (const order of [uses, uses.slice().reverse(), [...uses.slice(3), ...uses.slice(0, 3)]]) {
    expectClose(await gradient(order), expected, { atol: 2e-3, rtol: 1e-4, what: 'dw' });
  }
  for (const tensor of [w, wide, point, strided, dense]) tensor.dispose();
});

test('nothing is added to a gradient that lies in the memory of another', async () => {
  const gpu = await sharedGpu();
  const v = gpu.parameter(Float32Array.of(1, 2), [1, 2], 'v');
  const w = gpu.parameter(Float32Array.of(3, 4), [1, 2], 'w');
  const m = gpu.parameter(Float32Array.of(10, 20), [1, 2], 'm');
  gpu.scope(() => {
    const [g, h] = [relu(v), relu(w)];
    // Backward, `add` first gives g and h one gradient; then `linear`, whose kernel can add, has one for h alone; g comes last.
    const total = add(sum(g), sum(linear(h, m, null)), sum(add(h, g)));
    total.backward();
  });
  assert.equal([...(await v.grad!.read())], [2, 2]);
  assert.equal([...(await w.grad!.read())], [11, 21]);
  assert.equal([...(await m.grad!.read())], [3, 4]);
  for (const tensor of [v, w, m]) tensor.dispose();
});

test('frozen parameters get no gradient and their branch is not walked', async () => {
  const gpu = await sharedGpu();
  const frozen = gpu.parameter(randomArray(4 * 3 * 9, 1), [4, 3, 3, 3], 'frozen');
  frozen.requiresGrad = false;
  const w = gpu.parameter(randomArray(2 * 4, 2), [2, 4, 1, 1], 'w');
  gpu.scope(() => {
    const x = gpu.tensor(randomArray(3 * 25, 3), [1, 3, 5, 5]);
    const features = relu(conv2d(x, frozen, null, { padding: 1 }));
    assert.is(features.node, null);
    sum(conv2d(features, w, null)).backward();
  });
  assert.is(frozen.grad, null);
  assert.ok(w.grad);
  frozen.dispose();
  w.dispose();
});

test('a small network learns, and a step leaks nothing', async () => {
  const gpu = await sharedGpu();
  const w1 = gpu.parameter(gaussian(0.3, 1), [8, 1, 3, 3], 'w1');
  const b1 = gpu.parameter(new Float32Array(8), [8], 'b1');
  const w2 = gpu.parameter(gaussian(0.1, 2), [3, 8 * 16], 'w2');
  const b2 = gpu.parameter(new Float32Array(3), [3], 'b2');
  const optimizer = new Sgd([w1, b1, w2, b2], { learningRate: 0.1, momentum: 0.9 });
  const images = randomArray(12 * 64, 3);
  const labels = Int32Array.from({ length: 12 }, (_, i) => i % 3);
  const step = () =>
    gpu.scope(() => {
      optimizer.zeroGrad();
      const x = gpu.tensor(images, [12, 1, 8, 8]);
      const hidden = maxPool2d(relu(conv2d(x, w1, b1, { padding: 1 })), { kernel: 2 });
      const loss = softmaxLogLoss(linear(reshape(hidden, [12, -1]), w2, b2), gpu.tensor(labels, [12]));
      loss.backward();
      optimizer.step();
      return loss;
    });
  let first = 0;
  let last = 0;
  let live = 0;
  for (let i = 0; i < 60; i++) {
    const loss = step();
    if (i === 0) first = (await loss.read())[0]!;
    if (i === 59) last = (await loss.read())[0]!;
    loss.dispose();
    if (i === 1) live = gpu.statistics().liveBytes;
  }
  assert.ok(first > 1 && last < 0.05, `loss went from ${first} to ${last}`);
  assert.is(gpu.statistics().liveBytes, live);
  [w1, b1, w2, b2].forEach((parameter) => parameter.dispose());
});

test('a tensor that left its scope names itself', async () => {
  const gpu = await sharedGpu();
  let leaked: { read(): Promise<unknown> } | undefined;
  gpu.scope(() => {
    leaked = gpu.tensor([1, 2], [2], 'leaked');
  });
  try {
    await leaked!.read();
    assert.unreachable('reading a freed tensor must throw');
  } catch (error) {
    assert.match((error as Error).message, /tensor leaked \[2\] was freed/);
  }
});

test('NaN check mode names the first operation that is not finite', async () => {
  const gpu = await sharedGpu();
  gpu.nanCheck = true;
  try {
    const x = gpu.tensor([1e38, 1e38], [2], 'x');
    const y = add(x, x);
    const z = add(y, y);
    await z.read().then(
      () => assert.unreachable('an overflow must be reported'),
      (error: Error) => assert.match(error.message, /^add .* not finite/),
    );
  } finally {
    gpu.nanCheck = false;
  }
});

test('a parameter given to Sgd twice, or a module in place of its parameters, is refused', async () => {
  const gpu = await sharedGpu();
  const w = gpu.parameter(Float32Array.of(1), [1], 'w');
  assert.throws(() => new Sgd([w, { parameter: w }], { learningRate: 1 }), /^Sgd: parameter w is given twice$/);
  const whole = new Linear(gpu, 1, 1);
  assert.throws(
    () => new Sgd(whole as never, { learningRate: 1 }),
    /^Sgd: the parameters are not a list; of a module, give net\.parameters\(\)$/,
  );
  whole.dispose();
  w.dispose();
});

test.run();

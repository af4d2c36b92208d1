/** What is computed from constants once and kept: folded batch normalisation; and products in another layout than they lie in. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { addRelu, conv2d, linear, relu, add, scale, sum, multiply, type Tensor } from '../../src/index.ts';
import { convForwardReference, convGradientsReference } from '../../src/kernels/conv2d.ts';
import { convolveNormalised, FROZEN_NORMALISATION, NormalisedStore } from '../../src/model/backbones/normalised.ts';
import { expectClose, randomArray, sharedGpu } from '../harness.ts';

test('a folded normalisation is computed once, again after a change of any of its tensors, and freed with its layer', async () => {
  const gpu = await sharedGpu();
  const { liveBytes } = gpu.statistics();
  const store = new NormalisedStore(gpu, 1, FROZEN_NORMALISATION);
  const layer = store.layer('conv', 'norm', [4, 3, 1, 1]);
  const x = gpu.tensor(randomArray(3 * 4, 1), [1, 3, 2, 2]);
  const values = () =>
    gpu.scope(async () => [...(await gpu.withoutGradients(() => convolveNormalised(x, layer)).read())]);
  const computed = (tensor = layer.filters) => tensor.companions.length;
  const before = await values();
  assert.is(computed(), 2);
  const folds: string[] = [];
  const { run } = gpu;
  gpu.run = ((kernel, ...rest) => {
    if (kernel.name === 'batch_norm_fold') folds.push(kernel.name);
    return run.call(gpu, kernel, ...rest);
  }) as typeof gpu.run;
  try {
    assert.equal(await values(), before);
    assert.equal(folds, []);
    for (const [name, factor] of [
      ['filters', 2],
      ['weight', 2],
      ['bias', 1],
      ['mean', 1],
      ['variance', 0.25],
    ] as const) {
      const tensor = layer[name];
      const old = await tensor.read();
      tensor.write(Array.from(old, (value) => value * factor + (factor === 1 ? 1 : 0)));
      const changed = await values();
      assert.is.not(changed[0], before[0], name);
      tensor.write(old);
      assert.equal(await values(), before, name);
    }
    assert.is(folds.length, 10);
    // A rehearsal computes nothing, so what it would keep is not kept.
    layer.bias.write([1, 1, 1, 1]);
    gpu.measure(() => void gpu.withoutGradients(() => convolveNormalised(x, layer)));
    folds.length = 0;
    assert.is.not((await values())[0], before[0]);
    assert.is(folds.length, 1);
  } finally {
    gpu.run = run;
  }
  x.dispose();
  for (const tensor of Object.values(store.parameters)) tensor.dispose();
  assert.is(gpu.statistics().liveBytes, liveBytes);
});

test('what is derived is computed again from other tensors, and from the same ones not', async () => {
  const gpu = await sharedGpu();
  const [x, a, b] = [1, 2, 3].map((value) => gpu.tensor([value], [1])) as [Tensor, Tensor, Tensor];
  const product = (factor: Tensor) => x.derive('product', [factor], () => [multiply(x, factor)])[0]!;
  const first = product(a);
  assert.is(product(a), first);
  assert.equal([...(await first.read())], [2]);
  assert.equal([...(await product(b).read())], [3]);
  assert.ok(first.freed);
  [x, a, b].forEach((tensor) => tensor.dispose());
});

test('the transpose of a constant factor of products is computed once, again after a change, and not kept of a trained one', async () => {
  const gpu = await sharedGpu();
  const [rows, inputs, outputs] = [400, 12, 8];
  const x = gpu.tensor(randomArray(rows * inputs, 1), [rows, inputs]);
  const image = x.view([1, inputs, 20, 20]);
  const weight = gpu.parameter(randomArray(outputs * inputs, 2), [outputs, inputs], 'w');
  const filters = gpu.parameter(randomArray(outputs * inputs, 3), [outputs, inputs, 1, 1], 'filters');
  let transposes = 0;
  const { run } = gpu;
  gpu.run = ((kernel, ...rest) => {
    if (kernel.name === 'transpose') transposes++;
    return run.call(gpu, kernel, ...rest);
  }) as typeof gpu.run;
  const counted = async (compute: () => Tensor): Promise<[values: number[], transposes: number]> => {
    transposes = 0;
    const values = await gpu.scope(async () => [...(await compute().read())]);
    return [values, transposes];
  };
  try {
    for (const [parameter, compute] of [
      [weight, () => linear(x, weight)],
      [filters, () => conv2d(image, filters)],
    ] as const) {
      const constant = () => gpu.withoutGradients(compute);
      const [trained, each] = await counted(compute);
      assert.equal(await counted(compute), [trained, each]);
      assert.is(parameter.companions.length, 0);
      assert.equal(await counted(constant), [trained, each]);
      assert.equal(await counted(constant), [trained, 0]);
      const old = await parameter.read();
      parameter.write(old.map((value) => 2 * value));
      assert.equal(await counted(constant), [trained.map((value) => 2 * value), each]);
      assert.is(each, gpu.plans.device.software ? 1 : 0);
    }
  } finally {
    gpu.run = run;
    [x, image, weight, filters].forEach((tensor) => tensor.dispose());
  }
});

test('what is derived is computed again from fewer tensors, and by another name', async () => {
  const gpu = await sharedGpu();
  const [x, a] = [1, 2].map((value) => gpu.tensor([value], [1])) as [Tensor, Tensor];
  const derived = async (name: string, others: Tensor[], make: () => Tensor) => [
    ...(await x.derive(name, others, () => [make()])[0]!.read()),
  ];
  assert.equal(await derived('multiple', [a], () => multiply(x, a)), [2]);
  assert.equal(await derived('multiple', [], () => scale(x, 5)), [5]);
  assert.equal(await derived('another', [], () => scale(x, 7)), [7]);
  [x, a].forEach((tensor) => tensor.dispose());
});

test('a ReLU of a sum is that of the sum, and so are the gradients of both terms, also where they are one tensor', async () => {
  const gpu = await sharedGpu();
  await gpu.scope(async () => {
    const terms = [1, 2].map((seed) => gpu.parameter(randomArray(70, seed), [2, 35], `term ${seed}`));
    const weights = gpu.tensor(randomArray(70, 3), [2, 35]);
    const results = [];
    for (const operation of [addRelu, (a: typeof weights, b: typeof weights) => relu(add(a, b))]) {
      for (const [a, b] of [terms, [terms[0], terms[0]], [scale(terms[0]!, 3), terms[1]]]) {
        terms.forEach((term) => term.freeGrad());
        const y = operation(a!, b!);
        sum(multiply(y, weights)).backward();
        const gradients = terms.map((term) => term.grad?.read() ?? Promise.resolve(null));
        results.push([await y.read(), ...(await Promise.all(gradients))]);
      }
    }
    assert.equal(results.slice(3), results.slice(0, 3));
    assert.ok(results[0]!.every((values) => new Set(values).size > 20));
    terms.forEach((term) => term.dispose());
  });
});

test('a 1x1 convolution of a stride and its gradients are those of the sums over the cells that it reads', async () => {
  const gpu = await sharedGpu();
  for (const [size, C, K, stride] of [
    [[1, 9, 12], 8, 12, 2],
    [[2, 41, 40], 8, 16, 2],
    [[1, 7, 8], 4, 5, 3],
  ] as const) {
    const [B, H, W] = size;
    const [OH, OW] = [H, W].map((n) => Math.floor((n - 1) / stride) + 1) as [number, number];
    const shape = { B, C, H, W, K, R: 1, S: 1, OH, OW, stride, pad: 0 };
    const [x, w, dy] = [B * C * H * W, K * C, B * K * OH * OW].map((n, i) => randomArray(n, i + 1));
    await gpu.scope(async () => {
      const input = gpu.parameter(x!, [B, C, H, W], 'x');
      const filters = gpu.parameter(w!, [K, C, 1, 1], 'w');
      const y = conv2d(input, filters, null, { stride });
      expectClose(await y.read(), convForwardReference(x!, w!, null, shape), { atol: 1e-5, rtol: 1e-5, what: 'y' });
      // Twice, so that a gradient is assigned and then added to.
      for (const times of [1, 2]) {
        const loss = sum(multiply(conv2d(input, filters, null, { stride }), gpu.tensor(dy!, [B, K, OH, OW])));
        loss.backward();
        const { dx, dw } = convGradientsReference(x!, w!, dy!, shape);
        const near = { atol: 2e-4, rtol: 1e-4 };
        expectClose(await input.grad!.read(), dx.map((value) => times * value), { ...near, what: 'dx' }); // prettier-ignore
        expectClose(await filters.grad!.read(), dw.map((value) => times * value), { ...near, what: 'dw' }); // prettier-ignore
      }
      [input, filters].forEach((tensor) => tensor.dispose());
    });
  }
});

test.run();

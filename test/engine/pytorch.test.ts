/**
 * Every operation of the engine against PyTorch (scripts/goldens/ops.py, where the file's layout is described): the
 * output and the gradients of sum(output * factors).
 *
 * |actual - expected| <= 1e-4 max|expected| + 1e-4 |expected|, the maximum over the tensor: a sum of many terms may
 * cancel to nearly nothing, and its rounding error is then that of its terms.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as ops from '../../src/index.ts';
import { Adam, AdamW, clipGradNorm, clipGradValue, multiply, Sgd, sum, type Tensor } from '../../src/index.ts';
import { expectClose, sharedGpu } from '../harness.ts';
import { cases, metadata, operations, tensors } from './pytorchCases.ts';

function expectGolden(actual: ArrayLike<number>, name: string): void {
  const expected = tensors[name]!.data;
  const largest = Float64Array.from(expected, Math.abs).reduce((max, value) => Math.max(max, value), 0);
  expectClose(actual, expected, { atol: 1e-4 * largest, rtol: 1e-4, what: name });
}

for (const { name, op, inputs, grads, options } of cases) {
  test(name, async () => {
    const gpu = await sharedGpu();
    await gpu.scope(async () => {
      const x: Record<string, Tensor> = {};
      for (const input of inputs) {
        const { data, shape } = tensors[`${name}/in/${input}`]!;
        x[input] = gpu.tensor(data, shape, input);
        x[input].requiresGrad = grads.includes(input);
      }
      const factors = tensors[`${name}/factors`]!;
      const y = operations[op]!(x, options);
      assert.equal(y.shape, factors.shape);
      sum(multiply(y, gpu.tensor(factors.data, factors.shape))).backward();
      expectGolden(await y.read(), `${name}/out`);
      for (const input of grads) {
        assert.equal(x[input]!.grad!.shape, x[input]!.shape);
        expectGolden(await x[input]!.grad!.read(), `${name}/grad/${input}`);
      }
    });
  });
}

test('the goldens cover every operation but dropout, which has a mask of its own', () => {
  assert.equal([...new Set(cases.map(({ op }) => op))].sort(), Object.keys(operations).sort());
});

test('batch normalisation tracks mean and variance as PyTorch does', async () => {
  const gpu = await sharedGpu();
  const { data, shape } = tensors['running/batches']!;
  const [, N, C, H, W] = shape as [number, number, number, number, number];
  await gpu.scope(async () => {
    const [weight, bias] = [gpu.zeros([C]), gpu.zeros([C])];
    const running = { mean: gpu.zeros([C]), variance: gpu.tensor(new Float32Array(C).fill(1), [C]) };
    for (let i = 0; i < shape[0]!; i++) {
      const batch = gpu.tensor(data.subarray(i * N * C * H * W, (i + 1) * N * C * H * W), [N, C, H, W]);
      ops.batchNorm(batch, weight, bias, running, { training: true, momentum: 0.25 });
    }
    expectGolden(await running.mean.read(), 'running/mean');
    expectGolden(await running.variance.read(), 'running/variance');
  });
});

test("Caffe's SGD over a change of the learning rate", async () => {
  const gpu = await sharedGpu();
  const { learningRates, momentum, weightDecay, divisor, rateMultiplier, decayMultiplier } = JSON.parse(
    metadata['sgd']!,
  );
  const w = gpu.parameter(tensors['sgd/start']!.data as Float32Array, tensors['sgd/start']!.shape, 'w');
  const sgd = new Sgd([{ parameter: w, rateMultiplier, decayMultiplier }], { learningRate: 0, momentum, weightDecay });
  const gradients = tensors['sgd/gradients']!.data as Float32Array;
  const steps: number[] = [];
  for (const [i, rate] of learningRates.entries()) {
    sgd.zeroGrad();
    const gradient = gradients.subarray(i * w.size, (i + 1) * w.size);
    gpu.scope(() => sum(multiply(w, gpu.tensor(gradient, w.shape))).backward());
    sgd.learningRate = rate;
    sgd.step(divisor);
    steps.push(...(await w.read()));
  }
  expectGolden(steps, 'sgd/steps');
  sgd.dispose();
  w.dispose();
});

test('Adam and AdamW over a change of the learning rate, with gradients bounded by norm and by value', async () => {
  const gpu = await sharedGpu();
  const { learningRates, betas, epsilon, weightDecay, clips } = JSON.parse(metadata['adam']!);
  for (const [name, Optimiser] of [['adam', Adam] as const, ['adamw', AdamW] as const]) {
    for (const [clip, bound] of Object.entries<{ norm?: number; value?: number }>(clips)) {
      const parameters = [0, 1].map((i) => {
        const { data, shape } = tensors[`adam/start${i}`]!;
        return gpu.parameter(data as Float32Array, shape, `w${i}`);
      });
      const optimizer = new Optimiser(parameters, { learningRate: 0, betas, epsilon, weightDecay });
      const [steps, norms]: [number[], number[]] = [[], []];
      // The gradients of two images, of which the step takes the mean.
      const divisor = 2;
      for (const [step, rate] of learningRates.entries()) {
        optimizer.zeroGrad();
        for (const [i, w] of parameters.entries()) {
          const all = tensors[`adam/gradients${i}`]!.data as Float32Array;
          const gradient = all.subarray(step * w.size, (step + 1) * w.size).map((value) => divisor * value);
          gpu.scope(() => sum(multiply(w, gpu.tensor(gradient, w.shape))).backward());
        }
        if (bound.norm !== undefined) {
          const norm = clipGradNorm(parameters, bound.norm, divisor);
          norms.push((await norm.read())[0]! / divisor);
          norm.dispose();
        }
        if (bound.value !== undefined) clipGradValue(parameters, bound.value, divisor);
        optimizer.learningRate = rate;
        optimizer.step(divisor);
        for (const w of parameters) steps.push(...(await w.read()));
      }
      expectGolden(steps, `adam/${name}/${clip}`);
      if (norms.length > 0) expectGolden(norms, `adam/${name}/norms`);
      optimizer.dispose();
      parameters.forEach((w) => w.dispose());
    }
  }
});

test.run();

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
import { loadSafetensors } from '../../src/node.ts';
import { expectClose, sharedGpu } from '../harness.ts';

interface Case {
  name: string;
  op: string;
  inputs: string[];
  grads: string[];
  options: never;
}

const { tensors, metadata } = await loadSafetensors(
  new URL('../golden/pytorch-ops.safetensors', import.meta.url).pathname,
);
const cases: Case[] = JSON.parse(metadata['cases']!);

/** An operation on named inputs. */
const operations: Record<string, (x: Record<string, Tensor>, options: never) => Tensor> = {
  conv2d: ({ x, weight, bias }, options) => ops.conv2d(x!, weight!, bias ?? null, options),
  linear: ({ x, weight, bias }) => ops.linear(x!, weight!, bias ?? null),
  relu: ({ x }) => ops.relu(x!),
  maxPool2d: ({ x }, options) => ops.maxPool2d(x!, options),
  localResponseNorm: ({ x }, options) => ops.localResponseNorm(x!, options),
  softmax: ({ x }, { axis }: { axis: number }) => ops.softmax(x!, axis),
  classWeightedLogLoss: ({ logits, labels, weights }) => ops.classWeightedLogLoss(logits!, labels!, weights!),
  softmaxLogLoss: ({ logits, labels }, options) => ops.softmaxLogLoss(logits!, labels!, options),
  smoothL1Loss: ({ pred, target, ...weights }, options: object) =>
    ops.smoothL1Loss(pred!, target!, { ...options, ...weights }),
  add: ({ a, b }) => ops.add(a!, b!),
  multiply: ({ a, b }) => ops.multiply(a!, b!),
  scale: ({ x }, { factor }: { factor: number }) => ops.scale(x!, factor),
  concat: (xs, { axis }: { axis: number }) => ops.concat(Object.values(xs), axis),
  reshape: ({ x }, { shape }: { shape: number[] }) => ops.reshape(x!, shape),
  sum: ({ x }, { axes, keepDims }: { axes?: number | number[]; keepDims?: boolean }) =>
    ops.sum(x!, axes, { keepDims: keepDims ?? false }),
  mean: ({ x }, { axes, keepDims }: { axes?: number | number[]; keepDims?: boolean }) =>
    ops.mean(x!, axes, { keepDims: keepDims ?? false }),
  subtract: ({ a, b }) => ops.subtract(a!, b!),
  gelu: ({ x }) => ops.gelu(x!),
  silu: ({ x }) => ops.silu(x!),
  clip: ({ x }, { low, high }: { low: number; high: number }) => ops.clip(x!, low, high),
  where: ({ condition, a, b }) => ops.where(condition!, a!, b!),
  max: ({ x }, { axes, keepDims }: { axes: number[]; keepDims: boolean }) => ops.max(x!, axes, { keepDims }),
  min: ({ x }, { axes, keepDims }: { axes: number[]; keepDims: boolean }) => ops.min(x!, axes, { keepDims }),
  topK: ({ x }, { k, axis }: { k: number; axis: number }) => ops.topK(x!, k, axis).values,
  gather: ({ x, indices }, { axis }: { axis: number }) => ops.gather(x!, axis, indices!),
  embedding: ({ table, indices }) => ops.embedding(table!, indices!),
  pad: ({ x }, { widths, value }: { widths: [number, number][]; value: number }) => ops.pad(x!, widths, value),
  stack: ({ a, b }, { axis }: { axis: number }) => ops.stack([a!, b!], axis),
  split: ({ x }, { lengths, axis, part }: { lengths: number | number[]; axis: number; part: number }) =>
    ops.split(x!, lengths, axis)[part]!,
  cumsum: ({ x }, { axis }: { axis: number }) => ops.cumsum(x!, axis),
  upsampleBilinear: ({ x }, { size }: { size: [number, number] }) => ops.upsampleBilinear(x!, size),
  layerNorm: ({ x, weight, bias }) => ops.layerNorm(x!, weight!, bias!),
  groupNorm: ({ x, weight, bias }, { groups }: { groups: number }) => ops.groupNorm(x!, groups, weight!, bias!),
  logSoftmax: ({ x }, { axis }: { axis: number }) => ops.logSoftmax(x!, axis),
  binaryCrossEntropyWithLogits: ({ logits, targets }) => ops.binaryCrossEntropyWithLogits(logits!, targets!),
  scaledDotProductAttention: ({ q, k, v, mask }, options: object) =>
    ops.scaledDotProductAttention(q!, k!, v!, { ...options, ...(mask && { mask }) }),
  broadcastTo: ({ x }, { shape }: { shape: number[] }) => ops.broadcastTo(x!, shape),
  divide: ({ a, b }) => ops.divide(a!, b!),
  maximum: ({ a, b }) => ops.maximum(a!, b!),
  minimum: ({ a, b }) => ops.minimum(a!, b!),
  pow: ({ a, b }) => ops.pow(a!, b!),
  sigmoid: ({ x }) => ops.sigmoid(x!),
  tanh: ({ x }) => ops.tanh(x!),
  softplus: ({ x }) => ops.softplus(x!),
  exp: ({ x }) => ops.exp(x!),
  log: ({ x }) => ops.log(x!),
  sqrt: ({ x }) => ops.sqrt(x!),
  abs: ({ x }) => ops.abs(x!),
  reciprocal: ({ x }) => ops.reciprocal(x!),
  convTranspose2d: ({ x, weight, bias }, options) => ops.convTranspose2d(x!, weight!, bias ?? null, options),
  matmul: ({ a, b }, options) => ops.matmul(a!, b!, options),
  permute: ({ x }, { order }: { order: number[] }) => ops.permute(x!, order),
  averagePool2d: ({ x }, options) => ops.averagePool2d(x!, options),
  batchNorm: ({ x, weight, bias, mean, variance }, options) =>
    ops.batchNorm(x!, weight!, bias!, { mean: mean!, variance: variance! }, options),
  meanSquaredError: ({ pred, target }) => ops.meanSquaredError(pred!, target!),
  roiPool: ({ x, rois }, options) => ops.roiPool(x!, rois!, options),
  roiAlign: ({ rois, ...maps }, options) => ops.roiAlign(Object.values(maps), rois!, options),
  hardSigmoid: ({ x }) => ops.hardSigmoid(x!),
  hardSwish: ({ x }) => ops.hardSwish(x!),
  upsampleNearest: ({ x }, { size }: { size: [number, number] }) => ops.upsampleNearest(x!, size),
  sigmoidLogLoss: ({ logits, labels }) => ops.sigmoidLogLoss(logits!, labels!),
};

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

/** What a GPU would be given to compute, computed by the software adapter: the kernels are the same, the plans are not. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Gpu } from '../../src/engine/gpu.ts';
import { conv2d } from '../../src/engine/ops/conv2d.ts';
import { softmax } from '../../src/engine/ops/axes.ts';
import { softmaxLogLoss } from '../../src/engine/ops/losses.ts';
import { linear } from '../../src/engine/ops/linear.ts';
import { sum } from '../../src/engine/ops/sums.ts';
import { Plans } from '../../src/engine/plans.ts';
import { convPlans, sharesPositions, sumParts } from '../../src/kernels/planner.ts';
import { productSplits } from '../../src/kernels/workgroupPlans.ts';
import { convShape } from '../../src/kernels/checks/matmul.ts';
import { matmulShape } from '../../src/kernels/matmul.ts';
import { multiply } from '../../src/engine/ops/binary.ts';
import { expectClose, randomArray, sharedGpu } from '../harness.ts';

/** Runs `fn` twice, with the plans of this device and with those of a GPU like it, and holds all results against each other. */
async function bothPlans(what: string, fn: (gpu: Gpu) => Promise<Float32Array[]>): Promise<void> {
  const gpu = await sharedGpu();
  const own = gpu.plans;
  const expected = await gpu.scope(() => fn(gpu));
  Object.assign(gpu, { plans: new Plans({ ...own.device, software: false }) });
  try {
    const results = await gpu.scope(() => fn(gpu));
    results.forEach((result, i) => {
      const scale = Math.max(...expected[i]!.map(Math.abs));
      expectClose(result, expected[i]!, { atol: 3e-5 * scale, rtol: 0, what: `${what}, result ${i}` });
    });
  } finally {
    Object.assign(gpu, { plans: own });
  }
}

test('linear layers whose sums are split: bias, ReLU, both gradients', async () => {
  const [rows, inputs, outputs] = [33, 1536, 40] as const;
  const shape = matmulShape({ M: rows, N: outputs, K: inputs, am: 0, ak: 0, bk: 0, bn: 0, cm: outputs, cn: 1 });
  const { plans } = await sharedGpu();
  assert.is(productSplits({ ...plans.device, software: false }, shape), 8);
  await bothPlans('linear', async (gpu) => {
    const x = gpu.tensor(randomArray(rows * inputs, 1), [rows, inputs]);
    x.requiresGrad = true;
    const weight = gpu.parameter(randomArray(outputs * inputs, 2), [outputs, inputs], 'weight');
    const bias = gpu.parameter(randomArray(outputs, 3), [outputs], 'bias');
    const y = linear(x, weight, bias, { relu: true });
    sum(multiply(y, gpu.tensor(randomArray(rows * outputs, 4), [rows, outputs]))).backward();
    const results = [y, x.grad!, weight.grad!, bias.grad!].map((tensor) => tensor.read() as Promise<Float32Array>);
    return Promise.all(results);
  });
});

for (const [name, x, w, stride, pad] of [
  ['7x7 of stride 2', [1, 3, 61, 47], [24, 7, 7], 2, 3],
  ['1x1, its filter gradient a split product', [1, 20, 64, 48], [36, 1, 1], 1, 0],
  ['1x1 of two images', [2, 20, 9, 8], [36, 1, 1], 1, 0],
  ['3x3', [1, 64, 33, 40], [72, 3, 3], 1, 1],
  ['3x3 of few channels, in workgroup memory', [2, 32, 21, 30], [40, 3, 3], 1, 1],
] as const)
  test(`convolution ${name}`, async () => {
    const shape = convShape(x, w, stride, pad);
    const { plans } = await sharedGpu();
    const [plan] = convPlans({ ...plans.device, software: false }, 'filter', shape);
    assert.is(plan!.algorithm, name === '3x3' ? 'winograd' : name.startsWith('1x1,') ? 'pointwise' : 'direct');
    if (plan!.algorithm === 'direct') assert.is(plan!.tile.variant, 'workgroup');
    await bothPlans(name, async (gpu) => {
      const { B, C, H, W, K, R, S, OH, OW } = shape;
      const input = gpu.tensor(randomArray(B * C * H * W, 1), [B, C, H, W]);
      input.requiresGrad = true;
      const weight = gpu.parameter(randomArray(K * C * R * S, 2), [K, C, R, S], 'weight');
      const bias = gpu.parameter(randomArray(K, 3), [K], 'bias');
      const y = conv2d(input, weight, bias, { stride, padding: pad, relu: true });
      sum(multiply(y, gpu.tensor(randomArray(y.size, 4), [B, K, OH, OW]))).backward();
      const results = [y, input.grad!, weight.grad!, bias.grad!].map(
        (tensor) => tensor.read() as Promise<Float32Array>,
      );
      return Promise.all(results);
    });
  });

test('bias gradients of large maps and of many rows, softmax and its loss over many classes', async () => {
  const { device } = (await sharedGpu()).plans;
  const hardware = { ...device, software: false };
  assert.ok(sumParts(hardware, 'workgroup', 4, 2 * 72 * 61) > 1);
  assert.ok(sumParts(hardware, 'invocation', 70, 37) > 1);
  assert.ok(sharesPositions(hardware, { outer: 37, channels: 70, inner: 1 }));
  await bothPlans('sums and softmax', async (gpu) => {
    const x = gpu.tensor(randomArray(2 * 4 * 72 * 61, 1), [2, 4, 72, 61]);
    const weight = gpu.parameter(randomArray(16, 2), [4, 4, 1, 1], 'weight');
    const bias = gpu.parameter(randomArray(4, 3), [4], 'bias');
    const y = conv2d(x, weight, bias, { relu: true });
    sum(multiply(y, gpu.tensor(randomArray(y.size, 4), y.shape))).backward();
    const rows = gpu.tensor(randomArray(37 * 9, 5), [37, 9]);
    const [w, b] = [gpu.parameter(randomArray(70 * 9, 6), [70, 9], 'w'), gpu.parameter(randomArray(70, 7), [70], 'b')];
    const labels = gpu.tensor(
      Int32Array.from({ length: 37 }, (_, i) => (i % 5 === 0 ? -1 : 2 * i - 5)),
      [37],
    );
    const loss = softmaxLogLoss(linear(rows, w, b), labels);
    loss.backward();
    const probabilities = softmax(linear(rows, w, b), 1);
    sum(multiply(probabilities, gpu.tensor(randomArray(37 * 70, 8), [37, 70]))).backward();
    const results = [bias.grad!, loss, probabilities, w.grad!, b.grad!];
    return Promise.all(results.map((tensor) => tensor.read() as Promise<Float32Array>));
  });
});

test.run();

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  conv2d,
  dropout,
  type Gpu,
  heNormal,
  linear,
  localResponseNorm,
  maxPool2d,
  relu,
  reshape,
  Sgd,
  smoothL1Loss,
  softmaxLogLoss,
  add,
  zeros,
} from '../../src/index.ts';
import { openGpu } from '../../src/node.ts';
import { randomArray, sharedGpu } from '../harness.ts';

/** Five steps of a small network with every kind of layer; all losses and all weights, as their bits. */
async function train(gpu: Gpu, seed: number): Promise<Int32Array> {
  const conv = gpu.parameter(heNormal(seed), [19, 3, 3, 3], 'conv');
  const bias = gpu.parameter(zeros, [19], 'bias');
  const narrow = gpu.parameter(heNormal(seed + 1), [5, 19, 3, 3], 'narrow');
  const fc = gpu.parameter(heNormal(seed + 2), [33, 5 * 5 * 5], 'fc');
  const cls = gpu.parameter(heNormal(seed + 3), [4, 33], 'cls');
  const box = gpu.parameter(heNormal(seed + 4), [16, 33], 'box');
  const parameters = [conv, bias, narrow, fc, cls, box];
  const sgd = new Sgd(parameters, { learningRate: 0.02, momentum: 0.9, weightDecay: 5e-4 });
  const losses: number[] = [];
  for (let step = 0; step < 5; step++) {
    const loss = gpu.scope(() => {
      sgd.zeroGrad();
      const image = gpu.tensor(randomArray(2 * 3 * 20 * 22, step), [2, 3, 20, 22]);
      let x = relu(conv2d(image, conv, bias, { padding: 1 }));
      x = localResponseNorm(x, { size: 3, alpha: 0.1, beta: 0.75, k: 1, mode: 'within' });
      x = maxPool2d(x, { kernel: 3, stride: 2, padding: 1, ceilMode: true });
      x = relu(conv2d(x, narrow, null, { stride: 2, padding: 0 }));
      x = dropout(relu(linear(reshape(x, [2, -1]), fc, null)), { p: 0.5, seed, stream: step });
      const labels = gpu.tensor(Int32Array.of(step % 4, 2), [2]);
      const targets = gpu.tensor(randomArray(32, 100 + step), [2, 16]);
      const total = add(softmaxLogLoss(linear(x, cls, null), labels), smoothL1Loss(linear(x, box, null), targets));
      total.backward();
      sgd.step();
      return total;
    });
    losses.push(...(await loss.read()));
    loss.dispose();
  }
  const values = [Float32Array.from(losses), ...(await Promise.all(parameters.map((parameter) => parameter.read())))];
  for (const tensor of [...parameters, ...sgd.slots.map(({ state }) => state.momentum)]) tensor.dispose();
  return Int32Array.from(values.flatMap((part) => [...new Int32Array(part.buffer)]));
}

test('the same seeds give the same bits', async () => {
  const gpu = await sharedGpu();
  const first = await train(gpu, 1);
  assert.equal(await train(gpu, 1), first);
});

test('the same seeds give the same bits on a device of their own, whatever ran on it before', async () => {
  const gpu = await sharedGpu();
  const first = await train(gpu, 1);
  const other = await openGpu({ adapter: 'auto' });
  try {
    assert.equal(await train(other, 1), first);
  } finally {
    other.close();
  }
});

test('another seed gives other bits', async () => {
  const gpu = await sharedGpu();
  assert.not.equal(await train(gpu, 2), await train(gpu, 1));
});

test.run();

/** Networks of other kinds than the detector's: their gradients as a whole, their memory, their bits. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  add,
  averagePool2d,
  batchNorm,
  constant,
  conv2d,
  convTranspose2d,
  type Gpu,
  heNormal,
  linear,
  matmul,
  mean,
  meanSquaredError,
  multiply,
  permute,
  reciprocal,
  relu,
  reshape,
  scale,
  Sgd,
  sigmoid,
  softmax,
  sqrt,
  subtract,
  sum,
  tanh,
  type Tensor,
  zeros,
} from '../../src/index.ts';
import { expectClose, randomArray, sharedGpu } from '../harness.ts';

/** x along its last axis to mean 0 and variance 1. */
function layerNorm(x: Tensor): Tensor {
  const centred = subtract(x, mean(x, -1, { keepDims: true }));
  const variance = mean(multiply(centred, centred), -1, { keepDims: true });
  return multiply(centred, reciprocal(sqrt(add(variance, x.gpu.tensor([1e-5], [1])))));
}

/** Attention of H heads over the rows of x [B, T, H D], itself its queries, keys and values. */
function attention(x: Tensor, heads: number): Tensor {
  const [B, T, width] = x.shape as [number, number, number];
  const split = permute(reshape(x, [B, T, heads, width / heads]), [0, 2, 1, 3]);
  const weights = softmax(scale(matmul(split, split, { transposeB: true }), (width / heads) ** -0.5), -1);
  return reshape(permute(matmul(weights, split), [0, 2, 1, 3]), [B, T, width]);
}

/** d loss / d x by autograd and, along a few directions, by central differences. */
async function compareGradient(gpu: Gpu, shape: number[], loss: (x: Tensor) => Tensor): Promise<void> {
  const size = shape.reduce((a, b) => a * b, 1);
  const x = gpu.parameter(randomArray(size, 1), shape, 'x');
  gpu.scope(() => loss(x).backward());
  const gradient = Array.from(await x.grad!.read());
  for (let seed = 2; seed < 6; seed++) {
    const direction = randomArray(size, seed);
    const at = (h: number) =>
      gpu.scope(() =>
        loss(
          gpu.tensor(
            randomArray(size, 1).map((v, i) => v + h * direction[i]!),
            shape,
          ),
        ).read(),
      );
    const [above, below] = [(await at(0.01))[0]!, (await at(-0.01))[0]!];
    const expected = gradient.reduce((total, g, i) => total + g * direction[i]!, 0);
    expectClose([(above - below) / 0.02], [expected], { atol: 2e-3, rtol: 5e-3, what: `direction ${seed}` });
  }
  x.dispose();
}

test('layer normalisation and attention, of the operations there are, have the gradients of what they compute', async () => {
  const gpu = await sharedGpu();
  const factors = randomArray(2 * 5 * 12, 9);
  await compareGradient(gpu, [2, 5, 12], (x) => {
    const y = add(x, attention(layerNorm(x), 3));
    return mean(multiply(tanh(y), gpu.tensor(factors, [2, 5, 12])));
  });
});

test('layer normalisation gives mean 0 and variance 1', async () => {
  const gpu = await sharedGpu();
  const rows = await gpu.scope(() => layerNorm(gpu.tensor(randomArray(3 * 50, 4, 5), [3, 50])).read());
  for (let r = 0; r < 3; r++) {
    const row = Array.from(rows.subarray(50 * r, 50 * r + 50));
    const average = row.reduce((a, b) => a + b, 0) / 50;
    const variance = row.reduce((a, b) => a + (b - average) ** 2, 0) / 50;
    expectClose([average, variance], [0, 1], { atol: 1e-4, rtol: 0 });
  }
});

test('a tensor that meets its own mean gets the gradients of both uses', async () => {
  const gpu = await sharedGpu();
  const w = gpu.parameter([1, 2, 3, 6], [2, 2], 'w');
  gpu.scope(() => sum(multiply(add(w, mean(w, 0)), gpu.tensor([1, 2, 3, 4], [2, 2]))).backward());
  // d/dw of w c + mean over rows of w * (sum of c over rows)
  expectClose(await w.grad!.read(), [1 + 2, 2 + 3, 3 + 2, 4 + 3], { atol: 1e-6, rtol: 0 });
  w.dispose();
});

/** Residual blocks with batch normalisation into a code, and an image from it again. */
function autoencoder(gpu: Gpu) {
  const parameter = (name: string, seed: number, ...shape: number[]) => gpu.parameter(heNormal(seed), shape, name);
  const [stem, body] = [parameter('stem', 1, 8, 1, 3, 3), parameter('body', 2, 8, 8, 3, 3)];
  const [gamma, beta] = [gpu.parameter(constant(1), [8], 'gamma'), gpu.parameter(zeros, [8], 'beta')];
  const [gate, up] = [parameter('gate', 3, 8, 8), parameter('up', 4, 8, 1, 2, 2)];
  const trained = [stem, body, gamma, beta, gate, up];
  const running = { mean: gpu.parameter(zeros, [8], 'mean'), variance: gpu.parameter(constant(1), [8], 'variance') };
  running.mean.requiresGrad = running.variance.requiresGrad = false;
  const sgd = new Sgd(trained, { learningRate: 0.05, momentum: 0.9 });
  const apply = (images: Tensor, training: boolean): Tensor => {
    const x = relu(conv2d(images, stem, null, { padding: 1 }));
    const residual = batchNorm(conv2d(x, body, null, { padding: 1 }), gamma, beta, running, { training });
    const y = relu(add(x, residual));
    // Squeeze and excitation: a factor for each channel of each image.
    const factors = sigmoid(linear(mean(y, [2, 3]), gate));
    const gated = multiply(y, reshape(factors, [...factors.shape, 1, 1]));
    return convTranspose2d(averagePool2d(gated, { kernel: 2 }), up, null, { stride: 2 });
  };
  const step = (seed: number): Tensor => {
    sgd.zeroGrad();
    const loss = gpu.scope(() => {
      const images = gpu.tensor(randomArray(4 * 64, seed % 3), [4, 1, 8, 8]);
      const loss = meanSquaredError(apply(images, true), images);
      loss.backward({ free: true });
      return loss;
    });
    sgd.step();
    return loss;
  };
  const dispose = () => {
    sgd.dispose();
    [...trained, running.mean, running.variance].forEach((tensor) => tensor.dispose());
  };
  return { step, apply, running, trained, dispose };
}

test('such a network learns, makes nothing new in a steady state, and gives the same bits twice', async () => {
  const gpu = await sharedGpu();
  const live = gpu.statistics().liveBytes;
  const run = async () => {
    const network = autoencoder(gpu);
    const losses: number[] = [];
    let before = '';
    const made = () => {
      const { buffersCreated, bindGroupsCreated, pipelines, liveBytes } = gpu.statistics();
      return JSON.stringify({ buffersCreated, bindGroupsCreated, pipelines, liveBytes });
    };
    for (let i = 0; i < 40; i++) {
      const loss = network.step(i);
      losses.push((await loss.read())[0]!);
      loss.dispose();
      if (i === 6) before = made();
    }
    assert.is(made(), before);
    const weights = await Promise.all([...network.trained, network.running.variance].map((tensor) => tensor.read()));
    network.dispose();
    return { losses, weights };
  };
  const first = await run();
  assert.ok(
    first.losses.at(-1)! < 0.8 * first.losses[0]!,
    `loss went from ${first.losses[0]} to ${first.losses.at(-1)}`,
  );
  assert.equal(await run(), first);
  assert.is(gpu.statistics().liveBytes, live);
});

test('at test time batch normalisation takes the running statistics: an image does not depend on the others', async () => {
  const gpu = await sharedGpu();
  const network = autoencoder(gpu);
  for (let i = 0; i < 5; i++) network.step(i).dispose();
  const images = randomArray(4 * 64, 1);
  const output = (values: Float32Array, training: boolean) =>
    gpu.scope(() =>
      gpu.withoutGradients(() => network.apply(gpu.tensor(values, [values.length / 64, 1, 8, 8]), training)).read(),
    );
  const all = await output(images, false);
  expectClose(await output(images.subarray(64, 128), false), all.subarray(64, 128), { atol: 1e-5, rtol: 1e-5 });
  assert.not.equal(await output(images, true), all);
  network.dispose();
});

test('batch normalisation with frozen weights and fixed statistics passes the gradient of x alone', async () => {
  const gpu = await sharedGpu();
  await gpu.scope(async () => {
    const [weight, bias] = [gpu.tensor([2, 3], [2]), gpu.tensor([0, 1], [2])];
    const running = { mean: gpu.zeros([2]), variance: gpu.tensor([4, 9], [2]) };
    const x = gpu.tensor([1, 2, 3, 4], [2, 2]);
    x.requiresGrad = true;
    sum(batchNorm(x, weight, bias, running, { training: false, epsilon: 0 })).backward();
    expectClose(await x.grad!.read(), [1, 1, 1, 1], { atol: 1e-6, rtol: 0 });
    assert.is(weight.grad, null);
  });
});

test.run();

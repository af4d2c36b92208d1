/**
 * A convolutional network on MNIST, trained from random weights to more than 98 % of the test digits:
 *
 *   npx tsx examples/mnist.ts [STEPS]
 */
import { conv2d, heNormal, linear, maxPool2d, openGpu, reshape, Sgd, softmaxLogLoss, zeros } from '../src/node.ts';
import type { Tensor } from '../src/node.ts';
import { accuracy, digits } from './digits.ts';

const steps = Number(process.argv[2] ?? 1200);
const gpu = await openGpu();
console.log(gpu.adapter.description);

const conv1 = gpu.parameter(heNormal(1), [16, 1, 3, 3], 'conv1');
const bias1 = gpu.parameter(zeros, [16], 'bias1');
const conv2 = gpu.parameter(heNormal(2), [32, 16, 3, 3], 'conv2');
const bias2 = gpu.parameter(zeros, [32], 'bias2');
const dense = gpu.parameter(heNormal(3), [10, 32 * 7 * 7], 'dense');
const bias3 = gpu.parameter(zeros, [10], 'bias3');
const sgd = new Sgd([conv1, bias1, conv2, bias2, dense, bias3], { learningRate: 0.05, momentum: 0.9 });

function logits(images: Tensor): Tensor {
  const half = maxPool2d(conv2d(images, conv1, bias1, { padding: 1, relu: true }), { kernel: 2 });
  const quarter = maxPool2d(conv2d(half, conv2, bias2, { padding: 1, relu: true }), { kernel: 2 });
  return linear(reshape(quarter, [images.shape[0]!, -1]), dense, bias3);
}

const { batch } = digits('train');
for (let step = 1; step <= steps; step++) {
  sgd.learningRate = 0.05 * (1 - (step - 1) / steps);
  sgd.zeroGrad();
  const loss = gpu.scope(() => {
    const { images, labels } = batch(gpu, step, 64);
    const loss = softmaxLogLoss(logits(images), labels);
    loss.backward();
    return loss; // kept; everything else of the step is freed
  });
  sgd.step();
  if (step % 100 === 0 || step === steps) console.log(`step ${step}: loss ${(await loss.read())[0]!.toFixed(4)}`);
  loss.dispose();
}
console.log(`accuracy ${(100 * (await accuracy(gpu, logits))).toFixed(2)} %`);
gpu.close();

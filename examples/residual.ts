/**
 * Residual blocks with batch normalisation (He et al. 2016) on MNIST. A layer is a function that keeps its parameters; all of
 * them are saved and loaded by name, including the running statistics.
 *
 *   npx tsx examples/residual.ts [STEPS]
 */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { add, batchNorm, constant, conv2d, heNormal, linear, loadSafetensors, mean, openGpu } from '../src/node.ts';
import { relu, saveSafetensors, Sgd, softmaxLogLoss, type Tensor, zeros } from '../src/node.ts';
import { accuracy, digits } from './digits.ts';

const steps = Number(process.argv[2] ?? 500);
const gpu = await openGpu();
console.log(gpu.adapter.description);

type Layer = (x: Tensor, training: boolean) => Tensor;
const parameters: Record<string, Tensor> = {};

/** A 3x3 convolution followed by batch normalisation. */
function normalised(name: string, inputs: number, outputs: number, stride = 1): Layer {
  const make = (part: string, init: typeof zeros, shape: number[], trained = true): Tensor => {
    const tensor = gpu.parameter(init, shape, `${name}.${part}`);
    tensor.requiresGrad = trained;
    return (parameters[tensor.name] = tensor);
  };
  const filters = make('filters', heNormal(Object.keys(parameters).length), [outputs, inputs, 3, 3]);
  const weight = make('weight', constant(1), [outputs]);
  const bias = make('bias', zeros, [outputs]);
  const running = {
    mean: make('mean', zeros, [outputs], false),
    variance: make('variance', constant(1), [outputs], false),
  };
  return (x, training) =>
    batchNorm(conv2d(x, filters, null, { stride, padding: 1 }), weight, bias, running, { training });
}

/** relu(x + F(x)); if there is a stride, the shortcut has a convolution of its own. */
function block(name: string, inputs: number, outputs: number, stride: number): Layer {
  const first = normalised(`${name}.1`, inputs, outputs, stride);
  const second = normalised(`${name}.2`, outputs, outputs);
  const shortcut = stride > 1 ? normalised(`${name}.shortcut`, inputs, outputs, stride) : (x: Tensor) => x;
  return (x, training) => relu(add(shortcut(x, training), second(relu(first(x, training)), training)));
}

const stem = normalised('stem', 1, 8, 2);
const blocks = [block('a', 8, 8, 1), block('b', 8, 16, 2), block('c', 16, 32, 2)];
const dense = (parameters['dense'] = gpu.parameter(heNormal(99), [10, 32], 'dense'));
const network: Layer = (images, training) => {
  const map = blocks.reduce((x, layer) => layer(x, training), relu(stem(images, training)));
  return linear(mean(map, [2, 3]), dense);
};

const sgd = new Sgd(Object.values(parameters), { learningRate: 0.1, momentum: 0.9, weightDecay: 1e-4 });
const { batch } = digits('train');
for (let step = 1; step <= steps; step++) {
  sgd.learningRate = 0.1 * (1 - (step - 1) / steps);
  sgd.zeroGrad();
  const loss = gpu.scope(() => {
    const { images, labels } = batch(gpu, step, 64);
    const loss = softmaxLogLoss(network(images, true), labels);
    loss.backward({ free: true });
    return loss;
  });
  sgd.step();
  if (step % 50 === 0 || step === steps) console.log(`step ${step}: loss ${(await loss.read())[0]!.toFixed(4)}`);
  loss.dispose();
}

const file = join(tmpdir(), `residual-${process.pid}.safetensors`);
await saveSafetensors(file, parameters);
const trained = await loadSafetensors(file);
for (const [name, parameter] of Object.entries(parameters)) parameter.write(trained.tensors[name]!.data);
console.log(`accuracy ${(100 * (await accuracy(gpu, (images) => network(images, false)))).toFixed(2)} % (${file})`);
gpu.close();

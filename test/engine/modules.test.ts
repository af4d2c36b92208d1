/** Modules: names as in PyTorch's state_dict, loading all or nothing, training and use. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  BatchNorm2d,
  Conv2d,
  Embedding,
  type Gpu,
  LayerNorm,
  Linear,
  Module,
  relu,
  Sequential,
} from '../../src/index.ts';
import {
  parseSafetensors,
  reshape,
  serializeSafetensors,
  softmaxLogLoss,
  Sgd,
  type StoredTensor,
  type Tensor,
} from '../../src/index.ts';
import { expectClose, message, randomArray, sharedGpu } from '../harness.ts';

const convolutions = (gpu: Gpu): Sequential =>
  new Sequential({
    conv1: new Conv2d(gpu, 1, 4, 3, { padding: 1, bias: false }),
    bn1: new BatchNorm2d(gpu, 4),
    relu,
    flat: (x: Tensor) => reshape(x, [x.shape[0]!, -1]),
    fc: new Linear(gpu, 4 * 16, 3),
  });

test('names and shapes are those of PyTorch, nested ones joined by dots', async () => {
  const gpu = await sharedGpu();
  class Outer extends Module {
    readonly words = this.add('words', new Embedding(gpu, 7, 5));
    readonly rest = this.add(
      'rest',
      new Sequential([new LayerNorm(gpu, 5), relu, new Linear(gpu, 5, 2, { bias: false })]),
    );
    forward(x: Tensor): Tensor {
      return this.rest.forward(this.words.forward(x));
    }
  }
  const shapes = (module: Module) =>
    Object.fromEntries(Object.entries(module.state()).map(([name, { shape }]) => [name, shape]));
  const [outer, inner] = [new Outer(), convolutions(gpu)];
  assert.equal(shapes(outer), {
    'words.weight': [7, 5],
    'rest.0.weight': [5],
    'rest.0.bias': [5],
    'rest.2.weight': [2, 5],
  });
  assert.equal(Object.keys(shapes(inner)), [
    'conv1.weight',
    'bn1.weight',
    'bn1.bias',
    'bn1.running_mean',
    'bn1.running_var',
    'fc.weight',
    'fc.bias',
  ]);
  assert.equal(
    outer.parameters().map(({ name }) => name),
    ['words.weight', 'rest.0.weight', 'rest.0.bias', 'rest.2.weight'],
  );
  assert.is(inner.parameters().length, 5);
  assert.equal(outer.forward(gpu.tensor(Int32Array.of(3, 1), [1, 2])).shape, [1, 2, 2]);
  assert.is(
    await message(() => new Linear(gpu, 4, 2).forward(gpu.zeros([2, 2, 6]))),
    'Linear: x has shape [2,2,6], expected [..,4]',
  );
  [outer, inner].forEach((module) => module.dispose());
});

test('weights are saved and loaded, all or none', async () => {
  const gpu = await sharedGpu();
  const [a, b] = [convolutions(gpu), convolutions(gpu)];
  const x = gpu.tensor(randomArray(32, 1), [2, 1, 4, 4]);
  const stored: Record<string, StoredTensor> = {};
  for (const [name, t] of Object.entries(a.state())) stored[name] = { shape: [...t.shape], data: await t.read() };
  const { tensors } = parseSafetensors(serializeSafetensors(stored, {}), 'weights');
  const before = await b.state()['fc.weight']!.read();
  const { 'fc.bias': bias, ...others } = tensors;
  const wrong = { ...others, 'fc.weight': { shape: [2], data: Float32Array.of(1, 2) }, more: bias! };
  assert.is(
    await message(() => b.load(wrong)),
    'load: these weights are of another network: fc.bias is missing; more has no place; fc.weight has shape [2], expected [3,64]',
  );
  const whole = { ...tensors, 'fc.bias': { shape: [3], data: Int32Array.of(1, 2, 3) } };
  assert.is(
    await message(() => b.load(whole)),
    'load: these weights are of another network: fc.bias is i32, expected f32',
  );
  assert.equal(await b.state()['fc.weight']!.read(), before);
  b.load({ ...tensors, 'bn1.num_batches_tracked': { shape: [], data: Int32Array.of(5) } });
  [a, b].forEach((module) => module.train(false));
  assert.equal(await b.forward(x).read(), await a.forward(x).read());
  [a, b].forEach((module) => module.dispose());
  x.dispose();
});

test('a part that is used twice has two names, and its parameters are trained once', async () => {
  const gpu = await sharedGpu();
  class Tied extends Module {
    private readonly table = this.add('table', new Embedding(gpu, 7, 5));
    private readonly same = this.add('same', this.table);
    forward(x: Tensor): Tensor {
      return this.same.forward(x);
    }
  }
  const tied = new Tied();
  assert.equal(Object.keys(tied.state()), ['table.weight', 'same.weight']);
  assert.is(tied.parameters().length, 1);
  new Sgd(tied.parameters(), { learningRate: 1 }).dispose();
  tied.dispose();
});

test('a network of modules learns; running statistics move while it trains alone', async () => {
  const gpu = await sharedGpu();
  const network = convolutions(gpu);
  const sgd = new Sgd(network.parameters(), { learningRate: 0.05, momentum: 0.9 });
  const [x, labels] = [gpu.tensor(randomArray(96, 2), [6, 1, 4, 4]), gpu.tensor(Int32Array.of(0, 1, 2, 0, 1, 2), [6])];
  const loss = () => softmaxLogLoss(network.forward(x), labels);
  for (let step = 0; step < 40; step++) {
    sgd.zeroGrad();
    gpu.scope(() => loss().backward());
    sgd.step();
  }
  const mean = network.state()['bn1.running_mean']!;
  const moved = await mean.read();
  assert.ok(moved.some((value) => value !== 0));
  network.train(false);
  const last = (await gpu.scope(loss).read())[0]!;
  assert.ok(last < 0.1, `loss ${last}`);
  expectClose(await mean.read(), moved, { atol: 0, rtol: 0 });
  sgd.dispose();
  network.dispose();
});

test.run();

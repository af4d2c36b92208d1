/** The optimiser that trainings take unless given another: Caffe's rule with its multipliers for biases. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { shardName } from '../../src/engine/shards.ts';
import { add, makeOptimizer, PRESETS, sum, type Tensor, type TrainingConfig } from '../../src/index.ts';
import { sharedGpu } from '../harness.ts';

const training: TrainingConfig = {
  ...PRESETS['demo']!.training,
  learningRate: 0.5,
  momentum: 0.5,
  weightDecay: 0.25,
  biasRate: 2,
  biasDecay: 0.5,
};

/** Numbers of the given names after updates with gradients of 1. */
async function updated(values: Record<string, number>, updates: number, others = {}): Promise<number[]> {
  const gpu = await sharedGpu();
  const parameters = Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, gpu.parameter(Float32Array.of(value), [1], name)]),
  );
  const all = Object.values(parameters);
  const sgd = makeOptimizer(parameters, training, others);
  for (let i = 0; i < updates; i++) {
    sgd.zeroGrad();
    gpu.scope(() => sum(add(...(all as [Tensor, Tensor, ...Tensor[]]))).backward());
    sgd.step();
  }
  const results = await Promise.all(all.map(async (parameter) => (await parameter.read())[0]!));
  sgd.dispose();
  all.forEach((parameter) => parameter.dispose());
  return results;
}

test('a bias has a rate and a decay of its own', async () => {
  // weight: h = 0.5 (1 + 0.25 * 2) = 0.75.   bias: h = 0.5 * 2 (1 + 0.25 * 0.5 * 4) = 1.5.
  assert.equal(await updated({ 'fc.weight': 2, 'fc.bias': 4 }, 1), [1.25, 2.5]);
  // weight: h = 0.5 * 0.75 + 0.5 (1 + 0.25 * 1.25) = 1.03125.   bias: h = 0.5 * 1.5 + (1 + 0.125 * 2.5) = 2.0625.
  assert.equal(await updated({ 'fc.weight': 2, 'fc.bias': 4 }, 2), [0.21875, 0.4375]);
});

test('so has each shard of a bias, and no shard of a weight', async () => {
  const [weight, bias] = [shardName('fc.weight', 16, 32), shardName('fc.bias', 16, 32)];
  assert.equal(await updated({ [weight]: 2, [bias]: 4 }, 1), [1.25, 2.5]);
});

test('multipliers for a parameter of a name come before those of its kind', async () => {
  const others = { 'fc.bias': { rateMultiplier: 4 }, 'fc.weight': { decayMultiplier: 3 } };
  // weight: h = 0.5 (1 + 0.25 * 3 * 2) = 1.25.   bias: h = 0.5 * 4 (1 + 0.25 * 0.5 * 4) = 3.
  assert.equal(await updated({ 'fc.weight': 2, 'fc.bias': 4 }, 1, others), [0.75, 1]);
});

test.run();

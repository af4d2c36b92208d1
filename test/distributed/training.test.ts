/** A training that several processes share, here tasks of one process: the bits of a training by one. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { assertSameData } from '../../src/cli/distributed.ts';
import { fromBf16, toBf16 } from '../../src/distributed/bf16.ts';
import { ALONE, assertEnoughImages, placesOf, type Processes } from '../../src/distributed/processes.ts';
import { ShardedOptimizer } from '../../src/distributed/shardedOptimizer.ts';
import { adamRule, adamWRule } from '../../src/engine/adam.ts';
import { clipGradNorm, clipGradValue } from '../../src/engine/clipGradients.ts';
import { GradientSums } from '../../src/engine/gradientSums.ts';
import { Optimizer, type UpdateRule } from '../../src/engine/optimizer.ts';
import { sgdRule } from '../../src/engine/sgd.ts';
import type { Stored } from '../../src/engine/shards.ts';
import { add, multiply, sum, type Tensor } from '../../src/index.ts';
import { normals } from '../../src/kernels/checks/inputs.ts';
import { sharedGpu } from '../harness.ts';
import { asProcesses } from './group.ts';

const SIZES = [3, 4099, 1, 640, 9001];
/** Two buckets, shards between the chunks of a norm and inside a bucket, more parameters than a dispatch has. */
const MANY_SIZES = [...SIZES, ...Array.from({ length: 12 }, (_, k) => 5 + k), 2 ** 18 + 3, 12301];
const RATE = 0.05;
/** With settings that each matter. */
const RULES = {
  sgd: sgdRule({ momentum: 0.9, weightDecay: 0.01 }),
  adam: adamRule({ betas: [0.8, 0.99], weightDecay: 0.01 }),
  adamw: adamWRule({ weightDecay: 0.1 }),
} as const;

interface Choices {
  rule?: keyof typeof RULES;
  bf16Gradients?: boolean;
  clipNorm?: number;
  clipValue?: number;
  /** Of the parameters. */
  sizes?: readonly number[];
  /** The updates to make, from 0; default: three. */
  updates?: readonly number[];
  /** What an earlier training ended with. */
  from?: readonly Float32Array[];
}

/**
 * Updates of `images` images; the weights and what is kept for them afterwards, this process's traffic, and in a single process
 * the norms that were bounded, each of the mean gradient of an update.
 */
async function train(
  images: number,
  processes: Processes,
  { rule: name = 'sgd', updates = [0, 1, 2], from, sizes = SIZES, ...settings }: Choices = {},
): Promise<{ bits: Float32Array[]; sent: number; norms: number[] }> {
  const gpu = await sharedGpu();
  const { clipNorm, clipValue } = settings;
  const norms: number[] = [];
  const parameters = sizes.map((size, k) => gpu.parameter(from?.[k] ?? normals(size, k + 1), [size], `p${k}`));
  const frozen = gpu.parameter(normals(9, 99), [9], 'frozen');
  frozen.requiresGrad = false;
  const groups = [...parameters.map((parameter, k) => ({ parameter, rateMultiplier: 1 + (k % 2) })), frozen];
  const rule: UpdateRule = RULES[name];
  const optimizer =
    processes.size === 1
      ? new Optimizer(groups, rule, RATE)
      : new ShardedOptimizer(groups, rule, { learningRate: RATE, ...settings }, images, processes);
  const kept = optimizer.slots.flatMap(({ state }): Stored[] => Object.values(state));
  if (from && processes.leads) {
    kept.forEach((tensor, i) => tensor.write(from[sizes.length + 1 + i]!));
    optimizer.updates = updates[0]!;
  }
  if (from && optimizer instanceof ShardedOptimizer) await optimizer.share();
  const sums = new GradientSums(parameters);
  const { first, end } = processes.places(images);
  for (const update of updates) {
    optimizer.learningRate = RATE / (1 + update);
    for (let place = first; place < end; place++) {
      sums.add(place, (recorded) =>
        gpu.scope(() => {
          const last = optimizer instanceof ShardedOptimizer && place === end - 1;
          const onGradient = last ? optimizer.early(recorded) : undefined;
          // Every other update has small gradients.
          const noise = (p: Tensor, k: number): Tensor =>
            gpu.tensor(normals(p.size, 1000 * update + 10 * place + k, update % 2 === 1 ? 0.1 : 1), p.shape);
          const terms = parameters.map((p, k) => sum(multiply(multiply(p, p), noise(p, k))));
          terms.reduce((total, term) => add(total, term)).backward({ ...(onGradient && { onGradient }) });
        }),
      );
    }
    if (optimizer instanceof ShardedOptimizer) await optimizer.step(sums.nodes(), images);
    else {
      sums.finish();
      if (clipValue !== undefined) clipGradValue(parameters, clipValue, images);
      if (clipNorm !== undefined) {
        const norm = clipGradNorm(parameters, clipNorm, images);
        norms.push((await norm.read())[0]! / images);
        norm.dispose();
      }
      optimizer.step(images);
    }
  }
  const { sent } = processes.traffic;
  if (optimizer instanceof ShardedOptimizer) await optimizer.collect();
  const weights: Tensor[] = [...parameters, frozen];
  const bits = await Promise.all([...weights, ...kept].map((tensor) => tensor.read()));
  sums.dispose();
  optimizer.dispose();
  weights.forEach((tensor) => tensor.dispose());
  return { bits: bits as Float32Array[], sent, norms };
}

for (const [rule, images, counts] of [
  ['sgd', 8, [2, 3, 4, 8]],
  ['sgd', 5, [2, 3, 5]],
  ['adam', 5, [2, 3]],
  ['adamw', 8, [2, 3]],
] as const)
  test(`an update of ${images} images by ${counts} processes with ${rule} has the bits of one`, async () => {
    const { bits } = await train(images, ALONE, { rule });
    for (const count of counts) {
      const results = await asProcesses(count, (processes) => train(images, processes, { rule }));
      const [first] = results;
      assert.equal(first!.bits, bits, `weights and what is kept by ${count} processes`);
      for (const other of results) assert.equal(other.bits.slice(0, SIZES.length + 1), bits.slice(0, SIZES.length + 1));
    }
  });

for (const choices of [{ rule: 'sgd' }, { rule: 'adamw' }, { rule: 'adamw', clipNorm: 20 }] as const)
  test(`${Object.values(choices)}: what several processes have kept goes on in another number of them`, async () => {
    const { bits } = await train(6, ALONE, choices);
    const [begun] = await asProcesses(2, (processes) => train(6, processes, { ...choices, updates: [0, 1] }));
    const next = { ...choices, updates: [2], from: begun!.bits };
    const [resumed] = await asProcesses(3, (processes) => train(6, processes, next));
    assert.equal(resumed!.bits, bits);
    assert.equal((await train(6, ALONE, next)).bits, bits);
  });

for (const [choices, counts] of [
  [{ rule: 'sgd', clipNorm: 200 }, [2, 3, 4, 8]],
  [{ rule: 'adamw', clipNorm: 100, clipValue: 0.5 }, [3]],
  [{ rule: 'sgd', clipValue: 0.1 }, [2]],
] as const)
  test(`gradients bounded by ${JSON.stringify(choices)}: ${counts} processes have the bits of one`, async () => {
    const many = { ...choices, sizes: MANY_SIZES, updates: [0, 1] };
    const { bits, norms } = await train(8, ALONE, many);
    if ('clipNorm' in choices) {
      const bounded = norms.map((norm) => norm > choices.clipNorm);
      assert.equal(bounded, [true, false], `norms ${norms}`);
    }
    for (const count of counts) {
      const results = await asProcesses(count, (processes) => train(8, processes, many));
      assert.equal(results[0]!.bits, bits, `weights and what is kept by ${count} processes`);
      const weights = bits.slice(0, MANY_SIZES.length);
      for (const other of results.slice(1)) assert.equal(other.bits.slice(0, weights.length), weights);
    }
  });

test('a norm that is not finite gives the bits of one process', async () => {
  const from = [...SIZES, 9, ...SIZES].map((size, k) => normals(size, k + 1));
  from[4]![8999] = Infinity;
  const choices = { clipNorm: 1, clipValue: 1e30, from };
  const { bits, norms } = await train(4, ALONE, choices);
  assert.not.ok(norms.some(Number.isFinite), `norms ${norms}`);
  const [first] = await asProcesses(3, (processes) => train(4, processes, choices));
  const words = ({ buffer }: Float32Array): Uint32Array => new Uint32Array(buffer);
  assert.equal(first!.bits.map(words), bits.map(words));
});

test('an update moves at most twice the trained parameters where each process has one node of the tree', async () => {
  const bytes = 4 * SIZES.reduce((sum, size) => sum + size, 0);
  for (const count of [2, 4, 8]) {
    const results = await asProcesses(count, (processes) => train(8, processes));
    for (const { sent } of results) assert.ok(sent <= 3 * 2 * bytes, `${sent} bytes in three updates of ${bytes}`);
  }
});

test('bfloat16 gradients take half the bytes, and change the weights a little', async () => {
  const { bits } = await train(4, ALONE);
  const [whole] = await asProcesses(2, (processes) => train(4, processes));
  const results = await asProcesses(2, (processes) => train(4, processes, { bf16Gradients: true }));
  const [first, second] = results;
  assert.equal(first!.bits.slice(0, SIZES.length), second!.bits.slice(0, SIZES.length));
  assert.is(first!.sent, 0.75 * whole!.sent, 'weights still travel as float32');
  const differences = bits[1]!.map((value, i) => Math.abs(value - first!.bits[1]![i]!));
  const most = Math.max(...differences);
  assert.ok(most > 0 && most < 0.01, `${most}`);
});

test('bfloat16 is float32 rounded to nearest, ties to even', () => {
  const values = Float32Array.of(1, -2.5, 1.00390625, 1.01171875, 3.4e38, Infinity, NaN, 0);
  const [halves, back] = [new Uint16Array(8), new Float32Array(8)];
  toBf16(new Uint32Array(values.buffer), halves);
  fromBf16(halves, new Uint32Array(back.buffer));
  assert.equal([...back], [1, -2.5, 1, 1.015625, Infinity, Infinity, NaN, 0]);
});

test('the places of an update are divided evenly and in order', () => {
  for (const [images, size] of [
    [8, 3],
    [7, 7],
    [64, 5],
  ] as const) {
    const shares = Array.from({ length: size }, (_, rank) => placesOf(images, rank, size));
    assert.is(shares[0]!.first, 0);
    assert.is(shares.at(-1)!.end, images);
    shares.slice(1).forEach(({ first }, i) => assert.is(first, shares[i]!.end));
    const counts = shares.map(({ first, end }) => end - first);
    assert.ok(Math.max(...counts) - Math.min(...counts) <= 1);
  }
});

test('more processes than images are refused with the numbers that fit', async () => {
  await asProcesses(9, async (processes) =>
    assert.throws(
      () => assertEnoughImages(processes, { imagesPerStep: 8 }, 'training.imagesPerStep'),
      '--distributed: 9 processes cannot share an update of 8 images; start at most 8 (1, 2, 4, 8 share evenly), or set training.imagesPerStep to 9 or more',
    ),
  );
  await asProcesses(5, async (processes) =>
    assert.throws(
      () => assertEnoughImages(processes, { imagesPerStep: 8, microBatch: 2 }, 'training.imagesPerStep'),
      '--distributed: 5 processes cannot share an update of 8 images, 2 at once; start at most 4 (1, 2, 4 share evenly), or set training.imagesPerStep to 10 or more',
    ),
  );
});

test('data that differ between processes are refused in each, with both sides', async () => {
  await asProcesses(3, async (processes) => {
    const rows = ['a', 'b', ...(processes.rank === 1 ? ['c'] : [])].map((id) => [id, 40, 30]);
    await assertSameData(processes, 'voc:photos', [rows.slice(0, 2)]);
    const error = await assertSameData(processes, 'voc:photos', [rows]).then(String, (error: Error) => error.message);
    assert.match(
      error,
      /^--data voc:photos: rank 1 has 3 images \(digest \w{8}\), rank 0 has 2 images \(digest \w{8}\); copy the folder/,
    );
  });
});

test('what process 0 decides, the others are told', async () => {
  const results = await asProcesses(3, async (processes) => {
    let decided = 0;
    const value = await processes.lead(() => ({ decided: ++decided, none: undefined }));
    const nothing = await processes.lead(() => undefined);
    const own = new Uint8Array(processes.rank * 5).fill(processes.rank);
    const all = await processes.all(own);
    const shared = Uint8Array.of(processes.rank, 7);
    await processes.share(shared);
    return {
      value,
      decided,
      nothing,
      lengths: all.map(({ length }) => length),
      shared,
      any: await processes.any(processes.rank === 2),
    };
  });
  results.forEach(({ value, decided, nothing, lengths, shared, any }, rank) => {
    assert.is(value.decided, 1);
    assert.is(decided, rank === 0 ? 1 : 0);
    assert.is(nothing, undefined);
    assert.equal(lengths, [0, 5, 10]);
    assert.equal(shared, Uint8Array.of(0, 7));
    assert.is(any, true);
  });
});

test.run();

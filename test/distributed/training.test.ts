/** A training that several processes share, here tasks of one process: the bits of a training by one. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { assertSameData } from '../../src/cli/distributed.ts';
import { fromBf16, toBf16 } from '../../src/distributed/bf16.ts';
import { ALONE, assertEnoughImages, placesOf, type Processes } from '../../src/distributed/processes.ts';
import { ShardedSgd } from '../../src/distributed/shardedSgd.ts';
import { GradientSums } from '../../src/engine/gradientSums.ts';
import { add, multiply, Sgd, sum, type Tensor } from '../../src/index.ts';
import { normals } from '../../src/kernels/checks/inputs.ts';
import { sharedGpu } from '../harness.ts';
import { asProcesses } from './group.ts';

const SIZES = [3, 4099, 1, 640, 9001];
const RULE = { learningRate: 0.05, momentum: 0.9, weightDecay: 0.01 };

/** Three updates of `images` images; weights and momentum after them, and this process's traffic. */
async function train(
  images: number,
  processes: Processes,
  bf16Gradients = false,
): Promise<{ bits: Float32Array[]; sent: number }> {
  const gpu = await sharedGpu();
  const parameters = SIZES.map((size, k) => gpu.parameter(normals(size, k + 1), [size], `p${k}`));
  const frozen = gpu.parameter(normals(9, 99), [9], 'frozen');
  frozen.requiresGrad = false;
  const groups = [...parameters.map((parameter, k) => ({ parameter, rateMultiplier: 1 + (k % 2) })), frozen];
  const sgd =
    processes.size === 1
      ? new Sgd(groups, RULE)
      : new ShardedSgd(groups, { ...RULE, bf16Gradients }, images, processes);
  const sums = new GradientSums(parameters);
  const { first, end } = processes.places(images);
  for (let update = 0; update < 3; update++) {
    sgd.learningRate = 0.05 / (1 + update);
    for (let place = first; place < end; place++) {
      sums.add(place, (recorded) =>
        gpu.scope(() => {
          const onGradient = sgd instanceof ShardedSgd && place === end - 1 ? sgd.early(recorded) : undefined;
          const terms = parameters.map((p, k) =>
            sum(multiply(multiply(p, p), gpu.tensor(normals(p.size, 1000 * update + 10 * place + k), p.shape))),
          );
          add(...(terms as [Tensor, Tensor])).backward({ ...(onGradient && { onGradient }) });
        }),
      );
    }
    if (sgd instanceof ShardedSgd) await sgd.step(sums.nodes(), images);
    else {
      sums.finish();
      sgd.step(images);
    }
  }
  const { sent } = processes.traffic;
  if (sgd instanceof ShardedSgd) await sgd.collect();
  const weights: Tensor[] = [...parameters, frozen];
  const bits = await Promise.all(
    [...weights, ...sgd.slots.map(({ state }) => state.momentum)].map((tensor) => tensor.read()),
  );
  sums.dispose();
  sgd.dispose();
  weights.forEach((tensor) => tensor.dispose());
  return { bits: bits as Float32Array[], sent };
}

for (const [images, counts] of [
  [8, [2, 3, 4, 8]],
  [5, [2, 3, 5]],
] as const)
  test(`an update of ${images} images by ${counts} processes has the bits of one`, async () => {
    const { bits } = (await train(images, ALONE))!;
    for (const count of counts) {
      const results = await asProcesses(count, (processes) => train(images, processes));
      const [first] = results;
      assert.equal(first!.bits, bits, `weights and momentum of ${count} processes`);
      for (const other of results) assert.equal(other.bits.slice(0, SIZES.length + 1), bits.slice(0, SIZES.length + 1));
    }
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
  const results = await asProcesses(2, (processes) => train(4, processes, true));
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

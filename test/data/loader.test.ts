import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { AnnotatedBox, Dataset } from '../../src/data/types.ts';
import { aspectGroup } from '../../src/data/aspectGroups.ts';
import { TrainingOrder, inTrainingOrder } from '../../src/data/loader.ts';
import { flipBoxes } from '../../src/data/boxes.ts';
import { Prefetcher } from '../../src/data/prefetcher.ts';
import { UserError } from '../../src/engine/errors.ts';

test('every epoch takes each image once, and once mirrored, in a new order', () => {
  for (const flip of [false, true]) {
    const order = new TrainingOrder(1, 7, { flip });
    const epochs = [0, 1].map((epoch) =>
      Array.from({ length: order.length }, (_, i) => {
        const pair = order.at(epoch * order.length + i);
        return pair.index + (pair.flip ? 7 : 0);
      }),
    );
    for (const epoch of epochs) {
      assert.equal(
        [...epoch].sort((a, b) => a - b),
        Array.from({ length: flip ? 14 : 7 }, (_, i) => i),
      );
    }
    assert.not.equal(epochs[0], epochs[1]);
  }
});

test('a step alone decides, however it was reached; another seed gives another order', () => {
  fc.assert(
    fc.property(fc.nat(1000), fc.integer({ min: 1, max: 40 }), fc.nat(200), fc.boolean(), (seed, n, step, flip) => {
      const walked = new TrainingOrder(seed, n, { flip });
      for (let t = 0; t < step; t++) walked.at(t);
      assert.equal(walked.at(step), new TrainingOrder(seed, n, { flip }).at(step));
    }),
  );
  const orders = [1, 2].map((seed) => {
    const order = new TrainingOrder(seed, 20, { flip: true });
    return Array.from({ length: 40 }, (_, t) => order.at(t));
  });
  assert.not.equal(orders[0], orders[1]);
});

test('batches have images of one group, aligned to their steps, and every image once an epoch', () => {
  const sizes = fc.record({ n: fc.integer({ min: 1, max: 60 }), size: fc.integer({ min: 1, max: 6 }) });
  fc.assert(
    fc.property(sizes, fc.integer({ min: 1, max: 4 }), fc.nat(1000), fc.boolean(), ({ n, size }, kinds, seed, flip) => {
      const of = Array.from({ length: n }, (_, i) => (7 * i + seed) % kinds);
      const order = new TrainingOrder(seed, n, { flip, groups: { of, size } });
      const { length } = order;
      const walked = Array.from({ length: 3 * length }, (_, step) => order.at(step));
      for (const epoch of [0, 1, 2]) {
        const pairs = walked.slice(epoch * length, (epoch + 1) * length);
        assert.is(new Set(pairs.map(({ index, flip }) => 2 * index + Number(flip))).size, length);
        // Only what is left of the groups, and the batch that an epoch shares with the one before, may be mixed.
        const from = Math.ceil((epoch * length) / size) * size;
        const batches = Math.max(0, Math.floor(((epoch + 1) * length - from) / size));
        const mixed = Array.from({ length: batches }, (_, k) =>
          walked.slice(from + k * size, from + (k + 1) * size).map(({ index }) => of[index]!),
        ).filter((groups) => new Set(groups).size > 1);
        assert.ok(mixed.length * size <= kinds * (size - 1), `${mixed.length} of ${batches} batches are mixed`);
      }
      const step = seed % walked.length;
      assert.equal(
        new TrainingOrder(seed, n, { flip, groups: { of, size } }).at(step),
        walked[step],
        'a step alone decides',
      );
    }),
  );
});

test('a group has images of similar shapes', () => {
  const groupOf = (width: number, height: number): number => aspectGroup({ width, height });
  assert.equal(
    [groupOf(100, 300), groupOf(300, 400), groupOf(1, 1), groupOf(640, 480), groupOf(2000, 999)],
    [0, 2, 4, 5, 7],
  );
  assert.is(groupOf(640, 480), groupOf(1280, 961));
  assert.is(groupOf(200, 100), 7);
});

/** Six pictures of 1x1, the red of each its number; counts what is being decoded, and number `broken` fails. */
function countingDataset(delay: number, broken = -1): { dataset: Dataset; started: () => number } {
  let started = 0;
  const samples = Array.from({ length: 6 }, (_, i) => ({
    id: String(i),
    width: 1,
    height: 1,
    boxes: [],
    load: async () => {
      started++;
      await new Promise((resolve) => setTimeout(resolve, delay));
      if (i === broken) throw new UserError(`${i}: broken`);
      return { width: 1, height: 1, rgba: Uint8Array.of(i, 0, 0, 255) };
    },
  }));
  return {
    dataset: { name: 'counting', classes: ['__background__'], samples, flippable: true, notes: [] },
    started: () => started,
  };
}

test('samples come in the order of the steps, decoded ahead but not further than asked', async () => {
  const { dataset, started } = countingDataset(1);
  const order = new TrainingOrder(5, 6, { flip: true });
  const loader = new Prefetcher(inTrainingOrder(dataset.samples, order), { start: 4, end: 15, ahead: 3 });
  assert.is(started(), 0);
  for (let step = 4; step < 15; step++) {
    const loaded = await loader.next();
    assert.is(loaded.step, step);
    assert.is(loaded.flip, order.at(step).flip);
    assert.is(loaded.picture.rgba[0], order.at(step).index);
    assert.is(loaded.sample, dataset.samples[order.at(step).index]);
    assert.is(started(), Math.min(11, step - 4 + 4));
  }
  try {
    await loader.next();
    assert.unreachable();
  } catch (error) {
    assert.instance(error, RangeError);
  }
});

test('the time waited is that of the caller, not of the decoding', async () => {
  const { dataset } = countingDataset(30);
  const loader = new Prefetcher(inTrainingOrder(dataset.samples, new TrainingOrder(5, 6, { flip: false })), {
    start: 0,
    end: 2,
    ahead: 1,
  });
  await loader.next();
  assert.ok(loader.waitedMs > 20, String(loader.waitedMs));
  const before = loader.waitedMs;
  await new Promise((resolve) => setTimeout(resolve, 60));
  await loader.next();
  assert.ok(loader.waitedMs - before < 20, String(loader.waitedMs - before));
});

test('a broken image fails at its own step', async () => {
  const order = new TrainingOrder(5, 6, { flip: false });
  const broken = order.at(3).index;
  const loader = new Prefetcher(inTrainingOrder(countingDataset(1, broken).dataset.samples, order), {
    start: 0,
    end: 6,
    ahead: 5,
  });
  for (let step = 0; step < 6; step++) {
    // Time enough for the failure to pass unnoticed, if it could.
    await new Promise((resolve) => setTimeout(resolve, 5));
    const outcome = await loader.next().then(
      () => 'loaded',
      (error: Error) => error.message,
    );
    assert.is(outcome, step === 3 ? `${broken}: broken` : 'loaded');
  }
});

test('mirroring twice is the identity, mirrored boxes stay ordered and inside', () => {
  const width = 50;
  const box = fc
    .tuple(fc.nat(40), fc.nat(9), fc.nat(20), fc.nat(20))
    .map(([x1, w, y1, h]): AnnotatedBox => ({ x1, y1, x2: x1 + w, y2: y1 + h, classIndex: 1, difficult: false }));
  fc.assert(
    fc.property(fc.array(box), (boxes) => {
      const mirrored = flipBoxes(boxes, width);
      assert.equal(flipBoxes(mirrored, width), boxes);
      for (const { x1, x2 } of mirrored) assert.ok(0 <= x1 && x1 <= x2 && x2 < width);
    }),
  );
  assert.equal(flipBoxes([{ x1: 0, y1: 3, x2: 9, y2: 5, classIndex: 2, difficult: true }], 50), [
    { x1: 40, y1: 3, x2: 49, y2: 5, classIndex: 2, difficult: true },
  ]);
});

test('mirrored boxes are py-faster-rcnn’s', () => {
  const url = new URL('../golden/preprocess_schedule.json', import.meta.url);
  const { width, boxes, expected } = JSON.parse(readFileSync(url, 'utf8')).flip;
  const asBoxes = boxes.map(([x1, y1, x2, y2]: number[]) => ({ x1, y1, x2, y2, classIndex: 1, difficult: false }));
  assert.equal(
    flipBoxes(asBoxes, width).map(({ x1, y1, x2, y2 }) => [x1, y1, x2, y2]),
    expected,
  );
});

test('the samples of the first steps, each once, mirrored or not', () => {
  const order = new TrainingOrder(3, 6, { flip: true });
  const seen = Array.from({ length: 4 }, (_, step) => order.at(step).index);
  assert.equal([...order.drawn(4)].sort(), [...new Set(seen)].sort());
  assert.is(order.drawn(12).size, 6);
  assert.is(order.drawn(1000).size, 6);
});

test.run();

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { TrainingOrder } from '../../src/data/loader.ts';
import { repeatedSamples } from '../../src/data/oversampling.ts';

const box = (classIndex: number, difficult = false) => ({ x1: 0, y1: 0, x2: 9, y2: 9, classIndex, difficult });

test('images of rare classes are repeated by the root of how rare they are', () => {
  // Class 1 is in all of 100 images, class 2 in 4 of them, class 3 in one that is difficult.
  const samples = Array.from({ length: 100 }, (_, i) => ({
    boxes: [box(1), ...(i < 4 ? [box(2)] : []), ...(i === 50 ? [box(3, true)] : [])],
  }));
  const times = (threshold: number, seed = 1) => {
    const repeated = repeatedSamples(samples, threshold, seed);
    return samples.map((_, i) => repeated.filter((index) => index === i).length);
  };
  // sqrt(0.16 / 0.04) = 2
  assert.equal(times(0.16), [2, 2, 2, 2, ...Array(96).fill(1)]);
  assert.equal(times(0.04), Array(100).fill(1));
  // sqrt(0.25 / 0.04) = 2.5: two or three times.
  const halves = Array.from({ length: 40 }, (_, seed) => times(0.25, seed)[0]!);
  assert.equal([...new Set(halves)].sort(), [2, 3]);
  assert.equal(times(0.25, 7), times(0.25, 7));
  assert.equal(repeatedSamples([{ boxes: [] }, { boxes: [] }], 0.5, 1), [0, 1]);
});

test('an epoch shows every repetition once, mirrored too', () => {
  const order = new TrainingOrder(3, 3, { flip: true, repeated: [0, 1, 1, 2] });
  const shown = Array.from({ length: order.length }, (_, step) => order.at(step));
  assert.is(order.length, 8);
  assert.equal(shown.map(({ index }) => index).sort(), [0, 0, 1, 1, 1, 1, 2, 2]);
  assert.is(shown.filter(({ flip }) => flip).length, 4);
  assert.equal([...order.drawn(100)].sort(), [0, 1, 2]);
});

test.run();

/** What the page's training on labels makes of the boxes, and which detections it proposes. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { problemOf } from '../../src/run/config/configSchema.ts';
import { labelDetector, labelTraining } from '../../web/label/recipe.ts';
import type { ObjectClass } from '../../web/label/project.ts';
import { proposalsOf, stillOpen } from '../../web/label/proposals.ts';

const CLASSES = ['__background__', 'cat', 'dog'];
const square = (side: number) => ({ x1: 0, y1: 0, x2: side - 1, y2: side - 1 });

test('an object of median size gets the side that suits the backbone, and the smallest remain visible', () => {
  const input = (sides: readonly number[], width = 1000, height = 800) =>
    labelDetector('small', CLASSES, [{ width, height, boxes: sides.map(square) }]).input.shorterSide;
  assert.is(input([200, 200, 200]), 160); // 200 of 800 becomes 40 of 160
  assert.is(input([100, 200, 200]), 160); // the smallest of three counts: 20
  assert.is(input([50, 200, 200]), 320);
  assert.is(input([10, 20, 30]), 480, 'the largest that trains in a browser');
  assert.is(input([790, 790]), 96);
});

test('anchors span the sizes of the boxes, and are apart from each other', () => {
  const { anchors, input } = labelDetector('small', CLASSES, [
    { width: 400, height: 400, boxes: [50, 100, 100, 100, 300].map(square) },
  ]);
  assert.is(input.shorterSide, 160);
  assert.equal(anchors.sizes, [20, 40, 120]);
  const alike = labelDetector('small', CLASSES, [{ width: 400, height: 400, boxes: [square(100), square(100)] }]);
  assert.equal(alike.anchors.sizes, [29, 40, 56]);
});

test('every recipe is a valid configuration', () => {
  for (const backbone of ['small', 'squeezenet1_1'] as const) {
    for (const boxes of [[], [square(3)], [square(20), square(250)]]) {
      const detector = labelDetector(backbone, CLASSES, [{ width: 300, height: 200, boxes }]);
      for (const steps of [10, 400]) {
        const training = labelTraining(backbone, { steps, flip: true, seed: 1 });
        assert.is(problemOf({ detector, training }), null);
        assert.ok(training.warmup < steps / 2);
      }
    }
  }
});

test('proposals: sure, inside the picture, once for each object, of classes that there still are', () => {
  const classes = [{ id: 7, name: 'dog' }];
  const detection = { x1: 10.2, y1: 10.4, x2: 49.1, y2: 48.9, score: 0.9, classIndex: 2 };
  const proposals = proposalsOf(
    [
      detection,
      { ...detection, x1: 12, score: 0.8 }, // the same object
      { ...detection, classIndex: 1, x1: 60, x2: 90 }, // cat was removed
      { ...detection, x1: -3, x2: 5, y2: 120, score: 0.95 },
      { ...detection, x1: 70, x2: 95, score: 0.2 },
    ],
    CLASSES,
    classes,
    { width: 100, height: 100 },
  );
  assert.equal(proposals, [
    { id: -1, classId: 7, score: 0.95, x1: 0, y1: 10, x2: 6, y2: 100 },
    { id: -2, classId: 7, score: 0.9, x1: 10, y1: 10, x2: 50, y2: 50 },
  ]);
  assert.equal(
    stillOpen(proposals, [{ id: 1, classId: 7, x1: 12, y1: 12, x2: 52, y2: 52 }], classes).map(({ id }) => id),
    [-1],
  );
  assert.equal(stillOpen(proposals, [], []), [], 'the class was removed meanwhile');
});

test('a class that was renamed after the training is proposed by its new name', () => {
  const detections = [{ x1: 10, y1: 10, x2: 49, y2: 49, score: 0.9, classIndex: 2 }];
  const proposed = (classes: readonly ObjectClass[]) =>
    proposalsOf(detections, CLASSES, classes, { width: 100, height: 100 }).map(({ classId }) => classId);
  const wolf = { id: 7, name: 'wolf', formerly: ['dog'] };
  assert.equal(proposed([wolf]), [7]);
  assert.equal(proposed([wolf, { id: 8, name: 'dog' }]), [8], 'a class that has the name now comes first');
});

test.run();

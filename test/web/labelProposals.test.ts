/** Which boxes are proposed for a picture, and which picture the network is least sure about. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { doubtOf, proposalsOf, stillOpen } from '../../web/label/proposals.ts';

const classes = [
  { id: 1, name: 'disc', formerly: ['circle'] },
  { id: 2, name: 'square' },
];
const detection = (classIndex: number, score: number, x1: number) => ({
  ...{ classIndex, score, x1, y1: 10.2, x2: x1 + 19, y2: 29.4 },
});

test('proposals are whole pixels inside the picture, the best first, once for each object, by the names of then', () => {
  const found = [
    detection(1, 0.6, 41),
    detection(2, 0.9, -3),
    detection(1, 0.7, 2),
    detection(3, 0.99, 70),
    detection(2, 0.3, 70),
  ];
  const proposed = proposalsOf(found, ['__background__', 'circle', 'square', 'gone'], classes, {
    width: 50,
    height: 40,
  });
  assert.equal(proposed, [
    { id: -1, classId: 2, score: 0.9, x1: 0, y1: 10, x2: 17, y2: 30 },
    { id: -2, classId: 1, score: 0.6, x1: 41, y1: 10, x2: 50, y2: 30 },
  ]);
  const boxes = [{ id: 9, classId: 2, x1: 1, y1: 10, x2: 17, y2: 30 }];
  assert.equal(
    stillOpen(proposed, boxes, classes).map(({ id }) => id),
    [-2],
  );
  assert.equal(
    stillOpen(proposed, [], classes.slice(1)).map(({ id }) => id),
    [-1],
  );
});

test('a picture is doubtful by the detection nearest to one half; one without detections is in the middle', () => {
  const doubt = (...scores: number[]): number => doubtOf(scores.map((score) => ({ score })));
  const order = [doubt(0.5, 0.99), doubt(0.6), doubt(), doubt(0.99, 0.2), doubt(0.99)];
  assert.equal(
    order,
    order.toSorted((a, b) => b - a),
  );
  assert.is(doubt(0.5), 1);
  assert.is(doubt(1), 0);
});

test.run();

/** Errors by kind on scenes where each is known; what it costs; confusion, sizes and calibration by hand. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { analyse, ERROR_KINDS } from '../../src/eval/analysis.ts';
import { type Detection, evaluateVoc, type GroundTruthBox } from '../../src/eval/voc.ts';

const CLASSES = ['__background__', 'cat', 'dog'];
/** A square of 10 x 10 pixels. */
const square = (x: number, y = 0) => ({ x1: x, y1: y, x2: x + 9, y2: y + 9 });
const truth = (classIndex: number, x: number, y = 0): GroundTruthBox => ({
  ...square(x, y),
  classIndex,
  difficult: false,
});
const found = (classIndex: number, score: number, x: number, y = 0): Detection => ({
  ...square(x, y),
  classIndex,
  score,
});

const near = (actual: number, expected: number, what: string): void =>
  assert.ok(Math.abs(actual - expected) < 1e-12, `${what}: ${actual}, expected ${expected}`);

test('every kind of error, one of each', () => {
  const truths = [[truth(1, 0), truth(1, 100), truth(1, 200), truth(2, 300), truth(2, 400)]];
  const detections = [
    [
      found(1, 0.9, 0), // right
      found(1, 0.8, 0), // a second one on the same object
      found(1, 0.7, 104), // shifted by 4 of 10: IoU 6 / 14
      found(1, 0.6, 300), // on a dog
      found(2, 0.5, 50), // on nothing
      found(2, 0.4, 204), // on a cat, shifted
    ],
  ];
  const { detections: judged, missed, errors } = analyse(detections, truths, CLASSES);
  assert.equal(
    judged.map(({ verdict }) => verdict),
    ['correct', 'duplicate', 'location', 'class', 'background', 'both'],
  );
  assert.equal(
    judged.map(({ truth }) => truth),
    [0, 0, 1, 3, null, 2],
  );
  near(judged[2]!.overlap, 60 / 140, 'overlap');
  // The cat at 200 has only a detection that is wrong in both ways, the dog at 400 none.
  assert.equal(missed, [
    { image: 0, truth: 2 },
    { image: 0, truth: 4 },
  ]);
  assert.equal(
    ERROR_KINDS.map((kind) => errors[kind].count),
    [1, 1, 1, 1, 1, 2],
  );
});

test('the gain of a kind is the mAP without it, less the mAP', () => {
  const truths = [[truth(1, 0), truth(2, 100)]];
  const detections = [[found(1, 0.9, 0), found(1, 0.8, 100)]];
  const { mAP, errors } = analyse(detections, truths, CLASSES);
  near(mAP, 0.5, 'mAP'); // cats 1, dogs 0
  near(errors.class.gain, 0.5, 'class');
  near(errors.missed.gain, 0, 'missed');
  const shifted = analyse([[found(1, 0.9, 4), found(2, 0.8, 100)]], truths, CLASSES);
  near(shifted.errors.location.gain, 0.5, 'location');
  // A false alarm before the only right one halves the precision.
  const alarmed = analyse([[found(1, 0.9, 50), found(1, 0.8, 0), found(2, 0.8, 100)]], truths, CLASSES);
  near(alarmed.mAP, 0.75, 'mAP');
  near(alarmed.errors.background.gain, 0.25, 'background');
  const half = analyse([[found(2, 0.8, 100)]], truths, CLASSES);
  near(half.errors.missed.gain, 1 - 0.5, 'missed');
});

test('of two that point at one object only the better is put right', () => {
  const { errors } = analyse([[found(1, 0.9, 4), found(1, 0.8, 5)]], [[truth(1, 0)]], CLASSES);
  assert.is(errors.location.count, 2);
  near(errors.location.gain, 1, 'location');
});

test('difficult objects count neither way', () => {
  const truths = [[{ ...truth(1, 0), difficult: true }, truth(1, 100)]];
  const { detections, missed, confusion } = analyse([[found(1, 0.9, 0)]], truths, CLASSES);
  assert.is(detections[0]!.verdict, 'ignored');
  assert.equal(missed, [{ image: 0, truth: 1 }]);
  assert.equal(confusion, [
    [0, 0, 0],
    [1, 0, 0],
    [0, 0, 0],
  ]);
});

test('confusion counts sure detections by the class of the object they are on', () => {
  const truths = [[truth(1, 0), truth(1, 100), truth(2, 200)], [truth(2, 0)]];
  const detections = [
    [found(1, 0.9, 0), found(2, 0.8, 100), found(2, 0.4, 200), found(2, 0.7, 300)],
    [found(2, 0.6, 1)],
  ];
  assert.equal(analyse(detections, truths, CLASSES).confusion, [
    [0, 0, 1],
    [0, 1, 1],
    [1, 0, 1],
  ]);
});

test('sizes are COCO’s; objects of other sizes count neither way', () => {
  const large = { x1: 0, y1: 200, x2: 99, y2: 299, classIndex: 1, difficult: false };
  const { bySize } = analyse([[found(1, 0.9, 0)]], [[truth(1, 0), large]], CLASSES);
  assert.equal(bySize.small, { objects: 1, mAP: 1 });
  assert.equal(bySize.large, { objects: 1, mAP: 0 });
  assert.is(bySize.medium.objects, 0);
  assert.ok(Number.isNaN(bySize.medium.mAP));
});

test('calibration: the share of right ones beside the mean score', () => {
  const { calibration } = analyse(
    [[found(1, 0.95, 0), found(1, 0.91, 100), found(1, 1, 200)]],
    [[truth(1, 0)]],
    CLASSES,
  );
  const last = calibration.at(-1)!;
  assert.is(last.detections, 3);
  near(last.meanScore, 2.86 / 3, 'mean score');
  near(last.correct, 1 / 3, 'correct');
  assert.is(calibration[0]!.detections, 0);
});

test('curves and mAP are those of the evaluation', () => {
  const truths = [[truth(1, 0), truth(2, 100)]];
  const detections = [[found(1, 0.9, 0), found(2, 0.3, 100), found(2, 0.8, 50)]];
  const { curves, mAP } = analyse(detections, truths, CLASSES);
  const expected = evaluateVoc(detections, truths, CLASSES, { metric: 'voc10' });
  assert.is(mAP, expected.mAP);
  assert.equal(Object.fromEntries(curves.map(({ name, ap }) => [name, ap])), expected.ap);
  assert.equal(curves[1]!.precision, [0, 0.5]);
});

test.run();

import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Detection, type GroundTruthBox, averagePrecision, evaluateVoc, matchClass } from '../../src/eval/voc.ts';

type Quad = [number, number, number, number];
const golden = JSON.parse(readFileSync(new URL('../golden/voc_eval.json', import.meta.url), 'utf8')) as {
  voc_ap: { rec: number[]; prec: number[]; ap11: number; area: number };
  mini: {
    gt_box_difficult: Record<string, [Quad, number][]>;
    det_img_score_box: [image: number, score: number, box: Quad][];
    rec: number[];
    prec: number[];
    tp: number[];
    fp: number[];
    ap11: number;
    ap_area: number;
  };
};

const corners = ([x1, y1, x2, y2]: Quad) => ({ x1, y1, x2, y2 });
const truth = (box: Quad, difficult = false, classIndex = 1): GroundTruthBox => ({
  ...corners(box),
  classIndex,
  difficult,
});
const detection = (box: Quad, score: number, classIndex = 1): Detection => ({ ...corners(box), classIndex, score });
const near = (actual: number, expected: number, tolerance: number) =>
  assert.ok(Math.abs(actual - expected) <= tolerance, `${actual} is not ${expected}`);

test('average precision of a given curve, both ways', () => {
  const { rec, prec, ap11, area } = golden.voc_ap;
  near(averagePrecision(rec, prec, 'voc07'), ap11, 1e-8);
  near(averagePrecision(rec, prec, 'voc10'), area, 1e-8);
});

test('matching with difficult, doubled and missed objects over three images', () => {
  const { mini } = golden;
  const images = Object.keys(mini.gt_box_difficult);
  const gts = images.map((id) => mini.gt_box_difficult[id]!.map(([box, difficult]) => truth(box, difficult === 1)));
  const dets = images.map((id) =>
    mini.det_img_score_box.filter(([image]) => String(image) === id).map(([, score, box]) => detection(box, score)),
  );
  const matches = matchClass(dets, gts, 0.5);
  assert.equal(matches.truePositive, mini.tp);
  assert.equal(matches.falsePositive, mini.fp);
  assert.is(matches.positives, 3);
  mini.rec.forEach((value, i) => near(matches.recall[i]!, value, 1e-8));
  mini.prec.forEach((value, i) => near(matches.precision[i]!, value, 1e-8));
  near(evaluateVoc(dets, gts, ['bg', 'x'], { metric: 'voc07' }).mAP, mini.ap11, 1e-8);
  near(evaluateVoc(dets, gts, ['bg', 'x'], { metric: 'voc10' }).mAP, mini.ap_area, 1e-8);
});

test('an IoU of exactly the threshold is not a match', () => {
  // 10x10 object, 10x5 detection inside it: IoU 0.5 in inclusive pixels.
  const gts = [[truth([0, 0, 9, 9])]];
  assert.is(evaluateVoc([[detection([0, 0, 9, 4], 1)]], gts, ['bg', 'x'], { metric: 'voc10' }).mAP, 0);
  assert.is(evaluateVoc([[detection([0, 0, 9, 5], 1)]], gts, ['bg', 'x'], { metric: 'voc10' }).mAP, 1);
});

test('a detection whose best object is taken is false even if it overlaps a free one', () => {
  const gts = [[truth([0, 0, 99, 99]), truth([30, 0, 129, 99])]];
  const dets = [[detection([0, 0, 99, 99], 0.9), detection([10, 0, 109, 99], 0.8)]];
  const matches = matchClass(dets, gts, 0.5);
  assert.equal(matches.truePositive, [1, 0]);
  assert.equal(matches.falsePositive, [0, 1]);
});

test('equal scores keep the order given', () => {
  const gts = [[truth([0, 0, 9, 9])], [truth([0, 0, 9, 9])]];
  const dets = [[detection([50, 50, 60, 60], 0.5)], [detection([0, 0, 9, 9], 0.5)]];
  assert.equal(matchClass(dets, gts, 0.5).truePositive, [0, 1]);
  assert.equal(matchClass([...dets].reverse(), gts, 0.5).truePositive, [1, 0]);
});

test('a class without ground truth is null and outside the mean', () => {
  const gts = [[truth([0, 0, 9, 9])], [truth([0, 0, 9, 9], true, 3)]];
  const dets = [[detection([0, 0, 9, 9], 0.9), detection([0, 0, 9, 9], 0.9, 2)], []];
  const { mAP, ap } = evaluateVoc(dets, gts, ['bg', 'a', 'b', 'c'], { metric: 'voc10' });
  assert.equal(ap, { a: 1, b: null, c: null });
  assert.is(mAP, 1);
});

test('a score that is not a number is an error', () => {
  assert.throws(() => matchClass([[detection([0, 0, 9, 9], NaN)]], [[]], 0.5), /NaN/);
});

const coordinate = fc.integer({ min: 0, max: 60 });
const quad = fc
  .tuple(coordinate, coordinate, fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 40 }))
  .map(([x, y, w, h]): Quad => [x, y, x + w, y + h]);
const images = fc.array(
  fc.record({
    gts: fc.array(fc.tuple(quad, fc.boolean()), { maxLength: 5 }),
    dets: fc.array(fc.tuple(quad, fc.float({ min: 0, max: 1, noNaN: true })), { maxLength: 8 }),
  }),
  { minLength: 1, maxLength: 4 },
);

test('AP is within [0, 1], and a new least sure false detection never raises it', () => {
  fc.assert(
    fc.property(images, fc.constantFrom('voc07' as const, 'voc10' as const), (scene, metric) => {
      const gts = scene.map(({ gts }) => gts.map(([box, difficult]) => truth(box, difficult)));
      const dets = scene.map(({ dets }) => dets.map(([box, score]) => detection(box, score)));
      if (!gts.flat().some((gt) => !gt.difficult)) return;
      const { mAP } = evaluateVoc(dets, gts, ['bg', 'x'], { metric });
      assert.ok(mAP >= 0 && mAP <= 1 + 1e-12);
      const more = dets.map((list) => [...list, detection([500, 500, 510, 510], -1)]);
      assert.ok(evaluateVoc(more, gts, ['bg', 'x'], { metric }).mAP <= mAP + 1e-12);
    }),
  );
});

test('perfect detections have AP 1 in every class, whatever their scores', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uniqueArray(fc.tuple(quad, fc.integer({ min: 1, max: 3 })), { selector: String, maxLength: 5 }), {
        minLength: 1,
        maxLength: 4,
      }),
      fc.infiniteStream(fc.float({ min: 0, max: 1, noNaN: true })),
      (scene, scores) => {
        const gts = scene.map((boxes) => boxes.map(([box, classIndex]) => truth(box, false, classIndex)));
        const dets = gts.map((list) => list.map((gt) => ({ ...gt, score: scores.next().value as number })));
        for (const metric of ['voc07', 'voc10'] as const) {
          for (const value of Object.values(evaluateVoc(dets, gts, ['bg', 'a', 'b', 'c'], { metric }).ap)) {
            if (value !== null) near(value, 1, 1e-12);
          }
        }
      },
    ),
  );
});

test.run();

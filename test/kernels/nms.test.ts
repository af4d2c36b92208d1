/** Non-maximum suppression from unsorted boxes, on the GPU from scores to indices. */
import * as fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Box, boxAt, iou } from '../../src/kernels/boxes.ts';
import { nmsReference, nmsScratch, recordNms } from '../../src/kernels/nms.ts';
import { Random } from '../../src/kernels/rng.ts';
import { eachVariant, runStage } from './stage.ts';

const golden = JSON.parse(readFileSync(new URL('../golden/nms.json', import.meta.url), 'utf8'));

async function nms(
  boxes: Box[],
  scores: number[],
  threshold: number,
  plusOne: number,
  maxOutput = boxes.length,
): Promise<number[]> {
  const [{ indices, count }, wide] = await eachVariant((variant) => {
    const params = { n: boxes.length, threshold, plusOne, maxOutput, variant };
    return runStage(
      { boxes: Float32Array.from(boxes.flat()), scores: Float32Array.from(scores) },
      nmsScratch(params),
      { indices: new Int32Array(maxOutput), count: new Uint32Array(1) },
      (run, buffers) => recordNms(run, buffers, params),
    );
  });
  assert.equal(wide, { indices, count }, 'both variants keep the same boxes in the same order');
  assert.ok(count[0]! <= maxOutput);
  assert.ok(
    indices.subarray(count[0]).every((i) => i === -1),
    'rows beyond the count are -1',
  );
  return [...indices.subarray(0, count[0])];
}

const reference = (boxes: Box[], scores: number[], threshold: number, plusOne: number, maxOutput = boxes.length) =>
  nmsReference(Float64Array.from(boxes.flat()), Float64Array.from(scores), threshold, plusOne, maxOutput);

const dets = ({ dets }: { dets: number[][] }): [Box[], number[]] => [
  dets.map((d) => d.slice(0, 4) as unknown as Box),
  dets.map((d) => d[4]!),
];

test('golden: boxes of torchvision, maskrcnn-benchmark and faster-rcnn.pytorch', async () => {
  const { torchvision_float: tv, maskrcnn_benchmark_289: mb, jwyang_220: jw } = golden;
  assert.equal(await nms(tv.boxes, tv.scores, tv.thresh, 0), tv.keep);
  assert.equal(await nms(mb.boxes, mb.scores, mb.thresh, 1), mb.keep);
  assert.equal(await nms(...dets(jw), jw.thresh, 1), jw.keep);
});

test('golden: an overlap equal to the threshold stays', async () => {
  const [boxes, scores] = dets(golden.tie_half);
  assert.equal(await nms(boxes, scores, 0.5, 1), golden.tie_half.keep_if_gt);
  assert.equal(await nms(boxes, scores, 0.49999, 1), [0]);
});

/** Boxes of whole pixels: float32 and float64 agree on every comparison. */
function crowd(n: number, seed: number): [Box[], number[]] {
  const random = new Random(seed);
  const boxes = Array.from({ length: n }, (): Box => {
    const [x, y] = [random.integer(300), random.integer(200)];
    return [x, y, x + 10 + random.integer(90), y + 10 + random.integer(90)];
  });
  return [boxes, Array.from({ length: n }, () => random.integer(1000) / 8)];
}

for (const n of [1, 31, 32, 33, 64, 65, 500, 2049])
  for (const plusOne of [0, 1])
    test(`${n} boxes with tied scores, plusOne ${plusOne}`, async () => {
      const [boxes, scores] = crowd(n, n);
      assert.equal(await nms(boxes, scores, 0.4, plusOne), reference(boxes, scores, 0.4, plusOne));
    });

test('40000 boxes, in forty blocks', async () => {
  const [boxes, scores] = crowd(40000, 7);
  assert.equal(await nms(boxes, scores, 0.3, 1, 2000), reference(boxes, scores, 0.3, 1, 2000));
});

test('stops at maxOutput, within a block of 32 and at its end', async () => {
  const [boxes, scores] = crowd(400, 5);
  for (const maxOutput of [1, 7, 32, 33])
    assert.equal(await nms(boxes, scores, 0.6, 1, maxOutput), reference(boxes, scores, 0.6, 1, maxOutput));
});

test('stops at maxOutput in the second block, at its end and before the third', async () => {
  const [boxes, scores] = crowd(3000, 8);
  const all = reference(boxes, scores, 0.95, 1).length;
  assert.ok(all > 2500, `${all} kept`);
  for (const maxOutput of [1024, 1025, 1500, 2040])
    assert.equal(await nms(boxes, scores, 0.95, 1, maxOutput), reference(boxes, scores, 0.95, 1, maxOutput));
});

test('scores that are not finite are dropped', async () => {
  const [boxes] = crowd(4, 6);
  assert.equal((await nms(boxes, [NaN, 1, Infinity, 2], 1, 0)).sort(), [1, 3]);
  assert.equal(await nms(boxes, [NaN, NaN, NaN, NaN], 0.5, 0), []);
});

test('kept boxes overlap no more than the threshold; a dropped one overlaps a better one that was kept', () => {
  const box = fc
    .tuple(fc.nat(200), fc.nat(200), fc.integer({ min: 1, max: 90 }), fc.integer({ min: 1, max: 90 }))
    .map(([x, y, w, h]): Box => [x, y, x + w, y + h]);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(box, fc.nat(50)), { minLength: 1, maxLength: 60 }),
      fc.double({ min: 0.05, max: 0.95, noNaN: true }),
      (list, threshold) => {
        const boxes = list.map(([b]) => b);
        const scores = list.map(([, s]) => s);
        const kept = reference(boxes, scores, threshold, 1);
        const flat = boxes.flat();
        const overlap = (i: number, j: number) => iou(boxAt(flat, i * 4), boxAt(flat, j * 4), 1);
        for (const i of kept) for (const j of kept) assert.ok(i === j || overlap(i, j) <= threshold + 1e-12);
        for (let j = 0; j < boxes.length; j++)
          assert.ok(
            kept.includes(j) || kept.some((i) => overlap(i, j) > threshold - 1e-12 && scores[i]! >= scores[j]!),
          );
      },
    ),
  );
});

test.run();

/** Anchor labels and targets, from ground truth to weights, against py-faster-rcnn's anchor_target_layer. */
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { anchorAt } from '../../src/kernels/anchorGrid.ts';
import {
  type AnchorLabelParams,
  anchorLabelsReference,
  anchorLabelsScratch,
  anchorOverlapsReference,
  anchorTargetsReference,
  recordAnchorLabels,
} from '../../src/kernels/anchorLabels.ts';
import { selectRandomReference } from '../../src/kernels/selectRandom.ts';
import { groundTruth } from '../../src/kernels/checks/inputs.ts';
import { expectClose } from '../harness.ts';
import { runStage } from './stage.ts';

const read = (name: string) => JSON.parse(readFileSync(new URL(`../golden/${name}.json`, import.meta.url), 'utf8'));
const golden = read('anchor_target');
const anchors = Float32Array.from(read('anchors').py_voc.flat());

const BASE: AnchorLabelParams = {
  anchorCount: 9,
  height: 14,
  width: 20,
  stride: 16,
  g: 0,
  imageHeight: 224,
  imageWidth: 320,
  plusOne: 1,
  positiveOverlap: 0.7,
  negativeOverlap: 0.3,
  batch: 1e6,
  positiveFraction: 0.5,
  random: false,
  seed: 1,
  stream: 2,
  outsideMode: 'examples',
  outsideValue: 1,
};
const N = 9 * 14 * 20;

async function label(gt: Float32Array, params: AnchorLabelParams, base = anchors) {
  const size = params.anchorCount * params.height * params.width;
  return runStage(
    { anchors: base, gt: gt.length > 0 ? gt : new Float32Array(5) },
    anchorLabelsScratch({ ...params, g: params.g + 3 }),
    {
      labels: new Int32Array(size),
      targets: new Float32Array(4 * size),
      insideWeights: new Float32Array(4 * size),
      outsideWeights: new Float32Array(4 * size),
      counts: new Uint32Array(2),
    },
    (run, buffers) => recordAnchorLabels(run, buffers, params),
  );
}

/** Position in the maps of anchor i = (h*W + w)*A + a. */
const blob = (i: number) => (i % 9) * 280 + Math.floor(i / 9);
const channels = (map: ArrayLike<number>, j: number) =>
  [0, 1, 2, 3].map((k) => map[(Math.floor(j / 280) * 4 + k) * 280 + (j % 280)]!);

golden.cases.forEach((example: any, index: number) =>
  test(`golden case ${index}: labels, targets, weights`, async () => {
    const gt = Float32Array.from(example.gt.flat());
    const result = await label(gt, { ...BASE, g: example.gt.length });
    const indices = (value: number) =>
      Array.from({ length: N }, (_, i) => i).filter((i) => result.labels[blob(i)] === value);
    assert.equal(indices(1), example.fg_index);
    assert.is(indices(0).length, example.num_bg);
    assert.equal([...result.counts], [example.num_fg, example.num_bg]);
    const params = { ...BASE, g: example.gt.length };
    const overlaps = anchorOverlapsReference(Float64Array.from(anchors), Float64Array.from(gt), params);
    const inside = Array.from({ length: N }, (_, i) => i).filter((i) => overlaps[blob(i)]! >= 0);
    assert.is(inside.length, example.inside);
    const ignored = inside.filter((i) => result.labels[blob(i)] === -1);
    if (Array.isArray(example.ignored_inside)) assert.equal(ignored, example.ignored_inside);
    else assert.is(ignored.length, example.ignored_inside);
    example.max_overlap_per_gt.forEach((expected: number, g: number) => {
      expectClose([Math.max(...overlaps.subarray(g * N, (g + 1) * N))], [expected], { atol: 1e-7, rtol: 0 });
    });
    example.fg_index.forEach((i: number, row: number) => {
      assert.equal(anchorAt(Float64Array.from(anchors), blob(i), params), example.fg_anchor[row]);
      expectClose(channels(result.targets, blob(i)), example.fg_target[row], { atol: 1e-6, rtol: 0 });
      assert.equal(channels(result.insideWeights, blob(i)), [1, 1, 1, 1]);
    });
    for (let j = 0; j < N; j++) {
      const weight = result.labels[j]! >= 0 ? example.outside_weight : 0;
      expectClose(channels(result.outsideWeights, j), [weight, weight, weight, weight], { atol: 1e-7, rtol: 0 });
      if (result.labels[j] !== 1) assert.equal(channels(result.insideWeights, j), [0, 0, 0, 0]);
    }
  }),
);

test('a ground truth that overlaps no anchor inside matches none', async () => {
  // Every anchor inside an image of 224 x 320 is at least 88 pixels wide; none reaches this corner.
  const gt = Float32Array.from([315, 0, 319, 4, 1]);
  const { labels, counts } = await label(gt, { ...BASE, g: 1 });
  assert.ok(labels.every((value) => value <= 0));
  assert.equal([...counts], [0, 192]);
});

test('an anchor between two equally good ground truths goes to the first', async () => {
  // Both are 8 pixels off the square anchor at (8, 8), one to each side.
  const gt = Float32Array.from([0, 8, 127, 135, 1, 16, 8, 143, 135, 2]);
  const { labels, targets } = await label(gt, { ...BASE, g: 2 });
  const j = 3 * 280 + 4 * 20 + 4;
  assert.is(labels[j], 1);
  expectClose(channels(targets, j), [-8 / 128, 0, 0, 0], { atol: 1e-6, rtol: 0 });
});

test('an overlap of exactly the positive threshold is positive, of exactly the negative one ignored', async () => {
  // Of 256, 128, 64 and 32 pixels, each within the one before; the object is the third. 64/256 and 64/128 are exact in f32.
  const base = Float32Array.from([0, 0, 15, 15, 0, 0, 15, 7, 0, 0, 7, 7, 0, 0, 7, 3]);
  const one = { ...BASE, anchorCount: 4, height: 1, width: 1, imageHeight: 16, imageWidth: 16, g: 1 };
  const gt = Float32Array.from([0, 0, 7, 7, 1]);
  const labels = async (positiveOverlap: number, negativeOverlap: number) => {
    const params = { ...one, positiveOverlap, negativeOverlap };
    const overlaps = anchorOverlapsReference(Float64Array.from(base), Float64Array.from(gt), params);
    const reference = anchorLabelsReference(Float64Array.from(base), overlaps, 1, params);
    const result = await label(gt, params, base);
    assert.equal([...result.labels], [...reference.labels]);
    return [...result.labels];
  };
  assert.equal(await labels(0.5, 0.25), [-1, 1, 1, 1]);
  assert.equal(await labels(0.51, 0.26), [0, -1, 1, -1]);
});

test('without ground truth all anchors inside are negatives, and box weights are zero', async () => {
  const { labels, counts, insideWeights, targets } = await label(new Float32Array(0), {
    ...BASE,
    batch: 100,
    random: true,
  });
  assert.is(labels.filter((value) => value === 0).length, 100);
  assert.is(labels.filter((value) => value === 1).length, 0);
  assert.equal([...counts], [0, 100]);
  assert.ok(insideWeights.every((value) => value === 0) && targets.every((value) => value === 0));
});

test('no anchor inside a tiny image: nothing is labelled, nothing is NaN', async () => {
  const result = await label(Float32Array.from([1, 1, 20, 20, 1]), { ...BASE, g: 1, imageHeight: 60, imageWidth: 60 });
  assert.ok(result.labels.every((value) => value === -1));
  assert.equal([...result.counts], [0, 0]);
  for (const map of [result.targets, result.insideWeights, result.outsideWeights])
    assert.ok(map.every((value) => value === 0));
});

for (const outsideMode of ['examples', 'constant'] as const)
  test(`the sampled stage against its references, ${outsideMode}`, async () => {
    const gt = groundTruth(8, 31);
    const params: AnchorLabelParams = {
      ...BASE,
      g: 8,
      batch: 24,
      random: true,
      outsideMode,
      outsideValue: 10 / 280,
    };
    const result = await label(gt, params);
    const [a, t] = [Float64Array.from(anchors), Float64Array.from(gt)];
    const raw = anchorLabelsReference(a, anchorOverlapsReference(a, t, params), 8, params);
    const choice = { otherwise: -1, random: 1, seed: 1, stream: 2 };
    const positives = selectRandomReference(raw.labels, { ...choice, value: 1, limit: 12 });
    const { flags } = selectRandomReference(positives.flags, { ...choice, value: 0, limit: 24 - positives.count });
    assert.equal(result.labels, flags);
    const expected = anchorTargetsReference(a, t, flags, raw.argmax, params);
    expectClose(result.targets, expected.targets, { atol: 2e-6, rtol: 1e-5 });
    expectClose(result.insideWeights, expected.insideWeights, { atol: 0, rtol: 0 });
    expectClose(result.outsideWeights, expected.outsideWeights, { atol: 0, rtol: 1e-6 });
  });

test.run();

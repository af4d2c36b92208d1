/** RoI sampling and targets, from proposals to weights, against py-faster-rcnn's proposal_target_layer. */
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { groundTruth, pixelBoxes } from '../../src/kernels/checks/inputs.ts';
import { ROI_TARGETS } from '../../src/kernels/checks/roiTargets.ts';
import {
  recordRoiTargets,
  type RoiTargetParams,
  roiTargetsReference,
  roiTargetsScratch,
} from '../../src/kernels/roiTargets.ts';
import { expectClose } from '../harness.ts';
import { runStage } from './stage.ts';

async function sample(rois: Float32Array, count: number, gt: Float32Array, params: RoiTargetParams) {
  const size = params.batch * params.classes * 4;
  return runStage(
    { rois, gt: gt.length > 0 ? gt : new Float32Array(5), roiCount: Uint32Array.of(count) },
    roiTargetsScratch({ ...params, g: params.g + 2 }),
    {
      selected: new Int32Array(params.batch),
      sampledRois: new Float32Array(params.batch * 5),
      labels: new Int32Array(params.batch),
      targets: new Float32Array(size),
      insideWeights: new Float32Array(size),
      outsideWeights: new Float32Array(size),
      counts: new Uint32Array(2),
    },
    (run, buffers) => recordRoiTargets(run, buffers, params),
  );
}

test('golden proposal_target_layer', async () => {
  const golden = JSON.parse(readFileSync(new URL('../golden/proposal_target.json', import.meta.url), 'utf8'));
  const rows = golden.out_rois.length;
  const params: RoiTargetParams = {
    ...ROI_TARGETS,
    capacity: 12, // four rows more than proposals
    g: golden.gt.length,
    classes: golden.num_classes,
    backgroundLow: 0,
    batch: 128,
    random: false,
  };
  const rois = new Float32Array(12 * 5).fill(33);
  golden.rois.forEach((box: number[], i: number) => rois.set([0, ...box], i * 5));
  const result = await sample(rois, golden.rois.length, Float32Array.from(golden.gt.flat()), params);
  assert.equal([...result.counts], [6, 4]);
  const out = Array.from({ length: rows }, (_, r) => [...result.sampledRois.subarray(r * 5 + 1, r * 5 + 5)]);
  assert.equal(out, golden.out_rois);
  assert.equal([...result.labels.subarray(0, rows)], golden.out_labels);
  const columns = rows * 16;
  expectClose(result.targets.subarray(0, columns), golden.out_targets.flat(), { atol: 2e-6, rtol: 0, what: 'targets' });
  assert.equal([...result.insideWeights.subarray(0, columns)], golden.out_inside.flat());
  // Stored is 1, and the loss divides by the number of RoIs.
  const outside = golden.out_outside.flat().map((weight: number) => Math.fround(weight / rows));
  assert.equal([...result.outsideWeights.subarray(0, columns)], outside);
  assert.ok(
    result.labels.subarray(rows).every((label) => label === -1),
    'absent rows are ignored',
  );
  assert.ok(result.sampledRois.subarray(rows * 5).every((value) => value === 0));
  for (const map of [result.targets, result.insideWeights, result.outsideWeights])
    assert.ok(map.subarray(columns).every((value) => value === 0));
});

test('overlaps of exactly a threshold: background is below backgroundHigh, and down to backgroundLow; foreground from foregroundOverlap on', async () => {
  // Within an object of 256 pixels: 192, 128, 64 and 32 of them, which are exact shares.
  const proposals = [
    [0, 0, 15, 11],
    [0, 0, 15, 7],
    [0, 0, 7, 7],
    [0, 0, 7, 3],
  ];
  const rois = Float32Array.from(proposals.flatMap((box) => [0, ...box]));
  const gt = Float32Array.from([0, 0, 15, 15, 2]);
  const params = { ...ROI_TARGETS, capacity: 4, g: 1, batch: 8, foregroundFraction: 1, random: false };
  const chosen = async (foregroundOverlap: number, backgroundHigh: number, backgroundLow: number) => {
    const all = { ...params, foregroundOverlap, backgroundHigh, backgroundLow };
    const { selected, labels } = await sample(rois, 4, gt, all);
    const reference = roiTargetsReference(Float64Array.from(rois), 4, Float64Array.from(gt), all);
    assert.equal([...labels], [...reference.labels]);
    const known = [...selected].filter((row) => row >= 0);
    return known.map((row, i) => [row, labels[i]!]);
  };
  // Row 4 is the object itself.
  assert.equal(await chosen(0.75, 0.5, 0.25), [[0, 2], [4, 2], [2, 0]]); // prettier-ignore
  assert.equal(await chosen(0.76, 0.51, 0.26), [[4, 2], [1, 0]]); // prettier-ignore
});

test('the share of foreground is rounded to the next whole number', async () => {
  // Six RoIs on the object, six far from it: 0.25 * 7 = 1.75.
  const rois = Float32Array.from(
    Array.from({ length: 12 }, (_, r) => (r < 6 ? [0, 0, 0, 15, 15] : [0, 90, 90, 99, 99])).flat(),
  );
  const gt = Float32Array.from([0, 0, 15, 15, 2]);
  const params = { ...ROI_TARGETS, capacity: 12, g: 1, batch: 7, foregroundFraction: 0.25, backgroundLow: 0 };
  const { counts, labels } = await sample(rois, 12, gt, params);
  assert.equal([...counts], [2, 5]);
  assert.equal([...labels], [2, 2, 0, 0, 0, 0, 0]);
  assert.equal(labels, roiTargetsReference(Float64Array.from(rois), 12, Float64Array.from(gt), params).labels);
});

const gt = groundTruth(6, 41);
/** Proposals around the objects and elsewhere. */
const rois = pixelBoxes(300, 42, 1, 30, 160);
for (let i = 0; i < 120; i++) {
  const t = (i % 6) * 5;
  const shift = Math.floor(i / 6);
  rois.set([gt[t]! + shift, gt[t + 1]! + (shift % 3), gt[t + 2]! + shift, gt[t + 3]! - (shift % 5)], i * 5 + 1);
}

for (const [count, g] of [
  [300, 6],
  [150, 6],
  [2, 6],
  [0, 6],
  [300, 0],
  [0, 0],
] as const)
  test(`${count} proposals, ${g} ground truths, sampled`, async () => {
    const params = { ...ROI_TARGETS, capacity: 300, g, batch: 64 };
    const objects = gt.subarray(0, g * 5);
    const result = await sample(rois, count, objects, params);
    const expected = roiTargetsReference(Float64Array.from(rois), count, Float64Array.from(objects), params);
    assert.equal(result.labels, expected.labels);
    expectClose(result.sampledRois, expected.sampledRois, { atol: 0, rtol: 0, what: 'rois' });
    expectClose(result.targets, expected.targets, { atol: 1e-5, rtol: 1e-5, what: 'targets' });
    expectClose(result.insideWeights, expected.insideWeights, { atol: 0, rtol: 0, what: 'inside' });
    expectClose(result.outsideWeights, expected.outsideWeights, { atol: 0, rtol: 1e-6, what: 'outside' });
    const [fg, bg] = [...result.counts] as [number, number];
    assert.is(fg, expected.labels.filter((label) => label > 0).length);
    assert.is(bg, expected.labels.filter((label) => label === 0).length);
    if (count === 300 && g === 6) assert.equal([fg, bg], [16, 48]);
    if (g === 0) assert.equal([fg, bg], [0, Math.min(64, count)]);
  });

test('the share of foreground is rounded half to even, as np.round does: 2 of 10, 4 of 14', async () => {
  const gt = groundTruth(5, 21); // each is a candidate that overlaps itself
  const rois = pixelBoxes(ROI_TARGETS.capacity, 22, 1, 30, 160);
  for (const [batch, foreground] of [
    [10, 2],
    [14, 4],
  ] as const) {
    const params = { ...ROI_TARGETS, batch, foregroundFraction: 0.25 };
    const { counts, labels } = await sample(rois, ROI_TARGETS.capacity, gt, params);
    assert.is(counts[0], foreground);
    assert.is(labels.filter((label) => label > 0).length, foreground);
  }
});

test.run();

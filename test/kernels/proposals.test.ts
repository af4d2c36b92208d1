/** The proposal stage, from the RPN's maps to RoIs, against py-faster-rcnn's proposal_layer. */
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PROPOSALS, proposalMaps } from '../../src/kernels/checks/proposals.ts';
import {
  type ProposalParams,
  proposalsReference,
  proposalsScratch,
  recordProposals,
} from '../../src/kernels/proposals.ts';
import { expectClose } from '../harness.ts';
import { eachVariant, runStage } from './stage.ts';

const read = (name: string) => JSON.parse(readFileSync(new URL(`../golden/${name}.json`, import.meta.url), 'utf8'));

async function propose(maps: Record<'anchors' | 'logits' | 'deltas', Float32Array>, params: ProposalParams) {
  const outputs = {
    rois: new Float32Array(params.postNms * 5),
    roiScores: new Float32Array(params.postNms),
    roiAnchors: new Int32Array(params.postNms),
    roiCount: new Uint32Array(1),
  };
  const [narrow, wide] = await eachVariant((variant) =>
    runStage(maps, proposalsScratch({ ...params, variant }), outputs, (run, buffers) =>
      recordProposals(run, buffers, { ...params, variant }),
    ),
  );
  assert.equal(wide, narrow, 'both variants give the same proposals');
  const { rois, roiScores, roiAnchors, roiCount } = narrow;
  const count = roiCount[0]!;
  assert.ok(
    rois.subarray(count * 5).every((value) => value === 0),
    'rows beyond the count are zero',
  );
  assert.ok(roiScores.subarray(count).every((value) => value === 0));
  const rows = Array.from({ length: count }, (_, k) => [...rois.subarray(k * 5, k * 5 + 5)]);
  assert.ok(rows.every(([image]) => image === 0));
  assert.ok(roiAnchors.subarray(count).every((value) => value === -1));
  return {
    boxes: rows.map((row) => row.slice(1)),
    scores: [...roiScores.subarray(0, count)],
    indices: [...roiAnchors.subarray(0, count)],
  };
}

test('golden proposal_layer', async () => {
  const [example] = read('proposal_layer').cases;
  const { H: height, W: width } = example;
  const cells = height * width;
  const logits = new Float32Array(18 * cells);
  const deltas = new Float32Array(36 * cells);
  for (let i = 0; i < 9 * cells; i++) {
    const [cell, a] = [Math.floor(i / 9), i % 9];
    const score = ((i * 7919 + 13) % 10007) / 10007;
    logits[(9 + a) * cells + cell] = score > 0 ? Math.log(score / (1 - score)) : -100;
    for (let k = 0; k < 4; k++)
      deltas[(a * 4 + k) * cells + cell] = (((((i * 4 + k) * 6151) % 2003) - 1001) / 1001) * (k < 2 ? 0.5 : 0.7);
  }
  const maps = { anchors: Float32Array.from(read('anchors').py_voc.flat()), logits, deltas };
  const params = {
    anchorCount: 9,
    height,
    width,
    stride: 16,
    imageHeight: example.im_info[0],
    imageWidth: example.im_info[1],
    plusOne: 1,
    decodeShrink: 0,
    minSize: example.min_size,
    preNms: example.pre_nms_top_n,
    nmsThreshold: example.nms,
    postNms: example.post_nms_top_n,
  };
  const { boxes, scores, indices } = await propose(maps, params);
  assert.is(boxes.length, example.num_out);
  assert.equal(indices.slice(0, 25), example.first_index);
  expectClose(boxes.slice(0, 25).flat(), example.first_rois.flat(), { atol: 1e-4, rtol: 0, what: 'rois' });
  expectClose(scores.slice(0, 25), example.first_scores, { atol: 1e-6, rtol: 0, what: 'scores' });
  const sums = [0, 1, 2, 3].map((k) => boxes.reduce((sum, box) => sum + box[k]!, 0));
  expectClose(sums, example.sum_rois, { atol: 2e-3, rtol: 0, what: 'sums' });
  const [a, l, d] = [maps.anchors, logits, deltas].map((x) => Float64Array.from(x)) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  assert.equal(
    proposalsReference(a, l, d, params)
      .slice(0, 25)
      .map(({ index }) => index),
    example.first_index,
  );
});

const CASES: [string, Partial<ProposalParams>][] = [
  ['all that survive', { preNms: 5000, postNms: 1400 }],
  ['fewer before and after', { preNms: 300, postNms: 40 }],
  ['continuous coordinates', { plusOne: 0, minSize: 0.001 }],
  ['the exact inverse', { decodeShrink: 1 }],
];
for (const [name, change] of CASES)
  test(`against the reference: ${name}`, async () => {
    const params = { ...PROPOSALS, ...change };
    const maps = proposalMaps();
    const ours = await propose(maps, params);
    const expected = proposalsReference(
      Float64Array.from(maps.anchors),
      Float64Array.from(maps.logits),
      Float64Array.from(maps.deltas),
      params,
    );
    assert.ok(expected.length > 20);
    assert.is(ours.boxes.length, expected.length);
    expectClose(
      ours.boxes.flat(),
      expected.flatMap(({ box }) => box),
      { atol: 2e-4, rtol: 1e-5 },
    );
    expectClose(
      ours.scores,
      expected.map(({ score }) => score),
      { atol: 1e-6, rtol: 1e-5 },
    );
    assert.equal(
      ours.indices,
      expected.map(({ index }) => index),
    );
  });

test('scores that saturate in float32 are still ordered', async () => {
  const maps = {
    anchors: Float32Array.from([0, 0, 15, 15]),
    logits: Float32Array.from([0, 0, 0, 40, 60, 50]),
    deltas: new Float32Array(12),
  };
  const params = { ...PROPOSALS, anchorCount: 1, height: 1, width: 3, minSize: 1, postNms: 5 };
  const { boxes, scores } = await propose(maps, params);
  assert.equal(scores, [1, 1, 1]);
  assert.equal(
    boxes.map(([x1]) => x1),
    [16, 32, 0],
  );
});

test('a side of exactly minSize is enough', async () => {
  // The anchor is clipped to the whole image, 16 pixels wide and high.
  const maps = {
    anchors: Float32Array.from([-16, -16, 31, 31]),
    logits: new Float32Array(2),
    deltas: new Float32Array(4),
  };
  const one = { ...PROPOSALS, anchorCount: 1, height: 1, width: 1, imageHeight: 16, imageWidth: 16, postNms: 2 };
  assert.equal(await propose(maps, { ...one, minSize: 16 }), { boxes: [[0, 0, 15, 15]], scores: [0.5], indices: [0] });
  assert.equal(await propose(maps, { ...one, minSize: 16.01 }), { boxes: [], scores: [], indices: [] });
});

test('nothing finite: no proposals, no NaN', async () => {
  const maps = proposalMaps();
  maps.logits.fill(NaN);
  assert.equal(await propose(maps, PROPOSALS), { boxes: [], scores: [], indices: [] });
});

test.run();

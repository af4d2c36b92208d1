/** The proposals of several scales as one list, against the reference. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { boxAt } from '../../src/kernels/boxes.ts';
import { pixelBoxes } from '../../src/kernels/checks/inputs.ts';
import { Random } from '../../src/kernels/rng.ts';
import {
  recordScaleProposals,
  type ScaleProposalParams,
  scaleProposalsReference,
  scaleProposalsScratch,
} from '../../src/kernels/scaleProposals.ts';
import { expectClose } from '../harness.ts';
import { eachVariant, runStage } from './stage.ts';

/** An image of 224 x 320, half and twice as large; of the 40, 500 and 1300 rows the last few are absent. */
const CAPACITIES = [40, 500, 1300];
const FACTORS = [1, 2, 0.5];
const ABSENT = 7;
const PARAMS: ScaleProposalParams = {
  scales: CAPACITIES.map((capacity, k) => ({ capacity, factor: FACTORS[k]! })),
  imageHeight: 224,
  imageWidth: 320,
  plusOne: 1,
  preNms: 1200,
  nmsThreshold: 0.7,
  postNms: 300,
};

/** Boxes, different scores and anchors of each scale. */
const FOUND = CAPACITIES.map((capacity, k) => ({
  rois: pixelBoxes(capacity, 70 + k, 1),
  scores: Float32Array.from(new Random(80 + k).permutation(capacity), (n) => (n + 0.3 * k) / capacity),
  anchors: Int32Array.from(new Random(90 + k).permutation(capacity)),
  count: Uint32Array.of(capacity - ABSENT),
}));

async function unite(params: ScaleProposalParams) {
  const outputs = {
    rois: new Float32Array(params.postNms * 5),
    roiScores: new Float32Array(params.postNms),
    roiAnchors: new Int32Array(params.postNms),
    roiCount: new Uint32Array(1),
  };
  const inputs = Object.fromEntries(
    FOUND.flatMap((found, k) => Object.entries(found).map(([name, data]) => [`${name}${k}`, data])),
  );
  const [narrow, wide] = await eachVariant((variant) =>
    runStage(inputs, scaleProposalsScratch(params), outputs, (run, buffers) => {
      const of = (name: string, k: number) => buffers[`${name}${k}`]!;
      const found = FOUND.map((_, k) => ({
        rois: of('rois', k),
        scores: of('scores', k),
        anchors: of('anchors', k),
        count: of('count', k),
      }));
      recordScaleProposals(run, found, buffers as never, { ...params, variant });
    }),
  );
  assert.equal(wide, narrow, 'both variants give the same proposals');
  return narrow;
}

for (const [name, change] of [
  ['one suppression', {}],
  ['nothing suppressed, as of dense windows', { nmsThreshold: 2, preNms: 1840, postNms: 1840 }],
  ['continuous coordinates', { plusOne: 0 }],
] satisfies [string, Partial<ScaleProposalParams>][])
  test(name, async () => {
    const params = { ...PARAMS, ...change };
    const { rois, roiScores, roiAnchors, roiCount } = await unite(params);
    const expected = scaleProposalsReference(
      FOUND.map(({ rois, scores, anchors }) =>
        Array.from({ length: scores.length - ABSENT }, (_, i) => ({
          box: boxAt(rois, 5 * i + 1),
          score: scores[i]!,
          anchor: anchors[i]!,
        })),
      ),
      params,
    );
    const count = roiCount[0]!;
    assert.is(count, expected.length);
    assert.ok(new Set(expected.map(({ scale }) => scale)).size === 3);
    const rows = expected.flatMap(({ scale, box }) => [scale, ...box]);
    expectClose(rois.subarray(0, 5 * count), rows, { atol: 1e-4, rtol: 0, what: 'rois' });
    assert.equal(
      [...roiAnchors.subarray(0, count)],
      expected.map(({ anchor }) => anchor),
    );
    assert.equal(
      [...roiScores.subarray(0, count)],
      expected.map(({ score }) => score),
    );
    assert.ok(rois.subarray(5 * count).every((value) => value === 0));
    assert.ok(roiAnchors.subarray(count).every((value) => value === -1));
  });

test.run();

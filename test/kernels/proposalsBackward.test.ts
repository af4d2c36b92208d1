/** The gradient that reaches the RPN's deltas through the boxes of sampled proposals. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { GRID } from '../../src/kernels/checks/boxes.ts';
import { decodeProposalsReference } from '../../src/kernels/proposals.ts';
import { decodeProposalsBackwardReference } from '../../src/kernels/proposalsBackward.ts';
import { randomArray } from '../harness.ts';
import { expectGradient, weighted } from './centralDifferences.ts';

const anchors = Float64Array.of(-8, -8, 23, 23, -20, -4, 35, 19);
const grid = { ...GRID, anchorCount: 2, height: 3, width: 4, stride: 16 };
const n = 2 * 3 * 4;
const capacity = 12;
const logits = new Float64Array(2 * n);
const deltas = Float64Array.from(randomArray(4 * n, 1), (value) => 0.2 * value);
const drois = Float64Array.from(randomArray(5 * 10, 2));
// Ten rows: proposals, a ground-truth box and an absent row.
const roiAnchors = Int32Array.from({ length: capacity }, (_, k) => (5 * k + 3) % n);
const selected = Int32Array.of(0, 3, 11, capacity + 1, 2, -1, 7, 5, 9, 1);

for (const [plusOne, decodeShrink] of [
  [1, 0],
  [1, 1],
  [0, 0],
] as const) {
  test(`central differences, plusOne ${plusOne}, decodeShrink ${decodeShrink}`, () => {
    const params = { ...grid, imageHeight: 48, imageWidth: 64, plusOne, decodeShrink, minSize: 0 };
    const ddeltas = decodeProposalsBackwardReference(
      { anchors, deltas, roiAnchors, selected, drois },
      { ...params, capacity, limit: Infinity },
    );
    const loss = (moved: Float64Array): number => {
      const { boxes } = decodeProposalsReference(anchors, logits, moved, params);
      const rows = [...selected].flatMap((candidate) => {
        const i = candidate >= 0 && candidate < capacity ? roiAnchors[candidate]! : -1;
        return [0, ...(i < 0 ? [0, 0, 0, 0] : boxes.subarray(i * 4, i * 4 + 4))];
      });
      return weighted(Float64Array.from(rows), drois);
    };
    expectGradient(ddeltas, loss, deltas);
    assert.is(ddeltas.filter((value) => value !== 0).length, 4 * 8, 'the deltas of eight proposals');
    const { boxes } = decodeProposalsReference(anchors, logits, deltas, params);
    const borders = [...selected].filter((k) => k >= 0 && k < capacity && boxes[roiAnchors[k]! * 4] === 0);
    assert.ok(borders.length > 0, 'one of them is clipped');
  });
}

test.run();

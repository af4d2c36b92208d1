/** Checks of the proposal stage: from the RPN's maps to boxes, and from the boxes that are kept to RoIs. */
import * as proposal from '../proposals.ts';
import { decodeProposalsBackward, decodeProposalsBackwardReference } from '../proposalsBackward.ts';
import { Random } from '../rng.ts';
import { ANCHORS, GRID } from './boxes.ts';
import { EXACT, type KernelCheck } from './check.ts';
import { doubles, normals, pixelBoxes, unsigned } from './inputs.ts';

export const PROPOSALS = {
  ...GRID,
  imageHeight: 224,
  imageWidth: 320,
  plusOne: 1,
  decodeShrink: 0,
  minSize: 16,
  preNms: 1000,
  nmsThreshold: 0.7,
  postNms: 100,
};

/** The RPN's maps for GRID: logits [2A,H,W], deltas [4A,H,W], with one logit and one delta that are not finite. */
export function proposalMaps(): { anchors: Float32Array; logits: Float32Array; deltas: Float32Array } {
  const n = GRID.anchorCount * GRID.height * GRID.width;
  const logits = normals(2 * n, 16, 3);
  const deltas = normals(4 * n, 17, 0.3);
  logits[5] = NaN;
  deltas[4 * n - 1] = Infinity;
  return { anchors: ANCHORS, logits, deltas };
}

export function decodeProposalsCheck(plusOne: number, decodeShrink: number): KernelCheck {
  const maps = proposalMaps();
  const params = { ...PROPOSALS, plusOne, decodeShrink };
  const reference = proposal.decodeProposalsReference(
    doubles(maps.anchors),
    doubles(maps.logits),
    doubles(maps.deltas),
    params,
  );
  const n = reference.scores.length;
  return {
    name: `decode_proposals plusOne ${plusOne} decodeShrink ${decodeShrink}`,
    kernel: proposal.decodeProposals,
    buffers: {
      ...maps,
      boxes: new Float32Array(4 * n),
      scores: new Float32Array(n),
      keys: new Uint32Array(n),
    },
    uniforms: { ...params },
    expected: {
      boxes: reference.boxes,
      scores: reference.scores.map((score) => Math.max(0, score)),
    },
    atol: 2e-4,
    rtol: 1e-5,
  };
}

export function gatherRoisCheck(capacity: number, count: number): KernelCheck {
  const sorted = pixelBoxes(50, 18);
  const scores = normals(60, 19);
  const order = unsigned(new Random(20).permutation(60));
  const kept = Uint32Array.from({ length: capacity }, (_, k) => (3 * k) % 50);
  const rois = new Float64Array(capacity * 5);
  const roiScores = new Float64Array(capacity);
  const roiAnchors = new Int32Array(capacity).fill(-1);
  for (let k = 0; k < count; k++) {
    rois.set(sorted.subarray(kept[k]! * 4, kept[k]! * 4 + 4), k * 5 + 1);
    roiAnchors[k] = order[kept[k]!]!;
    roiScores[k] = scores[roiAnchors[k]!]!;
  }
  return {
    name: `gather_rois ${count} of ${capacity}`,
    kernel: proposal.gatherRois,
    buffers: {
      sorted,
      order,
      scores,
      kept,
      roiCount: unsigned([count]),
      rois: new Float32Array(capacity * 5).fill(7),
      roiScores: new Float32Array(capacity).fill(7),
      roiAnchors: new Int32Array(capacity).fill(7),
    },
    uniforms: { capacity },
    expected: { rois, roiScores, roiAnchors },
    ...EXACT,
  };
}

/** RoIs from every twelfth anchor, with the ground truth and an absent row between them. */
export function decodeProposalsBackwardCheck(plusOne: number, decodeShrink: number, limit: number): KernelCheck {
  const n = GRID.anchorCount * GRID.height * GRID.width;
  const capacity = 40;
  const batch = 60;
  const deltas = normals(4 * n, 30, 0.3);
  const roiAnchors = Int32Array.from({ length: capacity }, (_, k) => (k * 12) % n);
  const selected = Int32Array.from({ length: batch }, (_, row) => (row % 7 === 6 ? -1 : row));
  const drois = normals(5 * batch, 31);
  const params = { ...PROPOSALS, plusOne, decodeShrink, batch, capacity, limit };
  return {
    name: `decode_proposals_backward plusOne ${plusOne} decodeShrink ${decodeShrink} limit ${limit}`,
    kernel: decodeProposalsBackward,
    buffers: { anchors: ANCHORS, deltas, roiAnchors, selected, drois, ddeltas: new Float32Array(4 * n) },
    uniforms: params,
    expected: {
      ddeltas: decodeProposalsBackwardReference(
        { anchors: doubles(ANCHORS), deltas: doubles(deltas), roiAnchors, selected, drois: doubles(drois) },
        params,
      ),
    },
    atol: 1e-4,
    rtol: 1e-5,
  };
}

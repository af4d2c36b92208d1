/** Checks of overlaps and of the RPN's anchors: their overlaps, labels and targets. */
import * as anchor from '../anchorLabels.ts';
import { iouMatrix, iouMatrixReference } from '../boxes.ts';
import { EXACT, type KernelCheck } from './check.ts';
import { doubles, groundTruth, integers, normals, pixelBoxes, rounded, unsigned } from './inputs.ts';

/** Three ratios at one scale, and a small and a large square. */
export const ANCHORS = new Float32Array([
  -15, -4, 30, 19, -8, -8, 23, 23, -3, -15, 18, 30, 0, 0, 15, 15, -24, -24, 39, 39,
]);

export const GRID = { anchorCount: 5, height: 14, width: 20, stride: 16 };

const LABELS = {
  ...GRID,
  imageHeight: 224,
  imageWidth: 320,
  plusOne: 1,
  positiveOverlap: 0.7,
  negativeOverlap: 0.3,
};

export function iouCheck(n: number, g: number, stride: number, plusOne: number): KernelCheck {
  const boxes = pixelBoxes(n, 1, stride - 4);
  const gt = groundTruth(g, 2);
  const layout = { stride, offset: stride - 4, plusOne };
  return {
    name: `iou_matrix ${g}x${n} stride ${stride} plusOne ${plusOne}`,
    kernel: iouMatrix,
    buffers: { boxes, gt, overlaps: new Float32Array(g * n) },
    uniforms: { n, g, ...layout },
    expected: { overlaps: iouMatrixReference(doubles(boxes), doubles(gt), layout) },
    atol: 1e-7,
    rtol: 1e-6,
  };
}

export function anchorOverlapsCheck(g: number, imageWidth: number, imageHeight: number, border = 0): KernelCheck {
  const params = { ...LABELS, imageWidth, imageHeight, border };
  const gt = groundTruth(g, 3);
  const n = GRID.anchorCount * GRID.height * GRID.width;
  return {
    name: `anchor_overlaps ${g} ground truths in ${imageWidth}x${imageHeight}${border ? ` and ${border} around` : ''}`,
    kernel: anchor.anchorOverlaps,
    buffers: { anchors: ANCHORS, gt, overlaps: new Float32Array(g * n) },
    uniforms: { ...params, g },
    expected: { overlaps: anchor.anchorOverlapsReference(doubles(ANCHORS), doubles(gt), params) },
    atol: 1e-7,
    rtol: 1e-6,
  };
}

export function gtBestCheck(g: number, n: number): KernelCheck {
  const overlaps = normals(g * n, 4);
  return {
    name: `gt_best ${g}x${n}`,
    kernel: anchor.gtBest,
    buffers: { overlaps, best: new Float32Array(g) },
    uniforms: { g, n },
    expected: { best: anchor.gtBestReference(doubles(overlaps), g).map((x) => Math.max(-1, x)) },
    ...EXACT,
  };
}

export function anchorLabelsCheck(g: number, border = 0): KernelCheck {
  const params = { ...LABELS, border };
  const gt = doubles(groundTruth(g, 5));
  const overlaps = rounded(anchor.anchorOverlapsReference(doubles(ANCHORS), gt, params));
  const best = g > 0 ? rounded(anchor.gtBestReference(doubles(overlaps), g)) : new Float32Array(1);
  const expected = anchor.anchorLabelsReference(doubles(ANCHORS), doubles(overlaps), g, params);
  return {
    name: `anchor_labels ${g} ground truths${border ? `, ${border} around` : ''}`,
    kernel: anchor.anchorLabels,
    buffers: {
      anchors: ANCHORS,
      overlaps: g > 0 ? overlaps : new Float32Array(1),
      best,
      labels: new Int32Array(expected.labels.length),
      argmax: new Int32Array(expected.labels.length),
    },
    uniforms: { ...params, g },
    expected: { ...expected },
    ...EXACT,
  };
}

export function anchorTargetsCheck(outsideMode: 'examples' | 'constant'): KernelCheck {
  const params = { ...LABELS, outsideMode, outsideValue: 10 };
  const gt = groundTruth(4, 6);
  const n = GRID.anchorCount * GRID.height * GRID.width;
  const labels = integers(n, 7, -1, 2);
  const argmax = integers(n, 8, 0, 4);
  const count = (value: number) => labels.filter((label) => label === value).length;
  const empty = () => new Float32Array(4 * n).fill(7);
  return {
    name: `anchor_targets ${outsideMode}`,
    kernel: anchor.anchorTargets,
    buffers: {
      anchors: ANCHORS,
      gt,
      labels,
      argmax,
      counts: unsigned([count(1), count(0)]),
      targets: empty(),
      insideWeights: empty(),
      outsideWeights: empty(),
    },
    uniforms: { ...GRID, plusOne: 1, outsideConstant: Number(outsideMode === 'constant'), outsideValue: 10 },
    expected: anchor.anchorTargetsReference(doubles(ANCHORS), doubles(gt), labels, argmax, params),
    atol: 2e-6,
    rtol: 1e-5,
  };
}

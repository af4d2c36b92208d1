/** Checks of RoI sampling: candidates, the chosen ones in order, their targets by class. */
import { stdUniforms } from '../boxes.ts';
import * as roi from '../roiTargets.ts';
import { selectRandomReference } from '../selectRandom.ts';
import { EXACT, type KernelCheck } from './check.ts';
import { doubles, groundTruth, integers, pixelBoxes, rounded, unsigned } from './inputs.ts';

export const ROI_TARGETS: roi.RoiTargetParams = {
  capacity: 70,
  g: 5,
  classes: 4,
  plusOne: 1,
  foregroundOverlap: 0.5,
  backgroundLow: 0.1,
  backgroundHigh: 0.5,
  batch: 48,
  foregroundFraction: 0.25,
  random: true,
  seed: 99,
  stream: 3,
  targetStds: [0.1, 0.1, 0.2, 0.2],
};

function roiInputs(g: number): { rois: Float32Array; gt: Float32Array } {
  const gt = groundTruth(g, 21);
  const rois = pixelBoxes(ROI_TARGETS.capacity, 22, 1, 30, 160);
  // Some proposals near the objects, so that there is foreground.
  for (let t = 0; t < g; t++)
    rois.set([0, gt[t * 5]! + 1, gt[t * 5 + 1]! + 2, gt[t * 5 + 2]! + 3, gt[t * 5 + 3]!], t * 35);
  return { rois, gt: g > 0 ? gt : new Float32Array(5) };
}

export function roiCandidatesCheck(g: number, count: number): KernelCheck {
  const { rois, gt } = roiInputs(g);
  const n = ROI_TARGETS.capacity + g;
  return {
    name: `roi_candidates ${count} proposals ${g} ground truths`,
    kernel: roi.roiCandidates,
    buffers: { rois, roiCount: unsigned([count]), gt, flags: new Int32Array(n), argmax: new Int32Array(n) },
    uniforms: { capacity: 70, n, plusOne: 1, foregroundOverlap: 0.5, backgroundLow: 0.1, backgroundHigh: 0.5 },
    expected: roi.roiCandidatesReference(doubles(rois), count, doubles(gt).subarray(0, g * 5), ROI_TARGETS),
    ...EXACT,
  };
}

export function roiCompactCheck(n: number, batch: number): KernelCheck {
  const fg = Math.floor(batch / 4);
  const raw = integers(n, 23, -1, 2);
  const choice = { otherwise: -1, random: 1, seed: 1, stream: 1 };
  const positives = selectRandomReference(raw, { ...choice, value: 1, limit: fg });
  const { flags, count } = selectRandomReference(positives.flags, {
    ...choice,
    value: 0,
    limit: batch - positives.count,
  });
  return {
    name: `roi_compact ${n} to ${batch}`,
    kernel: roi.roiCompact,
    buffers: { flags, counts: unsigned([positives.count, count]), selected: new Int32Array(batch).fill(7) },
    uniforms: { n, batch },
    expected: { selected: roi.roiCompactReference(flags, batch) },
    ...EXACT,
  };
}

/** Rows 0..9 foreground, 10..39 background, the rest absent. */
export function roiSampleCheck(): KernelCheck {
  const { rois, gt } = roiInputs(5);
  const { argmax } = roi.roiCandidatesReference(doubles(rois), 70, doubles(gt), ROI_TARGETS);
  const batch = 48;
  const { capacity, plusOne } = ROI_TARGETS;
  const { flags: raw } = roi.roiCandidatesReference(doubles(rois), 70, doubles(gt), ROI_TARGETS);
  const choice = { otherwise: -1, random: 1, seed: 99, stream: 3 };
  const fg = selectRandomReference(raw, { ...choice, value: 1, limit: 12 });
  const bg = selectRandomReference(fg.flags, { ...choice, value: 0, limit: batch - fg.count });
  const reference = roi.roiTargetsReference(doubles(rois), 70, doubles(gt), ROI_TARGETS);
  return {
    name: `roi_sample ${fg.count} and ${bg.count} of ${batch}`,
    kernel: roi.roiSample,
    buffers: {
      rois,
      gt,
      argmax,
      selected: roi.roiCompactReference(bg.flags, batch),
      counts: unsigned([fg.count, bg.count]),
      sampledRois: new Float32Array(batch * 5).fill(7),
      labels: new Int32Array(batch),
      encoded: new Float32Array(batch * 4).fill(7),
    },
    uniforms: { capacity, batch, plusOne, ...stdUniforms(ROI_TARGETS.targetStds) },
    expected: { sampledRois: reference.sampledRois, labels: reference.labels, encoded: reference.encoded },
    atol: 1e-5,
    rtol: 1e-5,
  };
}

export function roiExpandCheck(): KernelCheck {
  const { rois, gt } = roiInputs(5);
  const reference = roi.roiTargetsReference(doubles(rois), 70, doubles(gt), ROI_TARGETS);
  const { labels, encoded, targets, insideWeights, outsideWeights } = reference;
  const size = targets.length;
  return {
    name: 'roi_expand',
    kernel: roi.roiExpand,
    buffers: {
      labels,
      encoded: rounded(encoded),
      counts: unsigned([labels.filter((label) => label > 0).length, labels.filter((label) => label === 0).length]),
      targets: new Float32Array(size).fill(7),
      insideWeights: new Float32Array(size).fill(7),
      outsideWeights: new Float32Array(size).fill(7),
    },
    uniforms: { batch: ROI_TARGETS.batch, classes: ROI_TARGETS.classes },
    expected: { targets, insideWeights, outsideWeights },
    atol: 0,
    rtol: 1e-6,
  };
}

/**
 * Checks of the kernels for boxes, anchors, proposals, sampling and RoIs. Boxes lie on whole pixels where a rule compares
 * overlaps, so that float32 and float64 agree on every comparison and integers can be compared exactly.
 */
import * as anchor from '../anchorLabels.ts';
import * as detection from '../detections.ts';
import { iouMatrix, iouMatrixReference } from '../boxes.ts';
import * as nms from '../nms.ts';
import * as proposal from '../proposals.ts';
import * as radix from '../radixSort.ts';
import { Random } from '../rng.ts';
import * as roiPool from '../roiPool.ts';
import * as roi from '../roiTargets.ts';
import * as roiWarp from '../roiWarp.ts';
import { selectRandom, selectRandomReference } from '../selectRandom.ts';
import type { KernelCheck } from './check.ts';
import { doubles, integers, normals } from './inputs.ts';

const EXACT = { atol: 0, rtol: 0 };

/** n boxes of whole pixels with sides of `smallest` to `largest`, in an image of 320 x 224, after `lead` zero columns. */
export function pixelBoxes(n: number, seed: number, lead = 0, smallest = 8, largest = 120): Float32Array {
  const random = new Random(seed);
  const boxes = new Float32Array(n * (4 + lead));
  for (let i = 0; i < n; i++) {
    const w = smallest + random.integer(largest - smallest);
    const h = smallest + random.integer(largest - smallest);
    const x = random.integer(Math.max(1, 320 - w));
    const y = random.integer(Math.max(1, 224 - h));
    boxes.set([x, y, x + w, y + h], i * (4 + lead) + lead);
  }
  return boxes;
}

/** gt [G,5] with classes 1..3. */
export function groundTruth(g: number, seed: number): Float32Array {
  const boxes = pixelBoxes(g, seed, 0, 16, 150);
  const classes = integers(g, seed + 1, 1, 4);
  return Float32Array.from({ length: g * 5 }, (_, i) =>
    i % 5 < 4 ? boxes[Math.floor(i / 5) * 4 + (i % 5)]! : classes[Math.floor(i / 5)]!,
  );
}

/** Three ratios at one scale, and a small and a large square. */
const ANCHORS = new Float32Array([-15, -4, 30, 19, -8, -8, 23, 23, -3, -15, 18, 30, 0, 0, 15, 15, -24, -24, 39, 39]);

const GRID = { anchorCount: 5, height: 14, width: 20, stride: 16 };
const LABELS = {
  ...GRID,
  imageHeight: 224,
  imageWidth: 320,
  allowedBorder: 0,
  plusOne: 1,
  positiveThreshold: 0.7,
  negativeThreshold: 0.3,
};

const unsigned = (x: number[]): Uint32Array => Uint32Array.from(x);
const rounded = (x: Float64Array): Float32Array => Float32Array.from(x);

function iouCheck(n: number, g: number, stride: number, plusOne: number): KernelCheck {
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

function anchorOverlapsCheck(g: number, imageWidth: number, imageHeight: number): KernelCheck {
  const params = { ...LABELS, imageWidth, imageHeight, clobber: false };
  const gt = groundTruth(g, 3);
  const n = GRID.anchorCount * GRID.height * GRID.width;
  return {
    name: `anchor_overlaps ${g} ground truths in ${imageWidth}x${imageHeight}`,
    kernel: anchor.anchorOverlaps,
    buffers: { anchors: ANCHORS, gt, overlaps: new Float32Array(g * n) },
    uniforms: { ...params, g, clobber: 0 },
    expected: { overlaps: anchor.anchorOverlapsReference(doubles(ANCHORS), doubles(gt), params) },
    atol: 1e-7,
    rtol: 1e-6,
  };
}

function gtBestCheck(g: number, n: number): KernelCheck {
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

function anchorLabelsCheck(g: number, clobber: boolean): KernelCheck {
  const params = { ...LABELS, clobber };
  const gt = doubles(groundTruth(g, 5));
  const overlaps = rounded(anchor.anchorOverlapsReference(doubles(ANCHORS), gt, params));
  const best = g > 0 ? rounded(anchor.gtBestReference(doubles(overlaps), g)) : new Float32Array(1);
  const expected = anchor.anchorLabelsReference(doubles(ANCHORS), doubles(overlaps), g, params);
  return {
    name: `anchor_labels ${g} ground truths${clobber ? ' clobber' : ''}`,
    kernel: anchor.anchorLabels,
    buffers: {
      anchors: ANCHORS,
      overlaps: g > 0 ? overlaps : new Float32Array(1),
      best,
      labels: new Int32Array(expected.labels.length),
      argmax: new Int32Array(expected.labels.length),
    },
    uniforms: { ...params, g, clobber: Number(clobber) },
    expected: { ...expected },
    ...EXACT,
  };
}

function anchorTargetsCheck(outsideMode: 'examples' | 'constant'): KernelCheck {
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

function selectRandomCheck(n: number, limit: number, random: number, used = 0): KernelCheck {
  const flags = integers(n, 9, -1, 2);
  const choice = { value: 1, otherwise: -5, random, seed: 12345, stream: 6 };
  const expected = selectRandomReference(flags, { ...choice, limit: Math.max(0, limit - used) });
  return {
    name: `select_random ${limit}${used > 0 ? ` - ${used}` : ''} of ${n}${random ? '' : ' in order'}`,
    kernel: selectRandom,
    buffers: { flags, counts: unsigned([used, 0]) },
    uniforms: { n, ...choice, limit, subtract: used > 0 ? 0 : -1, slot: 1 },
    expected: { flags: expected.flags, counts: unsigned([used, expected.count]) },
    ...EXACT,
  };
}

/** Keys with many equal digits, so that stability shows. */
const sortKeys = (n: number) => Uint32Array.from(normals(n, 10), (x) => radix.sortKey(Math.round(x * 50) / 50));

const perSlice = <T>(slices: number, build: (slice: number) => ArrayLike<T>): T[] =>
  Array.from({ length: slices }, (_, slice) => Array.from(build(slice))).flat();

function radixHistogramCheck(n: number, slices: number, shift: number): KernelCheck {
  const keys = sortKeys(n * slices);
  const histogram = perSlice(slices, (s) => radix.radixHistogramReference(keys.subarray(s * n, (s + 1) * n), shift));
  return {
    name: `radix_histogram ${slices}x${n} shift ${shift}`,
    kernel: radix.radixHistogram,
    buffers: { keys, histogram: new Uint32Array(histogram.length) },
    uniforms: { n, slices, shift },
    expected: { histogram: unsigned(histogram) },
    ...EXACT,
  };
}

function radixScanCheck(n: number, slices: number): KernelCheck {
  const length = radix.radixSortScratch({ n }).sortHistogram;
  const histogram = Uint32Array.from(integers(length * slices, 11, 0, 100));
  const starts = perSlice(slices, (s) =>
    radix.exclusiveScanReference(histogram.subarray(s * length, (s + 1) * length)),
  );
  return {
    name: `radix_scan ${slices}x${n}`,
    kernel: radix.radixScan,
    buffers: { histogram },
    uniforms: { n, slices },
    expected: { histogram: unsigned(starts) },
    ...EXACT,
  };
}

function radixScatterCheck(n: number, slices: number, shift: number): KernelCheck {
  const keys = sortKeys(n * slices);
  const values = Uint32Array.from(keys, (_, i) => 3 * i + 1);
  const slice = <T extends Uint32Array>(x: T, s: number) => x.subarray(s * n, (s + 1) * n);
  const starts = perSlice(slices, (s) =>
    radix.exclusiveScanReference(radix.radixHistogramReference(slice(keys, s), shift)),
  );
  const sorted = (x: Uint32Array) =>
    unsigned(perSlice(slices, (s) => radix.radixPassReference(slice(keys, s), shift).map((i) => slice(x, s)[i]!)));
  return {
    name: `radix_scatter ${slices}x${n} shift ${shift}`,
    kernel: radix.radixScatter,
    buffers: {
      keys,
      values,
      starts: unsigned(starts),
      keysOut: new Uint32Array(n * slices),
      valuesOut: new Uint32Array(n * slices),
    },
    uniforms: { n, slices, shift },
    expected: { keysOut: sorted(keys), valuesOut: sorted(values) },
    ...EXACT,
  };
}

function nmsKeysCheck(n: number): KernelCheck {
  const scores = normals(n, 12);
  scores.set([0, -0, NaN, Infinity, -Infinity, -3.4028235e38].slice(0, n));
  return {
    name: `nms_keys ${n}`,
    kernel: nms.nmsKeys,
    buffers: { scores, keys: new Uint32Array(n), order: new Uint32Array(n) },
    uniforms: { n },
    expected: { keys: Uint32Array.from(scores, radix.sortKey), order: Uint32Array.from(scores.keys()) },
    ...EXACT,
  };
}

function gatherSortedCheck(n: number, capacity: number, valid: readonly number[]): KernelCheck {
  const slices = valid.length;
  const boxes = pixelBoxes(n * slices, 13);
  const keys = unsigned(
    perSlice(slices, (s) => Array.from({ length: n }, (_, i) => (i < valid[s]! ? 5 * i : radix.LAST_KEY))),
  );
  const order = unsigned(perSlice(slices, (s) => new Random(s).permutation(n)));
  const sorted = new Float64Array(slices * capacity * 4);
  for (let s = 0; s < slices; s++)
    for (let k = 0; k < Math.min(capacity, valid[s]!); k++) {
      const from = (s * n + order[s * n + k]!) * 4;
      sorted.set(boxes.subarray(from, from + 4), (s * capacity + k) * 4);
    }
  return {
    name: `gather_sorted ${slices}x${capacity} of ${n}, valid ${valid}`,
    kernel: nms.gatherSorted,
    buffers: {
      keys,
      order,
      boxes,
      sorted: new Float32Array(sorted.length).fill(7),
      counts: new Uint32Array(slices).fill(7),
    },
    uniforms: { n, capacity, slices },
    expected: { sorted, counts: Uint32Array.from(valid, (count) => Math.min(count, capacity)) },
    ...EXACT,
  };
}

/** Only the words on and right of the diagonal are written; the buffer starts as zeros, so the others stay zero. */
function nmsMaskCheck(capacity: number, counts: readonly number[], plusOne: number): KernelCheck {
  const slices = counts.length;
  const sorted = pixelBoxes(capacity * slices, 14, 0, 30, 120);
  const words = Math.ceil(capacity / 32);
  const mask = new Uint32Array(slices * capacity * words);
  counts.forEach((count, s) => {
    const boxes = doubles(sorted.subarray(s * capacity * 4, (s * capacity + count) * 4));
    mask.set(nms.nmsMaskReference(boxes, capacity, 0.3, plusOne), s * capacity * words);
  });
  return {
    name: `nms_mask ${counts} of ${capacity} plusOne ${plusOne}`,
    kernel: nms.nmsMask,
    buffers: { sorted, counts: unsigned([...counts]), mask: new Uint32Array(mask.length) },
    uniforms: { capacity, slices, threshold: 0.3, plusOne },
    expected: { mask },
    ...EXACT,
  };
}

function nmsSweepCheck(capacity: number, counts: readonly number[], maxOutput: number): KernelCheck {
  const { buffers } = nmsMaskCheck(capacity, counts, 1);
  const slices = counts.length;
  const words = Math.ceil(capacity / 32);
  const mask = new Uint32Array(slices * capacity * words).fill(0xffffffff); // what must not be read
  const kept = new Uint32Array(slices * maxOutput);
  const keptCounts = new Uint32Array(slices);
  counts.forEach((count, s) => {
    const boxes = doubles((buffers['sorted'] as Float32Array).subarray(s * capacity * 4, (s * capacity + count) * 4));
    const reference = nms.nmsMaskReference(boxes, capacity, 0.3, 1);
    for (let i = 0; i < count; i++)
      for (let w = Math.floor(i / 32); w < words; w++) mask[(s * capacity + i) * words + w] = reference[i * words + w]!;
    const survivors = nms.suppressReference(boxes, 0.3, 1, maxOutput);
    kept.set(survivors, s * maxOutput);
    keptCounts[s] = survivors.length;
  });
  return {
    name: `nms_sweep ${counts} of ${capacity} up to ${maxOutput}`,
    kernel: nms.nmsSweep,
    buffers: {
      mask,
      counts: unsigned([...counts]),
      kept: new Uint32Array(kept.length),
      keptCounts: new Uint32Array(slices),
    },
    uniforms: { capacity, slices, maxOutput },
    expected: { kept, keptCounts },
    ...EXACT,
  };
}

function nmsOriginalCheck(n: number, count: number, maxOutput: number): KernelCheck {
  const order = unsigned(new Random(15).permutation(n));
  const kept = Uint32Array.from({ length: maxOutput }, (_, k) => (2 * k) % n);
  return {
    name: `nms_original ${count} of ${maxOutput}`,
    kernel: nms.nmsOriginal,
    buffers: { kept, keptCounts: unsigned([count]), order, indices: new Int32Array(maxOutput) },
    uniforms: { maxOutput },
    expected: { indices: Int32Array.from(kept, (at, k) => (k < count ? order[at]! : -1)) },
    ...EXACT,
  };
}

export const PROPOSALS = {
  ...GRID,
  imageHeight: 224,
  imageWidth: 320,
  plusOne: 1,
  decodeShrink: 0,
  minSize: 16,
  preNms: 1000,
  threshold: 0.7,
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

function decodeProposalsCheck(plusOne: number, decodeShrink: number): KernelCheck {
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
      order: new Uint32Array(n),
    },
    uniforms: { ...params },
    expected: {
      boxes: reference.boxes,
      scores: reference.scores.map((score) => Math.max(0, score)),
      order: Uint32Array.from({ length: n }, (_, i) => i),
    },
    atol: 2e-4,
    rtol: 1e-5,
  };
}

function gatherRoisCheck(capacity: number, count: number): KernelCheck {
  const sorted = pixelBoxes(50, 18);
  const scores = normals(60, 19);
  const order = unsigned(new Random(20).permutation(60));
  const kept = Uint32Array.from({ length: capacity }, (_, k) => (3 * k) % 50);
  const rois = new Float64Array(capacity * 5);
  const roiScores = new Float64Array(capacity);
  for (let k = 0; k < count; k++) {
    rois.set(sorted.subarray(kept[k]! * 4, kept[k]! * 4 + 4), k * 5 + 1);
    roiScores[k] = scores[order[kept[k]!]!]!;
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
    },
    uniforms: { capacity },
    expected: { rois, roiScores },
    ...EXACT,
  };
}

export const ROI_TARGETS: roi.RoiTargetParams = {
  capacity: 70,
  g: 5,
  classes: 4,
  plusOne: 1,
  fgThreshold: 0.5,
  bgLow: 0.1,
  bgHigh: 0.5,
  batch: 48,
  fgFraction: 0.25,
  random: true,
  seed: 99,
  stream: 3,
  means: [0, 0.01, 0.02, 0.03],
  stds: [0.1, 0.1, 0.2, 0.2],
  outsideMode: 'average',
};

const ROI_UNIFORMS = { meanX: 0, meanY: 0.01, meanW: 0.02, meanH: 0.03, stdX: 0.1, stdY: 0.1, stdW: 0.2, stdH: 0.2 };

function roiInputs(g: number): { rois: Float32Array; gt: Float32Array } {
  const gt = groundTruth(g, 21);
  const rois = pixelBoxes(ROI_TARGETS.capacity, 22, 1, 30, 160);
  // Some proposals near the objects, so that there is foreground.
  for (let t = 0; t < g; t++)
    rois.set([0, gt[t * 5]! + 1, gt[t * 5 + 1]! + 2, gt[t * 5 + 2]! + 3, gt[t * 5 + 3]!], t * 35);
  return { rois, gt: g > 0 ? gt : new Float32Array(5) };
}

function roiCandidatesCheck(g: number, count: number): KernelCheck {
  const { rois, gt } = roiInputs(g);
  const n = ROI_TARGETS.capacity + g;
  return {
    name: `roi_candidates ${count} proposals ${g} ground truths`,
    kernel: roi.roiCandidates,
    buffers: { rois, roiCount: unsigned([count]), gt, flags: new Int32Array(n), argmax: new Int32Array(n) },
    uniforms: { capacity: 70, g, plusOne: 1, fgThreshold: 0.5, bgLow: 0.1, bgHigh: 0.5 },
    expected: roi.roiCandidatesReference(doubles(rois), count, doubles(gt).subarray(0, g * 5), ROI_TARGETS),
    ...EXACT,
  };
}

function roiCompactCheck(n: number, batch: number): KernelCheck {
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
function roiSampleCheck(): KernelCheck {
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
    uniforms: { capacity, batch, plusOne, ...ROI_UNIFORMS },
    expected: { sampledRois: reference.sampledRois, labels: reference.labels, encoded: reference.encoded },
    atol: 1e-5,
    rtol: 1e-5,
  };
}

function roiExpandCheck(outsideMode: 'average' | 'one'): KernelCheck {
  const { rois, gt } = roiInputs(5);
  const reference = roi.roiTargetsReference(doubles(rois), 70, doubles(gt), { ...ROI_TARGETS, outsideMode });
  const { labels, encoded, targets, insideWeights, outsideWeights } = reference;
  const size = targets.length;
  return {
    name: `roi_expand ${outsideMode}`,
    kernel: roi.roiExpand,
    buffers: {
      labels,
      encoded: rounded(encoded),
      counts: unsigned([labels.filter((label) => label > 0).length, labels.filter((label) => label === 0).length]),
      targets: new Float32Array(size).fill(7),
      insideWeights: new Float32Array(size).fill(7),
      outsideWeights: new Float32Array(size).fill(7),
    },
    uniforms: { batch: ROI_TARGETS.batch, classes: ROI_TARGETS.classes, average: Number(outsideMode === 'average') },
    expected: { targets, insideWeights, outsideWeights },
    atol: 0,
    rtol: 1e-6,
  };
}

/** RoIs with halves to round, malformed ones and ones outside the map. Few different values: ties. */
function roiPoolInputs(shape: roiPool.RoiPoolShape): { x: Float32Array; rois: Float32Array } {
  const { images, channels, height, width, roiCount, scale } = shape;
  const random = new Random(24);
  const rois = new Float32Array(roiCount * 5);
  for (let r = 0; r < roiCount; r++) {
    const at = (length: number) => Math.round((random.uniform(-0.2, 1.2) * length) / scale / 4) * 4;
    rois.set([random.integer(images), at(width), at(height), at(width), at(height)], r * 5);
    if (r % 3 > 0) rois.set([rois[r * 5 + 1]! + 8 * r, rois[r * 5 + 2]! + 5 * r], r * 5 + 3);
  }
  return { x: Float32Array.from(integers(images * channels * height * width, 25, -9, 10)), rois };
}

export function roiPoolForwardCheck(shape: roiPool.RoiPoolShape): KernelCheck {
  const { x, rois } = roiPoolInputs(shape);
  const { y, argmax } = roiPool.roiPoolReference(doubles(x), doubles(rois), shape);
  return {
    name: `roi_pool_forward ${shape.roiCount} RoIs ${shape.channels}x${shape.height}x${shape.width} to ${shape.pooledH}x${shape.pooledW}`,
    kernel: roiPool.roiPoolForward,
    buffers: { x, rois, y: new Float32Array(y.length), argmax: new Int32Array(y.length) },
    uniforms: { ...shape },
    expected: { y, argmax },
    ...EXACT,
  };
}

export function roiPoolBackwardCheck(shape: roiPool.RoiPoolShape, bands: number): KernelCheck {
  const { x, rois } = roiPoolInputs(shape);
  const { argmax } = roiPool.roiPoolReference(doubles(x), doubles(rois), shape);
  const dy = normals(argmax.length, 26);
  return {
    name: `roi_pool_backward ${shape.roiCount} RoIs ${shape.channels}x${shape.height}x${shape.width} from ${shape.pooledH}x${shape.pooledW} in ${bands} bands`,
    kernel: roiPool.roiPoolBackward,
    buffers: { dy, argmax, rois, dx: normals(x.length, 27) },
    uniforms: { ...shape, bands },
    expected: { dx: roiPool.roiPoolBackwardReference(doubles(dy), argmax, doubles(rois), shape) },
    atol: 1e-5,
    rtol: 1e-5,
  };
}

/** RoIs on and around the map, with corners that put no sample on a cell's centre or half-way, where derivatives jump. */
function roiWarpInputs(shape: roiWarp.RoiWarpShape): { x: Float32Array; rois: Float32Array } {
  const { images, channels, height, width, roiCount, scale } = shape;
  const random = new Random(28);
  const at = (length: number) => random.uniform(-0.1, 1.1) * (length / scale);
  const rows = Array.from({ length: roiCount }, () => [
    random.integer(images),
    at(width),
    at(height),
    at(width),
    at(height),
  ]);
  return { x: normals(images * channels * height * width, 29), rois: Float32Array.from(rows.flat()) };
}

const warpName = ({ roiCount, channels, height, width, pooledH, pooledW }: roiWarp.RoiWarpShape) =>
  `${roiCount} RoIs ${channels}x${height}x${width}, ${pooledH}x${pooledW} samples`;

export function roiWarpForwardCheck(shape: roiWarp.RoiWarpShape): KernelCheck {
  const { x, rois } = roiWarpInputs(shape);
  const y = roiWarp.roiWarpReference(doubles(x), doubles(rois), shape);
  return {
    name: `roi_warp_forward ${warpName(shape)}`,
    kernel: roiWarp.roiWarpForward,
    buffers: { x, rois, y: new Float32Array(y.length).fill(7) },
    uniforms: { ...shape },
    expected: { y },
    atol: 1e-5,
    rtol: 1e-5,
  };
}

export function roiWarpBackwardChecks(shape: roiWarp.RoiWarpShape): KernelCheck[] {
  const { x, rois } = roiWarpInputs(shape);
  const dy = normals(shape.roiCount * shape.channels * shape.pooledH * shape.pooledW, 30);
  const { dx, drois } = roiWarp.roiWarpBackwardReference(doubles(dy), doubles(x), doubles(rois), shape);
  return [
    {
      name: `roi_warp_backward_input ${warpName(shape)}`,
      kernel: roiWarp.roiWarpBackwardInput,
      buffers: { dy, rois, dx: normals(dx.length, 31) },
      uniforms: { ...shape },
      expected: { dx },
      atol: 2e-5,
      rtol: 1e-5,
    },
    {
      name: `roi_warp_backward_rois ${warpName(shape)}`,
      kernel: roiWarp.roiWarpBackwardRois,
      buffers: { dy, x, rois, drois: normals(drois.length, 32) },
      uniforms: { ...shape },
      expected: { drois },
      atol: 1e-4,
      rtol: 1e-4,
    },
  ];
}

export const DETECTIONS: detection.DetectionParams = {
  roiCapacity: 70,
  classes: 5,
  scale: 1.6,
  imageHeight: 140,
  imageWidth: 200,
  plusOne: 1,
  decodeShrink: 0,
  scoreThreshold: 0.05,
  threshold: 0.3,
  means: [0, 0.01, 0.02, 0.03],
  stds: [0.1, 0.1, 0.2, 0.2],
  cap: 100,
  maxDetections: 128,
};

/** What the head gives for R RoIs; one delta and one probability are not finite. */
export function headOutputs(
  roiCapacity: number,
  classes: number,
): Record<'rois' | 'probabilities' | 'deltas', Float32Array> {
  const logits = normals(roiCapacity * classes, 33, 2);
  const probabilities = logits.map((logit, i) => {
    const first = i - (i % classes);
    return Math.exp(logit) / logits.subarray(first, first + classes).reduce((sum, other) => sum + Math.exp(other), 0);
  });
  const deltas = normals(roiCapacity * classes * 4, 34);
  probabilities[2] = NaN;
  deltas[classes * 4 + 5] = Infinity;
  return { rois: pixelBoxes(roiCapacity, 35, 1, 20, 160), probabilities, deltas };
}

function decodeDetectionsCheck(count: number): KernelCheck {
  const { roiCapacity: capacity, classes } = DETECTIONS;
  const outputs = headOutputs(capacity, classes);
  const [rois, probabilities, deltas] = [outputs.rois, outputs.probabilities, outputs.deltas].map(doubles) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  const n = capacity * (classes - 1);
  const boxes = new Float64Array(4 * n);
  const keys = new Uint32Array(n).fill(radix.LAST_KEY);
  for (let c = 1; c < classes; c++)
    for (let r = 0; r < count; r++) {
      const box = detection.decodeDetectionReference(rois, probabilities, deltas, r, c, DETECTIONS);
      if (!box) continue;
      boxes.set(box, ((c - 1) * capacity + r) * 4);
      keys[(c - 1) * capacity + r] = radix.sortKey(probabilities[r * classes + c]!);
    }
  return {
    name: `decode_detections ${count} of ${capacity} RoIs`,
    kernel: detection.decodeDetections,
    buffers: {
      ...outputs,
      roiCount: unsigned([count]),
      boxes: new Float32Array(4 * n).fill(7),
      keys: new Uint32Array(n),
      order: new Uint32Array(n),
    },
    uniforms: {
      capacity,
      classes,
      scale: DETECTIONS.scale,
      imageHeight: DETECTIONS.imageHeight,
      imageWidth: DETECTIONS.imageWidth,
      plusOne: 1,
      decodeShrink: 0,
      scoreThreshold: 0.05,
      ...ROI_UNIFORMS,
    },
    expected: { boxes, keys, order: Uint32Array.from({ length: n }, (_, i) => i % capacity) },
    atol: 2e-4,
    rtol: 1e-5,
  };
}

function rankDetectionsCheck(capacity: number, counts: readonly number[]): KernelCheck {
  const slices = counts.length;
  const keys = Uint32Array.from({ length: slices * capacity }, (_, i) => 10 * i + 1);
  const kept = Uint32Array.from({ length: slices * capacity }, (_, i) => (3 * i) % capacity);
  const ranks = new Uint32Array(slices * capacity).fill(radix.LAST_KEY);
  const places = new Uint32Array(slices * capacity);
  counts.forEach((count, s) => {
    for (let i = s * capacity; i < s * capacity + count; i++) {
      places[i] = s * capacity + kept[i]!;
      ranks[i] = keys[places[i]!]!;
    }
  });
  return {
    name: `rank_detections ${counts} of ${capacity}`,
    kernel: detection.rankDetections,
    buffers: {
      keys,
      kept,
      keptCounts: unsigned([...counts]),
      ranks: new Uint32Array(ranks.length),
      places: new Uint32Array(ranks.length).fill(7),
    },
    uniforms: { capacity, slices },
    expected: { ranks, places },
    ...EXACT,
  };
}

/** `valid` ranked boxes whose scores come in groups of four equal ones. */
function writeDetectionsCheck(valid: number, cap: number, capacity: number, expectedCount: number): KernelCheck {
  const [n, sliceSize] = [60, 20];
  const sorted = pixelBoxes(n, 36);
  const places = unsigned(new Random(37).permutation(n));
  const score = (k: number) => Math.fround(1 - Math.floor(k / 4) / 20);
  const ranks = Uint32Array.from({ length: n }, (_, k) => (k < valid ? radix.sortKey(score(k)) : radix.LAST_KEY));
  const detections = new Float64Array(capacity * 6);
  for (let k = 0; k < expectedCount; k++) {
    const place = places[k]!;
    detections.set([...sorted.subarray(place * 4, place * 4 + 4), score(k), Math.floor(place / sliceSize) + 1], k * 6);
  }
  return {
    name: `write_detections ${valid} ranked, cap ${cap}, room ${capacity}`,
    kernel: detection.writeDetections,
    buffers: { ranks, places, sorted, detections: new Float32Array(capacity * 6).fill(7), count: unsigned([7]) },
    uniforms: { n, sliceSize, cap, capacity },
    expected: { detections, count: unsigned([expectedCount]) },
    ...EXACT,
  };
}

const ROI_SHAPE: roiPool.RoiPoolShape = {
  images: 2,
  channels: 11,
  height: 13,
  width: 17,
  roiCount: 70,
  pooledH: 6,
  pooledW: 7,
  scale: 1 / 16,
};

export const detectionChecks: (() => KernelCheck)[] = [
  () => iouCheck(131, 7, 4, 1),
  () => iouCheck(33, 1, 5, 0),
  () => anchorOverlapsCheck(6, 320, 224),
  () => anchorOverlapsCheck(2, 319, 223), // some anchors end on the border
  () => gtBestCheck(3, 1000),
  () => gtBestCheck(1, 7),
  () => anchorLabelsCheck(6, false),
  () => anchorLabelsCheck(6, true),
  () => anchorLabelsCheck(0, false),
  () => anchorTargetsCheck('examples'),
  () => anchorTargetsCheck('constant'),
  () => selectRandomCheck(5000, 128, 1),
  () => selectRandomCheck(5000, 128, 0),
  () => selectRandomCheck(5000, 256, 1, 100),
  () => selectRandomCheck(5000, 100, 1, 100),
  () => selectRandomCheck(300, 10000, 1),
  () => selectRandomCheck(1, 1, 1),
  () => selectRandomCheck(300, 0, 0),
  () => radixHistogramCheck(5003, 1, 24),
  () => radixHistogramCheck(1500, 3, 20),
  () => radixScanCheck(40000, 1),
  () => radixScanCheck(300, 4),
  () => radixScatterCheck(5003, 1, 24),
  () => radixScatterCheck(1500, 3, 20),
  () => radixScatterCheck(1, 1, 0),
  () => nmsKeysCheck(301),
  () => gatherSortedCheck(301, 200, [301]),
  () => gatherSortedCheck(301, 200, [150, 0, 200]),
  () => gatherSortedCheck(100, 100, [100, 99]),
  () => nmsMaskCheck(200, [200], 1),
  () => nmsMaskCheck(131, [131, 70, 0, 1], 0),
  () => nmsSweepCheck(300, [300], 300),
  () => nmsSweepCheck(131, [131, 70, 0, 1], 20),
  () => nmsOriginalCheck(50, 13, 20),
  () => decodeProposalsCheck(1, 0),
  () => decodeProposalsCheck(1, 1),
  () => decodeProposalsCheck(0, 0),
  () => gatherRoisCheck(40, 33),
  () => gatherRoisCheck(300, 0),
  () => roiCandidatesCheck(5, 60),
  () => roiCandidatesCheck(0, 70),
  () => roiCandidatesCheck(5, 0),
  () => roiCompactCheck(900, 128),
  () => roiCompactCheck(20, 64),
  () => roiSampleCheck(),
  () => roiExpandCheck('average'),
  () => roiExpandCheck('one'),
  () => roiPoolForwardCheck(ROI_SHAPE),
  () => roiPoolForwardCheck({ ...ROI_SHAPE, channels: 3, roiCount: 1, pooledH: 1, pooledW: 1 }),
  () => roiPoolBackwardCheck(ROI_SHAPE, 1),
  () => roiPoolBackwardCheck({ ...ROI_SHAPE, channels: 8, roiCount: 5, pooledH: 3, pooledW: 2 }, 4),
  () => decodeDetectionsCheck(60),
  () => rankDetectionsCheck(70, [70, 0, 13]),
  () => writeDetectionsCheck(50, 30, 40, 32),
  () => writeDetectionsCheck(50, 30, 31, 31),
  () => writeDetectionsCheck(20, 30, 40, 20),
  () => writeDetectionsCheck(60, 60, 80, 60),
  () => writeDetectionsCheck(0, 30, 40, 0),
  () => roiWarpForwardCheck(ROI_SHAPE),
  () => roiWarpForwardCheck({ ...ROI_SHAPE, channels: 1, roiCount: 3, pooledH: 1, pooledW: 1 }),
  () => roiWarpBackwardChecks(ROI_SHAPE)[0]!,
  () => roiWarpBackwardChecks(ROI_SHAPE)[1]!,
  () => roiWarpBackwardChecks({ ...ROI_SHAPE, channels: 8, roiCount: 3, pooledH: 2, pooledW: 1 })[0]!,
  () => roiWarpBackwardChecks({ ...ROI_SHAPE, channels: 8, roiCount: 3, pooledH: 2, pooledW: 1 })[1]!,
];

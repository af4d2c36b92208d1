/**
 * RoIs, labels and regression targets for the detection head (Fast R-CNN, section 2.3; py-faster-rcnn
 * lib/rpn/proposal_target_layer.py). The number of proposals is known only to the GPU (roiCount u32 [1]).
 *
 *   roi_candidates   candidates: the rows of rois [R,5], then the G boxes of gt; flag 1: foreground, max overlap >=
 *                    foregroundOverlap; flag 0: background, backgroundLow <= max overlap < backgroundHigh; else (and for absent rows) -1
 *   select_random    twice: at most round(foregroundFraction * batch) foreground (half to even, as np.round), then background up to `batch`
 *   roi_compact      selected i32 [batch]: candidates in index order, foreground first; -1 beyond the count
 *   roi_sample       sampledRois [batch,5], labels i32 [batch] (class, 0 background), encoded [batch,4] = t / std
 *   roi_expand       targets, insideWeights, outsideWeights [batch,4K]: only the four columns of the label's class
 *
 * There are always `batch` rows: an absent one has a zero box, label -1 (ignored by the loss) and zero weights.
 * outsideWeights are 1 / number of RoIs where insideWeights are 1, so that a plain sum gives the paper's mean (py-faster-rcnn
 * stores 1 and divides in the loss). Without ground truth every proposal is background.
 */
import { BOXES_WGSL, boxAt, encodeBox, iou, STD_UNIFORMS, STD_WGSL, stdUniforms } from './boxes.ts';
import { kernel } from './kernel.ts';
import { roundHalfEven } from './rounding.ts';
import { selectRandom, selectRandomReference } from './selectRandom.ts';
import type { Run, StageBuffers } from './sequence.ts';
import { vec4At } from './text.ts';

const CANDIDATE_WGSL = /* wgsl */ `
fn box_of(source: u32) -> vec4f {
  if (source < u.capacity) {
    return ${vec4At('rois', 'source * 5u + 1u')};
  }
  return gt_box(source - u.capacity);
}
fn gt_box(t: u32) -> vec4f { return ${vec4At('gt', 't * 5u')}; }
`;

/** flags, argmax i32 [capacity + g]. */
export const roiCandidates = kernel({
  name: 'roi_candidates',
  buffers: { rois: 'read', roiCount: 'read u32', gt: 'read', flags: 'write i32', argmax: 'write i32' },
  uniforms: {
    capacity: 'u32',
    /** capacity + G */
    n: 'u32',
    plusOne: 'f32',
    foregroundOverlap: 'f32',
    backgroundLow: 'f32',
    backgroundHigh: 'f32',
  },
  each: 'n',
  functions: BOXES_WGSL + CANDIDATE_WGSL,
  body: /* wgsl */ `
  let g = u.n - u.capacity;
  let box = box_of(i);
  var largest = 0.0;
  var which = 0u;
  for (var t = 0u; t < g; t++) {
    let overlap = iou(box, gt_box(t), u.plusOne);
    if (overlap > largest) {
      largest = overlap;
      which = t;
    }
  }
  var flag = -1;
  if (g == 0u || (largest >= u.backgroundLow && largest < u.backgroundHigh)) { flag = 0; }
  if (g > 0u && largest >= u.foregroundOverlap) { flag = 1; }
  if (i >= roiCount[0] && i < u.capacity) { flag = -1; }
  flags[i] = flag;
  argmax[i] = i32(which);`,
});

/** Stable compaction by one workgroup; each lane owns a contiguous run of candidates. counts u32 [2]: foreground, background. */
export const roiCompact = kernel({
  name: 'roi_compact',
  buffers: { flags: 'read i32', counts: 'read u32', selected: 'write i32' },
  uniforms: { n: 'u32', batch: 'u32' },
  grid: () => [1, 1, 1],
  lanes: 256,
  functions: 'var<workgroup> sums: array<vec2u, 256>;',
  body: /* wgsl */ `
  let each = (u.n + 255u) / 256u;
  let first = min(u.n, lane * each);
  let end = min(u.n, first + each);
  var found = vec2u(0u);
  for (var i = first; i < end; i++) { found += vec2u(u32(flags[i] == 1), u32(flags[i] == 0)); }
  sums[lane] = found;
  for (var step = 1u; step < 256u; step <<= 1u) {
    workgroupBarrier();
    var before = vec2u(0u);
    if (lane >= step) { before = sums[lane - step]; }
    workgroupBarrier();
    sums[lane] += before;
  }
  var slots = sums[lane] - found + vec2u(0u, counts[0]);
  for (var i = first; i < end; i++) {
    if (flags[i] == 1) {
      selected[slots.x] = i32(i);
      slots.x++;
    } else if (flags[i] == 0) {
      selected[slots.y] = i32(i);
      slots.y++;
    }
  }
  for (var row = counts[0] + counts[1] + lane; row < u.batch; row += 256u) { selected[row] = -1; }`,
});

export const roiSample = kernel({
  name: 'roi_sample',
  buffers: {
    rois: 'read',
    gt: 'read',
    argmax: 'read i32',
    selected: 'read i32',
    counts: 'read u32',
    sampledRois: 'write',
    labels: 'write i32',
    encoded: 'write vec4f',
  },
  uniforms: {
    capacity: 'u32',
    batch: 'u32',
    plusOne: 'f32',
    ...STD_UNIFORMS,
  },
  each: 'batch',
  functions: BOXES_WGSL + CANDIDATE_WGSL,
  body: /* wgsl */ `
  let source = selected[i];
  var box = vec4f(0.0);
  var label = -1;
  var t = vec4f(0.0);
  if (source >= 0) {
    box = box_of(u32(source));
    label = 0;
    if (i < counts[0]) {
      let g = u32(argmax[source]);
      label = i32(gt[g * 5u + 4u]);
      t = encode_box(box, gt_box(g), u.plusOne) / ${STD_WGSL};
    }
  }
  sampledRois[i * 5u] = 0.0;
  for (var k = 0u; k < 4u; k++) { sampledRois[i * 5u + 1u + k] = box[k]; }
  labels[i] = label;
  encoded[i] = t;`,
});

/** One invocation per row and class. */
export const roiExpand = kernel({
  name: 'roi_expand',
  buffers: {
    labels: 'read i32',
    encoded: 'read vec4f',
    counts: 'read u32',
    targets: 'write vec4f',
    insideWeights: 'write vec4f',
    outsideWeights: 'write vec4f',
  },
  uniforms: { batch: 'u32', classes: 'u32' },
  each: ['batch', 'classes'],
  lanes: 256,
  body: /* wgsl */ `
  let row = i / u.classes;
  let label = labels[row];
  let chosen = label > 0 && u32(label) == i % u.classes;
  let weight = 1.0 / f32(max(1u, counts[0] + counts[1]));
  targets[i] = select(vec4f(0.0), encoded[row], chosen);
  insideWeights[i] = select(vec4f(0.0), vec4f(1.0), chosen);
  outsideWeights[i] = select(vec4f(0.0), vec4f(weight), chosen);`,
});

export interface RoiTargetParams {
  /** R: rows of rois. */
  capacity: number;
  /** G: ground-truth boxes in use. */
  g: number;
  /** K: classes with the background. */
  classes: number;
  plusOne: number;
  foregroundOverlap: number;
  backgroundLow: number;
  backgroundHigh: number;
  batch: number;
  foregroundFraction: number;
  random: boolean;
  seed: number;
  stream: number;
  targetStds: readonly number[];
}

/** `g` is here the largest number of ground-truth boxes that the buffers must hold. */
export const roiTargetsScratch = ({ capacity, g, batch }: Pick<RoiTargetParams, 'capacity' | 'g' | 'batch'>) => ({
  flags: capacity + g,
  argmax: capacity + g,
  counts: 2,
  encoded: batch * 4,
});

/** rois [R,5], roiCount u32 [1], gt [G,5] -> selected, sampledRois, labels, targets and weights (header); counts u32 [2]: fg, bg. */
export function recordRoiTargets<H>(
  run: Run<H>,
  buffers: StageBuffers<
    H,
    'rois' | 'roiCount' | 'gt' | 'selected' | 'sampledRois' | 'labels' | 'targets' | 'insideWeights' | 'outsideWeights',
    typeof roiTargetsScratch
  >,
  params: RoiTargetParams,
): void {
  const { rois, roiCount, gt, flags, argmax, counts, selected, encoded } = buffers;
  const { sampledRois, labels, targets, insideWeights, outsideWeights } = buffers;
  const {
    capacity,
    g,
    classes,
    plusOne,
    foregroundOverlap,
    backgroundLow,
    backgroundHigh,
    batch,
    seed,
    stream,
    targetStds,
  } = params;
  const n = capacity + g;
  run(
    roiCandidates,
    { rois, roiCount, gt, flags, argmax },
    { capacity, n, plusOne, foregroundOverlap, backgroundLow, backgroundHigh },
  );
  const choice = { n, otherwise: -1, random: Number(params.random), seed, stream };
  const foreground = roundHalfEven(params.foregroundFraction * batch);
  run(selectRandom, { flags, counts }, { ...choice, value: 1, limit: foreground, subtract: -1, slot: 0 });
  run(selectRandom, { flags, counts }, { ...choice, value: 0, limit: batch, subtract: 0, slot: 1 });
  run(roiCompact, { flags, counts, selected }, { n, batch });
  run(
    roiSample,
    { rois, gt, argmax, selected, counts, sampledRois, labels, encoded },
    { capacity, batch, plusOne, ...stdUniforms(targetStds) },
  );
  run(roiExpand, { labels, encoded, counts, targets, insideWeights, outsideWeights }, { batch, classes });
}

type Candidates = Pick<
  RoiTargetParams,
  'capacity' | 'plusOne' | 'foregroundOverlap' | 'backgroundLow' | 'backgroundHigh'
>;

/** rois [R,5] of which `count` are valid, gt [G,5]. */
export function roiCandidatesReference(
  rois: Float64Array,
  count: number,
  gt: Float64Array,
  { capacity, plusOne, foregroundOverlap, backgroundLow, backgroundHigh }: Candidates,
): { flags: Int32Array; argmax: Int32Array } {
  const g = gt.length / 5;
  const flags = new Int32Array(capacity + g).fill(-1);
  const argmax = new Int32Array(capacity + g);
  for (let i = 0; i < capacity + g; i++) {
    const box = i < capacity ? boxAt(rois, i * 5 + 1) : boxAt(gt, (i - capacity) * 5);
    const overlaps = Array.from({ length: g }, (_, t) => iou(box, boxAt(gt, t * 5), plusOne));
    const largest = Math.max(0, ...overlaps);
    if (largest > 0) argmax[i] = overlaps.indexOf(largest);
    if (i >= count && i < capacity) continue;
    if (g === 0 || (largest >= backgroundLow && largest < backgroundHigh)) flags[i] = 0;
    if (g > 0 && largest >= foregroundOverlap) flags[i] = 1;
  }
  return { flags, argmax };
}

export function roiCompactReference(flags: Int32Array, batch: number): Int32Array {
  const selected = new Int32Array(batch).fill(-1);
  const order = [...flags.keys()];
  selected.set([...order.filter((i) => flags[i] === 1), ...order.filter((i) => flags[i] === 0)]);
  return selected;
}

/** The whole stage. */
export function roiTargetsReference(
  rois: Float64Array,
  count: number,
  gt: Float64Array,
  params: RoiTargetParams,
): Record<'sampledRois' | 'encoded' | 'targets' | 'insideWeights' | 'outsideWeights', Float64Array> & {
  labels: Int32Array;
} {
  const { batch, classes, capacity, plusOne, targetStds, seed, stream } = params;
  const { flags: raw, argmax } = roiCandidatesReference(rois, count, gt, params);
  const choice = { otherwise: -1, random: Number(params.random), seed, stream };
  const fg = selectRandomReference(raw, {
    ...choice,
    value: 1,
    limit: roundHalfEven(params.foregroundFraction * batch),
  });
  const bg = selectRandomReference(fg.flags, { ...choice, value: 0, limit: batch - fg.count });
  const sampledRois = new Float64Array(batch * 5);
  const labels = new Int32Array(batch).fill(-1);
  const encoded = new Float64Array(batch * 4);
  const targets = new Float64Array(batch * 4 * classes);
  const insideWeights = new Float64Array(batch * 4 * classes);
  const outsideWeights = new Float64Array(batch * 4 * classes);
  roiCompactReference(bg.flags, batch).forEach((i, row) => {
    if (i < 0) return;
    const box = i < capacity ? boxAt(rois, i * 5 + 1) : boxAt(gt, (i - capacity) * 5);
    sampledRois.set(box, row * 5 + 1);
    labels[row] = 0;
    if (bg.flags[i] !== 1) return;
    labels[row] = gt[argmax[i]! * 5 + 4]!;
    const t = encodeBox(box, boxAt(gt, argmax[i]! * 5), plusOne);
    for (let k = 0; k < 4; k++) {
      encoded[row * 4 + k] = t[k]! / targetStds[k]!;
      const column = (row * classes + labels[row]!) * 4 + k;
      targets[column] = encoded[row * 4 + k]!;
      insideWeights[column] = 1;
      outsideWeights[column] = 1 / (fg.count + bg.count);
    }
  });
  return { sampledRois, labels, encoded, targets, insideWeights, outsideWeights };
}

/** What Faster R-CNN does with boxes, at the sizes of VGG-16 on an image of 600x800 pixels: a map of 38x50 cells. */
import type { GradientTarget } from '../../engine/autograd.ts';
import type { Gpu } from '../../engine/gpu.ts';
import type { Bindable } from '../../engine/memory.ts';
import { nms, roiPool } from '../../engine/ops/rois.ts';
import { scratch } from '../../engine/scratch.ts';
import { ceilDiv } from '../../kernels/kernel.ts';
import { nmsReference } from '../../kernels/nms.ts';
import { stageVariant } from '../../kernels/planner.ts';
import { type ProposalParams, proposalsReference, proposalsScratch, recordProposals } from '../../kernels/proposals.ts';
import type { RoiShape } from '../../kernels/rois.ts';
import { roiPoolBackwardReference, roiPoolReference } from '../../kernels/roiPool.ts';
import { baseAnchors } from '../../model/anchors.ts';
import { RPN_DEFAULTS } from '../../model/config.ts';
import { CONVENTIONS } from '../../model/conventions.ts';
import type { BenchCase, PreparedCase } from '../case.ts';
import { compareElements, type Comparison, merge, verdict } from '../compare.ts';
import { uniform } from '../inputs.ts';
import { copyTime } from '../probes.ts';

const GROUP = 'RoIs';
const STRIDE = 16;
const [HEIGHT, WIDTH, CHANNELS] = [38, 50, 512] as const;
const [IMAGE_HEIGHT, IMAGE_WIDTH] = [600, 800] as const;
/** Share of the boxes kept that may differ: float32 and float64 may decide differently on an overlap that equals the threshold to the last bits. */
const DIFFERENT_BOXES = 0.02;

/** The channels that are compared; all channels are computed alike. */
const COMPARED_CHANNELS = [0, 7, 8, CHANNELS - 1];
const POOLED = 7;
const BINS = POOLED * POOLED;

export const roiCases: readonly BenchCase[] = [
  proposals(6000, 300),
  suppression(6000, 300),
  suppression(12000, 2000),
  pooling('forward', 300),
  pooling('backward', 128),
];

function proposals(preNms: number, postNms: number): BenchCase {
  const anchors = baseAnchors({ baseSize: STRIDE, scales: [8, 16, 32], ratios: [0.5, 1, 2] });
  const anchorCount = anchors.length / 4;
  const sizes: ProposalParams = {
    anchorCount,
    height: HEIGHT,
    width: WIDTH,
    stride: STRIDE,
    imageHeight: IMAGE_HEIGHT,
    imageWidth: IMAGE_WIDTH,
    ...CONVENTIONS['py-faster-rcnn'],
    minSize: RPN_DEFAULTS.minSize,
    preNms,
    nmsThreshold: RPN_DEFAULTS.nmsThreshold,
    postNms,
  };
  return {
    group: GROUP,
    op: 'proposals',
    shape: `${HEIGHT}x${WIDTH}x${anchorCount} ${preNms}->${postNms}`,
    quick: true,
    bytes: 4 * (6 * anchorCount * HEIGHT * WIDTH + 7 * postNms),
    clock: 'device',
    prepare(gpu) {
      const cells = HEIGHT * WIDTH;
      const logits = uniform(2 * anchorCount * cells, 1).map((value) => 4 * value);
      const deltas = uniform(4 * anchorCount * cells, 2).map((value) => 0.3 * value);
      const inputs = {
        anchors: gpu.tensor(anchors, [anchorCount, 4]),
        logits: gpu.tensor(logits, [2 * anchorCount, HEIGHT, WIDTH]),
        deltas: gpu.tensor(deltas, [4 * anchorCount, HEIGHT, WIDTH]),
      };
      const params = { ...sizes, variant: stageVariant(gpu.plans.device) };
      return {
        compute() {
          const rois = gpu.empty([postNms, 5], 'f32', 'rois');
          const roiScores = gpu.empty([postNms], 'f32', 'scores');
          const roiAnchors = gpu.empty([postNms], 'i32', 'anchors of rois');
          const roiCount = gpu.empty([1], 'i32', 'count');
          const working = scratch(gpu, proposalsScratch(params));
          recordProposals<Bindable>(
            gpu.run.bind(gpu),
            { ...working.tensors, ...inputs, rois, roiScores, roiAnchors, roiCount },
            params,
          );
          working.dispose();
          return [rois, roiCount];
        },
        check([rois, count]) {
          const expected = proposalsReference(
            Float64Array.from(anchors),
            Float64Array.from(logits),
            Float64Array.from(deltas),
            sizes,
          );
          const key = (box: ArrayLike<number>) => [0, 1, 2, 3].map((k) => Math.round(box[k]! * 4)).join();
          const keys = new Set(
            expected.flatMap(({ box }) => [-1e-3, 1e-3].map((shift) => key(box.map((value) => value + shift)))),
          );
          const found = Array.from({ length: count![0]! }, (_, i) => key(rois!.subarray(i * 5 + 1, i * 5 + 5)));
          return sameBoxes(
            found.map((box) => keys.has(box)),
            expected.length,
          );
        },
      };
    },
  };
}

/** `known[i]`: box i of the result is one of the `expected` of the reference. */
function sameBoxes(known: readonly boolean[], expected: number): Comparison {
  const allowed = Math.ceil(DIFFERENT_BOXES * expected);
  const foreign = known.filter((same) => !same).length;
  const problems: string[] = [];
  if (Math.abs(known.length - expected) > allowed) problems.push(`${known.length} boxes, expected ${expected}`);
  if (foreign > allowed) problems.push(`${foreign} of ${known.length} boxes are not among the expected ones`);
  return verdict(known.length, problems);
}

function suppression(n: number, maxOutput: number): BenchCase {
  const maskBytes = n * ceilDiv(n, 32) * 4;
  return {
    group: GROUP,
    op: 'nms',
    shape: `${n}->${maxOutput} boxes`,
    quick: n === 6000,
    bytes: 4 * (5 * n + maxOutput),
    clock: 'device',
    prepare(gpu) {
      const values = clusteredBoxes(n);
      const scores = uniform(n, 5);
      const [boxes, order] = [gpu.tensor(values, [n, 4], 'boxes'), gpu.tensor(scores, [n], 'scores')];
      return {
        compute() {
          const { indices, count } = nms(boxes, order, { iouThreshold: 0.7, maxOutput, plusOne: 1 });
          return [indices, count];
        },
        check([indices, count]) {
          const expected = nmsReference(Float64Array.from(values), Float64Array.from(scores), 0.7, 1, maxOutput);
          const known = new Set(expected);
          return sameBoxes(
            [...indices!.subarray(0, count![0])].map((index) => known.has(index)),
            expected.length,
          );
        },
        extras: async () => ({
          [`copy of the ${(maskBytes / 2 ** 20).toFixed(1)} MiB mask`]: await copyTime(gpu, maskBytes),
        }),
      };
    },
  };
}

/** Boxes around some 600 places, as proposals cluster around objects, so that some of them are suppressed. */
function clusteredBoxes(n: number): Float32Array {
  const [places, jitter] = [uniform(600 * 4, 6), uniform(n * 4, 7)];
  const boxes = new Float32Array(n * 4);
  for (let i = 0; i < n; i++) {
    const at = (k: number, spread: number) => places[(i % 600) * 4 + k]! + spread * jitter[i * 4 + k]!;
    const [cx, cy] = [400 + 350 * at(0, 0.02), 300 + 250 * at(1, 0.02)];
    const [w, h] = [90 + 60 * at(2, 0.2), 90 + 60 * at(3, 0.2)];
    boxes.set([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], i * 4);
  }
  return boxes;
}

function pooling(pass: 'forward' | 'backward', roiCount: number): BenchCase {
  const cells = HEIGHT * WIDTH;
  const pooledSize = roiCount * CHANNELS * BINS;
  return {
    group: GROUP,
    op: `roiPool ${pass}`,
    shape: `${CHANNELS}x${HEIGHT}x${WIDTH}, ${roiCount} RoIs, ${POOLED}x${POOLED}`,
    quick: true,
    bytes: 4 * (CHANNELS * cells + 2 * pooledSize + 5 * roiCount),
    clock: 'device',
    prepare: (gpu) => preparePooling(gpu, pass, roiCount),
  };
}

function preparePooling(gpu: Gpu, pass: 'forward' | 'backward', roiCount: number): PreparedCase {
  const cells = HEIGHT * WIDTH;
  const map = uniform(CHANNELS * cells, 1);
  const gradient = uniform(roiCount * CHANNELS * BINS, 2);
  const boxes = clusteredBoxes(roiCount);
  const regions = Float32Array.from({ length: roiCount * 5 }, (_, i) =>
    i % 5 === 0 ? 0 : boxes[Math.floor(i / 5) * 4 + (i % 5) - 1]!,
  );
  const shape: RoiShape = {
    images: 1,
    firstImage: 0,
    channels: 1,
    height: HEIGHT,
    width: WIDTH,
    roiCount,
    pooledH: POOLED,
    pooledW: POOLED,
    scale: 1 / STRIDE,
  };
  const x = gpu.tensor(map, [1, CHANNELS, HEIGHT, WIDTH], 'x');
  const rois = gpu.tensor(regions, [roiCount, 5], 'rois');
  const options = { size: POOLED, spatialScale: 1 / STRIDE };
  const regions64 = Float64Array.from(regions);
  const forwardOf = (c: number) =>
    roiPoolReference(Float64Array.from(map.subarray(c * cells, (c + 1) * cells)), regions64, shape);
  /** Element i of channel c's [R, P, P] in the whole [R, C, P, P]. */
  const pooledIndex = (c: number, i: number) => (Math.floor(i / BINS) * CHANNELS + c) * BINS + (i % BINS);
  const against = (result: ArrayLike<number>, expected: Float64Array, index: (i: number) => number, scale: number) =>
    compareElements(
      result,
      [...expected].map((value, i) => ({ index: index(i), value, magnitude: scale })),
    );
  if (pass === 'forward') {
    return {
      compute: () => [roiPool(x, rois, options)],
      check: ([y]) => merge(COMPARED_CHANNELS.map((c) => against(y!, forwardOf(c).y, (i) => pooledIndex(c, i), 1))),
    };
  }
  x.requiresGrad = true;
  const { operation, saved } = roiPool(x, rois, options).node!;
  const dy = gpu.tensor(gradient, [roiCount, CHANNELS, POOLED, POOLED], 'dy');
  return {
    compute: () => {
      const into = (): GradientTarget => ({ sum: gpu.empty(x.shape), add: false });
      return [operation.gradient({ dy, needs: [true], into }, saved)[0]!];
    },
    check: ([dx]) =>
      merge(
        COMPARED_CHANNELS.map((c) => {
          const own = Float64Array.from({ length: roiCount * BINS }, (_, i) => gradient[pooledIndex(c, i)]!);
          const expected = roiPoolBackwardReference(own, forwardOf(c).argmax, regions64, shape);
          return against(dx!, expected, (i) => c * cells + i, 16);
        }),
      ),
  };
}

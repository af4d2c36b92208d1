/** Checks of a feature pyramid's kernels: RoIAlign on its levels, upsampling, proposals level by level. */
import {
  levelAnchors,
  levelAnchorsReference,
  levelBoxes,
  levelBoxReference,
  levelKeys,
  writeProposals,
} from '../pyramidProposals.ts';
import * as radix from '../radixSort.ts';
import { Random } from '../rng.ts';
import {
  levelBounds,
  roiAlignBackward,
  roiAlignBackwardReference,
  roiAlignForward,
  roiAlignReference,
  roiAlignRows,
  roiAlignRowsReference,
  type RoiAlignShape,
  roiAlignUniforms,
} from '../roiAlign.ts';
import {
  upsampleNearest,
  upsampleNearestBackward,
  upsampleNearestBackwardReference,
  upsampleNearestReference,
  type UpsampleShape,
} from '../upsampleNearest.ts';
import { EXACT, type KernelCheck } from './check.ts';
import { doubles, normals, pixelBoxes, unsigned } from './inputs.ts';

/** Two images of 136 x 200 pixels. */
export const PYRAMID: RoiAlignShape = {
  images: 2,
  firstImage: 0,
  channels: 11,
  roiCount: 13,
  pooledH: 3,
  pooledW: 2,
  sampling: 2,
  aligned: false,
  levels: [
    { height: 34, width: 50, scale: 1 / 4 },
    { height: 17, width: 25, scale: 1 / 8 },
    { height: 9, width: 13, scale: 1 / 16 },
  ],
  bounds: levelBounds(2, 4),
};
export const ONE_MAP: RoiAlignShape = {
  ...PYRAMID,
  channels: 5,
  roiCount: 6,
  sampling: 0,
  aligned: true,
  levels: [{ height: 9, width: 13, scale: 1 / 16 }],
  bounds: [],
};

/** Small and large RoIs, on the map and across its border. */
function pyramidRois({ images, roiCount }: RoiAlignShape): Float32Array {
  const random = new Random(51);
  const rows = Array.from({ length: roiCount }, (_, r) => {
    const size = r % 3 === 0 ? 12 : r % 3 === 1 ? 90 : 180;
    const [x, y] = [random.uniform(-20, 190), random.uniform(-20, 130)];
    return [random.integer(images), x, y, x + random.uniform(0.3, 1) * size, y + random.uniform(0.3, 1) * size];
  });
  return Float32Array.from(rows.flat());
}

function pyramidInputs(shape: RoiAlignShape) {
  const { images, channels, roiCount, pooledH, pooledW, levels } = shape;
  return {
    rois: pyramidRois(shape),
    maps: levels.map(({ height, width }, k) => normals(images * channels * height * width, 52 + k)),
    dy: normals(roiCount * channels * pooledH * pooledW, 56),
  };
}

const alignName = ({ roiCount, channels, levels, pooledH, pooledW, sampling, aligned }: RoiAlignShape): string =>
  `${roiCount} RoIs of ${channels} channels, ${levels.length} levels, ${pooledH}x${pooledW} bins of ${sampling || 'enough'} samples${aligned ? ', aligned' : ''}`;

export function roiAlignForwardCheck(shape: RoiAlignShape): KernelCheck {
  const { rois, maps, dy } = pyramidInputs(shape);
  return {
    name: `roi_align_forward ${alignName(shape)}`,
    kernel: roiAlignForward(shape.levels.length, shape.aligned),
    buffers: {
      ...Object.fromEntries(maps.map((map, k) => [`x${k}`, map])),
      rois,
      y: new Float32Array(dy.length).fill(7),
    },
    uniforms: roiAlignUniforms(shape).forward,
    expected: { y: roiAlignReference(maps.map(doubles), doubles(rois), shape) },
    atol: 5e-5,
    rtol: 1e-5,
  };
}

export function roiAlignRowsCheck(shape: RoiAlignShape, level: number): KernelCheck {
  const { rois } = pyramidInputs(shape);
  const rows = roiAlignRowsReference(doubles(rois), shape, level);
  return {
    name: `roi_align_rows ${alignName(shape)}, level ${level}`,
    kernel: roiAlignRows(shape.bounds.length, shape.aligned),
    buffers: { rois, rows: new Uint32Array(rows.length) },
    uniforms: roiAlignUniforms(shape).backward(level),
    expected: { rows },
    ...EXACT,
  };
}

export function roiAlignBackwardCheck(shape: RoiAlignShape, level: number): KernelCheck {
  const { rois, dy, maps } = pyramidInputs(shape);
  return {
    name: `roi_align_backward ${alignName(shape)}, level ${level}`,
    kernel: roiAlignBackward(shape.bounds.length, shape.aligned),
    buffers: {
      dy,
      rois,
      rows: roiAlignRowsReference(doubles(rois), shape, level),
      dx: normals(maps[level]!.length, 57),
    },
    uniforms: roiAlignUniforms(shape).backward(level),
    expected: { dx: roiAlignBackwardReference(doubles(dy), doubles(rois), shape)[level]! },
    atol: 5e-5,
    rtol: 1e-5,
  };
}

const upsampleName = ({ planes, h, w, outH, outW }: UpsampleShape) => `${planes}x${h}x${w} to ${outH}x${outW}`;

export function upsampleNearestCheck(shape: UpsampleShape): KernelCheck {
  const x = normals(shape.planes * shape.h * shape.w, 1);
  const y = upsampleNearestReference(doubles(x), shape);
  return {
    name: `upsample_nearest ${upsampleName(shape)}`,
    kernel: upsampleNearest,
    buffers: { x, y: new Float32Array(y.length) },
    uniforms: shape,
    expected: { y },
    ...EXACT,
  };
}

export function upsampleNearestBackwardCheck(shape: UpsampleShape): KernelCheck {
  const dy = normals(shape.planes * shape.outH * shape.outW, 1);
  const dx = upsampleNearestBackwardReference(doubles(dy), shape);
  return {
    name: `upsample_nearest_backward ${upsampleName(shape)}`,
    kernel: upsampleNearestBackward,
    buffers: { dy, dx: normals(dx.length, 2) },
    uniforms: shape,
    expected: { dx },
    atol: 5e-6,
    rtol: 1e-6,
  };
}

/** Levels of 120, 30 and 9 anchors with one logit and one delta that are not finite. */
export const LEVELS = {
  levels: [120, 30, 9],
  imageHeight: 224,
  imageWidth: 320,
  plusOne: 0,
  decodeShrink: 0,
  minSize: 12,
  scoreThreshold: 0.1,
};

export function pyramidHeads(): Record<'anchors' | 'logits' | 'deltas', Float32Array> {
  const n = LEVELS.levels.reduce((sum, level) => sum + level);
  const logits = normals(n, 61, 2);
  const deltas = normals(4 * n, 62, 0.4);
  logits[3] = NaN;
  deltas[4 * 130 + 1] = Infinity;
  return { anchors: pixelBoxes(n, 63), logits, deltas };
}

export function levelAnchorsCheck(first: number): KernelCheck {
  const level = { height: 5, width: 7, strideY: 61, strideX: 64 };
  const base = Float32Array.of(-16, -16, 16, 16, -11, -23, 11, 23);
  const own = levelAnchorsReference(doubles(base), level);
  const anchors = new Float64Array(4 * first + own.length).fill(7);
  anchors.set(own, 4 * first);
  return {
    name: `level_anchors from ${first}`,
    kernel: levelAnchors,
    buffers: { base, anchors: new Float32Array(anchors.length).fill(7) },
    uniforms: { ...level, anchorCount: 2, first },
    expected: { anchors },
    ...EXACT,
  };
}

export function levelKeysCheck(first: number, n: number): KernelCheck {
  const { logits } = pyramidHeads();
  return {
    name: `level_keys ${n} from ${first}`,
    kernel: levelKeys,
    buffers: { logits, keys: new Uint32Array(n) },
    uniforms: { first, n },
    expected: { keys: Uint32Array.from(logits.subarray(first, first + n), radix.sortKey) },
    ...EXACT,
  };
}

/** The anchors of level 1, some of them absent; its slice has room for more. */
export function levelBoxesCheck(): KernelCheck {
  const [first, k, level, capacity] = [120, 30, 1, 40];
  const heads = pyramidHeads();
  const topOrder = Uint32Array.from({ length: k }, (_, i) => (7 * i) % k);
  const topKeys = topOrder.map((i) => radix.sortKey(heads.logits[first + i]!));
  const slices = LEVELS.levels.length * capacity;
  // What lies in other slices stays.
  const boxes = new Float64Array(4 * slices).fill(7);
  const sliceKeys = new Uint32Array(slices).fill(7);
  const sliceOrder = new Uint32Array(slices).fill(7);
  const { anchors, logits, deltas } = heads;
  for (let i = 0; i < capacity; i++) {
    const anchor = first + (topOrder[i] ?? 0);
    const box = i < k ? levelBoxReference(doubles(anchors), doubles(logits), doubles(deltas), anchor, LEVELS) : null;
    const to = level * capacity + i;
    boxes.set(box ?? [0, 0, 0, 0], 4 * to);
    sliceKeys[to] = box ? topKeys[i]! : radix.LAST_KEY;
    sliceOrder[to] = i;
  }
  const { levels: _, ...params } = LEVELS;
  return {
    name: `level_boxes ${k} of ${capacity}`,
    kernel: levelBoxes,
    buffers: {
      anchors,
      deltas,
      topKeys,
      topOrder,
      boxes: new Float32Array(4 * slices).fill(7),
      sliceKeys: new Uint32Array(slices).fill(7),
      sliceOrder: new Uint32Array(slices).fill(7),
    },
    uniforms: { first, k, level, capacity, ...params },
    expected: { boxes, sliceKeys, sliceOrder },
    atol: 2e-4,
    rtol: 1e-5,
  };
}

/** `valid` of 50 ranked boxes, room for `postNms`. */
export function writeProposalsCheck(valid: number, postNms: number): KernelCheck {
  const n = 50;
  const sorted = pixelBoxes(n, 64);
  const places = unsigned(new Random(65).permutation(n));
  const logits = Float32Array.from({ length: n }, (_, k) => 3 - k / 7);
  const rois = new Float64Array(5 * postNms);
  const roiScores = new Float64Array(postNms);
  const count = Math.min(valid, postNms);
  for (let k = 0; k < count; k++) {
    rois.set(sorted.subarray(4 * places[k]!, 4 * places[k]! + 4), 5 * k + 1);
    roiScores[k] = 1 / (1 + Math.exp(-logits[k]!));
  }
  return {
    name: `write_proposals ${valid} ranked, room ${postNms}`,
    kernel: writeProposals,
    buffers: {
      ranks: Uint32Array.from(logits, (logit, k) => (k < valid ? radix.sortKey(logit) : radix.LAST_KEY)),
      places,
      sorted,
      rois: new Float32Array(5 * postNms).fill(7),
      roiScores: new Float32Array(postNms).fill(7),
      roiCount: unsigned([7]),
    },
    uniforms: { n, postNms },
    expected: { rois, roiScores, roiCount: unsigned([count]) },
    atol: 1e-6,
    rtol: 1e-6,
  };
}

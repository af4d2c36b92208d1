/** RoI pooling, RoI warping, RoIAlign, crops of RoIs and non-maximum suppression. Boxes are x1, y1, x2, y2. */
import { type NmsParams, nmsScratch, recordNms } from '../../kernels/nms.ts';
import { stageVariant } from '../../kernels/planner.ts';
import {
  levelBounds,
  MAX_ROI_LEVELS,
  roiAlignBackward,
  roiAlignForward,
  roiAlignRows,
  type RoiAlignShape,
  roiAlignUniforms,
} from '../../kernels/roiAlign.ts';
import { PYRAMID_BINS, pyramidPoolForward, pyramidShape } from '../../kernels/pyramidPool.ts';
import { type RegionScaleParams, regionScales, regionScaleUniforms } from '../../kernels/regionScales.ts';
import { roiCropForward, roiCropUniforms } from '../../kernels/roiCrop.ts';
import { MAX_BINS, roiPoolBackward, roiPoolBands, roiPoolForward } from '../../kernels/roiPool.ts';
import type { Bindable } from '../memory.ts';
import { roiWarpBackwardInput, roiWarpBackwardRois, roiWarpForward } from '../../kernels/roiWarp.ts';
import { type GradientRule, operation, onTape } from '../autograd.ts';
import { scratch } from '../scratch.ts';
import { floatOf } from '../precision.ts';
import type { Tensor } from '../tensor.ts';
import { onTrace, tracedOperation } from '../trace.ts';
import { expectShape, expectRank } from './shapes.ts';

export interface RoiPoolOptions {
  /** Bins: P for P x P, or [height, width]; 1 to 255. */
  size: number | readonly [number, number];
  /** Map cells per pixel of the image: 1/16 for VGG-16. */
  spatialScale: number;
}

/**
 * One map [N, C, H, W], or several of one image each, [1, C, H, W]: maps of one network at several scales of an image. Of several
 * maps, a RoI's image index is the number of its map, and its corners are in pixels of that scale.
 */
export type RoiMaps = Tensor | readonly Tensor[];

type RoiUniforms = Record<keyof (typeof roiWarpBackwardInput)['uniforms'], number>;
type RoiPoolSaved = { argmax: Tensor; rois: Tensor; maps: readonly (readonly number[])[]; uniforms: RoiUniforms[] };

/** The gradient of every pooled value goes to the cell that it was taken from. */
const toArgmax: GradientRule<RoiPoolSaved> = ({ dy, needs }, { argmax, rois, maps, uniforms }) =>
  maps.map((shape, k) => {
    if (!needs[k]) return null;
    const dx = dy.gpu.empty(shape, 'f32', 'dx roiPool'); // where the kernel adds up the gradients of the RoIs
    const [, channels, height] = shape as [number, number, number];
    const bands = roiPoolBands(channels, height, dy.gpu.adapter.software);
    dy.gpu.run(roiPoolBackward, { dy, argmax, rois, dx }, { ...uniforms[k]!, bands });
    if (dy.dtype === 'f32') return dx;
    const half = dx.inDtype('f16');
    dx.dispose();
    return half;
  });

export const roiPoolOperation = operation('roiPool', toArgmax, true);
export const pyramidPoolOperation = operation('pyramidPool', toArgmax, true);

/**
 * Max pooling of each RoI into P x P bins, with Caffe's rounding (Fast R-CNN, section 2.1). The RoIs get no gradient.
 * @param x [N, C, H, W] or several   @param rois [R, 5]: image index, x1, y1, x2, y2 in input pixels   @returns [R, C, P, P]
 */
export function roiPool(x: RoiMaps, rois: Tensor, options: RoiPoolOptions): Tensor {
  const { maps, shape, uniforms } = roiShapes('roiPool', x, rois, options);
  const { gpu } = rois;
  const y = gpu.empty(shape, floatOf(maps[0]), 'roiPool');
  const argmax = gpu.empty(shape, 'i32', 'roiPool argmax');
  maps.forEach((x, k) => gpu.run(roiPoolForward, { x, rois, y, argmax }, uniforms[k]!));
  return onTape(roiPoolOperation, maps, y, { argmax, rois, maps: maps.map(({ shape }) => shape), uniforms }, [argmax]);
}

/**
 * Spatial pyramid pooling of each RoI: max pooling into 6x6, 3x3, 2x2 and 1x1 bins, by SPP-net's own rule from the image to
 * cells (He et al. 2014). The RoIs get no gradient.
 * @param x [N, C, H, W] or several   @param rois [R, 5]: image index, x1, y1, x2, y2 in input pixels   @returns [R, C, 50]
 */
export function pyramidPool(x: RoiMaps, rois: Tensor, { spatialScale }: Pick<RoiPoolOptions, 'spatialScale'>): Tensor {
  const { maps, uniforms: regions } = roiShapes('pyramidPool', x, rois, { size: 1, spatialScale });
  const uniforms = regions.map(pyramidShape);
  const { gpu } = rois;
  const pooled = [rois.shape[0]!, maps[0].shape[1]!, PYRAMID_BINS];
  const y = gpu.empty(pooled, floatOf(maps[0]), 'pyramidPool');
  const argmax = gpu.empty(pooled, 'i32', 'pyramidPool argmax');
  maps.forEach((x, k) => gpu.run(pyramidPoolForward, { x, rois, y, argmax }, uniforms[k]!));
  const saved = { argmax, rois, maps: maps.map(({ shape }) => shape), uniforms };
  return onTape(pyramidPoolOperation, maps, y, saved, [argmax]);
}

export interface RoiCropOptions {
  /** Pixels along a side of a crop. */
  size: number;
  /** Pixels on each of its sides that lie around the region; less than half of `size`. */
  context: number;
  /** 1 for inclusive pixel corners (width = x2 - x1 + 1, as py-faster-rcnn), 0 for continuous coordinates. */
  plusOne: 0 | 1;
}

/**
 * Each region of an image with its context, warped to a square (R-CNN, Girshick et al. 2014, appendix A); 0 outside the image.
 * Neither the image nor the RoIs get a gradient.
 * @param x [N, C, H, W]   @param rois [R, 5]: image index, x1, y1, x2, y2 in pixels of x   @returns [R, C, size, size]
 */
export function roiCrop(x: Tensor, rois: Tensor, { size, context, plusOne }: RoiCropOptions): Tensor {
  expectRank('roiCrop', 'x', x, 'N,C,H,W');
  expectShape('roiCrop', 'rois', rois, [rois.shape[0]!, 5]);
  if (!(Number.isInteger(size) && size > 0 && context >= 0 && 2 * context < size))
    throw new Error(
      `roiCrop: size is ${size} and context ${context}, expected whole pixels that are more than twice it`,
    );
  if (x.requiresGrad || rois.requiresGrad) throw new Error('roiCrop: has no gradient, but an input requires one');
  const [images, channels, height, width] = x.shape as [number, number, number, number];
  const roiCount = rois.shape[0]!;
  const y = x.gpu.empty([roiCount, channels, size, size], floatOf(x), 'roiCrop');
  const shape = { images, channels, height, width, roiCount, size, context, plusOne };
  x.gpu.run(roiCropForward, { x, rois, y }, roiCropUniforms(shape));
  return y;
}

type RoiWarpSaved = { maps: readonly Tensor[]; rois: Tensor; uniforms: RoiUniforms[] };

export const roiWarpOperation = operation<RoiWarpSaved>(
  'roiWarp',
  ({ dy, needs }, { maps, rois, uniforms }) => {
    const { gpu } = dy;
    const gradients = maps.map((x, k) => {
      if (!needs[k]) return null;
      const dx = gpu.empty(x.shape, floatOf(x), 'dx roiWarp');
      gpu.run(roiWarpBackwardInput, { dy, rois, dx }, uniforms[k]!);
      return dx;
    });
    const drois = needs[maps.length] ? gpu.empty(rois.shape, 'f32', 'drois roiWarp') : null;
    if (drois) maps.forEach((x, k) => gpu.run(roiWarpBackwardRois, { dy, x, rois, drois }, uniforms[k]!));
    return [...gradients, drois];
  },
  true,
);

/**
 * Bilinear resampling of each RoI to P x P, differentiable in the map and in the RoIs' coordinates (Dai et al. 2016;
 * non-approximate joint training, paper, section 3.2).
 * @param x [N, C, H, W] or several   @param rois [R, 5]: image index, x1, y1, x2, y2 in input pixels   @returns [R, C, P, P]
 */
export function roiWarp(x: RoiMaps, rois: Tensor, options: RoiPoolOptions): Tensor {
  const { maps, shape, uniforms } = roiShapes('roiWarp', x, rois, options);
  const { gpu } = rois;
  const y = gpu.empty(shape, floatOf(maps[0]), 'roiWarp');
  maps.forEach((x, k) => gpu.run(roiWarpForward, { x, rois, y }, uniforms[k]!));
  return onTape(roiWarpOperation, [...maps, rois], y, { maps, rois, uniforms });
}

export interface RoiAlignOptions {
  /** Bins: P for P x P, or [height, width]; 1 to 255. */
  size: number | readonly [number, number];
  /** Map cells per pixel of the image, of each map. Of several maps each is a power of two, and half of the one before. */
  spatialScales: readonly number[];
  /** Samples of a bin along each axis; 0, the default, takes as many as the bin has cells. */
  samplingRatio?: number;
  /**
   * Which of several maps a RoI is taken from: `area`, the default, the level that its size says; `image`, the one of which its
   * image index is the number. Then maps are as in `RoiMaps`, and their scales need not be different.
   */
  mapOf?: 'area' | 'image';
  /** Moves the RoIs by half a cell, so that a cell's value stands at its centre (detectron2); default false, as in torchvision's detectors. */
  aligned?: boolean;
}

/** `passes`: the shapes of each dispatch of the forward pass, and the maps that it reads. */
type RoiAlignSaved = { rois: Tensor; passes: readonly { maps: readonly Tensor[]; shape: RoiAlignShape }[] };

const toSamples: GradientRule<RoiAlignSaved> = ({ dy, needs }, { rois, passes }) => {
  const { gpu } = dy;
  const levels = passes.flatMap(({ maps, shape }) => maps.map((x, level) => ({ x, level, shape })));
  return levels.map(({ x, level, shape }, k) => {
    if (!needs[k]) return null;
    const { images, roiCount, bounds, aligned } = shape;
    const dx = gpu.empty(x.shape, floatOf(x), 'dx roiAlign');
    const rows = gpu.empty([images, shape.levels[level]!.height, roiCount + 1], 'i32', 'roiAlign rows');
    const uniforms = roiAlignUniforms(shape).backward(level);
    gpu.run(roiAlignRows(bounds.length, aligned), { rois, rows }, uniforms);
    gpu.run(roiAlignBackward(bounds.length, aligned), { dy, rois, rows, dx }, uniforms);
    rows.dispose();
    return dx;
  });
};

export const roiAlignOperation = operation('roiAlign', toSamples, true);

/**
 * Bilinear sampling of each RoI into P x P bins, their means (Mask R-CNN, section 3), from one map or, for each RoI, from the
 * level of a feature pyramid that its size says (equation 1 of the paper on pyramids, as torchvision's MultiScaleRoIAlign).
 * The RoIs get no gradient; those of the maps are the same bits every time.
 * @param maps [N, C, H, W] each, the finest first   @param rois [R, 5]: image index, x1, y1, x2, y2 in input pixels, no + 1
 * @returns [R, C, P, P]
 */
export function roiAlign(maps: readonly Tensor[], rois: Tensor, options: RoiAlignOptions): Tensor {
  const { size, spatialScales, samplingRatio: sampling = 0, aligned = false, mapOf = 'area' } = options;
  const [x] = maps;
  const most = mapOf === 'area' ? MAX_ROI_LEVELS : Infinity;
  if (!x || maps.length !== spatialScales.length || maps.length > most) {
    const expected = most === Infinity ? 'as many of both, at least 1' : `1 to ${most} each, as many of both`;
    throw new Error(`roiAlign: ${maps.length} maps and ${spatialScales.length} scales, expected ${expected}`);
  }
  maps.forEach((map) => expectRank('roiAlign', 'maps', map, 'N,C,H,W'));
  const [images, channels] = x.shape as [number, number];
  maps.forEach((map) => expectShape('roiAlign', 'maps', map, [images, channels, ...map.shape.slice(2)]));
  expectShape('roiAlign', 'rois', rois, [rois.shape[0]!, 5]);
  const [pooledH, pooledW] = binsOf('roiAlign', size);
  const levels = maps.map(({ shape }, k) => ({ height: shape[2]!, width: shape[3]!, scale: spatialScales[k]! }));
  const roiCount = rois.shape[0]!;
  const sizes = { images, channels, roiCount, pooledH, pooledW, sampling, aligned };
  const passes =
    mapOf === 'image'
      ? maps.map((map, k) => ({
          maps: [map],
          shape: { ...sizes, firstImage: k, levels: [levels[k]!], bounds: [] as readonly number[] },
        }))
      : [{ maps, shape: { ...sizes, firstImage: 0, levels, bounds: boundsOf(spatialScales) } }];
  const y = x.gpu.empty([roiCount, channels, pooledH, pooledW], floatOf(x), 'roiAlign');
  for (const { maps, shape } of passes) {
    const buffers = Object.fromEntries(maps.map((map, k) => [`x${k}`, map]));
    x.gpu.run(roiAlignForward(maps.length, aligned), { ...buffers, rois, y }, roiAlignUniforms(shape).forward);
  }
  return onTape(roiAlignOperation, [...maps], y, { rois, passes });
}

/** The areas at which RoIs change from a level to the next; of one level none. */
function boundsOf(spatialScales: readonly number[]): readonly number[] {
  const strides = spatialScales.map((scale) => Math.round(-Math.log2(scale)));
  const bounds = strides.length === 1 ? [] : levelBounds(strides[0]!, strides.at(-1)!);
  if (bounds.length === strides.length - 1) return bounds;
  throw new Error(`roiAlign: scales ${spatialScales} are not each half of the one before`);
}

export interface RegionsAtScalesOptions extends Pick<RegionScaleParams, 'side' | 'plusOne'> {
  /** `area`: the scale at which a region's area is nearest to side x side; `given`: that of its column 0. */
  by: 'area' | 'given';
}

/**
 * Regions of an image in pixels of one of its scales, for the operations above on the maps of all scales (SPP-net, section 4.1).
 * No gradient flows through it.
 * @param rois [R, 5]: number of a scale, x1, y1, x2, y2 in pixels of the first scale
 * @param scales pixels of each scale per pixel of the original image
 * @returns [R, 5]: number of the scale, x1, y1, x2, y2 in pixels of that scale
 */
export function regionsAtScales(
  rois: Tensor,
  scales: readonly number[],
  { by, side, plusOne }: RegionsAtScalesOptions,
): Tensor {
  const roiCount = rois.shape[0]!;
  expectShape('regionsAtScales', 'rois', rois, [roiCount, 5]);
  if (!(scales.length > 0 && scales.every((scale) => scale > 0 && scale < Infinity)))
    throw new Error(`regionsAtScales: scales are [${scales}], expected one positive number or more`);
  const { gpu } = rois;
  const factors = gpu.tensor(Float32Array.from(scales), [scales.length], 'scales');
  const regions = gpu.empty(rois.shape, 'f32', 'regions at scales');
  const uniforms = regionScaleUniforms({ roiCount, byArea: by === 'area', side, plusOne }, scales.length);
  gpu.run(regionScales, { rois, scales: factors, placed: regions }, uniforms);
  factors.dispose();
  return regions;
}

/** The bins of a RoI along its height and its width. */
function binsOf(operation: string, size: RoiPoolOptions['size']): readonly [number, number] {
  const both = typeof size === 'number' ? ([size, size] as const) : size;
  if (!both.every((bins) => Number.isInteger(bins) && bins >= 1 && bins <= MAX_BINS))
    throw new Error(`${operation}: size is ${size}, expected whole numbers of bins from 1 to ${MAX_BINS}`);
  return both;
}

/** The maps, the shape of the pooled RoIs, and the uniforms of each map for the kernels of an operation. */
function roiShapes(operation: string, x: RoiMaps, rois: Tensor, options: RoiPoolOptions) {
  const maps = (Array.isArray(x) ? x : [x]) as [Tensor, ...Tensor[]];
  if (maps.length === 0) throw new Error(`${operation}: x is an empty list, expected one map or more`);
  maps.forEach((map) => expectRank(operation, 'x', map, 'N,C,H,W'));
  const [images, channels] = maps[0].shape as [number, number];
  maps.slice(1).forEach((map) => expectShape(operation, 'x', map, [1, channels, ...map.shape.slice(2)]));
  if (maps.length > 1) expectShape(operation, 'x', maps[0], [1, ...maps[0].shape.slice(1)]);
  expectShape(operation, 'rois', rois, [rois.shape[0]!, 5]);
  const [pooledH, pooledW] = binsOf(operation, options.size);
  const roiCount = rois.shape[0]!;
  const common = { images, channels, roiCount, pooledH, pooledW, scale: options.spatialScale };
  const uniforms = maps.map(({ shape }, k) => ({ ...common, firstImage: k, height: shape[2]!, width: shape[3]! }));
  return { maps, shape: [roiCount, channels, pooledH, pooledW], uniforms };
}

export interface NmsOptions {
  iouThreshold: number;
  /** The most boxes to keep; default all. */
  maxOutput?: number;
  /** 1 for inclusive pixel corners (width = x2 - x1 + 1, as py-faster-rcnn), 0 (default) for continuous coordinates. */
  plusOne?: 0 | 1;
}

export const nmsOperation = tracedOperation<null>('nms');

/**
 * Greedy non-maximum suppression on the GPU: boxes in descending order of score, each suppresses those whose IoU with it
 * exceeds the threshold. Equal scores keep their order.
 * @param boxes [N, 4]   @param scores [N]
 * @returns indices i32 [min(maxOutput, N)] into boxes, of which the first `count` (i32 [1]) are valid
 */
export function nms(boxes: Tensor, scores: Tensor, options: NmsOptions): { indices: Tensor; count: Tensor } {
  const n = scores.size;
  expectShape('nms', 'scores', scores, [n]);
  expectShape('nms', 'boxes', boxes, [n, 4]);
  const { gpu } = boxes;
  const maxOutput = Math.min(options.maxOutput ?? n, n);
  const indices = gpu.empty([maxOutput], 'i32', 'nms indices');
  const count = gpu.tensor(Int32Array.of(0), [1], 'nms count');
  if (n === 0) return { indices, count };
  const params: NmsParams = {
    n,
    maxOutput,
    threshold: options.iouThreshold,
    plusOne: options.plusOne ?? 0,
    variant: stageVariant(gpu.plans.device),
  };
  const working = scratch(gpu, nmsScratch(params));
  recordNms<Bindable>(gpu.run.bind(gpu), { ...working.tensors, boxes, scores, indices, count }, params);
  working.dispose();
  for (const result of [indices, count]) onTrace(nmsOperation, [boxes, scores], result, null);
  return { indices, count };
}

/**
 * Spatial pyramid pooling of each RoI (SPP-net, He et al. 2014): max pooling into 6x6, 3x3, 2x2 and 1x1 bins, 50 in all.
 *
 *   x [N,C,H,W], rois [R,5] (image index, x1, y1, x2, y2 in image pixels) -> y [R,C,50], argmax i32 (h*W + w)
 *
 * SPP-net's own rule from the image to cells: counted from 1, a region begins at cell floor(x1 / stride) + 1 and ends at cell
 * ceil(x2 / stride) - 1, so that it keeps the cells whose centres lie well inside. Counted from 0, as here:
 *   first = floor(x1 * scale),  last = ceil(x2 * scale) - 2,  both moved into the map, and last >= first
 * Bin p of n of a span of s cells covers [first + floor(p s / n), first + ceil((p + 1) s / n)); no bin is empty, and
 * neighbouring bins may share cells. The bins of the finest level come first, each level row by row.
 * A bin with NaN gives NaN, and its gradient goes to the last one, as in RoI pooling; RoIs must be finite.
 *
 * The backward pass is that of RoI pooling (`roiPoolBackward`) with 50 bins in a column.
 */
import { DIVIDE_WGSL } from './divide.ts';
import { IEEE_WGSL } from './ieee.ts';
import { blocksOf, kernel } from './kernel.ts';
import {
  CHANNEL_BLOCK,
  everyChannel,
  imageOfRoi,
  LARGEST_OF_BIN_WGSL,
  ROI_IMAGE_WGSL,
  ROI_SHAPE,
  type RoiShape,
} from './rois.ts';

/** Bins along a side, level by level. */
export const PYRAMID_SIDES = [6, 3, 2, 1] as const;
/** Where the bins of each level begin. */
const FIRST_BINS = PYRAMID_SIDES.map((_, level) => PYRAMID_SIDES.slice(0, level).reduce((sum, n) => sum + n * n, 0));
export const PYRAMID_BINS = PYRAMID_SIDES.reduce((sum, n) => sum + n * n, 0);

/** The shape of the result for the kernels of RoI pooling, which count bins by rows and columns. */
export const pyramidShape = <S extends Omit<RoiShape, 'pooledH' | 'pooledW'>>(shape: S) => ({
  ...shape,
  pooledH: PYRAMID_BINS,
  pooledW: 1,
});

/** One invocation per bin and block of channels. `pooledH` is 50 and `pooledW` 1. */
export const pyramidPoolForward = kernel({
  name: 'pyramid_pool_forward',
  buffers: { x: 'read', rois: 'read', y: 'write', argmax: 'write i32' },
  uniforms: ROI_SHAPE,
  each: ['roiCount', blocksOf('channels', CHANNEL_BLOCK), 'pooledH'],
  functions: IEEE_WGSL + DIVIDE_WGSL + ROI_IMAGE_WGSL,
  body: /* wgsl */ `
  let blocks = (u.channels + ${CHANNEL_BLOCK - 1}u) / ${CHANNEL_BLOCK}u;
  let row = divide(i, u.pooledH);
  let bin = i - row * u.pooledH;
  let r = divide(row, blocks);
  let image = image_of(r);
  if (image >= u.images) { return; }
  let channel = (row - r * blocks) * ${CHANNEL_BLOCK}u;
  let count = min(${CHANNEL_BLOCK}u, u.channels - channel);
  var side = ${PYRAMID_SIDES[0]}u;
  var place = bin;
${PYRAMID_SIDES.slice(1)
  .map((n, i) => `  if (bin >= ${FIRST_BINS[i + 1]}u) { side = ${n}u; place = bin - ${FIRST_BINS[i + 1]}u; }`)
  .join('\n')}
  let place_y = divide(place, side);
  let cell = vec2i(i32(place - place_y * side), i32(place_y));
  let size = vec2i(i32(u.width), i32(u.height));
  let corners = vec4f(rois[r * 5u + 1u], rois[r * 5u + 2u], rois[r * 5u + 3u], rois[r * 5u + 4u]) * u.scale;
  let corner = clamp(vec2i(floor(corners.xy)), vec2i(0), size - 1);
  let span = clamp(vec2i(ceil(corners.zw)) - 2, corner, size - 1) - corner + 1;
  let n = i32(side);
  let start = corner + (cell * span) / n;
  let end = corner + ((cell + 1) * span + n - 1) / n;
  let plane = u.width * u.height;
  let base = (image * u.channels + channel) * plane;
  let first = start.y * size.x + start.x;${LARGEST_OF_BIN_WGSL}
  let to = (r * u.channels + channel) * u.pooledH + bin;
${everyChannel(
  (k) => `  if (${k}u < count) {
    y[to + ${k}u * u.pooledH] = largest${k};
    argmax[to + ${k}u * u.pooledH] = where${k};
  }`,
)}`,
});

/** The cells [start, end) of bin `p` of `bins` along one axis of a region, on a map of `length` cells. */
export function pyramidRange(
  from: number,
  to: number,
  scale: number,
  bins: number,
  p: number,
  length: number,
): [number, number] {
  const clip = (cell: number, least: number) => Math.min(Math.max(cell, least), length - 1);
  const first = clip(Math.floor(Math.fround(from * scale)), 0);
  const span = clip(Math.ceil(Math.fround(to * scale)) - 2, first) - first + 1;
  return [first + Math.floor((p * span) / bins), first + Math.ceil(((p + 1) * span) / bins)];
}

/** x [N,C,H,W], rois [R,5] -> y [R,C,50] and argmax; 0 and -1 for RoIs of other maps. */
export function pyramidPoolReference(
  x: Float64Array,
  rois: Float64Array,
  shape: Omit<RoiShape, 'pooledH' | 'pooledW'>,
): { y: Float64Array; argmax: Int32Array } {
  const { channels, height, width, roiCount, scale } = shape;
  const y = new Float64Array(roiCount * channels * PYRAMID_BINS);
  const argmax = new Int32Array(y.length).fill(-1);
  for (let r = 0; r < roiCount; r++) {
    const image = imageOfRoi(rois, r, shape);
    if (image < 0) continue;
    const [x1, y1, x2, y2] = rois.subarray(5 * r + 1, 5 * r + 5) as unknown as [number, number, number, number];
    PYRAMID_SIDES.forEach((side, level) => {
      for (let p = 0; p < side * side; p++) {
        const [top, bottom] = pyramidRange(y1, y2, scale, side, Math.floor(p / side), height);
        const [left, right] = pyramidRange(x1, x2, scale, side, p % side, width);
        for (let c = 0; c < channels; c++) {
          const i = (r * channels + c) * PYRAMID_BINS + FIRST_BINS[level]! + p;
          const base = (image * channels + c) * height * width;
          for (let h = top; h < bottom; h++) {
            for (let w = left; w < right; w++) {
              const value = x[base + h * width + w]!;
              if (argmax[i] !== -1 && !(value > y[i]!) && !Number.isNaN(value)) continue;
              y[i] = value;
              argmax[i] = h * width + w;
            }
          }
        }
      }
    });
  }
  return { y, argmax };
}

/**
 * RoI max pooling (Fast R-CNN, section 2.1), with the rounding of Caffe's roi_pooling_layer.cpp.
 *
 *   x [N,C,H,W], rois [R,5] (image index, x1, y1, x2, y2 in image pixels) -> y [R,C,PH,PW], argmax i32 (h*W + w; -1: empty bin)
 *
 *   first = round(x1 * scale), last = round(x2 * scale), rounding half away from zero (WGSL's round takes half to even)
 *   span = max(last - first + 1, 1);  bin = span / PW as a float32;  column p covers
 *   [first + floor(p * bin), first + ceil((p + 1) * bin)), cut off at the map; neighbouring bins may share cells
 *   A bin with NaN gives NaN, and its gradient goes to the last one, as in max pooling; an empty bin gives 0
 *
 * A bin often ends exactly on an integer, so one wrong last bit of `bin` moves its end by a cell. WGSL's division may be wrong in
 * the last bits; therefore `bin_size` divides integers and rounds to float32 itself. PH and PW are at most MAX_BINS; RoIs must be
 * finite.
 *
 * The backward pass gathers, without atomics: every cell of dx (assigned) has one owner, which adds dy of the bins whose
 * argmax it is in the order of RoIs and bins.
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

/** The most bins along an axis: `bin_size` divides numbers below 2^31. */
export const MAX_BINS = 255;

const ROI_WGSL = /* wgsl */ `${DIVIDE_WGSL}${ROI_IMAGE_WGSL}
// Half away from zero. The comparison, rather than a subtraction, leaves nothing for the compiler to fuse.
fn round_away(x: f32) -> i32 {
  let size = min(abs(x), 4194304.0);
  let whole = floor(size);
  let rounded = i32(select(whole, whole + 1.0, size >= whole + 0.5));
  return select(rounded, -rounded, x < 0.0);
}
// span / bins to the nearest float32, half to even.
fn bin_size(span: u32, bins: u32) -> f32 {
  let shift = 23u + firstLeadingBit(bins) - firstLeadingBit(span);
  var quotient = divide(span << shift, bins);
  var rest = (span << shift) - quotient * bins;
  var exponent = 150u - shift;
  if (quotient < 0x800000u) { // one bit short: the next one of the long division
    let one = u32(2u * rest >= bins);
    quotient = 2u * quotient + one;
    rest = 2u * rest - one * bins;
    exponent--;
  }
  let up = 2u * rest > bins || (2u * rest == bins && (quotient & 1u) == 1u);
  return bitcast<f32>(quotient + u32(up) - 0x800000u + (exponent << 23u));
}
struct Roi { first: vec2i, bin: vec2f, span: vec2i }
fn roi_at(r: u32) -> Roi {
  let first = vec2i(round_away(rois[r * 5u + 1u] * u.scale), round_away(rois[r * 5u + 2u] * u.scale));
  let last = vec2i(round_away(rois[r * 5u + 3u] * u.scale), round_away(rois[r * 5u + 4u] * u.scale));
  let span = max(last - first + 1, vec2i(1));
  return Roi(first, vec2f(bin_size(u32(span.x), u.pooledW), bin_size(u32(span.y), u.pooledH)), span);
}
`;

/** One invocation per bin and block of channels. */
export const roiPoolForward = kernel({
  name: 'roi_pool_forward',
  buffers: { x: 'read', rois: 'read', y: 'write', argmax: 'write i32' },
  uniforms: ROI_SHAPE,
  each: ['roiCount', blocksOf('channels', CHANNEL_BLOCK), 'pooledH', 'pooledW'],
  functions: IEEE_WGSL + ROI_WGSL,
  body: /* wgsl */ `
  let blocks = (u.channels + ${CHANNEL_BLOCK - 1}u) / ${CHANNEL_BLOCK}u;
  let bins = u.pooledW * u.pooledH;
  let row = divide(i, bins);
  let bin = i - row * bins;
  let r = divide(row, blocks);
  let image = image_of(r);
  if (image >= u.images) { return; }
  let channel = (row - r * blocks) * ${CHANNEL_BLOCK}u;
  let count = min(${CHANNEL_BLOCK}u, u.channels - channel);
  let bin_y = divide(bin, u.pooledW);
  let cell = vec2f(f32(bin - bin_y * u.pooledW), f32(bin_y));
  let roi = roi_at(r);
  let size = vec2i(i32(u.width), i32(u.height));
  let start = clamp(roi.first + vec2i(floor(cell * roi.bin)), vec2i(0), size);
  let end = clamp(roi.first + vec2i(ceil((cell + 1.0) * roi.bin)), vec2i(0), size);
  let plane = u.width * u.height;
  let base = (image * u.channels + channel) * plane;
  let empty = any(end <= start);
  let first = select(start.y * size.x + start.x, 0, empty);${LARGEST_OF_BIN_WGSL}
  let to = (r * u.channels + channel) * bins + bin;
${everyChannel(
  (k) => `  if (${k}u < count) {
    y[to + ${k}u * bins] = select(largest${k}, 0.0, empty);
    argmax[to + ${k}u * bins] = select(where${k}, -1, empty);
  }`,
)}`,
});

/**
 * One invocation owns `1/bands` of the rows of a channel's plane: it clears them, then walks the bins of every RoI in order
 * and takes those whose maximum lies in its rows. Nothing is shared, so nothing needs to be atomic. Every band reads the whole
 * argmax of its channel: one band is the least work, more bands occupy more lanes.
 */
export const roiPoolBackward = kernel({
  name: 'roi_pool_backward',
  buffers: { dy: 'read', argmax: 'read i32', rois: 'read', dx: 'write' },
  uniforms: { bands: 'u32', ...ROI_SHAPE },
  each: ['images', 'channels', 'bands'],
  lanes: 32,
  functions: ROI_IMAGE_WGSL,
  body: /* wgsl */ `
  let channel = i % u.channels;
  let band = (i / u.channels) % u.bands;
  let image = i / (u.channels * u.bands);
  let rows = (u.height + u.bands - 1u) / u.bands;
  let first = i32(min(band * rows, u.height) * u.width);
  let last = i32(min((band + 1u) * rows, u.height) * u.width);
  let base = i32((image * u.channels + channel) * u.height * u.width);
  for (var cell = first; cell < last; cell++) { dx[base + cell] = 0.0; }
  let bins = u.pooledH * u.pooledW;
  for (var r = 0u; r < u.roiCount; r++) {
    if (image_of(r) != image) { continue; }
    let from_bin = (r * u.channels + channel) * bins;
    for (var at = from_bin; at < from_bin + bins; at++) {
      let cell = argmax[at];
      if (cell >= first && cell < last) { dx[base + cell] += dy[at]; }
    }
  }`,
});

/** Bands of `roiPoolBackward`: enough lanes for a GPU, the least work for a software adapter. */
export const roiPoolBands = (channels: number, height: number, software: boolean): number =>
  software ? 1 : Math.max(1, Math.min(height, Math.ceil(16384 / channels)));

/** C's round: half away from zero. */
const roundAway = (x: number) => Math.sign(x) * Math.floor(Math.abs(x) + 0.5);

/** The cells of one bin along one axis: Caffe's arithmetic, in float32 where Caffe uses it. */
export function binRange(
  from: number,
  to: number,
  scale: number,
  bins: number,
  p: number,
  length: number,
): [number, number] {
  const first = roundAway(Math.fround(from * scale));
  const span = Math.max(roundAway(Math.fround(to * scale)) - first + 1, 1);
  const bin = Math.fround(span / bins);
  const clip = (cell: number) => Math.min(Math.max(cell, 0), length);
  return [clip(first + Math.floor(Math.fround(p * bin))), clip(first + Math.ceil(Math.fround((p + 1) * bin)))];
}

/** x [N,C,H,W], rois [R,5] -> y [R,C,PH,PW] and argmax; 0 and -1 for RoIs of other maps. */
export function roiPoolReference(
  x: Float64Array,
  rois: Float64Array,
  shape: RoiShape,
): { y: Float64Array; argmax: Int32Array } {
  const { channels, height, width, roiCount, pooledH, pooledW, scale } = shape;
  const y = new Float64Array(roiCount * channels * pooledH * pooledW);
  const argmax = new Int32Array(y.length).fill(-1);
  for (let r = 0; r < roiCount; r++) {
    const image = imageOfRoi(rois, r, shape);
    if (image < 0) continue;
    for (let ph = 0; ph < pooledH; ph++)
      for (let pw = 0; pw < pooledW; pw++) {
        const [top, bottom] = binRange(rois[r * 5 + 2]!, rois[r * 5 + 4]!, scale, pooledH, ph, height);
        const [left, right] = binRange(rois[r * 5 + 1]!, rois[r * 5 + 3]!, scale, pooledW, pw, width);
        for (let c = 0; c < channels; c++) {
          const i = ((r * channels + c) * pooledH + ph) * pooledW + pw;
          const base = (image * channels + c) * height * width;
          for (let h = top; h < bottom; h++)
            for (let w = left; w < right; w++) {
              const value = x[base + h * width + w]!;
              if (argmax[i] === -1 || value > y[i]! || Number.isNaN(value)) {
                y[i] = value;
                argmax[i] = h * width + w;
              }
            }
        }
      }
  }
  return { y, argmax };
}

/** dy and argmax [R,C,PH,PW] -> dx [N,C,H,W]. */
export function roiPoolBackwardReference(
  dy: Float64Array,
  argmax: Int32Array,
  rois: Float64Array,
  shape: RoiShape,
): Float64Array {
  const { images, channels, height, width, roiCount, pooledH, pooledW } = shape;
  const dx = new Float64Array(images * channels * height * width);
  const bins = pooledH * pooledW;
  for (let r = 0; r < roiCount; r++) {
    const image = imageOfRoi(rois, r, shape);
    for (let c = 0; c < channels; c++)
      for (let b = 0; b < bins; b++) {
        const i = (r * channels + c) * bins + b;
        if (image >= 0 && argmax[i]! >= 0) dx[(image * channels + c) * height * width + argmax[i]!]! += dy[i]!;
      }
  }
  return dx;
}

/**
 * RoI warping (Dai, He, Sun: Instance-aware Semantic Segmentation via Multi-task Network Cascades, 2016, section 3.2): each
 * RoI of the map is resampled to PH x PW, differentiable in the map and in the RoI. It makes joint training of the RPN and
 * the detector exact ("non-approximate joint training", Faster R-CNN section 3.2). The sampling is that of its authors'
 * Caffe layer.
 *
 *   x [N,C,H,W], rois [R,5] (image index, x1, y1, x2, y2 in image pixels) -> y [R,C,PH,PW]
 *
 *   sx = scale * (x1 + (x2 - x1) * p / PW),  p = 0..PW-1     one sample a bin, at its left end; no + 1
 *   value = sum over cells v, u of k(sy - v) k(sx - u) x[v,u],  k(a) = max(0, 1 - |a|)     (bilinear)
 *   samples off the map are moved to its border within half a cell (down to -1/2, up to W - 1/2); farther out they give 0
 *
 *   d value / d x1 = scale * (1 - p/PW) * d value / d sx,   d value / d x2 = scale * (p/PW) * d value / d sx
 *   d value / d sx = difference of the two columns around sx (the right-hand one at a cell's centre), 0 where sx <= 0 or
 *   sx >= W - 1, where moving the sample does not change it
 *
 * Both backward passes gather: over RoIs in order for dx, by a tree of fixed shape for drois; outputs are assigned. The
 * image index has no gradient (column 0 of drois is 0).
 */
import { blocksOf, kernel } from './kernel.ts';
import {
  CELL_BLOCK_WGSL,
  CHANNEL_BLOCK,
  everyChannel,
  imageOfRoi,
  ROI_IMAGE_WGSL,
  ROI_SHAPE,
  type RoiShape,
} from './rois.ts';

const SAMPLE_WGSL = /* wgsl */ `${ROI_IMAGE_WGSL}
// Where a sample lies along one axis of length n: two cells, the weight of the second, whether it is on the map, and the
// factor of its derivative.
struct Sample { low: u32, high: u32, weight: f32, inside: bool, slope: f32 }
fn sample_at(s: f32, n: u32) -> Sample {
  let last = f32(n - 1u);
  let inside = s >= -0.5 && s <= last + 0.5;
  let c = clamp(s, 0.0, last);
  let low = u32(c);
  return Sample(low, min(low + 1u, n - 1u), c - floor(c), inside, select(0.0, 1.0, inside && s > 0.0 && s < last));
}
// p / bins. A division may be wrong by 2.5 units in the last place; one step of Newton's takes the error away.
fn fraction(p: u32, bins: u32) -> f32 {
  let quotient = f32(p) / f32(bins);
  return fma(fma(-quotient, f32(bins), f32(p)), 1.0 / f32(bins), quotient);
}
fn sample_point(from_px: f32, to_px: f32, p: u32, bins: u32) -> f32 {
  return u.scale * (from_px + (to_px - from_px) * fraction(p, bins));
}
`;

export const roiWarpForward = kernel({
  name: 'roi_warp_forward',
  buffers: { x: 'read', rois: 'read', y: 'write' },
  uniforms: ROI_SHAPE,
  each: ['roiCount', 'channels', 'pooledH', 'pooledW'],
  functions: SAMPLE_WGSL,
  body: /* wgsl */ `
  let plane = i / (u.pooledW * u.pooledH);
  let r = plane / u.channels * 5u;
  let image = image_of(plane / u.channels);
  if (image >= u.images) { return; }
  let h = sample_at(sample_point(rois[r + 2u], rois[r + 4u], (i / u.pooledW) % u.pooledH, u.pooledH), u.height);
  let w = sample_at(sample_point(rois[r + 1u], rois[r + 3u], i % u.pooledW, u.pooledW), u.width);
  var value = 0.0;
  if (h.inside && w.inside) {
    let base = (image * u.channels + plane % u.channels) * u.height * u.width;
    let top = mix(x[base + h.low * u.width + w.low], x[base + h.low * u.width + w.high], w.weight);
    let bottom = mix(x[base + h.high * u.width + w.low], x[base + h.high * u.width + w.high], w.weight);
    value = mix(top, bottom, h.weight);
  }
  y[i] = value;`,
});

/** dx [N,C,H,W]: one invocation per cell and block of 8 channels. */
export const roiWarpBackwardInput = kernel({
  name: 'roi_warp_backward_input',
  buffers: { dy: 'read', rois: 'read', dx: 'write' },
  uniforms: ROI_SHAPE,
  each: ['images', blocksOf('channels', CHANNEL_BLOCK), 'height', 'width'],
  functions: /* wgsl */ `${SAMPLE_WGSL}
// The weight of cell 'at' in a sample.
fn share(s: Sample, at: u32) -> f32 {
  if (!s.inside) { return 0.0; }
  return select(0.0, 1.0 - s.weight, s.low == at) + select(0.0, s.weight, s.high == at);
}
// Whether no sample between the first and the last comes within one cell of cell 'at'.
fn misses(from_px: f32, to_px: f32, bins: u32, at: u32) -> bool {
  let first = sample_point(from_px, to_px, 0u, bins);
  let last = sample_point(from_px, to_px, bins - 1u, bins);
  return f32(at) < min(first, last) - 1.0 || f32(at) > max(first, last) + 1.0;
}
`,
  body: /* wgsl */ `${CELL_BLOCK_WGSL}
  let bins = u.pooledH * u.pooledW;
${everyChannel((k) => `  var sum${k} = 0.0;`)}
  for (var r = 0u; r < u.roiCount; r++) {
    if (image_of(r) != image) { continue; }
    if (misses(rois[r * 5u + 2u], rois[r * 5u + 4u], u.pooledH, h) || misses(rois[r * 5u + 1u], rois[r * 5u + 3u], u.pooledW, w)) { continue; }
    for (var ph = 0u; ph < u.pooledH; ph++) {
      let share_h = share(sample_at(sample_point(rois[r * 5u + 2u], rois[r * 5u + 4u], ph, u.pooledH), u.height), h);
      if (share_h == 0.0) { continue; }
      for (var pw = 0u; pw < u.pooledW; pw++) {
        let share_w = share(sample_at(sample_point(rois[r * 5u + 1u], rois[r * 5u + 3u], pw, u.pooledW), u.width), w);
        if (share_w == 0.0) { continue; }
        let weight = share_h * share_w;
        let at = (r * u.channels + channel) * bins + ph * u.pooledW + pw;
${everyChannel((k) => `        if (${k}u < count) { sum${k} += weight * dy[at + ${k}u * bins]; }`)}
      }
    }
  }
  let base = (image * u.channels + channel) * cells + h * u.width + w;
${everyChannel((k) => `  if (${k}u < count) { dx[base + ${k}u * cells] = sum${k}; }`)}`,
});

/** drois [R,5]: one workgroup per RoI. */
export const roiWarpBackwardRois = kernel({
  name: 'roi_warp_backward_rois',
  buffers: { dy: 'read', x: 'read', rois: 'read', drois: 'write' },
  uniforms: ROI_SHAPE,
  eachWorkgroup: 'roiCount',
  lanes: 256,
  functions: /* wgsl */ `${SAMPLE_WGSL}
var<workgroup> partial: array<vec4f, 256>;`,
  body: /* wgsl */ `
  let r = item * 5u;
  let image = image_of(item);
  if (image >= u.images) { return; }
  let bins = u.pooledH * u.pooledW;
  var sum = vec4f(0.0);
  for (var i = lane; i < u.channels * bins; i += 256u) {
    let ph = (i / u.pooledW) % u.pooledH;
    let pw = i % u.pooledW;
    let h = sample_at(sample_point(rois[r + 2u], rois[r + 4u], ph, u.pooledH), u.height);
    let w = sample_at(sample_point(rois[r + 1u], rois[r + 3u], pw, u.pooledW), u.width);
    if (!h.inside || !w.inside) { continue; }
    let base = (image * u.channels + i / bins) * u.height * u.width;
    let a = x[base + h.low * u.width + w.low];
    let b = x[base + h.low * u.width + w.high];
    let c = x[base + h.high * u.width + w.low];
    let d = x[base + h.high * u.width + w.high];
    let g = dy[item * u.channels * bins + i] * u.scale;
    let along_w = g * w.slope * mix(b - a, d - c, h.weight);
    let along_h = g * h.slope * mix(c - a, d - b, w.weight);
    let far = vec2f(fraction(pw, u.pooledW), fraction(ph, u.pooledH));
    let near = 1.0 - far;
    sum += vec4f(along_w * near.x, along_h * near.y, along_w * far.x, along_h * far.y);
  }
  partial[lane] = sum;
  for (var half = 128u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if (lane < half) { partial[lane] += partial[lane + half]; }
  }
  if (lane == 0u) {
    drois[r] = 0.0;
    for (var k = 0u; k < 4u; k++) { drois[r + 1u + k] = partial[0][k]; }
  }`,
});

/** One axis of a sample: the point, its two cells, the weight of the second, and whether it moves when the RoI does. */
function sampleAt(from: number, to: number, p: number, bins: number, scale: number, length: number) {
  const s = scale * (from + ((to - from) * p) / bins);
  const clamped = Math.min(Math.max(s, 0), length - 1);
  const low = Math.floor(clamped);
  return {
    inside: s >= -0.5 && s <= length - 0.5,
    low,
    high: Math.min(low + 1, length - 1),
    weight: clamped - low,
    slope: s > 0 && s < length - 1 ? scale : 0,
    far: p / bins,
  };
}

/** Calls `visit` for every output: its index, the plane of x it reads, and its samples along h and w (both on the map). */
function eachSample(
  rois: Float64Array,
  shape: RoiShape,
  visit: (i: number, plane: number, h: ReturnType<typeof sampleAt>, w: ReturnType<typeof sampleAt>, r: number) => void,
): void {
  const { channels, height, width, roiCount, pooledH, pooledW, scale } = shape;
  for (let r = 0; r < roiCount; r++) {
    const image = imageOfRoi(rois, r, shape);
    if (image < 0) continue;
    for (let c = 0; c < channels; c++)
      for (let ph = 0; ph < pooledH; ph++)
        for (let pw = 0; pw < pooledW; pw++) {
          const h = sampleAt(rois[r * 5 + 2]!, rois[r * 5 + 4]!, ph, pooledH, scale, height);
          const w = sampleAt(rois[r * 5 + 1]!, rois[r * 5 + 3]!, pw, pooledW, scale, width);
          const plane = (image * channels + c) * height * width;
          if (h.inside && w.inside) visit(((r * channels + c) * pooledH + ph) * pooledW + pw, plane, h, w, r);
        }
  }
}

/** x [N,C,H,W], rois [R,5] -> y [R,C,PH,PW]. */
export function roiWarpReference(x: Float64Array, rois: Float64Array, shape: RoiShape): Float64Array {
  const { channels, width, roiCount, pooledH, pooledW } = shape;
  const y = new Float64Array(roiCount * channels * pooledH * pooledW);
  eachSample(rois, shape, (i, plane, h, w) => {
    const row = (v: number) =>
      (1 - w.weight) * x[plane + v * width + w.low]! + w.weight * x[plane + v * width + w.high]!;
    y[i] = (1 - h.weight) * row(h.low) + h.weight * row(h.high);
  });
  return y;
}

/** Gradients of sum(dy * y) with respect to x and rois. */
export function roiWarpBackwardReference(
  dy: Float64Array,
  x: Float64Array,
  rois: Float64Array,
  shape: RoiShape,
): { dx: Float64Array; drois: Float64Array } {
  const { width } = shape;
  const dx = new Float64Array(x.length);
  const drois = new Float64Array(rois.length);
  eachSample(rois, shape, (i, plane, h, w, r) => {
    const corners = [
      [h.low, 1 - h.weight, -1],
      [h.high, h.weight, 1],
    ] as const;
    for (const [v, shareH, signH] of corners)
      for (const [u, shareW, signW] of [
        [w.low, 1 - w.weight, -1],
        [w.high, w.weight, 1],
      ] as const) {
        const at = plane + v * width + u;
        dx[at]! += dy[i]! * shareH * shareW;
        const alongW = dy[i]! * w.slope * signW * shareH * x[at]!;
        const alongH = dy[i]! * h.slope * signH * shareW * x[at]!;
        drois[r * 5 + 1]! += alongW * (1 - w.far);
        drois[r * 5 + 2]! += alongH * (1 - h.far);
        drois[r * 5 + 3]! += alongW * w.far;
        drois[r * 5 + 4]! += alongH * h.far;
      }
  });
  return { dx, drois };
}

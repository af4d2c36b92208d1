/**
 * RoIAlign (He, Gkioxari, Dollar, Girshick: Mask R-CNN, 2017, section 3) on one map or on the levels of a feature pyramid
 * (Lin et al. 2017), as torchvision has it (ops/roi_align.py, ops/poolers.py).
 *
 *   x0, x1, ... [N,C,H_k,W_k], rois [R,5] (image index, x1, y1, x2, y2 in image pixels) -> y [R,C,PH,PW]
 *
 *   level    the number of bounds that the RoI's area (x2 - x1)(y2 - y1) reaches: equation 1 of the paper on pyramids,
 *            floor(4 + log2(sqrt(area) / 224)), written as bounds so that no logarithm has to be exact
 *   start    scale * x1 - offset,  length = scale * x2 - offset - start;  offset 1/2 where `aligned`, else 0 and length >= 1
 *   bin p    G samples at start + (p + (g + 1/2) / G) length / PW, G = `sampling`, or ceil(length / PW) where that is 0
 *   sample   bilinear between cell centres 0, 1, ...; 0 below -1 and above H, moved to the border between
 *   y        the mean of the samples of a bin
 *
 * The weight of a cell in a bin is a product of one factor for each axis. The backward pass gathers: each cell adds the bins
 * of the RoIs that touch its row, in the order of the RoIs, so that it gives the same bits every time. The RoIs get no gradient.
 */
import { blocksOf, kernel, memoize } from './kernel.ts';
import { CELL_BLOCK_WGSL, CHANNEL_BLOCK, everyChannel, imageOfRoi, ROI_IMAGE_WGSL } from './rois.ts';
import { range } from './text.ts';

/** One map that RoIs are cut out of; `scale` is in cells per pixel of the image. */
export interface RoiLevel {
  height: number;
  width: number;
  scale: number;
}

export interface RoiAlignShape {
  images: number;
  /** As in RoiShape (rois.ts). */
  firstImage: number;
  channels: number;
  roiCount: number;
  pooledH: number;
  pooledW: number;
  /** Samples of a bin along each axis; 0: as many as the bin has cells. */
  sampling: number;
  aligned: boolean;
  levels: readonly RoiLevel[];
  /** Area in square pixels from which on a RoI belongs to level k + 1 or above; one fewer than there are levels. */
  bounds: readonly number[];
}

/** Levels that one dispatch binds beside the RoIs and the result; WebGPU guarantees eight buffers. */
export const MAX_ROI_LEVELS = 6;

/**
 * The areas at which RoIs change from a level to the next, for strides from 2^first to 2^last: equation 1 of the paper on
 * feature pyramids with k0 = 4 and 224 pixels, and the 1e-6 that torchvision adds to the logarithm.
 */
export const levelBounds = (first: number, last: number): number[] =>
  range(last - first).map((k) => (224 * 2 ** (first + k + 1 - 4 - 1e-6)) ** 2);

const AXIS_WGSL = (aligned: boolean) => /* wgsl */ `
// mix, which some devices compute as a + (b - a) t: NaN for two infinities.
fn between(a: f32, b: f32, t: f32) -> f32 { return a * (1.0 - t) + b * t; }
// Where a sample lies along an axis of n cells: two cells and the weight of the second.
struct Sample { low: u32, high: u32, weight: f32, inside: bool }
fn sample_at(s: f32, n: u32) -> Sample {
  let c = clamp(s, 0.0, f32(n - 1u));
  let low = u32(c);
  return Sample(low, min(low + 1u, n - 1u), c - f32(low), s >= -1.0 && s <= f32(n));
}
// A RoI along an axis: where it starts, the length of a bin, and the samples of a bin.
struct Span { start: f32, bin: f32, samples: u32 }
fn span_of(from_px: f32, to_px: f32, scale: f32, bins: u32) -> Span {
  let start = from_px * scale${aligned ? ' - 0.5' : ''};
  let length = ${aligned ? 'to_px * scale - 0.5 - start' : 'max(to_px * scale - start, 1.0)'};
  let bin = length / f32(bins);
  return Span(start, bin, select(u.sampling, u32(max(ceil(bin), 0.0)), u.sampling == 0u));
}
fn sample_point(s: Span, p: u32, g: u32) -> f32 {
  return s.start + f32(p) * s.bin + (f32(g) + 0.5) * s.bin / f32(s.samples);
}
`;

const LEVEL_WGSL = (bounds: number) => /* wgsl */ `${ROI_IMAGE_WGSL}fn level_of(r: u32) -> u32 {
  let area = (rois[r + 3u] - rois[r + 1u]) * (rois[r + 4u] - rois[r + 2u]);
  return ${['0u', ...range(bounds).map((k) => `u32(area >= u.bound${k})`)].join(' + ')};
}
`;

const numbered = <T>(names: readonly string[], count: number, type: T): Record<string, T> =>
  Object.fromEntries(range(count).flatMap((k) => names.map((name) => [`${name}${k}`, type])));

const SIZES = {
  images: 'u32',
  firstImage: 'u32',
  channels: 'u32',
  roiCount: 'u32',
  pooledH: 'u32',
  pooledW: 'u32',
  sampling: 'u32',
} as const;

/** Buffers x0, x1, ..., rois, y. One invocation per bin and block of 8 channels. */
export const roiAlignForward = memoize((levels: number, aligned: boolean) =>
  kernel<string, string>({
    name: `roi_align_forward_${levels}`,
    buffers: { ...numbered(['x'], levels, 'read' as const), rois: 'read', y: 'write' },
    uniforms: {
      ...SIZES,
      ...numbered(['height', 'width'], levels, 'u32' as const),
      ...numbered(['scale'], levels, 'f32' as const),
      ...numbered(['bound'], levels - 1, 'f32' as const),
    },
    each: ['roiCount', blocksOf('channels', CHANNEL_BLOCK), 'pooledH', 'pooledW'],
    functions: AXIS_WGSL(aligned) + LEVEL_WGSL(levels - 1),
    body: /* wgsl */ `
  let bins = u.pooledH * u.pooledW;
  let blocks = (u.channels + ${CHANNEL_BLOCK - 1}u) / ${CHANNEL_BLOCK}u;
  let ph = (i / u.pooledW) % u.pooledH;
  let pw = i % u.pooledW;
  let channel = ((i / bins) % blocks) * ${CHANNEL_BLOCK}u;
  let roi = i / (bins * blocks);
  let count = min(${CHANNEL_BLOCK}u, u.channels - channel);
  let image = image_of(roi);
  if (image >= u.images) { return; }
  let r = roi * 5u;
  let level = level_of(r);
  var samples = 1.0;
${everyChannel((k) => `  var sum${k} = 0.0;`)}
${range(levels)
  .map(
    (level) => /* wgsl */ `  if (level == ${level}u) {
    let rows = span_of(rois[r + 2u], rois[r + 4u], u.scale${level}, u.pooledH);
    let columns = span_of(rois[r + 1u], rois[r + 3u], u.scale${level}, u.pooledW);
    samples = f32(max(rows.samples * columns.samples, 1u));
    let plane = u.height${level} * u.width${level};
    let base = (image * u.channels + channel) * plane;
    for (var gh = 0u; gh < rows.samples; gh++) {
      let h = sample_at(sample_point(rows, ph, gh), u.height${level});
      if (!h.inside) { continue; }
      for (var gw = 0u; gw < columns.samples; gw++) {
        let w = sample_at(sample_point(columns, pw, gw), u.width${level});
        if (!w.inside) { continue; }
        let a = base + h.low * u.width${level} + w.low;
        let b = base + h.low * u.width${level} + w.high;
        let c = base + h.high * u.width${level} + w.low;
        let d = base + h.high * u.width${level} + w.high;
${everyChannel(
  (k) =>
    `        if (${k}u < count) { sum${k} += between(between(x${level}[a + ${k}u * plane], x${level}[b + ${k}u * plane], w.weight), between(x${level}[c + ${k}u * plane], x${level}[d + ${k}u * plane], w.weight), h.weight); }`,
)}
      }
    }
  }`,
  )
  .join('\n')}
  let to = (roi * u.channels + channel) * bins + ph * u.pooledW + pw;
${everyChannel((k) => `  if (${k}u < count) { y[to + ${k}u * bins] = sum${k} / samples; }`)}`,
  }),
);

const LEVEL_UNIFORMS = (bounds: number) => ({
  level: 'u32' as const,
  height: 'u32' as const,
  width: 'u32' as const,
  scale: 'f32' as const,
  ...numbered(['bound'], bounds, 'f32' as const),
});

/**
 * For each row of each image's map of one level, the RoIs with a sample that reads it: rows u32 [N, H, 1 + R] holds their
 * number and then their indices, ascending.
 */
export const roiAlignRows = memoize((bounds: number, aligned: boolean) =>
  kernel<string, string>({
    name: `roi_align_rows_${bounds}`,
    buffers: { rois: 'read', rows: 'write u32' },
    uniforms: {
      images: 'u32',
      firstImage: 'u32',
      roiCount: 'u32',
      pooledH: 'u32',
      sampling: 'u32',
      ...LEVEL_UNIFORMS(bounds),
    },
    each: ['images', 'height'],
    functions: AXIS_WGSL(aligned) + LEVEL_WGSL(bounds),
    body: /* wgsl */ `
  let image = i / u.height;
  let row = i % u.height;
  let list = i * (u.roiCount + 1u);
  var found = 0u;
  for (var r = 0u; r < u.roiCount; r++) {
    if (image_of(r) != image || level_of(r * 5u) != u.level) { continue; }
    let span = span_of(rois[r * 5u + 2u], rois[r * 5u + 4u], u.scale, u.pooledH);
    if (span.samples == 0u) { continue; }
    let first = sample_at(sample_point(span, 0u, 0u), u.height);
    let last = sample_at(sample_point(span, u.pooledH - 1u, span.samples - 1u), u.height);
    if (row < min(first.low, last.low) || row > max(first.high, last.high)) { continue; }
    found++;
    rows[list + found] = r;
  }
  rows[list] = found;`,
  }),
);

/** dx [N,C,H,W] of one level: one invocation per cell and block of 8 channels. */
export const roiAlignBackward = memoize((bounds: number, aligned: boolean) =>
  kernel<string, string>({
    name: `roi_align_backward_${bounds}`,
    buffers: { dy: 'read', rois: 'read', rows: 'read u32', dx: 'write' },
    uniforms: { ...SIZES, ...LEVEL_UNIFORMS(bounds) },
    each: ['images', blocksOf('channels', CHANNEL_BLOCK), 'height', 'width'],
    functions: /* wgsl */ `${AXIS_WGSL(aligned)}
// The weight of cell 'at' of n in bin p, times the number of samples.
fn share(span: Span, p: u32, at: u32, n: u32) -> f32 {
  var sum = 0.0;
  for (var g = 0u; g < span.samples; g++) {
    let s = sample_at(sample_point(span, p, g), n);
    if (s.inside) { sum += select(0.0, 1.0 - s.weight, s.low == at) + select(0.0, s.weight, s.high == at); }
  }
  return sum;
}
`,
    body: /* wgsl */ `${CELL_BLOCK_WGSL}
  let bins = u.pooledH * u.pooledW;
${everyChannel((k) => `  var sum${k} = 0.0;`)}
  let list = (image * u.height + h) * (u.roiCount + 1u);
  for (var k = 1u; k <= rows[list]; k++) {
    let roi = rows[list + k];
    let r = roi * 5u;
    let across = span_of(rois[r + 1u], rois[r + 3u], u.scale, u.pooledW);
    if (across.samples == 0u) { continue; }
    let first = sample_at(sample_point(across, 0u, 0u), u.width);
    let last = sample_at(sample_point(across, u.pooledW - 1u, across.samples - 1u), u.width);
    if (w < min(first.low, last.low) || w > max(first.high, last.high)) { continue; }
    let down = span_of(rois[r + 2u], rois[r + 4u], u.scale, u.pooledH);
    let samples = f32(down.samples * across.samples);
    for (var ph = 0u; ph < u.pooledH; ph++) {
      let share_h = share(down, ph, h, u.height) / samples;
      if (share_h == 0.0) { continue; }
      for (var pw = 0u; pw < u.pooledW; pw++) {
        let weight = share_h * share(across, pw, w, u.width);
        if (weight == 0.0) { continue; }
        let at = (roi * u.channels + channel) * bins + ph * u.pooledW + pw;
${everyChannel((k) => `        if (${k}u < count) { sum${k} += weight * dy[at + ${k}u * bins]; }`)}
      }
    }
  }
  let base = (image * u.channels + channel) * cells + h * u.width + w;
${everyChannel((k) => `  if (${k}u < count) { dx[base + ${k}u * cells] = sum${k}; }`)}`,
  }),
);

/** The uniforms of the forward pass, of the lists of rows and of the backward pass of level `level`. */
export const roiAlignUniforms = ({ levels, bounds, aligned: _, ...sizes }: RoiAlignShape) => {
  const area = Object.fromEntries(bounds.map((bound, k) => [`bound${k}`, bound]));
  return {
    forward: {
      ...sizes,
      ...area,
      ...Object.fromEntries(
        levels.flatMap((level, k) => Object.entries(level).map(([name, value]) => [`${name}${k}`, value as number])),
      ),
    },
    backward: (level: number) => ({ ...sizes, ...area, level, ...levels[level]! }),
  };
};

type Corners = [x1: number, y1: number, x2: number, y2: number];

/** Where the samples of one bin lie along an axis, in cells. */
function samplePoints(
  from: number,
  to: number,
  scale: number,
  bins: number,
  p: number,
  { sampling, aligned }: RoiAlignShape,
): number[] {
  const offset = aligned ? 0.5 : 0;
  const start = from * scale - offset;
  const whole = to * scale - offset - start;
  const bin = (aligned ? whole : Math.max(whole, 1)) / bins;
  const samples = sampling || Math.max(0, Math.ceil(bin));
  return Array.from({ length: samples }, (_, g) => start + (p + (g + 0.5) / samples) * bin);
}

/** The weights of cells in a bin with these samples: `[cell, weight]`, a cell once for each sample that reads it. */
const cellWeights = (points: readonly number[], length: number): [cell: number, weight: number][] =>
  points.flatMap((s): [number, number][] => {
    if (s < -1 || s > length) return [];
    const at = Math.min(Math.max(s, 0), length - 1);
    const low = Math.floor(at);
    return [
      [low, (1 - (at - low)) / points.length],
      [Math.min(low + 1, length - 1), (at - low) / points.length],
    ];
  });

/** Calls `visit` for every weight: the level, the cell of its map, the bin of y, and the factor of the one in the other. */
function eachWeight(
  rois: Float64Array,
  shape: RoiAlignShape,
  visit: (level: number, cell: number, bin: number, weight: number) => void,
): void {
  const { channels, roiCount, pooledH, pooledW, levels, bounds } = shape;
  for (let r = 0; r < roiCount; r++) {
    const image = imageOfRoi(rois, r, shape);
    if (image < 0) continue;
    const [x1, y1, x2, y2] = rois.subarray(r * 5 + 1, r * 5 + 5) as unknown as Corners;
    const level = bounds.filter((bound) => (x2 - x1) * (y2 - y1) >= bound).length;
    const { height, width, scale } = levels[level]!;
    for (let ph = 0; ph < pooledH; ph++)
      for (let pw = 0; pw < pooledW; pw++)
        for (const [h, weightH] of cellWeights(samplePoints(y1, y2, scale, pooledH, ph, shape), height))
          for (const [w, weightW] of cellWeights(samplePoints(x1, x2, scale, pooledW, pw, shape), width))
            for (let c = 0; c < channels; c++) {
              const cell = ((image * channels + c) * height + h) * width + w;
              visit(level, cell, ((r * channels + c) * pooledH + ph) * pooledW + pw, weightH * weightW);
            }
  }
}

/** Maps [N,C,H,W] by level, rois [R,5] -> y [R,C,PH,PW]. */
export function roiAlignReference(
  maps: readonly Float64Array[],
  rois: Float64Array,
  shape: RoiAlignShape,
): Float64Array {
  const y = new Float64Array(shape.roiCount * shape.channels * shape.pooledH * shape.pooledW);
  eachWeight(rois, shape, (level, cell, bin, weight) => (y[bin]! += weight * maps[level]![cell]!));
  return y;
}

/** The gradients of sum(dy * y) with respect to the maps. */
export function roiAlignBackwardReference(dy: Float64Array, rois: Float64Array, shape: RoiAlignShape): Float64Array[] {
  const { images, channels, levels } = shape;
  const maps = levels.map(({ height, width }) => new Float64Array(images * channels * height * width));
  eachWeight(rois, shape, (level, cell, bin, weight) => (maps[level]![cell]! += weight * dy[bin]!));
  return maps;
}

/** For each row of a level, the RoIs between whose first and last sample it lies, as `roiAlignRows` writes them; zero beyond the count. */
export function roiAlignRowsReference(rois: Float64Array, shape: RoiAlignShape, level: number): Uint32Array {
  const { images, roiCount, pooledH, bounds } = shape;
  const { height, scale } = shape.levels[level]!;
  const rows = new Uint32Array(images * height * (roiCount + 1));
  for (let r = 0; r < roiCount; r++) {
    const image = imageOfRoi(rois, r, shape);
    const [x1, y1, x2, y2] = rois.subarray(r * 5 + 1, r * 5 + 5) as unknown as Corners;
    if (image < 0 || bounds.filter((bound) => (x2 - x1) * (y2 - y1) >= bound).length !== level) continue;
    const points = [
      ...samplePoints(y1, y2, scale, pooledH, 0, shape),
      ...samplePoints(y1, y2, scale, pooledH, pooledH - 1, shape),
    ];
    const cells = points.map((s) => Math.min(Math.max(s, 0), height - 1));
    if (cells.length === 0) continue;
    const [top, bottom] = [
      Math.min(...cells.map(Math.floor)),
      Math.max(...cells.map((s) => Math.min(Math.floor(s) + 1, height - 1))),
    ];
    for (let row = top; row <= bottom; row++) {
      const list = (image * height + row) * (roiCount + 1);
      rows[list + ++rows[list]!] = r;
    }
  }
  return rows;
}

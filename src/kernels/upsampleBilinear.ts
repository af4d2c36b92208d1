/**
 * Bilinear resampling of maps to a given size, and its gradient.
 *
 *   x [planes, h, w] -> y [planes, outH, outW]
 *
 * Row o of the result lies at (o + 1/2) h / outH - 1/2 of x, not above its first row (PyTorch's `interpolate` with
 * align_corners=False), and is mixed of the row at or before that place and the next one. Places are fractions of whole numbers, so
 * no rounding moves a row. The gradient of a cell is the sum over the cells of the result that it was mixed into, row by row.
 */
import { kernel } from './kernel.ts';
import type { UpsampleShape } from './upsampleNearest.ts';

const SIZES = { planes: 'u32', h: 'u32', w: 'u32', outH: 'u32', outW: 'u32' } as const;

/** `source_of(o, size, out)`: the first of the two cells, and the weight of the second. */
const SOURCE_WGSL = /* wgsl */ `
struct Source { first: u32, second: u32, weight: f32 }
fn source_of(o: u32, size: u32, out: u32) -> Source {
  let place = max(i32((2u * o + 1u) * size) - i32(out), 0);
  let first = u32(place) / (2u * out);
  let rest = u32(place) - first * 2u * out;
  return Source(first, min(first + 1u, size - 1u), f32(rest) / f32(2u * out));
}
`;

export const upsampleBilinear = kernel({
  name: 'upsample_bilinear',
  buffers: { x: 'read', y: 'write' },
  uniforms: SIZES,
  each: ['planes', 'outH', 'outW'],
  functions: SOURCE_WGSL,
  body: /* wgsl */ `
  let base = i / (u.outH * u.outW) * u.h;
  let row = source_of((i / u.outW) % u.outH, u.h, u.outH);
  let column = source_of(i % u.outW, u.w, u.outW);
  let above = (base + row.first) * u.w;
  let below = (base + row.second) * u.w;
  let upper = x[above + column.first] * (1.0 - column.weight) + x[above + column.second] * column.weight;
  let lower = x[below + column.first] * (1.0 - column.weight) + x[below + column.second] * column.weight;
  y[i] = upper * (1.0 - row.weight) + lower * row.weight;`,
});

export const upsampleBilinearBackward = kernel({
  name: 'upsample_bilinear_backward',
  buffers: { dy: 'read', dx: 'write' },
  uniforms: SIZES,
  each: ['planes', 'h', 'w'],
  functions: /* wgsl */ `${SOURCE_WGSL}
// The weight of cell 'at' in cell 'o' of the result.
fn weight_of(at: u32, o: u32, size: u32, out: u32) -> f32 {
  let source = source_of(o, size, out);
  return select(0.0, 1.0 - source.weight, source.first == at) + select(0.0, source.weight, source.second == at);
}
// Cells of the result from the first to before the last that cell 'at' may have a weight in.
fn first_of(at: u32, size: u32, out: u32) -> u32 {
  let place = select((2u * at - 1u) * out / (2u * size), 0u, at == 0u);
  return place - min(place, 1u);
}
fn end_of(at: u32, size: u32, out: u32) -> u32 { return min((2u * at + 3u) * out / (2u * size) + 1u, out); }
`,
  body: /* wgsl */ `
  let row = (i / u.w) % u.h;
  let column = i % u.w;
  let base = i / (u.h * u.w) * u.outH;
  let left = first_of(column, u.w, u.outW);
  let right = end_of(column, u.w, u.outW);
  var sum = 0.0;
  for (var y = first_of(row, u.h, u.outH); y < end_of(row, u.h, u.outH); y++) {
    let weight = weight_of(row, y, u.h, u.outH);
    for (var x = left; x < right; x++) {
      let share = weight * weight_of(column, x, u.w, u.outW);
      if (share != 0.0) { sum += share * dy[(base + y) * u.outW + x]; }
    }
  }
  dx[i] = sum;`,
});

/** Calls `visit` with the index of every value of y, that of a value of x and its weight. */
function eachShare(
  { planes, h, w, outH, outW }: UpsampleShape,
  visit: (y: number, x: number, weight: number) => void,
): void {
  const sources = (o: number, size: number, out: number): [at: number, weight: number][] => {
    const place = Math.max(((o + 0.5) * size) / out - 0.5, 0);
    const first = Math.floor(place + 1e-12);
    return [
      [first, 1 - (place - first)],
      [Math.min(first + 1, size - 1), place - first],
    ];
  };
  for (let p = 0; p < planes; p++)
    for (let i = 0; i < outH; i++)
      for (let j = 0; j < outW; j++)
        for (const [row, a] of sources(i, h, outH))
          for (const [column, b] of sources(j, w, outW))
            visit((p * outH + i) * outW + j, (p * h + row) * w + column, a * b);
}

export function upsampleBilinearReference(x: Float64Array, shape: UpsampleShape): Float64Array {
  const y = new Float64Array(shape.planes * shape.outH * shape.outW);
  eachShare(shape, (to, from, weight) => (y[to]! += weight * x[from]!));
  return y;
}

export function upsampleBilinearBackwardReference(dy: Float64Array, shape: UpsampleShape): Float64Array {
  const dx = new Float64Array(shape.planes * shape.h * shape.w);
  eachShare(shape, (from, to, weight) => (dx[to]! += weight * dy[from]!));
  return dx;
}

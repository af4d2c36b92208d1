/**
 * Nearest-neighbour upsampling to a given size, and its gradient: the way down of a feature pyramid (Lin et al. 2017, figure 3).
 *
 *   x [planes, h, w] -> y [planes, outH, outW],  y[i, j] = x[floor(i h / outH), floor(j w / outW)]
 *
 * PyTorch's `interpolate(size, mode='nearest')`, in whole numbers. The gradient of a cell is the sum over the pixels that it
 * became, row by row.
 */
import { DIVIDE_WGSL } from './divide.ts';
import { blocksOf, kernel } from './kernel.ts';

const SIZES = { planes: 'u32', h: 'u32', w: 'u32', outH: 'u32', outW: 'u32' } as const;

export type UpsampleShape = Record<keyof typeof SIZES, number>;

/** Pixels of a row that an invocation writes, so that the place of the row is worked out once for all of them. */
const PIXELS = 16;

export const upsampleNearest = kernel({
  name: 'upsample_nearest',
  buffers: { x: 'read', y: 'write' },
  uniforms: SIZES,
  each: ['planes', 'outH', blocksOf('outW', PIXELS)],
  functions: DIVIDE_WGSL,
  body: /* wgsl */ `
  let step = (u.outW + ${PIXELS - 1}u) / ${PIXELS}u;
  let line = divide(i, step);
  let plane = divide(line, u.outH);
  let row = divide((line - plane * u.outH) * u.h, u.outH);
  let first = (plane * u.h + row) * u.w;
  // Neighbouring invocations write neighbouring pixels.
  for (var column = i - line * step; column < u.outW; column += step) {
    y[line * u.outW + column] = x[first + divide(column * u.w, u.outW)];
  }`,
});

export const upsampleNearestBackward = kernel({
  name: 'upsample_nearest_backward',
  buffers: { dy: 'read', dx: 'write' },
  uniforms: SIZES,
  each: ['planes', 'h', 'w'],
  functions: /* wgsl */ `
// The first of 'longer' pixels that cell 'at' of 'shorter' became.
fn first_of(at: u32, longer: u32, shorter: u32) -> u32 { return (at * longer + shorter - 1u) / shorter; }
`,
  body: /* wgsl */ `
  let row = (i / u.w) % u.h;
  let column = i % u.w;
  let base = i / (u.h * u.w) * u.outH;
  var sum = 0.0;
  for (var y = first_of(row, u.outH, u.h); y < first_of(row + 1u, u.outH, u.h); y++) {
    for (var x = first_of(column, u.outW, u.w); x < first_of(column + 1u, u.outW, u.w); x++) {
      sum += dy[(base + y) * u.outW + x];
    }
  }
  dx[i] = sum;`,
});

/** Calls `visit` with the index of every value of y and of the value of x that it repeats. */
function eachPixel({ planes, h, w, outH, outW }: UpsampleShape, visit: (y: number, x: number) => void): void {
  for (let p = 0; p < planes; p++)
    for (let i = 0; i < outH; i++)
      for (let j = 0; j < outW; j++)
        visit((p * outH + i) * outW + j, (p * h + Math.floor((i * h) / outH)) * w + Math.floor((j * w) / outW));
}

export function upsampleNearestReference(x: Float64Array, shape: UpsampleShape): Float64Array {
  const y = new Float64Array(shape.planes * shape.outH * shape.outW);
  eachPixel(shape, (to, from) => (y[to] = x[from]!));
  return y;
}

export function upsampleNearestBackwardReference(dy: Float64Array, shape: UpsampleShape): Float64Array {
  const dx = new Float64Array(shape.planes * shape.h * shape.w);
  eachPixel(shape, (from, to) => (dx[to]! += dy[from]!));
  return dx;
}

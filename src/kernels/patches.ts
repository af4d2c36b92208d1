/**
 * The patches that a convolution sees of an image as the columns of a matrix (im2col), for a product with the filters:
 *
 *   x [B, C, H, W] -> columns [R, S, C, count]
 *   columns[r, s, c, i] = x[image, c, oy stride - pad + r, ox stride - pad + s],  first + i = oy OW + ox
 *
 * and 0 outside the map and from the last position on. `count` is a multiple of four, so that a product reads four columns at a
 * time whatever the map's size. Filters in the same order (`packFilters`) make it the sum of conv2d.ts, term by term.
 */
import { CONV_SHAPE, type ConvShape } from './conv2d.ts';
import { DIVIDE_WGSL } from './divide.ts';
import { blocksOf, kernel } from './kernel.ts';
import { range } from './text.ts';

/** Of a band of the image's positions. */
export interface Band {
  readonly image: number;
  readonly first: number;
  readonly count: number;
}

export const patches = kernel({
  name: 'patches',
  buffers: { x: 'read', columns: 'write vec4f' },
  uniforms: { ...CONV_SHAPE, image: 'u32', first: 'u32', count: 'u32' },
  each: [blocksOf('count', 4), 'R', 'S'],
  functions: DIVIDE_WGSL,
  body: /* wgsl */ `
  // Four positions for one tap: the addresses are worked out once for all channels.
  let quads = u.count / 4u;
  let tap = divide(i, quads);
  let quad = i - tap * quads;
  let r = tap / u.S;
  let s = tap % u.S;
  let plane = u.H * u.W;
  let base = u.image * u.C * plane;
  ${range(4)
    .map(
      (j) => /* wgsl */ `
  let p${j} = u.first + 4u * quad + ${j}u;
  let oy${j} = divide(p${j}, u.OW);
  // Unsigned: a position above or left of the map wraps around and fails the comparison.
  let iy${j} = oy${j} * u.stride + r - u.pad;
  let ix${j} = (p${j} - oy${j} * u.OW) * u.stride + s - u.pad;
  let in${j} = oy${j} < u.OH && iy${j} < u.H && ix${j} < u.W;
  var at${j} = select(0u, base + iy${j} * u.W + ix${j}, in${j});`,
    )
    .join('')}
  var to = tap * u.C * quads + quad;
  for (var c = 0u; c < u.C; c++) {
    columns[to] = vec4f(${range(4)
      .map((j) => `select(0.0, x[at${j}], in${j})`)
      .join(', ')});
    to += quads;
    ${range(4)
      .map((j) => `at${j} += plane;`)
      .join(' ')}
  }`,
});

export function patchesReference(
  x: ArrayLike<number>,
  { C, H, W, R, S, OH, OW, stride, pad }: ConvShape,
  { image, first, count }: Band,
): Float64Array {
  const columns = new Float64Array(R * S * C * count);
  for (let r = 0; r < R; r++)
    for (let s = 0; s < S; s++)
      for (let c = 0; c < C; c++)
        for (let i = 0; i < count && first + i < OH * OW; i++) {
          const iy = Math.floor((first + i) / OW) * stride - pad + r;
          const ix = ((first + i) % OW) * stride - pad + s;
          if (iy < 0 || iy >= H || ix < 0 || ix >= W) continue;
          columns[((r * S + s) * C + c) * count + i] = x[((image * C + c) * H + iy) * W + ix]!;
        }
  return columns;
}

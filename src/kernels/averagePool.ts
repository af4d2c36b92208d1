/**
 * Average pooling over [planes, h, w] (planes = images x channels), windows of kernel x kernel cells.
 *
 *   y[p, oy, ox] = 1/m sum of x[p, iy, ix] over the window      dx[p, iy, ix] = sum of dy / m over the windows of this cell
 *
 * m counts the cells of the window within the padded map: the zeros of the padding count, but cells beyond it, which
 * `ceilMode` can reach, do not (PyTorch's default, and Caffe's rule). Both passes gather.
 */
import { DIVIDE_WGSL } from './divide.ts';
import { kernel, memoize } from './kernel.ts';
import {
  inPlane,
  planeGrid,
  POOL_UNIFORMS,
  type PoolShape,
  poolUniforms,
  type PoolWindow,
  windowOf,
} from './pooling.ts';

/** The weight of a window: 1/m for the one that starts at row `top` and column `left`, which may be negative. */
const share = (side: number, padding: number): string => /* wgsl */ `
fn share(top: i32, left: i32) -> f32 {
  let rows = min(top + ${side}, i32(u.h) + ${padding}) - top;
  let columns = min(left + ${side}, i32(u.w) + ${padding}) - left;
  return 1.0 / f32(rows * columns);
}
`;

/** The first and the last of `windows` windows that cover a row or column. */
const covering = (side: number, stride: number, padding: number): string => /* wgsl */ `
fn first_over(place: u32) -> i32 { return max(0, (i32(place) + ${padding} - ${side} + ${stride}) / ${stride}); }
fn last_over(place: u32, windows: u32) -> i32 { return min((i32(place) + ${padding}) / ${stride}, i32(windows) - 1); }
`;

/** Buffers x, y. */
export const averagePoolForward = ({ kernel, stride, padding }: PoolWindow) => forward(kernel, stride, padding);
/** Buffers dy, dx (assigned). */
export const averagePoolBackward = ({ kernel, stride, padding }: PoolWindow) => backward(kernel, stride, padding);

const forward = memoize((side: number, stride: number, padding: number) =>
  kernel({
    name: 'average_pool_forward',
    buffers: { x: 'read', y: 'write' },
    uniforms: POOL_UNIFORMS,
    grid: ({ planes, outH, outW }) => planeGrid(outH * outW, planes),
    functions: DIVIDE_WGSL + share(side, padding),
    body: /* wgsl */ `${inPlane('u.outH * u.outW')}${windowOf(stride, padding)}
  var total = 0.0;
  for (var iy = max(top, 0); iy < min(top + ${side}, i32(u.h)); iy++) {
    for (var ix = max(left, 0); ix < min(left + ${side}, i32(u.w)); ix++) {
      total += x[(p * u.h + u32(iy)) * u.w + u32(ix)];
    }
  }
  y[p * u.outH * u.outW + cell] = total * share(top, left);`,
  }),
);

const backward = memoize((side: number, stride: number, padding: number) =>
  kernel({
    name: 'average_pool_backward',
    buffers: { dy: 'read', dx: 'write' },
    uniforms: POOL_UNIFORMS,
    grid: ({ planes, h, w }) => planeGrid(h * w, planes),
    functions: DIVIDE_WGSL + share(side, padding) + covering(side, stride, padding),
    body: /* wgsl */ `${inPlane('u.h * u.w')}
  let iy = divide(cell, u.w);
  let ix = cell - iy * u.w;
  var total = 0.0;
  for (var oy = first_over(iy); oy <= last_over(iy, u.outH); oy++) {
    for (var ox = first_over(ix); ox <= last_over(ix, u.outW); ox++) {
      let value = dy[(p * u.outH + u32(oy)) * u.outW + u32(ox)];
      total += value * share(oy * ${stride} - ${padding}, ox * ${stride} - ${padding});
    }
  }
  dx[p * u.h * u.w + cell] = total;`,
  }),
);

/** Calls `visit` with every pair of an output and one of its inputs, and that input's weight. */
function eachShare(shape: PoolShape, window: PoolWindow, visit: (o: number, i: number, share: number) => void): void {
  const { planes, h, w } = shape;
  const { kernel, stride, padding } = window;
  const { outH, outW } = poolUniforms(shape, window);
  for (let p = 0; p < planes; p++)
    for (let oy = 0; oy < outH; oy++)
      for (let ox = 0; ox < outW; ox++) {
        const [top, left] = [oy * stride - padding, ox * stride - padding];
        const rows = Math.min(top + kernel, h + padding) - top;
        const columns = Math.min(left + kernel, w + padding) - left;
        for (let iy = Math.max(0, top); iy < Math.min(h, top + kernel); iy++)
          for (let ix = Math.max(0, left); ix < Math.min(w, left + kernel); ix++)
            visit((p * outH + oy) * outW + ox, (p * h + iy) * w + ix, 1 / (rows * columns));
      }
}

export function averagePoolReference(x: Float64Array, shape: PoolShape, window: PoolWindow): Float64Array {
  const { outH, outW } = poolUniforms(shape, window);
  const y = new Float64Array(shape.planes * outH * outW);
  eachShare(shape, window, (o, i, share) => (y[o]! += share * x[i]!));
  return y;
}

export function averagePoolBackwardReference(dy: Float64Array, shape: PoolShape, window: PoolWindow): Float64Array {
  const dx = new Float64Array(shape.planes * shape.h * shape.w);
  eachShare(shape, window, (o, i, share) => (dx[i]! += share * dy[o]!));
  return dx;
}

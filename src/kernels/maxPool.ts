/**
 * Max pooling over [planes, h, w] (planes = images x channels), windows of kernel x kernel cells.
 *
 *   y[p, oy, ox] = max of x[p, iy, ix] over oy*stride - padding <= iy < oy*stride - padding + kernel, ix likewise
 *   dx[p, iy, ix] = sum of dy over the windows whose maximum is this cell
 *
 * Padding is ignored: a window is clipped to the map. `argmax` holds iy * w + ix of the first maximum, as in Caffe
 * (pooling_layer.cpp). The maximum of a window with NaN is NaN, and its gradient goes to the last NaN, as in PyTorch. The
 * backward pass gathers: a block of input cells looks at the few windows that overlap it, so nothing is added concurrently.
 */
import { DIVIDE_WGSL } from './divide.ts';
import { IEEE_WGSL } from './ieee.ts';
import { ceilDiv, kernel, memoize } from './kernel.ts';
import {
  inPlane,
  planeGrid,
  POOL_UNIFORMS,
  type PoolShape,
  poolUniforms,
  type PoolWindow,
  windowOf,
} from './pooling.ts';
import { range } from './text.ts';

/** Buffers x, y, argmax. The window is part of the text: few occur, and dividing by a constant is cheap. */
export const maxPoolForward = ({ kernel: side, stride, padding }: PoolWindow) => forward(side, stride, padding);
/** Buffers dy, argmax, dx (assigned). */
export const maxPoolBackward = ({ kernel: side, stride, padding }: PoolWindow) => backward(side, stride, padding);

const forward = memoize((side: number, stride: number, padding: number) =>
  kernel({
    name: 'max_pool_forward',
    buffers: { x: 'read', y: 'write', argmax: 'write i32' },
    uniforms: POOL_UNIFORMS,
    grid: ({ planes, outH, outW }) => planeGrid(outH * outW, planes),
    functions: DIVIDE_WGSL + IEEE_WGSL,
    body: /* wgsl */ `${inPlane('u.outH * u.outW')}${windowOf(stride, padding)}
  let plane = p * u.h * u.w;
  let bottom = u32(min(top + ${side}, i32(u.h)));
  let right = u32(min(left + ${side}, i32(u.w)));
  let first_y = u32(max(top, 0));
  let first_x = u32(max(left, 0));

  var where_best = i32(first_y * u.w + first_x);
  var best = x[plane + u32(where_best)];
  var where_nan = -1;
  for (var iy = first_y; iy < bottom; iy++) {
    for (var ix = first_x; ix < right; ix++) {
      let at = i32(iy * u.w + ix);
      let value = x[plane + u32(at)];
      if (value > best) {
        best = value;
        where_best = at;
      }
      where_nan = select(where_nan, at, is_nan(value));
    }
  }
  if (where_nan >= 0) {
    best = x[plane + u32(where_nan)];
    where_best = where_nan;
  }
  let o = p * u.outH * u.outW + cell;
  y[o] = best;
  argmax[o] = where_best;`,
  }),
);

/** The windows that overlap block b of `stride` cells along an axis: those from b + first to b + last. */
const windowsOver = (side: number, stride: number, padding: number): number[] => {
  const first = Math.ceil((padding - side + 1) / stride);
  const last = Math.floor((stride - 1 + padding) / stride);
  return range(last - first + 1).map((i) => first + i);
};

/** `variable` moved by `steps`, which may be negative; u32 wraps around. */
const moved = (variable: string, steps: number): string => `${variable} ${steps < 0 ? '-' : '+'} ${Math.abs(steps)}u`;

/** An invocation owns a block of stride x stride cells: the few windows that overlap it are read once for all of them. */
const backward = memoize((side: number, stride: number, padding: number) => {
  const windows = windowsOver(side, stride, padding);
  const pairs = windows.flatMap((down) => windows.map((across) => ({ down, across })));
  const cells = range(stride * stride).map((k) => ({ k, row: Math.floor(k / stride), column: k % stride }));

  const declarations = cells.map(
    ({ k, row, column }) => `
  let cell${k} = i32((top + ${row}u) * u.w + left + ${column}u);
  var total${k} = 0.0;`,
  );
  const additions = cells.map(
    ({ k }) => `
      total${k} += select(0.0, value, largest == cell${k});`,
  );
  // Windows come in ascending order. Unsigned, a window before the first is beyond the last.
  const gathers = pairs.map(
    ({ down, across }) => `
  {
    let oy = ${moved('by', down)};
    let ox = ${moved('bx', across)};
    if (oy < u.outH && ox < u.outW) {
      let o = p * u.outH * u.outW + oy * u.outW + ox;
      let largest = argmax[o];
      let value = dy[o];${additions.join('')}
    }
  }`,
  );
  const stores = cells.map(
    ({ k, row, column }) => `
  if (top + ${row}u < u.h && left + ${column}u < u.w) { dx[base + u32(cell${k})] = total${k}; }`,
  );

  return kernel({
    name: 'max_pool_backward',
    buffers: { dy: 'read', argmax: 'read i32', dx: 'write' },
    uniforms: POOL_UNIFORMS,
    grid: ({ planes, h, w }) => planeGrid(ceilDiv(h, stride) * ceilDiv(w, stride), planes),
    functions: DIVIDE_WGSL,
    body: /* wgsl */ `
  let blocks_down = (u.h + ${stride - 1}u) / ${stride}u;
  let blocks_across = (u.w + ${stride - 1}u) / ${stride}u;${inPlane('blocks_down * blocks_across')}
  let by = divide(cell, blocks_across);
  let bx = cell - by * blocks_across;
  let top = by * ${stride}u;
  let left = bx * ${stride}u;${declarations.join('')}${gathers.join('')}
  let base = p * u.h * u.w;${stores.join('')}`,
  });
});

export function maxPoolReference(
  x: Float64Array,
  shape: PoolShape,
  window: PoolWindow,
): { y: Float64Array; argmax: Int32Array } {
  const { planes, h, w } = shape;
  const { outH, outW } = poolUniforms(shape, window);
  const { kernel, stride, padding } = window;
  const y = new Float64Array(planes * outH * outW).fill(-Infinity);
  const argmax = new Int32Array(y.length);
  for (let p = 0; p < planes; p++)
    for (let oy = 0; oy < outH; oy++)
      for (let ox = 0; ox < outW; ox++) {
        const o = (p * outH + oy) * outW + ox;
        argmax[o] = Math.max(0, oy * stride - padding) * w + Math.max(0, ox * stride - padding);
        for (let ky = 0; ky < kernel; ky++)
          for (let kx = 0; kx < kernel; kx++) {
            const iy = oy * stride - padding + ky;
            const ix = ox * stride - padding + kx;
            if (iy < 0 || iy >= h || ix < 0 || ix >= w) continue;
            const value = x[(p * h + iy) * w + ix]!;
            if (value > y[o]! || Number.isNaN(value)) {
              y[o] = value;
              argmax[o] = iy * w + ix;
            }
          }
      }
  return { y, argmax };
}

export function maxPoolBackwardReference(
  dy: Float64Array,
  argmax: Int32Array,
  { planes, h, w }: PoolShape,
): Float64Array {
  const dx = new Float64Array(planes * h * w);
  const outputs = dy.length / planes;
  for (let o = 0; o < dy.length; o++) dx[Math.floor(o / outputs) * h * w + argmax[o]!]! += dy[o]!;
  return dx;
}

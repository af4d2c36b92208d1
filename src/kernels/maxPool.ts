/**
 * Max pooling over [planes, h, w] (planes = images x channels), windows of kernel x kernel cells.
 *
 *   y[p, oy, ox] = max of x[p, iy, ix] over oy*stride - padding <= iy < oy*stride - padding + kernel, ix likewise
 *   dx[p, iy, ix] = sum of dy over the windows whose maximum is this cell
 *
 * Padding is ignored: a window is clipped to the map. `argmax` holds iy * w + ix of the first maximum, as in Caffe
 * (pooling_layer.cpp). The backward pass gathers: a block of input cells looks at the few windows that overlap it, so nothing
 * is added concurrently.
 */
import { DIVIDE_WGSL } from './divide.ts';
import { ceilDiv, kernel, type Grid, MAX_WORKGROUPS, memoize } from './kernel.ts';

export interface PoolWindow {
  kernel: number;
  stride: number;
  padding: number;
  /** Caffe rounds the output size up, PyTorch by default down. */
  ceilMode: boolean;
}

/**
 * Length of the pooled map for an input of n cells (Caffe, pooling_layer.cpp):
 * ceil or floor of (n + 2 padding - kernel) / stride, plus 1; less the last window if it would start beyond the padded
 * end. Caffe does the latter only with padding > 0; without padding it leaves an empty window there, which is left out here.
 */
export function poolOutputSize(
  n: number,
  { kernel, stride, padding, ceilMode }: PoolWindow,
  operation = 'pooling',
): number {
  if (!(kernel >= 1 && stride >= 1 && padding >= 0 && padding < kernel))
    throw new Error(
      `${operation}: kernel ${kernel}, stride ${stride}, padding ${padding} do not fit; need kernel and stride >= 1 and 0 <= padding < kernel`,
    );
  const steps = (n + 2 * padding - kernel) / stride;
  let size = (ceilMode ? Math.ceil(steps) : Math.floor(steps)) + 1;
  if (ceilMode && (size - 1) * stride >= n + padding) size--;
  if (size < 1)
    throw new Error(`${operation}: an input of ${n} cells is too small for kernel ${kernel} with padding ${padding}`);
  return size;
}

const uniforms = { planes: 'u32', h: 'u32', w: 'u32', outH: 'u32', outW: 'u32' } as const;

/** Workgroups of 64 over a plane's cells, and planes in two dimensions: no division tells the plane. */
export const planeGrid = (cells: number, planes: number): Grid => {
  const z = ceilDiv(planes, MAX_WORKGROUPS);
  return [ceilDiv(cells, 64), ceilDiv(planes, z), z];
};

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** Buffers x, y, argmax. The window is in the text: few occur, and dividing by a constant costs nothing. */
export const maxPoolForward = ({ kernel: side, stride, padding }: PoolWindow) => forward(side, stride, padding);
/** Buffers dy, argmax, dx (assigned). */
export const maxPoolBackward = ({ kernel: side, stride, padding }: PoolWindow) => backward(side, stride, padding);

const forward = memoize((side: number, stride: number, padding: number) =>
  kernel({
    name: 'max_pool_forward',
    buffers: { x: 'read', y: 'write', argmax: 'write i32' },
    uniforms,
    grid: ({ planes, outH, outW }) => planeGrid(outH * outW, planes),
    wgsl: /* wgsl */ `${DIVIDE_WGSL}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let p = group.z * groups.y + group.y;
  let o = group.x * 64u + lane;
  if (o >= u.outH * u.outW || p >= u.planes) { return; }
  let plane = p * u.h * u.w;
  let oy = divide(o, u.outW);
  let top = i32(oy * ${stride}u) - ${padding};
  let left = i32((o - oy * u.outW) * ${stride}u) - ${padding};
  let bottom = u32(min(top + ${side}, i32(u.h)));
  let right = u32(min(left + ${side}, i32(u.w)));
  let first_y = u32(max(top, 0));
  let first_x = u32(max(left, 0));

  var where_best = first_y * u.w + first_x;
  var best = x[plane + where_best];
  for (var iy = first_y; iy < bottom; iy++) {
    for (var ix = first_x; ix < right; ix++) {
      let cell = iy * u.w + ix;
      let value = x[plane + cell];
      if (value > best) {
        best = value;
        where_best = cell;
      }
    }
  }
  let at = p * u.outH * u.outW + o;
  y[at] = best;
  argmax[at] = i32(where_best);
}
`,
  }),
);

/** All windows that overlap the block of `stride` cells number b, along an axis: those from b + first to b + last. */
const windowsOver = (side: number, stride: number, padding: number): number[] => {
  const first = Math.ceil((padding - side + 1) / stride);
  const last = Math.floor((stride - 1 + padding) / stride);
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
};

/** An invocation owns a block of stride x stride cells: the few windows that overlap it are read once for all of them. */
const backward = memoize((side: number, stride: number, padding: number) => {
  const windows = windowsOver(side, stride, padding);
  const cells = range(stride * stride).map((i) => ({ i, r: Math.floor(i / stride), s: i % stride }));
  return kernel({
    name: 'max_pool_backward',
    buffers: { dy: 'read', argmax: 'read i32', dx: 'write' },
    uniforms,
    grid: ({ planes, h, w }) => planeGrid(ceilDiv(h, stride) * ceilDiv(w, stride), planes),
    wgsl: /* wgsl */ `${DIVIDE_WGSL}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let p = group.z * groups.y + group.y;
  let across = (u.w + ${stride - 1}u) / ${stride}u;
  let block = group.x * 64u + lane;
  let by = divide(block, across);
  let bx = block - by * across;
  let top = by * ${stride}u;
  let left = bx * ${stride}u;
  if (top >= u.h || p >= u.planes) { return; }
  let plane = p * u.outH * u.outW;
  ${cells.map(({ i, r, s }) => `let cell${i} = i32((top + ${r}u) * u.w + left + ${s}u); var total${i} = 0.0;`).join('\n  ')}
  ${windows
    .flatMap((y) => windows.map((x) => [y, x] as const))
    .map(
      // In ascending order, so that sums round as they always did. Unsigned: a window before the first is beyond the last.
      ([y, x]) => `{
    let oy = by ${y < 0 ? '-' : '+'} ${Math.abs(y)}u;
    let ox = bx ${x < 0 ? '-' : '+'} ${Math.abs(x)}u;
    if (oy < u.outH && ox < u.outW) {
      let o = plane + oy * u.outW + ox;
      let largest = argmax[o];
      let value = dy[o];
      ${cells.map(({ i }) => `total${i} += select(0.0, value, largest == cell${i});`).join(' ')}
    }
  }`,
    )
    .join('\n  ')}
  let base = p * u.h * u.w;
  ${cells
    .map(({ i, r, s }) => `if (top + ${r}u < u.h && left + ${s}u < u.w) { dx[base + u32(cell${i})] = total${i}; }`)
    .join('\n  ')}
}
`,
  });
});

export interface PoolShape {
  planes: number;
  h: number;
  w: number;
}

/** The uniforms of both kernels. */
export function maxPoolUniforms(
  { planes, h, w }: PoolShape,
  window: PoolWindow,
): Record<keyof typeof uniforms, number> {
  return { planes, h, w, outH: poolOutputSize(h, window), outW: poolOutputSize(w, window) };
}

export function maxPoolReference(
  x: Float64Array,
  shape: PoolShape,
  window: PoolWindow,
): { y: Float64Array; argmax: Int32Array } {
  const { planes, h, w } = shape;
  const { outH, outW } = maxPoolUniforms(shape, window);
  const { kernel, stride, padding } = window;
  const y = new Float64Array(planes * outH * outW).fill(-Infinity);
  const argmax = new Int32Array(y.length).fill(-1);
  for (let p = 0; p < planes; p++)
    for (let oy = 0; oy < outH; oy++)
      for (let ox = 0; ox < outW; ox++) {
        const o = (p * outH + oy) * outW + ox;
        for (let ky = 0; ky < kernel; ky++)
          for (let kx = 0; kx < kernel; kx++) {
            const iy = oy * stride - padding + ky;
            const ix = ox * stride - padding + kx;
            if (iy < 0 || iy >= h || ix < 0 || ix >= w) continue;
            const value = x[(p * h + iy) * w + ix]!;
            if (value > y[o]!) {
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

/**
 * Max pooling over [planes, h, w] (planes = images x channels), windows of kernel x kernel cells.
 *
 *   y[p, oy, ox] = max of x[p, iy, ix] over oy*stride - padding <= iy < oy*stride - padding + kernel, ix likewise
 *   dx[p, iy, ix] = sum of dy over the windows whose maximum is this cell
 *
 * Padding is ignored: a window is clipped to the map. `argmax` holds iy * w + ix of the first maximum, as in Caffe
 * (pooling_layer.cpp). The backward pass gathers: an input cell looks at the few windows that cover it, so nothing is
 * added concurrently.
 */
import { DIVIDE_WGSL } from './divide.ts';
import { kernel, linear } from './kernel.ts';

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
export function poolOutputSize(n: number, { kernel, stride, padding, ceilMode }: PoolWindow): number {
  if (!(kernel >= 1 && stride >= 1 && padding >= 0 && padding < kernel))
    throw new Error(
      `max pooling: kernel ${kernel}, stride ${stride}, padding ${padding} do not fit; need kernel and stride >= 1 and 0 <= padding < kernel`,
    );
  const steps = (n + 2 * padding - kernel) / stride;
  let size = (ceilMode ? Math.ceil(steps) : Math.floor(steps)) + 1;
  if (ceilMode && (size - 1) * stride >= n + padding) size--;
  if (size < 1)
    throw new Error(`max pooling: an input of ${n} cells is too small for kernel ${kernel} with padding ${padding}`);
  return size;
}

const uniforms = {
  planes: 'u32',
  h: 'u32',
  w: 'u32',
  outH: 'u32',
  outW: 'u32',
  kernel: 'u32',
  stride: 'u32',
  padding: 'u32',
} as const;

/** Elements that a workgroup of 64 takes, in turns: starting workgroups is most of the time of a software adapter otherwise. */
const OUTPUT_RUN = 256;
const CELL_RUN = 1024;

export const maxPoolForward = kernel({
  name: 'max_pool_forward',
  buffers: { x: 'read', y: 'write', argmax: 'write i32' },
  uniforms,
  grid: ({ planes, outH, outW }) => linear(planes * outH * outW, OUTPUT_RUN),
  wgsl: /* wgsl */ `${DIVIDE_WGSL}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let start = linear_index(group, groups, 0u, ${OUTPUT_RUN}u);
  let end = min(start + ${OUTPUT_RUN}u, u.planes * u.outH * u.outW);
  for (var o = start + lane; o < end; o += 64u) {
    let row = divide(o, u.outW);
    let image = divide(row, u.outH);
    let plane = image * (u.h * u.w);
    let top = i32((row - image * u.outH) * u.stride) - i32(u.padding);
    let left = i32((o - row * u.outW) * u.stride) - i32(u.padding);
    let bottom = u32(min(top + i32(u.kernel), i32(u.h)));
    let right = u32(min(left + i32(u.kernel), i32(u.w)));
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
    y[o] = best;
    argmax[o] = i32(where_best);
  }
}
`,
});

export const maxPoolBackward = kernel({
  name: 'max_pool_backward',
  buffers: { dy: 'read', argmax: 'read i32', dx: 'write' },
  uniforms,
  grid: ({ planes, h, w }) => linear(planes * h * w, CELL_RUN),
  wgsl: /* wgsl */ `${DIVIDE_WGSL}
// The first window along an axis that reaches cell i: the smallest o with o * stride - padding + kernel > i.
fn first_window(i: u32) -> u32 {
  let reach = max(i + u.padding + 1u, u.kernel);
  return divide(reach - u.kernel + u.stride - 1u, u.stride);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let start = linear_index(group, groups, 0u, ${CELL_RUN}u);
  let end = min(start + ${CELL_RUN}u, u.planes * u.h * u.w);
  for (var i = start + lane; i < end; i += 64u) {
    let row = divide(i, u.w);
    let image = divide(row, u.h);
    let plane = image * (u.outH * u.outW);
    let iy = row - image * u.h;
    let ix = i - row * u.w;
    let cell = i32(iy * u.w + ix);
    let end_y = min(divide(iy + u.padding, u.stride) + 1u, u.outH);
    let end_x = min(divide(ix + u.padding, u.stride) + 1u, u.outW);

    var total = 0.0;
    for (var oy = first_window(iy); oy < end_y; oy++) {
      for (var ox = first_window(ix); ox < end_x; ox++) {
        let o = plane + oy * u.outW + ox;
        if (argmax[o] == cell) { total += dy[o]; }
      }
    }
    dx[i] = total;
  }
}
`,
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
  const { kernel, stride, padding } = window;
  return { planes, h, w, outH: poolOutputSize(h, window), outW: poolOutputSize(w, window), kernel, stride, padding };
}

export function maxPoolReference(
  x: Float64Array,
  shape: PoolShape,
  window: PoolWindow,
): { y: Float64Array; argmax: Int32Array } {
  const { planes, h, w } = shape;
  const { outH, outW, kernel, stride, padding } = maxPoolUniforms(shape, window);
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

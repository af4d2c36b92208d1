/** What max and average pooling share: windows of kernel x kernel cells over [planes, h, w] (planes = images x channels). */
import { ceilDiv, type Grid, MAX_WORKGROUPS } from './kernel.ts';

export interface PoolWindow {
  kernel: number;
  stride: number;
  padding: number;
  /** Caffe rounds the output size up, PyTorch by default down. */
  ceilMode: boolean;
}

/**
 * Length of the pooled map for an input of n cells (Caffe, pooling_layer.cpp):
 * ceil or floor of (n + 2 padding - kernel) / stride, plus 1; one fewer if the last window would start beyond the padded
 * end. Caffe removes that window only with padding > 0; without padding it keeps it, empty. Here it is always removed.
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

export interface PoolShape {
  planes: number;
  h: number;
  w: number;
}

export const POOL_UNIFORMS = { planes: 'u32', h: 'u32', w: 'u32', outH: 'u32', outW: 'u32' } as const;

/** The uniforms of every pooling kernel. */
export function poolUniforms(
  { planes, h, w }: PoolShape,
  window: PoolWindow,
): Record<keyof typeof POOL_UNIFORMS, number> {
  return { planes, h, w, outH: poolOutputSize(h, window), outW: poolOutputSize(w, window) };
}

/** Workgroups of 64 over the cells of a plane; planes are the other two dimensions, so finding one takes no division. */
export const planeGrid = (cells: number, planes: number): Grid => {
  const z = ceilDiv(planes, MAX_WORKGROUPS);
  return [ceilDiv(cells, 64), ceilDiv(planes, z), z];
};

/** Opens a body on `planeGrid`: `p` is the plane and `cell` one of its `cells`. */
export const inPlane = (cells: string): string => /* wgsl */ `
  let p = group.z * groups.y + group.y;
  let cell = group.x * 64u + lane;
  if (cell >= ${cells} || p >= u.planes) { return; }`;

/** The window of output `cell` in the map: its first row and column, which may be negative. */
export const windowOf = (stride: number, padding: number): string => /* wgsl */ `
  let oy = divide(cell, u.outW);
  let top = i32(oy * ${stride}u) - ${padding};
  let left = i32((cell - oy * u.outW) * ${stride}u) - ${padding};`;

/**
 * Every `stride`-th cell of every `stride`-th row, from the first on: what a 1x1 convolution of that stride sees of its input.
 *
 *   x [planes, h, w] -> y [planes, outH, outW],  y[i, j] = x[i stride, j stride],  outH = floor((h - 1) / stride) + 1
 */
import { DIVIDE_WGSL } from './divide.ts';
import { kernel, memoize } from './kernel.ts';

const SIZES = { planes: 'u32', h: 'u32', w: 'u32', outH: 'u32', outW: 'u32', stride: 'u32' } as const;

export type SubsampleShape = Record<keyof typeof SIZES, number>;

/** `to`: the place of y's value i in x. */
const PLACE = /* wgsl */ `
  let line = divide(i, u.outW);
  let plane = divide(line, u.outH);
  let to = (plane * u.h + (line - plane * u.outH) * u.stride) * u.w + (i - line * u.outW) * u.stride;`;

export const subsample = kernel({
  name: 'subsample',
  buffers: { x: 'read', y: 'write' },
  uniforms: SIZES,
  each: ['planes', 'outH', 'outW'],
  functions: DIVIDE_WGSL,
  body: /* wgsl */ `${PLACE}
  y[i] = x[to];`,
});

/** dx = dy where y read x, 0 elsewhere; with `add`, dy is added there. */
export const subsampleBackward = memoize((add: boolean) =>
  kernel({
    name: `subsample_backward${add ? '_add' : ''}`,
    buffers: { dy: 'read', dx: add ? 'read_write' : 'write' },
    uniforms: SIZES,
    each: add ? ['planes', 'outH', 'outW'] : ['planes', 'h', 'w'],
    functions: DIVIDE_WGSL,
    body: add
      ? /* wgsl */ `${PLACE}
  dx[to] += dy[i];`
      : /* wgsl */ `
  let line = divide(i, u.w);
  let plane = divide(line, u.h);
  let row = line - plane * u.h;
  let column = i - line * u.w;
  let fromRow = divide(row, u.stride);
  let fromColumn = divide(column, u.stride);
  var value = 0.0;
  if (fromRow * u.stride == row && fromColumn * u.stride == column) {
    value = dy[(plane * u.outH + fromRow) * u.outW + fromColumn];
  }
  dx[i] = value;`,
  }),
);

/** Calls `visit` with the index of every value of y and of its place in x. */
function eachCell({ planes, h, w, outH, outW, stride }: SubsampleShape, visit: (y: number, x: number) => void): void {
  for (let p = 0; p < planes; p++)
    for (let i = 0; i < outH; i++)
      for (let j = 0; j < outW; j++) visit((p * outH + i) * outW + j, (p * h + i * stride) * w + j * stride);
}

export function subsampleReference(x: Float64Array, shape: SubsampleShape): Float64Array {
  const y = new Float64Array(shape.planes * shape.outH * shape.outW);
  eachCell(shape, (to, from) => (y[to] = x[from]!));
  return y;
}

/** `dx`: what it holds before. */
export function subsampleBackwardReference(
  dy: Float64Array,
  dx: Float64Array,
  shape: SubsampleShape,
  add: boolean,
): Float64Array {
  const result = add ? dx.slice() : new Float64Array(dx.length);
  eachCell(shape, (from, to) => (result[to]! += dy[from]!));
  return result;
}

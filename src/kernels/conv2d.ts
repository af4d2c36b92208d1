/**
 * Two-dimensional convolution (cross-correlation, as in Caffe and PyTorch) as matrix products with an implicit im2col.
 *
 *   forward           y[b,k,oy,ox]  = bias[k] + sum_{c,r,s} w[k,c,r,s] x[b,c,oy*st-pad+r,ox*st-pad+s]
 *   input gradient    dx[b,c,iy,ix] = sum_{k,r,s} w[k,c,r,s] dy[b,k,(iy+pad-r)/st,(ix+pad-s)/st]   where divisible
 *   filter gradient   dw[k,c,r,s]   = sum_{b,oy,ox} dy[b,k,oy,ox] x[b,c,oy*st-pad+r,ox*st-pad+s]
 *
 * B batch, C input channels, H x W input, K filters, R x S filter, OH x OW output. Stride and padding per axis are equal.
 * Forward and input gradient run (r, s) outside and the channel inside: bounds and addresses are worked out once per
 * tap, the inner loop adds a constant. The filter gradient splits the long axis (b, oy) into `splits` parts whose
 * partial sums a second kernel adds in order: deterministic, without atomics.
 */
import { type BufferSpec, kernel, memoize, type Kernel } from './kernel.ts';
import { loadsOfA, matmulBody, matmulGrid, type Tile } from './matmulCore.ts';
import { RELU_WGSL } from './relu.ts';
import { range } from './text.ts';

/** ConvShape as uniforms, which all convolution kernels share. */
export const CONV_SHAPE = {
  B: 'u32',
  C: 'u32',
  H: 'u32',
  W: 'u32',
  K: 'u32',
  R: 'u32',
  S: 'u32',
  OH: 'u32',
  OW: 'u32',
  stride: 'u32',
  pad: 'u32',
} as const;

export type ConvShape = Record<keyof typeof CONV_SHAPE, number>;

export const convOutputSize = (n: number, k: number, stride: number, padding: number): number =>
  Math.floor((n + 2 * padding - k) / stride) + 1;

/** Buffers x, w, (bias,) y; `relu` is applied last. */
export const convForward = memoize((tile: Tile, bias: boolean, relu: boolean = false): Kernel => {
  const sum = `value${bias ? ' + bias[m]' : ''}`;
  return kernel({
    name: `conv2d_forward${relu ? '_relu' : ''}`,
    buffers: { x: 'read', w: 'read', ...(bias ? { bias: 'read' } : {}), y: 'write' } as Record<string, BufferSpec>,
    uniforms: CONV_SHAPE,
    grid: (u) => matmulGrid(tile, u.K, u.B * u.OH * u.OW),
    ...matmulBody(tile, {
      declarations: relu ? RELU_WGSL : '',
      m: 'u.K',
      n: '(u.B * u.OH * u.OW)',
      setup: 'let plane = u.H * u.W; let taps = u.R * u.S; let outputs = u.OH * u.OW;',
      column: (j) => `let image${j} = n${j} / outputs;
  let pixel${j} = n${j} % outputs;
  let top${j} = i32(pixel${j} / u.OW * u.stride) - i32(u.pad);
  let left${j} = i32(pixel${j} % u.OW * u.stride) - i32(u.pad);
  let base${j} = image${j} * u.C * plane;`,
      loop: (body) => `for (var r = 0u; r < u.R; r++) {
    for (var s = 0u; s < u.S; s++) {
      ${each(
        tile,
        (j) => `let iy${j} = top${j} + i32(r); let ix${j} = left${j} + i32(s);
      let in${j} = n${j} < u.B * outputs && u32(iy${j}) < u.H && u32(ix${j}) < u.W;
      var at${j} = select(0u, base${j} + u32(iy${j}) * u.W + u32(ix${j}), in${j});`,
      )}
      ${eachRow(tile, (i) => `var wa${i} = row${i} * u.C * taps + r * u.S + s;`)}
      for (var c = 0u; c < u.C; c++) {
      ${body}
      ${each(tile, (j) => `at${j} += plane;`)}
      ${eachRow(tile, (i) => `wa${i} += taps;`)}
      }
    }
  }`,
      a: (i) => `w[wa${i}]`,
      b: (j) => `select(0.0, x[at${j}], in${j})`,
      store: `y[(n / outputs * u.K + m) * outputs + n % outputs] = ${relu ? `relu(${sum})` : sum};`,
    }),
  });
});

/**
 * Buffers dy, w, dx; dx is assigned, or with `add` added to.
 *
 * Positions are unsigned: one above or left of the map wraps around and fails `oy < OH`. With signed division SwiftShader
 * takes 40 s to compile this shader, without it less than one.
 */
export const convInputGradient = memoize((tile: Tile, add: boolean): Kernel =>
  kernel({
    name: `conv2d_input_gradient${add ? '_add' : ''}`,
    buffers: { dy: 'read', w: 'read', dx: add ? 'read_write' : 'write' },
    uniforms: CONV_SHAPE,
    grid: (u) => matmulGrid(tile, u.C, u.B * u.H * u.W),
    ...matmulBody(tile, {
      m: 'u.C',
      n: '(u.B * u.H * u.W)',
      setup: 'let plane = u.H * u.W; let taps = u.R * u.S; let outputs = u.OH * u.OW;',
      column: (j) => `let image${j} = n${j} / plane;
  let pixel${j} = n${j} % plane;
  let iy${j} = pixel${j} / u.W + u.pad;
  let ix${j} = pixel${j} % u.W + u.pad;
  let base${j} = image${j} * u.K * outputs;`,
      loop: (body) => `for (var r = 0u; r < u.R; r++) {
    for (var s = 0u; s < u.S; s++) {
      ${each(
        tile,
        (j) => `let ty${j} = iy${j} - r; let tx${j} = ix${j} - s;
      let oy${j} = ty${j} / u.stride; let ox${j} = tx${j} / u.stride;
      let in${j} = n${j} < u.B * plane && oy${j} * u.stride == ty${j} && ox${j} * u.stride == tx${j}
        && oy${j} < u.OH && ox${j} < u.OW;
      var at${j} = select(0u, base${j} + oy${j} * u.OW + ox${j}, in${j});`,
      )}
      ${eachRow(tile, (i) => `var wa${i} = row${i} * taps + r * u.S + s;`)}
      for (var k = 0u; k < u.K; k++) {
      ${body}
      ${each(tile, (j) => `at${j} += outputs;`)}
      ${eachRow(tile, (i) => `wa${i} += u.C * taps;`)}
      }
    }
  }`,
      a: (i) => `w[wa${i}]`,
      b: (j) => `select(0.0, dy[at${j}], in${j})`,
      store: `dx[(n / plane * u.C + m) * plane + n % plane] ${add ? '+=' : '='} value;`,
    }),
  }),
);

/** Buffers x, dy, dw. dw is assigned `splits` partial sums, or with `add` one sum is added to what it holds. */
export const convFilterGradient = memoize((tile: Tile, add: boolean): Kernel =>
  kernel({
    name: `conv2d_filter_gradient${add ? '_add' : ''}`,
    buffers: { x: 'read', dy: 'read', dw: add ? 'read_write' : 'write' },
    uniforms: { ...CONV_SHAPE, splits: 'u32' },
    grid: (u) => matmulGrid(tile, u.K, u.C * u.R * u.S, u.splits),
    ...matmulBody(tile, {
      m: 'u.K',
      n: '(u.C * u.R * u.S)',
      setup: `let plane = u.H * u.W; let taps = u.R * u.S; let outputs = u.OH * u.OW; let filters = u.C * taps;
  let lines = u.B * u.OH;
  let share = (lines + u.splits - 1u) / u.splits;
  let last = min(lines, (slice + 1u) * share);`,
      column: (j) => `let channel${j} = n${j} / taps;
  let dr${j} = i32(n${j} % taps / u.S) - i32(u.pad);
  let ds${j} = i32(n${j} % u.S) - i32(u.pad);`,
      loop: (body) => `for (var line = slice * share; line < last; line++) {
    let image = line / u.OH;
    let oy = line % u.OH;
    ${each(
      tile,
      (j) => `let iy${j} = i32(oy * u.stride) + dr${j};
    let on${j} = n${j} < filters && u32(iy${j}) < u.H;
    let start${j} = (image * u.C + channel${j}) * plane + u32(iy${j}) * u.W;
    var ix${j} = ds${j};`,
    )}
    ${eachRow(tile, (i) => `var da${i} = (image * u.K + row${i}) * outputs + oy * u.OW;`)}
    for (var ox = 0u; ox < u.OW; ox++) {
      ${body}
      ${each(tile, (j) => `ix${j} += i32(u.stride);`)}
      ${eachRow(tile, (i) => `da${i}++;`)}
    }
  }`,
      a: (i) => `dy[da${i}]`,
      b: (j) => `select(0.0, x[start${j} + u32(ix${j})], on${j} && u32(ix${j}) < u.W)`,
      store: add ? 'dw[m * filters + n] += value;' : 'dw[(slice * u.K + m) * filters + n] = value;',
    }),
  }),
);

const each = (tile: Tile, line: (j: number) => string): string => range(tile.columns).map(line).join('\n      ');
/** For each value of A that a lane loads itself. */
const eachRow = (tile: Tile, line: (i: number) => string): string => range(loadsOfA(tile)).map(line).join('\n      ');

export function convForwardReference(
  x: ArrayLike<number>,
  w: ArrayLike<number>,
  bias: ArrayLike<number> | null,
  shape: ConvShape,
  relu = false,
): Float64Array {
  const { B, C, H, W, K, R, S, OH, OW, stride, pad } = shape;
  const y = new Float64Array(B * K * OH * OW);
  for (let b = 0; b < B; b++)
    for (let k = 0; k < K; k++)
      for (let oy = 0; oy < OH; oy++)
        for (let ox = 0; ox < OW; ox++) {
          let sum = bias ? bias[k]! : 0;
          for (let c = 0; c < C; c++)
            for (let r = 0; r < R; r++)
              for (let s = 0; s < S; s++) {
                const iy = oy * stride - pad + r;
                const ix = ox * stride - pad + s;
                if (iy < 0 || iy >= H || ix < 0 || ix >= W) continue;
                sum += w[((k * C + c) * R + r) * S + s]! * x[((b * C + c) * H + iy) * W + ix]!;
              }
          y[((b * K + k) * OH + oy) * OW + ox] = relu ? Math.max(0, sum) : sum;
        }
  return y;
}

export function convGradientsReference(
  x: ArrayLike<number>,
  w: ArrayLike<number>,
  dy: ArrayLike<number>,
  shape: ConvShape,
): { dx: Float64Array; dw: Float64Array } {
  const { B, C, H, W, K, R, S, OH, OW, stride, pad } = shape;
  const dx = new Float64Array(B * C * H * W);
  const dw = new Float64Array(K * C * R * S);
  for (let b = 0; b < B; b++)
    for (let k = 0; k < K; k++)
      for (let oy = 0; oy < OH; oy++)
        for (let ox = 0; ox < OW; ox++) {
          const g = dy[((b * K + k) * OH + oy) * OW + ox]!;
          for (let c = 0; c < C; c++)
            for (let r = 0; r < R; r++)
              for (let s = 0; s < S; s++) {
                const iy = oy * stride - pad + r;
                const ix = ox * stride - pad + s;
                if (iy < 0 || iy >= H || ix < 0 || ix >= W) continue;
                const wi = ((k * C + c) * R + r) * S + s;
                const xi = ((b * C + c) * H + iy) * W + ix;
                dx[xi]! += g * w[wi]!;
                dw[wi]! += g * x[xi]!;
              }
        }
  return { dx, dw };
}

/**
 * Convolution in groups and with dilation: depthwise layers (MobileNet, Howard et al. 2017), grouped and dilated ones.
 *
 *   forward           y[b,k,oy,ox]  = bias[k] + sum_{c,r,s} w[k,c,r,s] x[b,g C/G + c,oy st - pad + r d,ox st - pad + s d]
 *   input gradient    dx[b,c,iy,ix] = the sum over the filters of c's group and the taps that reach it
 *   filter gradient   dw[k,c,r,s]   = sum_{b,oy,ox} dy[b,k,oy,ox] x[...]
 *
 * K filters in G groups, g = k / (K/G) the group of filter k; st the stride, d the dilation. A group has too few channels for a
 * product of matrices, so each result is summed for itself: a filter gradient by one workgroup, as a tree of fixed shape.
 */
import { CONV_SHAPE, type ConvShape } from './conv2d.ts';
import { type BufferSpec, kernel, memoize } from './kernel.ts';
import { GROUP_SUM_WGSL } from './reduce.ts';
import { RELU_WGSL } from './relu.ts';

const UNIFORMS = { ...CONV_SHAPE, groups: 'u32', dilation: 'u32' } as const;

export type GroupedConvShape = ConvShape & { groups: number; dilation: number };

/** Buffers x, w, (bias,) y; `relu` is applied last. */
export const groupedConvForward = memoize((bias: boolean, relu: boolean) =>
  kernel<string, keyof typeof UNIFORMS>({
    name: `grouped_conv2d_forward${relu ? '_relu' : ''}`,
    buffers: { x: 'read', w: 'read', ...(bias ? { bias: 'read' } : {}), y: 'write' } as Record<string, BufferSpec>,
    uniforms: UNIFORMS,
    each: ['B', 'K', 'OH', 'OW'],
    functions: relu ? RELU_WGSL : '',
    body: /* wgsl */ `
  let inputs = u.C / u.groups;
  let k = (i / (u.OH * u.OW)) % u.K;
  let image = i / (u.OH * u.OW * u.K);
  let top = i32((i / u.OW) % u.OH * u.stride) - i32(u.pad);
  let left = i32(i % u.OW * u.stride) - i32(u.pad);
  let first = image * u.C + k / (u.K / u.groups) * inputs;
  var sum = ${bias ? 'bias[k]' : '0.0'};
  for (var c = 0u; c < inputs; c++) {
    for (var r = 0u; r < u.R; r++) {
      let iy = u32(top + i32(r * u.dilation));
      if (iy >= u.H) { continue; }
      let row = ((first + c) * u.H + iy) * u.W;
      let tap = ((k * inputs + c) * u.R + r) * u.S;
      for (var s = 0u; s < u.S; s++) {
        let ix = u32(left + i32(s * u.dilation));
        if (ix < u.W) { sum += w[tap + s] * x[row + ix]; }
      }
    }
  }
  y[i] = ${relu ? 'relu(sum)' : 'sum'};`,
  }),
);

/** Buffers dy, w, dx; positions above or left of the map wrap around and fail the comparison with its extent. */
export const groupedConvInputGradient = memoize((add: boolean) =>
  kernel({
    name: `grouped_conv2d_input_gradient${add ? '_add' : ''}`,
    buffers: { dy: 'read', w: 'read', dx: add ? 'read_write' : 'write' },
    uniforms: UNIFORMS,
    each: ['B', 'C', 'H', 'W'],
    body: /* wgsl */ `
  let inputs = u.C / u.groups;
  let filters = u.K / u.groups;
  let channel = (i / (u.H * u.W)) % u.C;
  let image = i / (u.H * u.W * u.C);
  let bottom = (i / u.W) % u.H + u.pad;
  let right = i % u.W + u.pad;
  let first = channel / inputs * filters;
  var sum = 0.0;
  for (var k = first; k < first + filters; k++) {
    for (var r = 0u; r < u.R; r++) {
      let ty = bottom - r * u.dilation;
      let oy = ty / u.stride;
      if (oy * u.stride != ty || oy >= u.OH) { continue; }
      let row = ((image * u.K + k) * u.OH + oy) * u.OW;
      let tap = ((k * inputs + channel % inputs) * u.R + r) * u.S;
      for (var s = 0u; s < u.S; s++) {
        let tx = right - s * u.dilation;
        let ox = tx / u.stride;
        if (ox * u.stride == tx && ox < u.OW) { sum += w[tap + s] * dy[row + ox]; }
      }
    }
  }
  dx[i] ${add ? '+=' : '='} sum;`,
  }),
);

/** Buffers x, dy, dw: one workgroup per weight. */
export const groupedConvFilterGradient = memoize((add: boolean) =>
  kernel({
    name: `grouped_conv2d_filter_gradient${add ? '_add' : ''}`,
    buffers: { x: 'read', dy: 'read', dw: add ? 'read_write' : 'write' },
    uniforms: { ...UNIFORMS, inputs: 'u32' },
    eachWorkgroup: ['K', 'inputs', 'R', 'S'],
    functions: GROUP_SUM_WGSL,
    body: /* wgsl */ `
  let s = item % u.S;
  let r = (item / u.S) % u.R;
  let c = (item / (u.S * u.R)) % u.inputs;
  let k = item / (u.S * u.R * u.inputs);
  let channel = k / (u.K / u.groups) * u.inputs + c;
  let outputs = u.OH * u.OW;
  var own = 0.0;
  for (var image = 0u; image < u.B; image++) {
    let map = (image * u.C + channel) * u.H;
    for (var at = lane; at < outputs; at += 64u) {
      let iy = u32(i32(at / u.OW * u.stride + r * u.dilation) - i32(u.pad));
      let ix = u32(i32(at % u.OW * u.stride + s * u.dilation) - i32(u.pad));
      if (iy < u.H && ix < u.W) { own += dy[(image * u.K + k) * outputs + at] * x[(map + iy) * u.W + ix]; }
    }
  }
  let total = group_sum(lane, own);
  if (lane == 0u) { dw[item] ${add ? '+=' : '='} total; }`,
  }),
);

/** Calls `visit` with the indices in y, w and x of every product of the forward pass. */
function eachProduct(shape: GroupedConvShape, visit: (y: number, w: number, x: number) => void): void {
  const { B, C, H, W, K, R, S, OH, OW, stride, pad, groups, dilation } = shape;
  const inputs = C / groups;
  for (let b = 0; b < B; b++)
    for (let k = 0; k < K; k++)
      for (let oy = 0; oy < OH; oy++)
        for (let ox = 0; ox < OW; ox++)
          for (let c = 0; c < inputs; c++)
            for (let r = 0; r < R; r++)
              for (let s = 0; s < S; s++) {
                const iy = oy * stride - pad + r * dilation;
                const ix = ox * stride - pad + s * dilation;
                if (iy < 0 || iy >= H || ix < 0 || ix >= W) continue;
                const channel = Math.floor(k / (K / groups)) * inputs + c;
                const map = (b * C + channel) * H;
                visit(((b * K + k) * OH + oy) * OW + ox, ((k * inputs + c) * R + r) * S + s, (map + iy) * W + ix);
              }
}

export function groupedConvReference(
  x: Float64Array,
  w: Float64Array,
  bias: Float64Array | null,
  shape: GroupedConvShape,
  relu = false,
): Float64Array {
  const { B, K, OH, OW } = shape;
  const y = Float64Array.from({ length: B * K * OH * OW }, (_, i) => bias?.[Math.floor(i / (OH * OW)) % K] ?? 0);
  eachProduct(shape, (to, tap, from) => (y[to]! += w[tap]! * x[from]!));
  return relu ? y.map((value) => Math.max(0, value)) : y;
}

export function groupedConvGradientsReference(
  x: Float64Array,
  w: Float64Array,
  dy: Float64Array,
  shape: GroupedConvShape,
): { dx: Float64Array; dw: Float64Array } {
  const dx = new Float64Array(x.length);
  const dw = new Float64Array(w.length);
  eachProduct(shape, (to, tap, from) => {
    dx[from]! += dy[to]! * w[tap]!;
    dw[tap]! += dy[to]! * x[from]!;
  });
  return { dx, dw };
}

/**
 * Batch normalisation (Ioffe and Szegedy 2015) of [outer, channels, inner], each channel with its m = outer * inner values:
 *
 *   y = weight z + bias,  z = (x - mean) r,  r = 1 / sqrt(variance + epsilon)
 *   dbias = sum dy      dweight = sum dy z      dx = weight r (dy - (dbias + z dweight) / m)
 *
 * Mean and variance are the batch's (variance over m); with those of earlier batches, which are constants, dx = weight r dy.
 * The variance takes a second pass over x, since a difference of large sums would lose precision. One workgroup per channel,
 * sums in a fixed order. With `vectors`, inner is a multiple of four, and maps are read and written four cells at a time.
 */
import type { ChannelView } from './channelView.ts';
import { elementwise, elementwise4 } from './elementwise.ts';
import { kernel, memoize } from './kernel.ts';
import { GROUP_SUM_WGSL } from './reduce.ts';

const uniforms = { outer: 'u32', channels: 'u32', inner: 'u32' } as const;
type Form = { map: 'f32' | 'vec4f'; zero: string; inner: string; total: (value: string) => string };
const SCALARS: Form = { map: 'f32', zero: '0.0', inner: 'u.inner', total: (value) => value };
const VECTORS: Form = {
  map: 'vec4f',
  zero: 'vec4f()',
  inner: '(u.inner / 4u)',
  total: (value) => `dot(${value}, vec4f(1.0))`,
};
const formOf = (vectors: boolean): Form => (vectors ? VECTORS : SCALARS);

/** Statements for every value `i` of channel `item`, shared by the invocations of its workgroup. */
const eachOfChannel = ({ inner }: Form, body: string): string => /* wgsl */ `
  for (var o = 0u; o < u.outer; o++) {
    let first = (o * u.channels + item) * ${inner};
    for (var i = first + lane; i < first + ${inner}; i += 64u) { ${body} }
  }`;

/** Mean and variance of every channel. */
export const batchNormStatistics = memoize((vectors: boolean) => {
  const form = formOf(vectors);
  return kernel({
    name: 'batch_norm_statistics',
    buffers: { x: `read ${form.map}`, mean: 'write', variance: 'write' },
    uniforms,
    eachWorkgroup: 'channels',
    functions: /* wgsl */ `${GROUP_SUM_WGSL}
var<workgroup> centre: f32;`,
    body: /* wgsl */ `
  let count = f32(u.outer * u.inner);
  var own = ${form.zero};${eachOfChannel(form, 'own += x[i];')}
  let total = group_sum(lane, ${form.total('own')});
  if (lane == 0u) { centre = total / count; }
  workgroupBarrier();
  own = ${form.zero};${eachOfChannel(form, 'let d = x[i] - centre; own += d * d;')}
  let squares = group_sum(lane, ${form.total('own')});
  if (lane == 0u) {
    mean[item] = centre;
    variance[item] = squares / count;
  }`,
  });
});

/** running += momentum (batch - running) for mean and variance, the latter over m - 1; n channels, `count` is m. */
export const batchNormTrack = elementwise({
  name: 'batch_norm_track',
  buffers: { mean: 'read', variance: 'read', runningMean: 'read_write', runningVariance: 'read_write' },
  uniforms: { momentum: 'f32', count: 'f32' },
  body: /* wgsl */ `let unbiased = variance[i] * u.count / max(u.count - 1.0, 1.0);
    runningMean[i] += u.momentum * (mean[i] - runningMean[i]);
    runningVariance[i] += u.momentum * (unbiased - runningVariance[i]);`,
});

const apply = (vectors: boolean) => (vectors ? elementwise4 : elementwise);

export const batchNormForward = memoize((vectors: boolean) => {
  const { map, inner } = formOf(vectors);
  return apply(vectors)({
    name: 'batch_norm_forward',
    buffers: {
      x: `read ${map}`,
      mean: 'read',
      variance: 'read',
      weight: 'read',
      bias: 'read',
      y: `write ${map}`,
    },
    uniforms: { channels: 'u32', inner: 'u32', epsilon: 'f32' },
    body: /* wgsl */ `let c = i / ${inner} % u.channels;
    y[i] = (x[i] - mean[c]) * (weight[c] * inverseSqrt(variance[c] + u.epsilon)) + bias[c];`,
  });
});

/** The gradients of weight and bias. */
export const batchNormSums = memoize((vectors: boolean) => {
  const form = formOf(vectors);
  return kernel({
    name: 'batch_norm_sums',
    buffers: {
      x: `read ${form.map}`,
      dy: `read ${form.map}`,
      mean: 'read',
      variance: 'read',
      dweight: 'write',
      dbias: 'write',
    },
    uniforms: { ...uniforms, epsilon: 'f32' },
    eachWorkgroup: 'channels',
    functions: GROUP_SUM_WGSL,
    body: /* wgsl */ `
  let centre = mean[item];
  var own = ${form.zero};
  var products = ${form.zero};${eachOfChannel(form, 'own += dy[i]; products += dy[i] * (x[i] - centre);')}
  let total = group_sum(lane, ${form.total('own')});
  let product_total = group_sum(lane, ${form.total('products')});
  if (lane == 0u) {
    dbias[item] = total;
    dweight[item] = product_total * inverseSqrt(variance[item] + u.epsilon);
  }`,
  });
});

/** dx if mean and variance are the batch's. `count` is m. */
export const batchNormBackward = memoize((vectors: boolean) => {
  const { map, inner } = formOf(vectors);
  return apply(vectors)({
    name: 'batch_norm_backward',
    buffers: {
      x: `read ${map}`,
      dy: `read ${map}`,
      mean: 'read',
      variance: 'read',
      weight: 'read',
      dweight: 'read',
      dbias: 'read',
      dx: `write ${map}`,
    },
    uniforms: { channels: 'u32', inner: 'u32', count: 'f32', epsilon: 'f32' },
    body: /* wgsl */ `let c = i / ${inner} % u.channels;
    let r = inverseSqrt(variance[c] + u.epsilon);
    let z = (x[i] - mean[c]) * r;
    dx[i] = weight[c] * r * (dy[i] - (dbias[c] + z * dweight[c]) / u.count);`,
  });
});

/** dx if mean and variance are constants. */
export const batchNormBackwardFixed = memoize((vectors: boolean) => {
  const { map, inner } = formOf(vectors);
  return apply(vectors)({
    name: 'batch_norm_backward_fixed',
    buffers: { dy: `read ${map}`, variance: 'read', weight: 'read', dx: `write ${map}` },
    uniforms: { channels: 'u32', inner: 'u32', epsilon: 'f32' },
    body: /* wgsl */ `let c = i / ${inner} % u.channels;
    dx[i] = (weight[c] * inverseSqrt(variance[c] + u.epsilon)) * dy[i];`,
  });
});

/**
 * The normalisation of a convolution's result by constants, folded into the convolution: w is [channels, per], one row a filter.
 *
 *   folded = w weight r      shift = bias - mean weight r      r = 1 / sqrt(variance + epsilon)
 */
export const batchNormFold = elementwise({
  name: 'batch_norm_fold',
  buffers: {
    w: 'read',
    mean: 'read',
    variance: 'read',
    weight: 'read',
    bias: 'read',
    folded: 'write',
    shift: 'write',
  },
  uniforms: { per: 'u32', epsilon: 'f32' },
  body: /* wgsl */ `let c = i / u.per;
    let scale = weight[c] * inverseSqrt(variance[c] + u.epsilon);
    folded[i] = w[i] * scale;
    if (i % u.per == 0u) { shift[c] = bias[c] - mean[c] * scale; }`,
});

/** Its gradient: dw = dfolded weight r. */
export const batchNormFoldBackward = elementwise({
  name: 'batch_norm_fold_backward',
  buffers: { dfolded: 'read', variance: 'read', weight: 'read', dw: 'write' },
  uniforms: { per: 'u32', epsilon: 'f32' },
  body: /* wgsl */ `let c = i / u.per;
    dw[i] = dfolded[i] * weight[c] * inverseSqrt(variance[c] + u.epsilon);`,
});

export interface BatchNormStatistics {
  mean: Float64Array;
  variance: Float64Array;
}

const channelOf = (at: number, { channels, inner }: ChannelView): number => Math.floor(at / inner) % channels;

/** Sums of `term` over the elements of each channel. */
function channelTotals(view: ChannelView, term: (at: number, channel: number) => number): Float64Array {
  const totals = new Float64Array(view.channels);
  for (let at = 0; at < view.outer * view.channels * view.inner; at++) {
    const c = channelOf(at, view);
    totals[c]! += term(at, c);
  }
  return totals;
}

export function batchNormStatisticsReference(x: Float64Array, view: ChannelView): BatchNormStatistics {
  const count = view.outer * view.inner;
  const mean = channelTotals(view, (at) => x[at]!).map((total) => total / count);
  const variance = channelTotals(view, (at, c) => (x[at]! - mean[c]!) ** 2).map((total) => total / count);
  return { mean, variance };
}

export function batchNormReference(
  x: Float64Array,
  { mean, variance }: BatchNormStatistics,
  weight: Float64Array,
  bias: Float64Array,
  view: ChannelView,
  epsilon: number,
): Float64Array {
  return x.map((value, at) => {
    const c = channelOf(at, view);
    return (weight[c]! * (value - mean[c]!)) / Math.sqrt(variance[c]! + epsilon) + bias[c]!;
  });
}

/** `fixed`: mean and variance are constants. */
export function batchNormBackwardReference(
  x: Float64Array,
  dy: Float64Array,
  { mean, variance }: BatchNormStatistics,
  weight: Float64Array,
  view: ChannelView,
  epsilon: number,
  fixed = false,
): { dx: Float64Array; dweight: Float64Array; dbias: Float64Array } {
  const count = view.outer * view.inner;
  const z = (at: number, c: number): number => (x[at]! - mean[c]!) / Math.sqrt(variance[c]! + epsilon);
  const dbias = channelTotals(view, (at) => dy[at]!);
  const dweight = channelTotals(view, (at, c) => dy[at]! * z(at, c));
  const dx = dy.map((value, at) => {
    const c = channelOf(at, view);
    const through = fixed ? 0 : (dbias[c]! + z(at, c) * dweight[c]!) / count;
    return (weight[c]! / Math.sqrt(variance[c]! + epsilon)) * (value - through);
  });
  return { dx, dweight, dbias };
}

/** Rows of w by channel: the folded rows and the shift. */
export function batchNormFoldReference(
  w: Float64Array,
  { mean, variance }: BatchNormStatistics,
  weight: Float64Array,
  bias: Float64Array,
  epsilon: number,
): { folded: Float64Array; shift: Float64Array } {
  const per = w.length / weight.length;
  const scale = weight.map((value, c) => value / Math.sqrt(variance[c]! + epsilon));
  return {
    folded: w.map((value, i) => value * scale[Math.floor(i / per)]!),
    shift: bias.map((value, c) => value - mean[c]! * scale[c]!),
  };
}

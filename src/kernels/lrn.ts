/**
 * Local response normalisation (Caffe, lrn_layer.cpp) of x [images, channels, h, w].
 *
 *   scale_i = k + alpha/size^2 * sum over the size x size window around i in its channel of x_j^2    'within'
 *   scale_i = k + alpha/size   * sum over the size channels around i's at its position of x_j^2     'across'
 *   y_i     = x_i scale_i^-beta
 *   dx_i    = dy_i scale_i^-beta - 2 beta alpha/size^(2 or 1) x_i * sum over j of dy_j y_j / scale_j
 *
 * Windows are clipped (zero padding) and the divisor is size^2 or size at the border, too. size is odd, so that i lies in
 * the window of j exactly if j lies in that of i: the backward pass gathers over the same window. Caffe's 'within' has k = 1.
 */
import { IEEE_WGSL } from './ieee.ts';
import { kernel, memoize } from './kernel.ts';

export type LrnMode = 'within' | 'across';

const uniforms = {
  images: 'u32',
  channels: 'u32',
  h: 'u32',
  w: 'u32',
  size: 'u32',
  alpha: 'f32',
  beta: 'f32',
  k: 'f32',
} as const;
const each = ['images', 'channels', 'h', 'w'] as const;

/** `window_sum(i)`: the sum of `term(j)` over the window around element i; `weight()`: alpha over the divisor. */
const WINDOW: Record<LrnMode, string> = {
  within: /* wgsl */ `
fn window_sum(i: u32) -> f32 {
  let reach = u.size / 2u;
  let plane = i / (u.h * u.w) * (u.h * u.w);
  let y = i / u.w % u.h;
  let x = i % u.w;
  var total = 0.0;
  for (var jy = max(y, reach) - reach; jy <= min(y + reach, u.h - 1u); jy++) {
    for (var jx = max(x, reach) - reach; jx <= min(x + reach, u.w - 1u); jx++) {
      total += term(plane + jy * u.w + jx);
    }
  }
  return total;
}
fn weight() -> f32 { return u.alpha / f32(u.size * u.size); }
`,
  across: /* wgsl */ `
fn window_sum(i: u32) -> f32 {
  let reach = u.size / 2u;
  let plane = u.h * u.w;
  let channel = i / plane % u.channels;
  let first = i - channel * plane;
  var total = 0.0;
  for (var j = max(channel, reach) - reach; j <= min(channel + reach, u.channels - 1u); j++) {
    total += term(first + j * plane);
  }
  return total;
}
fn weight() -> f32 { return u.alpha / f32(u.size); }
`,
};

export const lrnForward = memoize((mode: LrnMode) =>
  kernel({
    name: `lrn_forward_${mode}`,
    buffers: { x: 'read', y: 'write', scale: 'write' },
    uniforms,
    each,
    functions: /* wgsl */ `${IEEE_WGSL}
fn term(j: u32) -> f32 { return x[j] * x[j]; }
${WINDOW[mode]}`,
    body: /* wgsl */ `
  let s = u.k + weight() * window_sum(i);
  scale[i] = s;
  y[i] = x[i] * nan_pow(s, -u.beta);`,
  }),
);

export const lrnBackward = memoize((mode: LrnMode) =>
  kernel({
    name: `lrn_backward_${mode}`,
    buffers: { x: 'read', y: 'read', scale: 'read', dy: 'read', dx: 'write' },
    uniforms,
    each,
    functions: /* wgsl */ `${IEEE_WGSL}
fn term(j: u32) -> f32 { return dy[j] * y[j] / scale[j]; }
${WINDOW[mode]}`,
    body: /* wgsl */ `
  dx[i] = dy[i] * nan_pow(scale[i], -u.beta) - 2.0 * u.beta * weight() * x[i] * window_sum(i);`,
  }),
);

export interface LrnSettings {
  size: number;
  alpha: number;
  beta: number;
  k: number;
  mode: LrnMode;
}
export interface LrnShape {
  images: number;
  channels: number;
  h: number;
  w: number;
}

/** Indices of the elements in the window around element (n, c, y, x). */
function windowOf(
  { channels, h, w }: LrnShape,
  { size, mode }: LrnSettings,
  at: readonly [number, number, number, number],
) {
  const [n, c, y, x] = at;
  const reach = (size - 1) / 2;
  const indices: number[] = [];
  for (let a = -reach; a <= reach; a++) {
    if (mode === 'across') {
      if (c + a >= 0 && c + a < channels) indices.push(((n * channels + c + a) * h + y) * w + x);
      continue;
    }
    for (let b = -reach; b <= reach; b++)
      if (y + a >= 0 && y + a < h && x + b >= 0 && x + b < w)
        indices.push(((n * channels + c) * h + y + a) * w + x + b);
  }
  return indices;
}

function eachElement(
  { images, channels, h, w }: LrnShape,
  visit: (at: [number, number, number, number]) => void,
): void {
  for (let n = 0; n < images; n++)
    for (let c = 0; c < channels; c++) for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) visit([n, c, y, x]);
}

const divisor = ({ size, mode }: LrnSettings) => (mode === 'within' ? size * size : size);

export function lrnReference(
  x: Float64Array,
  shape: LrnShape,
  settings: LrnSettings,
): { y: Float64Array; scale: Float64Array } {
  const y = new Float64Array(x.length);
  const scale = new Float64Array(x.length);
  let i = 0;
  eachElement(shape, (at) => {
    const sum = windowOf(shape, settings, at).reduce((total, j) => total + x[j]! ** 2, 0);
    scale[i] = settings.k + (settings.alpha / divisor(settings)) * sum;
    y[i] = x[i]! * scale[i]! ** -settings.beta;
    i++;
  });
  return { y, scale };
}

/** Scatters: every output j contributes to every input of its window, directly by the chain rule. */
export function lrnBackwardReference(
  x: Float64Array,
  dy: Float64Array,
  shape: LrnShape,
  settings: LrnSettings,
): Float64Array {
  const { alpha, beta } = settings;
  const { scale } = lrnReference(x, shape, settings);
  const dx = new Float64Array(x.length);
  let j = 0;
  eachElement(shape, (at) => {
    dx[j]! += dy[j]! * scale[j]! ** -beta;
    for (const i of windowOf(shape, settings, at))
      dx[i]! += dy[j]! * x[j]! * -beta * scale[j]! ** (-beta - 1) * (alpha / divisor(settings)) * 2 * x[i]!;
    j++;
  });
  return dx;
}

/**
 * From a decoded image to the network's input, in one pass: resize, flip, channel order, mean, scale.
 *
 *   image: h x w pixels, one word each (R in the low byte, then G, B, A; A is not used)
 *   y [1, 3, outH, outW] = (bilinear(image) - mean_c) * factor_c,  channels B,G,R or R,G,B
 *
 * The resize is OpenCV's INTER_LINEAR: half-pixel centres, src = (dst + 0.5) * srcPerDst - 0.5, border clamped, no
 * antialiasing. srcPerDst is the exact 1/scale, not inH/outH: py-faster-rcnn (lib/utils/blob.py) resizes by a factor and
 * rounds the size. The flip mirrors the source (`im[:, ::-1, :]`) before the resize. py-faster-rcnn subtracts the mean before
 * resizing; interpolation weights sum to 1, so subtracting it afterwards is the same up to rounding.
 */
import { DIVIDE_WGSL } from './divide.ts';
import { kernel, linear } from './kernel.ts';
import { roundHalfEven } from './rounding.ts';

/** A decoded image: row-major, 4 bytes per pixel. Data sets load it; a canvas's `ImageData` has the same layout. */
export interface DecodedImage {
  width: number;
  height: number;
  /** Alpha is not used. */
  rgba: Uint8Array | Uint8ClampedArray;
}

/** Pixels per workgroup; each of its 64 invocations takes several. */
export const PIXELS = 256;

/** The colour of a pixel's word, 0 to 255. */
export const RGB_WGSL = /* wgsl */ `
fn rgb(word: u32) -> vec3f { return vec3f(vec3u(word, word >> 8u, word >> 16u) & vec3u(0xffu)); }
`;

/** `sampled`: the picture at (source_x, source_y), between the four nearest of `pixel(row, column)`. */
export const BILINEAR_WGSL = /* wgsl */ `
    let top = floor(source_y);
    let left = floor(source_x);
    let row = i32(top);
    let column = i32(left);
    let upper = mix(pixel(row, column), pixel(row, column + 1), source_x - left);
    let lower = mix(pixel(row + 1, column), pixel(row + 1, column + 1), source_x - left);
    let sampled = mix(upper, lower, source_y - top);`;

/** How the network wants its colours. */
export const COLOUR_UNIFORMS = {
  /** 1: channels B,G,R; 0: R,G,B. Means and factors are in the order of the output's channels. */
  bgr: 'u32',
  mean0: 'f32',
  mean1: 'f32',
  mean2: 'f32',
  factor0: 'f32',
  factor1: 'f32',
  factor2: 'f32',
} as const;

export interface ColourSettings {
  bgr: boolean;
  /** In the order of the output's channels. */
  mean: readonly [number, number, number];
  factor: readonly [number, number, number];
}

export const colourUniforms = ({
  bgr,
  mean,
  factor,
}: ColourSettings): Record<keyof typeof COLOUR_UNIFORMS, number> => ({
  bgr: Number(bgr),
  mean0: mean[0],
  mean1: mean[1],
  mean2: mean[2],
  factor0: factor[0],
  factor1: factor[1],
  factor2: factor[2],
});

/** Writes `color` to cell `i` of the three planes of `plane` cells. */
export const WRITE_COLOUR_WGSL = /* wgsl */ `
    if (u.bgr != 0u) { color = color.bgr; }
    y[i] = (color.x - u.mean0) * u.factor0;
    y[plane + i] = (color.y - u.mean1) * u.factor1;
    y[2u * plane + i] = (color.z - u.mean2) * u.factor2;`;

export const imagePrepare = kernel({
  name: 'image_prepare',
  buffers: { image: 'read u32', y: 'write' },
  uniforms: {
    h: 'u32',
    w: 'u32',
    outH: 'u32',
    outW: 'u32',
    srcPerDstY: 'f32',
    srcPerDstX: 'f32',
    /** 1: mirror left and right. */
    flip: 'u32',
    ...COLOUR_UNIFORMS,
  },
  grid: ({ outH, outW }) => linear(outH * outW, PIXELS),
  functions: /* wgsl */ `${DIVIDE_WGSL}${RGB_WGSL}
fn pixel(y: i32, x: i32) -> vec3f {
  let row = u32(clamp(y, 0, i32(u.h) - 1));
  var column = u32(clamp(x, 0, i32(u.w) - 1));
  if (u.flip != 0u) { column = u.w - 1u - column; }
  return rgb(image[row * u.w + column]);
}`,
  body: /* wgsl */ `
  let plane = u.outH * u.outW;
  let start = linear_index(group, groups, 0u, ${PIXELS}u);
  for (var i = start + lane; i < min(start + ${PIXELS}u, plane); i += 64u) {
    let line = divide(i, u.outW);
    let source_y = (f32(line) + 0.5) * u.srcPerDstY - 0.5;
    let source_x = (f32(i - line * u.outW) + 0.5) * u.srcPerDstX - 0.5;${BILINEAR_WGSL}
    var color = sampled;${WRITE_COLOUR_WGSL}
  }`,
});

/**
 * The size to which py-faster-rcnn resizes an image (lib/utils/blob.py, prep_im_for_blob): the shorter side becomes
 * `shorterSide` pixels unless the longer one would exceed `longerSide`, which then bounds it. One scale for both axes.
 */
export function resizedSize(
  h: number,
  w: number,
  shorterSide: number,
  longerSide: number,
): { height: number; width: number; scale: number } {
  let scale = shorterSide / Math.min(h, w);
  if (roundHalfEven(scale * Math.max(h, w)) > longerSide) scale = longerSide / Math.max(h, w);
  // A very long image would otherwise lose its short side altogether.
  const side = (n: number) => Math.max(1, roundHalfEven(n * scale));
  return { height: side(h), width: side(w), scale };
}

export interface PrepareSettings extends ColourSettings {
  h: number;
  w: number;
  outH: number;
  outW: number;
  srcPerDstY: number;
  srcPerDstX: number;
  flip: boolean;
}

/** The settings as the kernel's uniforms. */
export function prepareUniforms(settings: PrepareSettings): Record<keyof typeof imagePrepare.uniforms, number> {
  const { h, w, outH, outW, srcPerDstY, srcPerDstX, flip } = settings;
  return { h, w, outH, outW, srcPerDstY, srcPerDstX, flip: Number(flip), ...colourUniforms(settings) };
}

export function imagePrepareReference(image: Uint32Array, settings: PrepareSettings): Float64Array {
  const { h, w, outH, outW, srcPerDstY, srcPerDstX, flip, bgr, mean, factor } = settings;
  const value = (row: number, column: number, channel: number): number => {
    const y = Math.min(Math.max(row, 0), h - 1);
    const x = Math.min(Math.max(column, 0), w - 1);
    return (image[y * w + (flip ? w - 1 - x : x)]! >>> (8 * channel)) & 0xff;
  };
  const out = new Float64Array(3 * outH * outW);
  for (let c = 0; c < 3; c++)
    for (let oy = 0; oy < outH; oy++)
      for (let ox = 0; ox < outW; ox++) {
        const sy = (oy + 0.5) * srcPerDstY - 0.5;
        const sx = (ox + 0.5) * srcPerDstX - 0.5;
        const [row, column] = [Math.floor(sy), Math.floor(sx)];
        const [fy, fx] = [sy - row, sx - column];
        const channel = bgr ? 2 - c : c;
        const mixed =
          (1 - fy) * ((1 - fx) * value(row, column, channel) + fx * value(row, column + 1, channel)) +
          fy * ((1 - fx) * value(row + 1, column, channel) + fx * value(row + 1, column + 1, channel));
        out[(c * outH + oy) * outW + ox] = (mixed - mean[c]!) * factor[c]!;
      }
  return out;
}

/**
 * Places a picture, turned, cut, scaled and with other colours, into a part of the network's input: augmentation on the device.
 *
 *   image: h x w pixels, one word each (R in the low byte); y [1, 3, outH, outW], of which only the pixels in the rectangle
 *   [left, right) x [top, bottom) are written
 *
 * The turned picture is the stored one, transposed if `turn`, then mirrored left to right and top to bottom. The pixel of y whose
 * centre is (x, y) gets the bilinear sample of the turned picture at (x perX + startX, y perY + startY), both measured from the
 * edge, with the border clamped as in imagePrepare.ts. Its colour is then M rgb + grey * lumaSum[0], between 0 and 255.
 */
import { DIVIDE_WGSL } from './divide.ts';
import {
  BILINEAR_WGSL,
  COLOUR_UNIFORMS,
  type ColourSettings,
  colourUniforms,
  type DecodedImage,
  PIXELS,
  RGB_WGSL,
  WRITE_COLOUR_WGSL,
} from './imagePrepare.ts';
import { kernel, linear } from './kernel.ts';
import { GROUP_SUM_WGSL, REDUCE_CHUNK } from './reduce.ts';

/** How a picture is turned: transposed, then mirrored. */
export interface Orientation {
  turn: boolean;
  mirrorX: boolean;
  mirrorY: boolean;
}

/** Colours as an affine map: rows of a 3x3 matrix on R, G, B, and the share of the picture's mean luma that is added. */
export interface ColourMap {
  matrix: readonly number[];
  grey: number;
}

/** A picture within a composition. Lengths are in pixels of the composition, measured from its edge. */
export interface PicturePart extends Orientation {
  picture: DecodedImage;
  left: number;
  top: number;
  right: number;
  bottom: number;
  /** From a place in the composition to one in the turned picture: place * per + start. */
  perX: number;
  perY: number;
  startX: number;
  startY: number;
  colour: ColourMap;
}

/** What is drawn of pictures before it becomes the network's input, as if it were a picture of this size. */
export interface Composition {
  width: number;
  height: number;
  parts: readonly PicturePart[];
}

export type Picture = DecodedImage | Composition;

/** The weights of R, G and B in a pixel's luma (ITU-R BT.709, as in SVG's filters). */
export const LUMA = [0.213, 0.715, 0.072] as const;

/** The sums of the luma of chunks of REDUCE_CHUNK pixels; `sumFinal` adds them up. */
export const lumaPartial = kernel({
  name: 'luma_partial',
  buffers: { image: 'read u32', partials: 'write' },
  uniforms: { n: 'u32' },
  grid: ({ n }) => linear(n, REDUCE_CHUNK),
  functions: GROUP_SUM_WGSL + RGB_WGSL,
  body: /* wgsl */ `
  let chunk = linear_index(group, groups, 0u, 1u);
  let start = chunk * ${REDUCE_CHUNK}u;
  if (start >= u.n && chunk > 0u) { return; }
  var own = 0.0;
  for (var i = start + lane; i < min(start + ${REDUCE_CHUNK}u, u.n); i += 64u) {
    own += dot(rgb(image[i]), vec3f(${LUMA.join(', ')}));
  }
  let total = group_sum(lane, own);
  if (lane == 0u) { partials[chunk] = total; }`,
});

const MATRIX = ['m00', 'm01', 'm02', 'm10', 'm11', 'm12', 'm20', 'm21', 'm22'] as const;

export const placePicture = kernel({
  name: 'place_picture',
  buffers: { image: 'read u32', lumaSum: 'read', y: 'write' },
  uniforms: {
    h: 'u32',
    w: 'u32',
    outH: 'u32',
    outW: 'u32',
    turn: 'u32',
    mirrorX: 'u32',
    mirrorY: 'u32',
    left: 'u32',
    top: 'u32',
    right: 'u32',
    bottom: 'u32',
    perX: 'f32',
    perY: 'f32',
    startX: 'f32',
    startY: 'f32',
    m00: 'f32',
    m01: 'f32',
    m02: 'f32',
    m10: 'f32',
    m11: 'f32',
    m12: 'f32',
    m20: 'f32',
    m21: 'f32',
    m22: 'f32',
    /** Of the sum of the luma of all pixels. */
    grey: 'f32',
    ...COLOUR_UNIFORMS,
  },
  grid: ({ left, top, right, bottom }) => linear((right - left) * (bottom - top), PIXELS),
  functions: /* wgsl */ `${DIVIDE_WGSL}${RGB_WGSL}
fn pixel(y: i32, x: i32) -> vec3f {
  let high = select(u.h, u.w, u.turn != 0u);
  let wide = select(u.w, u.h, u.turn != 0u);
  var row = u32(clamp(y, 0, i32(high) - 1));
  var column = u32(clamp(x, 0, i32(wide) - 1));
  if (u.mirrorX != 0u) { column = wide - 1u - column; }
  if (u.mirrorY != 0u) { row = high - 1u - row; }
  return rgb(image[select(row * u.w + column, column * u.w + row, u.turn != 0u)]);
}`,
  body: /* wgsl */ `
  let plane = u.outH * u.outW;
  let wide = u.right - u.left;
  let start = linear_index(group, groups, 0u, ${PIXELS}u);
  let matrix = mat3x3f(u.m00, u.m10, u.m20, u.m01, u.m11, u.m21, u.m02, u.m12, u.m22);
  for (var k = start + lane; k < min(start + ${PIXELS}u, wide * (u.bottom - u.top)); k += 64u) {
    let line = divide(k, wide);
    let at = vec2u(u.left + k - line * wide, u.top + line);
    let source_x = (f32(at.x) + 0.5) * u.perX + u.startX - 0.5;
    let source_y = (f32(at.y) + 0.5) * u.perY + u.startY - 0.5;${BILINEAR_WGSL}
    var color = clamp(matrix * sampled + vec3f(u.grey * lumaSum[0]), vec3f(), vec3f(255.0));
    let i = at.y * u.outW + at.x;${WRITE_COLOUR_WGSL}
  }`,
});

export interface PlaceSettings extends Omit<PicturePart, 'picture'>, ColourSettings {
  h: number;
  w: number;
  outH: number;
  outW: number;
}

/** The settings as the kernel's uniforms; `left` and so on are whole pixels of the output here. */
export function placeUniforms({ turn, mirrorX, mirrorY, colour, bgr, mean, factor, ...sizes }: PlaceSettings) {
  const matrix = Object.fromEntries(MATRIX.map((name, i) => [name, colour.matrix[i]!]));
  return {
    ...sizes,
    ...(matrix as Record<(typeof MATRIX)[number], number>),
    grey: colour.grey / (sizes.h * sizes.w),
    turn: Number(turn),
    mirrorX: Number(mirrorX),
    mirrorY: Number(mirrorY),
    ...colourUniforms({ bgr, mean, factor }),
  };
}

const channelOf = (word: number, channel: number): number => (word >>> (8 * channel)) & 0xff;

export const lumaReference = (image: Uint32Array): Float64Array =>
  Float64Array.from(image, (word) => LUMA.reduce((sum, weight, c) => sum + weight * channelOf(word, c), 0));

/** `y` where nothing is placed. */
export function placePictureReference(image: Uint32Array, y: Float64Array, settings: PlaceSettings): Float64Array {
  const { h, w, outH, outW, turn, mirrorX, mirrorY, left, top, right, bottom, colour, bgr, mean, factor } = settings;
  const [high, wide] = turn ? [w, h] : [h, w];
  const value = (y: number, x: number, channel: number): number => {
    let row = Math.min(Math.max(y, 0), high - 1);
    let column = Math.min(Math.max(x, 0), wide - 1);
    if (mirrorX) column = wide - 1 - column;
    if (mirrorY) row = high - 1 - row;
    return channelOf(image[turn ? column * w + row : row * w + column]!, channel);
  };
  const luma = lumaReference(image).reduce((sum, one) => sum + one, 0) / (h * w);
  const out = y.slice();
  for (let oy = top; oy < bottom; oy++)
    for (let ox = left; ox < right; ox++) {
      const sy = (oy + 0.5) * settings.perY + settings.startY - 0.5;
      const sx = (ox + 0.5) * settings.perX + settings.startX - 0.5;
      const [row, column] = [Math.floor(sy), Math.floor(sx)];
      const [fy, fx] = [sy - row, sx - column];
      const sampled = [0, 1, 2].map(
        (c) =>
          (1 - fy) * ((1 - fx) * value(row, column, c) + fx * value(row, column + 1, c)) +
          fy * ((1 - fx) * value(row + 1, column, c) + fx * value(row + 1, column + 1, c)),
      );
      for (let c = 0; c < 3; c++) {
        const from = bgr ? 2 - c : c;
        const mixed = sampled.reduce((sum, one, j) => sum + colour.matrix[3 * from + j]! * one, colour.grey * luma);
        const seen = Math.min(Math.max(mixed, 0), 255);
        out[(c * outH + oy) * outW + ox] = (seen - mean[c]!) * factor[c]!;
      }
    }
  return out;
}

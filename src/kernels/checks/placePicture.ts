/** Checks of the kernels that augment pictures. */
import { lumaPartial, lumaReference, placePicture, placePictureReference, placeUniforms } from '../placePicture.ts';
import { partialCount, partialsReference } from '../reduce.ts';
import type { KernelCheck } from './check.ts';
import { doubles, integers, normals } from './inputs.ts';

const pixels = (n: number): Uint32Array => Uint32Array.from(integers(n, 1, -(2 ** 31), 2 ** 31 - 1));

export function lumaPartialCheck(n: number): KernelCheck {
  const image = pixels(n);
  return {
    name: `luma_partial ${n}`,
    kernel: lumaPartial,
    buffers: { image, partials: new Float32Array(partialCount(n)) },
    uniforms: { n },
    expected: { partials: partialsReference(lumaReference(image)) },
    atol: 0,
    rtol: 1e-5,
  };
}

/** A picture of h x w enlarged by `k` into a part of an input of 40 x 56; the rest must stay as it was. */
export function placePictureCheck(
  h: number,
  w: number,
  k: number,
  turning: { turn: boolean; mirrorX: boolean; mirrorY: boolean },
  bgr: boolean,
): KernelCheck {
  const [outH, outW] = [40, 56];
  const image = pixels(h * w);
  const y = normals(3 * outH * outW, 2);
  const settings = {
    h,
    w,
    outH,
    outW,
    ...turning,
    left: 3,
    top: 5,
    right: 50,
    bottom: 38,
    perX: 1 / k,
    perY: 1 / k,
    startX: -2.25,
    startY: 1.5,
    colour: { matrix: [1.1, -0.2, 0.1, 0.05, 0.8, 0.1, -0.1, 0.2, 0.9], grey: 0.1 },
    bgr,
    mean: [102.9801, 115.9465, 122.7717] as const,
    factor: [1, 0.5, 0.25] as const,
  };
  const luma = lumaReference(image).reduce((sum, one) => sum + one, 0);
  const how = Object.entries(turning).flatMap(([name, on]) => (on ? [name] : []));
  return {
    name: `place_picture ${h}x${w} times ${k} ${how.join(' ')}${bgr ? ' bgr' : ''}`,
    kernel: placePicture,
    buffers: { image, lumaSum: Float32Array.of(luma), y },
    uniforms: placeUniforms(settings),
    expected: { y: placePictureReference(image, doubles(y), settings) },
    // A place is off by a few units in the last place of its distance from the edge, a colour by 255 times as much.
    atol: 2e-3 + 5e-5 * Math.max(h, w),
    rtol: 1e-6,
  };
}

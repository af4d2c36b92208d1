/** Prepares an image for a network: uploads and resizes it, reorders its channels, normalises mean and range. */
import type { Gpu } from '../engine/gpu.ts';
import type { Tensor } from '../engine/tensor.ts';
import { type DecodedImage, imagePrepare, prepareUniforms } from '../kernels/imagePrepare.ts';
import { type Composition, lumaPartial, type Picture, placePicture, placeUniforms } from '../kernels/placePicture.ts';
import { partialCount, sumFinal } from '../kernels/reduce.ts';
import type { InputConfig } from './config.ts';

/** Where the pixels go: the size of the result, and pixels of the image per pixel of the result. */
export interface Placement {
  height: number;
  width: number;
  perY: number;
  perX: number;
  /** Mirrored left to right. */
  flip: boolean;
}

/** One word per pixel. Bytes that do not start on a word boundary of their buffer are copied. */
function pixelWords({ width, height, rgba }: DecodedImage): Int32Array {
  const bytes = 4 * width * height;
  if (!(rgba.length >= bytes && bytes > 0))
    throw new Error(`prepareImage: rgba has ${rgba.length} bytes, expected 4 x ${width} x ${height}`);
  const whole = rgba.byteOffset % 4 === 0 ? rgba : rgba.slice(0, bytes);
  return new Int32Array(whole.buffer, whole.byteOffset, width * height);
}

type Form = Pick<InputConfig, 'channels' | 'mean' | 'factor'>;

/** [1, 3, height, width] */
export function prepareImage(gpu: Gpu, pixels: Picture, placement: Placement, form: Form): Tensor {
  if ('parts' in pixels) return prepareComposition(gpu, pixels, placement, form);
  const { height, width, perY, perX, flip } = placement;
  const { channels, mean, factor } = form;
  const words = pixelWords(pixels);
  const image = gpu.tensor(words, [pixels.height, pixels.width], 'image');
  const y = gpu.empty([1, 3, height, width], 'f32', 'prepared image');
  const uniforms = prepareUniforms({
    h: pixels.height,
    w: pixels.width,
    outH: height,
    outW: width,
    srcPerDstY: perY,
    srcPerDstX: perX,
    flip,
    bgr: channels === 'bgr',
    mean,
    factor,
  });
  gpu.run(imagePrepare, { image, y }, uniforms);
  image.dispose();
  return y;
}

/** Each part in its place; what no part covers is 0, the mean colour. */
function prepareComposition(
  gpu: Gpu,
  composition: Composition,
  { height, width, perY, perX, flip }: Placement,
  { channels, mean, factor }: Form,
): Tensor {
  const y = gpu.zeros([1, 3, height, width], 'prepared image');
  /** The first pixel whose centre lies beyond a place in the composition. */
  const pixel = (place: number, per: number, size: number): number =>
    Math.min(Math.max(Math.ceil(place / per - 0.5), 0), size);
  for (const { picture, colour, ...part } of composition.parts) {
    const image = gpu.tensor(pixelWords(picture), [picture.height, picture.width], 'image');
    const lumaSum = colour.grey === 0 ? gpu.zeros([1], 'luma') : lumaOf(gpu, image);
    const [left, right] = flip
      ? [composition.width - part.right, composition.width - part.left]
      : [part.left, part.right];
    const uniforms = placeUniforms({
      ...part,
      h: picture.height,
      w: picture.width,
      outH: height,
      outW: width,
      left: pixel(left, perX, width),
      right: pixel(right, perX, width),
      top: pixel(part.top, perY, height),
      bottom: pixel(part.bottom, perY, height),
      perX: (flip ? -1 : 1) * part.perX * perX,
      startX: flip ? composition.width * part.perX + part.startX : part.startX,
      perY: part.perY * perY,
      startY: part.startY,
      colour,
      bgr: channels === 'bgr',
      mean,
      factor,
    });
    gpu.run(placePicture, { image, lumaSum, y }, uniforms);
    image.dispose();
    lumaSum.dispose();
  }
  return y;
}

/** The sum of the luma of an image's pixels, [1]. */
function lumaOf(gpu: Gpu, image: Tensor): Tensor {
  const n = image.size;
  const partials = gpu.empty([partialCount(n)], 'f32', 'luma of chunks');
  gpu.run(lumaPartial, { image, partials }, { n });
  const sum = gpu.empty([1], 'f32', 'luma');
  gpu.run(sumFinal, { partials, y: sum }, { n: partialCount(n) });
  partials.dispose();
  return sum;
}

/** Prepares an image for a network: uploads and resizes it, reorders its channels, normalises mean and range. */
import type { Gpu } from '../engine/gpu.ts';
import type { Tensor } from '../engine/tensor.ts';
import { type DecodedImage, imagePrepare, prepareUniforms } from '../kernels/imagePrepare.ts';
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

/** [1, 3, height, width] */
export function prepareImage(
  gpu: Gpu,
  pixels: DecodedImage,
  { height, width, perY, perX, flip }: Placement,
  { channels, mean, factor }: Pick<InputConfig, 'channels' | 'mean' | 'factor'>,
): Tensor {
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

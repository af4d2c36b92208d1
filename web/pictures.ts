/** Pictures as pixels, as something that a canvas can draw, and as files. None of this needs the page, so a worker can do it. */
import type { DecodedImage } from '../src/index.ts';

/** Anything of a known size that a canvas can draw. */
export type Drawable = CanvasImageSource & { width: number; height: number };

/** The pixels of an image as something that a canvas can draw. */
export function bitmap({ width, height, rgba }: DecodedImage): OffscreenCanvas {
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext('2d')!.putImageData(new ImageData(new Uint8ClampedArray(rgba), width, height), 0, 0);
  return canvas;
}

/** The pixels of something that a canvas can draw. */
export function pixels(picture: Drawable): DecodedImage {
  const { width, height } = picture;
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true })!;
  context.drawImage(picture, 0, 0);
  return { width, height, rgba: context.getImageData(0, 0, width, height).data };
}

/** Decodes an image file, turned as its EXIF orientation says. Throws one line that names it. */
export const decode = (file: Blob, name: string): Promise<ImageBitmap> =>
  createImageBitmap(file).catch(() => {
    throw new Error(`${name}: the browser cannot read it as an image; choose a JPEG, PNG or WebP`);
  });

/** Decodes an image file to pixels. */
export async function decodePixels(file: Blob, name: string): Promise<DecodedImage> {
  const decoded = await decode(file, name);
  const read = pixels(decoded);
  decoded.close();
  return read;
}

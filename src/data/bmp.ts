/** Windows bitmaps, which libvips does not read: through bmp-ts. */
import { decode } from 'bmp-ts';
import type { DecodedImage } from '../kernels/imagePrepare.ts';

/** The most pixels of an image, as in libvips, since a header may claim anything. */
const MAX_PIXELS = 0x3fff * 0x3fff;

/** Bytes of the headers that contain the size. */
export const BMP_HEADER = 26;

/** The size in a bitmap's header; undefined if the file is not a bitmap. */
export function bmpSize(bytes: Buffer): { width: number; height: number } | undefined {
  if (bytes.length < BMP_HEADER || bytes.toString('latin1', 0, 2) !== 'BM') return undefined;
  const old = bytes.readUInt32LE(14) === 12; // OS/2's header
  const width = old ? bytes.readUInt16LE(18) : bytes.readInt32LE(18);
  // A negative height means that the rows are stored from the top.
  const height = old ? bytes.readUInt16LE(20) : Math.abs(bytes.readInt32LE(22));
  return width > 0 && height > 0 && width * height <= MAX_PIXELS ? { width, height } : undefined;
}

/** Throws an Error if the file is cut off or damaged. */
export function decodeBmp(bytes: Buffer): DecodedImage {
  let bitmap: { width: number; height: number; data: Uint8Array };
  try {
    bitmap = decode(bytes, { toRGBA: true });
  } catch (error) {
    throw new Error(error instanceof RangeError ? 'it is cut off' : (error as Error).message);
  }
  const { width, height, data } = bitmap;
  const rgba = new Uint8Array(data);
  if (rgba.length !== 4 * width * height) throw new Error('its pixels do not have the size that its header says');
  for (let i = 3; i < rgba.length; i += 4) rgba[i] = 255;
  return { width, height, rgba };
}

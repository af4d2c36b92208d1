/**
 * Image files (JPEG, PNG, WebP and whatever else libvips reads) to pixels, through sharp.
 *
 * The orientation written by the camera (EXIF) is applied and an alpha channel is dropped, both as OpenCV's imread does,
 * which the public implementations use.
 */
import { readFile } from 'node:fs/promises';
import sharp from 'sharp';
import { UserError } from '../engine/errors.ts';
import type { Picture } from './dataset.ts';

/** Decodes one file to 8-bit RGB with alpha 255; throws a UserError that names a file that is missing, cut off or no image. */
export async function readPicture(path: string): Promise<Picture> {
  try {
    // Bytes and not the path, by which libvips would keep what it decoded: a file that changed would come back as it was.
    const { data, info } = await sharp(await readFile(path), { failOn: 'truncated' })
      .autoOrient()
      .toColourspace('srgb')
      .removeAlpha()
      .ensureAlpha()
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    return { width: info.width, height: info.height, rgba: new Uint8Array(data.buffer, data.byteOffset, data.length) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new UserError(`${path}: no such file; check the name, or add the image`);
    }
    const reason = (error as Error).message.split('\n')[0]!.trim();
    throw new UserError(`${path}: cannot be read as an image (${reason}); replace the file or take it out of the list`);
  }
}

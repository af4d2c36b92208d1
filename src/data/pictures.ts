/**
 * Image files (JPEG, PNG, WebP and whatever else libvips reads) to pixels, through sharp.
 *
 * The orientation written by the camera (EXIF) is applied and an alpha channel is dropped, both as OpenCV's imread does,
 * which the public implementations use.
 */
import { readFile } from 'node:fs/promises';
import { UserError } from '../engine/errors.ts';
import { nativePackage } from '../engine/node/nativePackage.ts';
import { eachAtOnce } from './atOnce.ts';
import type { Picture, Sample } from './dataset.ts';

export const PICTURE_EXTENSIONS: readonly string[] = ['.jpg', '.jpeg', '.png', '.webp'];

const loadSharp = () => nativePackage<(typeof import('sharp'))['default']>('sharp', 'reads image files');

/** Decodes one file to 8-bit RGB with alpha 255; throws a UserError that names a file that is missing, cut off or no image. */
export async function readPicture(path: string): Promise<Picture> {
  const sharp = loadSharp();
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
    throw unreadable(path, error as Error);
  }
}

/** How a sample has its picture: of the size that `annotations` (a file) has for it, or `load` and `check` throw. */
export function pictureOf(
  path: string,
  width: number,
  height: number,
  annotations: string,
): Required<Pick<Sample, 'load' | 'check'>> {
  const assertSize = (found: { width: number; height: number }): void => {
    if (found.width === width && found.height === height) return;
    throw new UserError(
      `${path}: is ${found.width}x${found.height} but ${annotations} says ${width}x${height}, so its boxes cannot be trusted; correct one of them`,
    );
  };
  return {
    async load() {
      const picture = await readPicture(path);
      assertSize(picture);
      return picture;
    },
    check: async () => assertSize(await checkPicture(path)),
  };
}

/** Reads the beginning of a file, and the size from it; throws as `readPicture` does where that is no image's. */
export async function checkPicture(path: string): Promise<{ width: number; height: number }> {
  const sharp = loadSharp();
  try {
    return (await sharp(path).metadata()).autoOrient;
  } catch (error) {
    throw unreadable(path, error as Error);
  }
}

/** Files looked at at once. */
const AT_ONCE = 16;

/** Looks at the beginning of many files: a long run should not end at a file that is no image. The first error ends it. */
export async function checkPictures(
  samples: readonly { check?(): Promise<unknown> }[],
  onImage?: () => void,
): Promise<void> {
  await eachAtOnce(samples, AT_ONCE, async (sample) => {
    await sample.check?.();
    onImage?.();
  });
}

function unreadable(path: string, error: NodeJS.ErrnoException): UserError {
  if (error.code === 'ENOENT') return new UserError(`${path}: no such file; check the name, or add the image`);
  const reason = error.message.split('\n')[0]!.trim();
  return new UserError(`${path}: cannot be read as an image (${reason}); replace the file or remove it from the list`);
}

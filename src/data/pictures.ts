/**
 * Image files (JPEG, PNG, WebP and whatever else libvips reads) to pixels, through sharp.
 *
 * The orientation written by the camera (EXIF) is applied and an alpha channel is dropped, both as OpenCV's imread does,
 * which the public implementations use.
 */
import { stat } from 'node:fs/promises';
import { UserError } from '../engine/errors.ts';
import { readRegularFileAsync } from '../engine/node/files.ts';
import { nativePackage } from '../engine/node/nativePackage.ts';
import { eachAtOnce } from './atOnce.ts';
import type { Picture, Sample } from './types.ts';

/** More than a picture has that a detector is trained on. */
const MAX_PICTURE_BYTES = 1e9;

const loadSharp = () => nativePackage<(typeof import('sharp'))['default']>('sharp', 'reads image files');

/** Decodes one file to 8-bit RGB with alpha 255; throws a UserError that names a file that is missing, cut off or no image. */
export async function readPicture(path: string): Promise<Picture> {
  try {
    // Bytes and not the path, by which libvips would keep what it decoded: a file that changed would come back as it was.
    return await decode(await readRegularFileAsync(path, { maxBytes: MAX_PICTURE_BYTES }));
  } catch (error) {
    throw unreadable(path, error as Error);
  }
}

async function decode(bytes: Uint8Array): Promise<Picture> {
  const { data, info } = await loadSharp()(bytes, { failOn: 'truncated' })
    .autoOrient()
    .toColourspace('srgb')
    .removeAlpha()
    .ensureAlpha()
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, rgba: new Uint8Array(data.buffer, data.byteOffset, data.length) };
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
    if (!(await stat(path)).isFile()) await readRegularFileAsync(path, { maxBytes: MAX_PICTURE_BYTES }); // says what it is
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
  if (error instanceof UserError) return error;
  if (error.code === 'ENOENT') return new UserError(`${path}: there is no such file; check the name, or add the image`);
  const reason = error.message.split('\n')[0]!.trim();
  return new UserError(`${path}: cannot be read as an image (${reason}); replace the file or remove it from the list`);
}

/**
 * Decodes image files (JPEG, PNG, WebP and whatever else libvips reads) through sharp.
 *
 * The camera's orientation (EXIF) is applied and an alpha channel is dropped, as by OpenCV's imread, which the public
 * implementations use.
 */
import { open, stat } from 'node:fs/promises';
import { UserError } from '../engine/errors.ts';
import { asBuffer } from '../engine/node/asBuffer.ts';
import { readRegularFileAsync } from '../engine/node/readFile.ts';
import { loadPackage } from '../engine/node/optionalPackages.ts';
import { eachAtOnce } from './atOnce.ts';
import { BMP_HEADER, bmpSize, decodeBmp } from './bmp.ts';
import { assertNothingLeft, decodeJpeg, isJpeg } from './jpeg.ts';
import { printable } from './text.ts';
import type { DecodedImage } from '../kernels/imagePrepare.ts';
import type { Sample } from './types.ts';

/** Larger than any image that a detector is trained on. */
export const MAX_IMAGE_BYTES = 1e9;

const loadSharp = () => loadPackage<(typeof import('sharp'))['default']>('sharp');

/** Decodes one file to 8-bit RGB with alpha 255; throws a UserError if it is missing, truncated or not an image. */
export async function readImage(path: string): Promise<DecodedImage> {
  try {
    // Passes the bytes instead of the path: libvips caches by path, and would not notice that a file has changed.
    return await decode(asBuffer(await readRegularFileAsync(path, { maxBytes: MAX_IMAGE_BYTES })));
  } catch (error) {
    throw unreadable(path, error as Error);
  }
}

/** As `readImage`, from the contents of a file; `name` stands for it in messages. */
export async function decodeImage(bytes: Uint8Array, name: string): Promise<DecodedImage> {
  try {
    return await decode(asBuffer(bytes));
  } catch (error) {
    throw unreadable(name, error as Error);
  }
}

async function decode(bytes: Buffer): Promise<DecodedImage> {
  assertNoHeic(bytes);
  if (bmpSize(bytes)) return decodeBmp(bytes);
  return isJpeg(bytes) ? decodeJpeg(bytes, decodeWithSharp) : decodeWithSharp(bytes, 'truncated');
}

/** Photographs of iPhones, whose codec is patented and so not part of libvips here. */
function assertNoHeic(bytes: Buffer): void {
  if (!/^ftyp(hei[cxms]|hev[cxms])/.test(bytes.toString('latin1', 4, 12))) return;
  throw new Error('its format is HEIC, which is not read here: convert it to JPEG');
}

async function decodeWithSharp(bytes: Buffer, failOn: 'truncated' | 'warning'): Promise<DecodedImage> {
  const { data, info } = await loadSharp()(bytes, { failOn })
    .autoOrient()
    .toColourspace('srgb')
    .removeAlpha()
    .ensureAlpha()
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, rgba: new Uint8Array(data.buffer, data.byteOffset, data.length) };
}

/**
 * Throws a UserError if a JPEG file's header announces fewer pixels than its data hold. `readImage` does not look for this,
 * which takes a second decoding.
 */
export async function assertWholeImage(path: string): Promise<void> {
  try {
    const bytes = asBuffer(await readRegularFileAsync(path, { maxBytes: MAX_IMAGE_BYTES }));
    if (!isJpeg(bytes)) return;
    await assertNothingLeft(bytes, (changed) => loadSharp()(changed, { failOn: 'warning' }).raw().toBuffer());
  } catch (error) {
    throw unreadable(path, error as Error);
  }
}

/** An image as the bytes of a PNG file. */
export const encodePng = ({ width, height, rgba }: DecodedImage): Promise<Uint8Array> =>
  loadSharp()(rgba, { raw: { width, height, channels: 4 } })
    .removeAlpha()
    .png()
    .toBuffer();

/**
 * The `load` and `check` of a sample. Both throw if the image does not have the size stated in `annotations` (a file).
 *
 * @param sized whether the annotations state the size; if not, `width` and `height` were read from the image
 */
export function fileLoader(
  path: string,
  { width, height }: { width: number; height: number },
  annotations: string,
  sized: boolean,
): Required<Pick<Sample, 'load' | 'check'>> {
  const assertSize = (found: { width: number; height: number }, orientation: number): void => {
    if (found.width === width && found.height === height) return;
    const turned = orientation >= 5 && found.width === height && found.height === width;
    throw new UserError(
      turned
        ? `${path}: is displayed as ${found.width}x${found.height}, turned by its EXIF orientation, but ${annotations} says ${width}x${height}: its boxes refer to the pixels as stored; annotate the image as displayed, or remove the orientation from the file`
        : `${path}: is ${found.width}x${found.height} but ${annotations} says ${width}x${height}, so its boxes cannot be trusted; correct one of them`,
    );
  };
  return {
    async load() {
      const image = await readImage(path);
      const same = image.width === width && image.height === height;
      if (!same) assertSize(image, (await checkImage(path)).orientation);
      return image;
    },
    async check() {
      const found = await checkImage(path);
      assertSize(found, found.orientation);
      // A turned image whose displayed size is the annotated one was annotated as displayed, unless it is square.
      const open = found.orientation >= 5 ? !sized || width === height : found.orientation >= 2;
      return open ? 'turned' : undefined;
    },
  };
}

export interface ImageHeader {
  /** As displayed. */
  width: number;
  height: number;
  /** EXIF's: 1 as stored, 2 to 4 mirrored or upside down, 5 to 8 turned. */
  orientation: number;
}

/** Reads the size from the beginning of a file; throws like `readImage` if it is not an image. */
export async function checkImage(path: string): Promise<ImageHeader> {
  try {
    const first = await firstBytes(path, BMP_HEADER);
    assertNoHeic(first);
    const bitmap = bmpSize(first);
    if (bitmap) return { ...bitmap, orientation: 1 };
    const { autoOrient, orientation = 1 } = await loadSharp()(path).metadata();
    return { ...autoOrient, orientation };
  } catch (error) {
    throw unreadable(path, error as Error);
  }
}

/** The first bytes of a regular file; anything else is refused. */
async function firstBytes(path: string, count: number): Promise<Buffer> {
  if (!(await stat(path)).isFile()) return asBuffer(await readRegularFileAsync(path, { maxBytes: MAX_IMAGE_BYTES })); // throws and says what it is
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(count), 0, count, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/** Files checked at the same time. */
const AT_ONCE = 16;

/** The note about images that `check` calls 'turned', if there are any. */
export function turnedNotes(ids: readonly string[]): string[] {
  if (ids.length === 0) return [];
  const [count, are] = ids.length === 1 ? ['1 image', 'is'] : [`${ids.length} images`, 'are'];
  return [
    `${count} (the first: ${ids[0]}) ${are} turned or mirrored by EXIF, and the size does not show whether the boxes refer to the image as displayed or as stored: look at them (rcnn check --pictures)`,
  ];
}

/**
 * Checks the beginning of many files, so that a long run does not fail at a file that is not an image. Throws the first error.
 *
 * @returns lines that the user should read
 */
export async function checkImages(
  samples: readonly { id?: string; check?(): Promise<unknown> }[],
  onImage?: () => void,
): Promise<string[]> {
  const turned: string[] = [];
  await eachAtOnce(samples, AT_ONCE, async (sample) => {
    if ((await sample.check?.()) === 'turned') turned.push(sample.id ?? '');
    onImage?.();
  });
  return turnedNotes(turned.sort());
}

/** What decoders say of files that they cannot read, and what it means. */
const MEANINGS: readonly (readonly [said: RegExp, meaning: string])[] = [
  [/buffer is empty/i, 'it is empty'],
  [/pixel limit/i, 'it announces more pixels than any image has'],
  [/premature end|unexpected end|end of (the )?(stream|file)|insufficient|truncated|cut off/i, 'it is cut off'],
  [/unsupported image format/i, 'its contents are not those of an image'],
];

/** An error of a decoder in plain words: what the library called the step in which it failed is left out. */
function plainly({ message }: Error): string {
  const [, meaning] = MEANINGS.find(([said]) => said.test(message)) ?? [];
  if (meaning !== undefined) return meaning;
  const last = message.trim().split('\n').at(-1)!.trim();
  const detail = last
    .replace(/^Input (buffer|file) has corrupt header:?\s*/i, '')
    .replace(/^[\w#-]*(vips|load|webp|heif|png|tiff)[\w#-]*:\s*/i, '');
  if (/^its /.test(last)) return last; // worded here
  return detail === '' ? 'it is damaged' : `it is damaged: ${detail}`;
}

function unreadable(path: string, error: NodeJS.ErrnoException): UserError {
  if (error instanceof UserError) return error;
  if (error.code === 'ENOENT') return new UserError(`${path}: there is no such file; check the name, or add the image`);
  return new UserError(
    `${path}: cannot be read as an image (${printable(plainly(error))}); replace the file or remove it from the list`,
  );
}

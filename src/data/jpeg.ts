/**
 * JPEG files whose header and data disagree. Where data are missing, libjpeg fills in grey and calls it a warning; data that
 * are left over it does not look at.
 */
import type { DecodedImage } from '../kernels/imagePrepare.ts';

/** The marker at the end of a file. */
const END_OF_IMAGE = Buffer.from([0xff, 0xd9]);

/** What libjpeg fills with, 128 in every channel, as RGB: of a colour file, and of one in CMYK. Profiles move it a little. */
const FILLINGS: readonly (readonly [number, number, number])[] = [
  [128, 128, 128],
  [83, 73, 68],
];
const FILLING_TOLERANCE = 4;

/** A byte that was damaged loses a block or two; where more than this share is missing, header and data disagree. */
const MISSING_SHARE = 0.05;

export const isJpeg = (bytes: Buffer): boolean => bytes[0] === 0xff && bytes[1] === 0xd8;

/**
 * Decodes a JPEG whose pixels are all there: a file without its last marker is whole, one whose header announces many more
 * pixels than its data hold is not. Throws an Error that says why.
 *
 * @param decode throws where the file is cut off ('truncated'), or at anything that its decoder warns of ('warning')
 */
export async function decodeJpeg(
  bytes: Buffer,
  decode: (bytes: Buffer, failOn: 'truncated' | 'warning') => Promise<DecodedImage>,
): Promise<DecodedImage> {
  let image: DecodedImage;
  try {
    image = await decode(bytes, 'truncated');
  } catch (error) {
    const ended = await decode(Buffer.concat([bytes, END_OF_IMAGE]), 'warning').catch(() => undefined);
    if (!ended || filledShare(ended) > 0) throw error;
    return ended;
  }
  // An image may well have this colour, so the decoder must have missed something, too.
  if (filledShare(image) > MISSING_SHARE) {
    const warning = await decode(bytes, 'warning').then(
      () => '',
      (error: Error) => error.message,
    );
    if (warning.includes('premature end')) {
      throw new Error(`its data end before the ${image.width}x${image.height} pixels that its header announces`);
    }
  }
  return image;
}

/** The share of pixels that are filled as a corner is: the last pixels are in one, however the image is turned. */
function filledShare({ width, height, rgba }: DecodedImage): number {
  const corners = [0, width - 1, width * (height - 1), width * height - 1].map((i) => rgba.subarray(4 * i, 4 * i + 3));
  const filled = corners.filter((corner) =>
    FILLINGS.some((filling) => filling.every((value, c) => Math.abs(corner[c]! - value) <= FILLING_TOLERANCE)),
  );
  return filled.reduce((share, [r, g, b]) => {
    let same = 0;
    for (let i = 0; i < rgba.length; i += 4) {
      if (rgba[i] === r && rgba[i + 1] === g && rgba[i + 2] === b) same++;
    }
    return Math.max(share, same / (width * height));
  }, 0);
}

/** The share of rows by which a header may be too small: the data always hold whole blocks. */
const EXTRA_SHARE = 0.05;
/** Rows of the largest block of a JPEG, and the most rows that libjpeg takes. */
const BLOCK_ROWS = 16;
const MOST_ROWS = 65500;

/**
 * Throws an Error if the data hold many more pixels than the header announces, which decoding does not notice. To find out,
 * the image is decoded again as if it were higher: its data must then end too early.
 *
 * @param decode throws at anything that its decoder warns of; what it returns does not matter
 */
export async function assertNothingLeft(bytes: Buffer, decode: (bytes: Buffer) => Promise<unknown>): Promise<void> {
  const at = frameOf(bytes);
  if (at === undefined) return;
  const [height, width] = [bytes.readUInt16BE(at), bytes.readUInt16BE(at + 2)];
  const higher = BLOCK_ROWS * Math.ceil(((1 + EXTRA_SHARE) * height) / BLOCK_ROWS + 1);
  if (height === 0 || higher > MOST_ROWS) return;
  const changed = Buffer.from(bytes);
  changed.writeUInt16BE(higher, at);
  const warning = await decode(changed).then(
    () => undefined,
    (error: Error) => error.message,
  );
  // Any other warning says nothing about the size. A progressive file has several scans, each with bytes left over.
  if (warning !== undefined && !/extraneous bytes/.test(warning)) return;
  throw new Error(`its data hold more than the ${width}x${height} pixels that its header announces`);
}

/** Where the frame header has the height and the width, two bytes each; undefined if there is none. */
function frameOf(bytes: Buffer): number | undefined {
  for (let at = 2; at + 9 <= bytes.length && bytes[at] === 0xff;) {
    const marker = bytes[at + 1]!;
    if (marker === 0xff) {
      at++; // padding
      continue;
    }
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return at + 5;
    if (marker === 0xda || marker === 0xd9) return undefined;
    at += 2 + bytes.readUInt16BE(at + 2);
  }
  return undefined;
}

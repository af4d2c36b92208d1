/** JPEG files that are damaged: libjpeg fills what it finds no data for with grey, and calls that a warning. */
import type { Picture } from './types.ts';

/** The marker at the end of a file. */
const END_OF_IMAGE = Buffer.from([0xff, 0xd9]);

/** What libjpeg fills with, in every channel; a colour profile may move it a little. */
const GREY = 128;
const GREY_TOLERANCE = 4;

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
  decode: (bytes: Buffer, failOn: 'truncated' | 'warning') => Promise<Picture>,
): Promise<Picture> {
  let picture: Picture;
  try {
    picture = await decode(bytes, 'truncated');
  } catch (error) {
    const ended = await decode(Buffer.concat([bytes, END_OF_IMAGE]), 'warning').catch(() => undefined);
    if (!ended || greyShare(ended) > 0) throw error;
    return ended;
  }
  // A picture may well be grey, so its decoder has to have missed something, too.
  if (greyShare(picture) > MISSING_SHARE) {
    const warning = await decode(bytes, 'warning').then(
      () => '',
      (error: Error) => error.message,
    );
    if (warning.includes('premature end')) {
      throw new Error(`its data end before the ${picture.width}x${picture.height} pixels that its header announces`);
    }
  }
  return picture;
}

/** The share of pixels that are as grey as a corner: the last pixels are in one, however the picture is turned. */
function greyShare({ width, height, rgba }: Picture): number {
  const corners = [0, width - 1, width * (height - 1), width * height - 1].map((i) => rgba.subarray(4 * i, 4 * i + 3));
  const grey = corners.find(([r, g, b]) => r === g && g === b && Math.abs(r! - GREY) <= GREY_TOLERANCE)?.[0];
  if (grey === undefined) return 0;
  let same = 0;
  for (let i = 0; i < rgba.length; i += 4) {
    if (rgba[i] === grey && rgba[i + 1] === grey && rgba[i + 2] === grey) same++;
  }
  return same / (width * height);
}

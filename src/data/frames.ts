/** Images to detect in, from any source: image files, frames of videos (through ffmpeg), standard input. */
import { spawn } from 'node:child_process';
import { extname } from 'node:path';
import type { Readable } from 'node:stream';
import { isInputError, UserError } from '../engine/errors.ts';
import { decodeImage, MAX_IMAGE_BYTES, readImage } from './images.ts';
import type { DecodedImage } from '../kernels/imagePrepare.ts';

export const STDIN = '-';

export const VIDEO_EXTENSIONS: readonly string[] = [
  '.mp4',
  '.m4v',
  '.mov',
  '.avi',
  '.mkv',
  '.webm',
  '.mpg',
  '.mpeg',
  '.wmv',
];

export const isVideoFile = (path: string): boolean => VIDEO_EXTENSIONS.includes(extname(path).toLowerCase());

export interface Frame {
  picture: DecodedImage;
  /** The number of the frame in a video, from 1; undefined if the input is an image. */
  number?: number;
}

/**
 * The image of an input, or every `every`-th frame of a video. Standard input ('-') is taken for a video if it is not an image.
 * Throws a UserError that names the input.
 */
export async function* framesOf(path: string, every: number): AsyncGenerator<Frame> {
  if (path !== STDIN) {
    if (isVideoFile(path)) yield* videoFrames(path, path, undefined, every);
    else yield { picture: await readImage(path) };
    return;
  }
  const bytes = await readAll(process.stdin);
  let picture: DecodedImage;
  try {
    picture = await decodeImage(bytes, 'standard input');
  } catch (error) {
    if (!isInputError(error) || bytes.length === 0) throw error;
    yield* videoFrames('standard input', 'pipe:0', bytes, every);
    return;
  }
  yield { picture };
}

async function readAll(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > MAX_IMAGE_BYTES)
      throw new UserError(`standard input: has more than ${MAX_IMAGE_BYTES / 1e6} MB; give a file`);
  }
  return Buffer.concat(chunks);
}

/** Frames per second that ffmpeg is given; no image depends on it. */
const RATE = 30;

/** ffmpeg decodes while frames are taken, and waits when the pipe is full. */
async function* videoFrames(
  name: string,
  input: string,
  bytes: Buffer | undefined,
  every: number,
): AsyncGenerator<Frame> {
  const choose = every > 1 ? [`select=not(mod(n\\,${every}))`] : [];
  // Phones record at a varying rate, which ffmpeg would even out by repeating and dropping frames. Frames that are given new
  // times at a constant rate are each written once; the option that says so has changed its name between versions.
  const filters = [...choose, `setpts=N/(${RATE}*TB)`].join(',');
  const args = ['-v', 'error', '-i', input, '-an', '-vf', filters, '-r', `${RATE}`];
  args.push('-f', 'image2pipe', '-c:v', 'ppm', '-pix_fmt', 'rgb24', '-');
  const ffmpeg = spawn('ffmpeg', args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const ended = new Promise<number | UserError>((resolve) => {
    ffmpeg.on('error', ({ message }) =>
      resolve(new UserError(`${name}: a video needs ffmpeg, which could not be started (${message}); install it`)),
    );
    ffmpeg.on('close', (code) => resolve(code ?? 1));
  });
  let said = '';
  ffmpeg.stderr.on('data', (text: Buffer) => (said = (said + text.toString()).slice(0, 2000)));
  ffmpeg.stdin.on('error', () => {}); // ffmpeg ended before it had read everything, and reports why itself
  ffmpeg.stdin.end(bytes);
  let frames = 0;
  try {
    for await (const picture of ppmImages(ffmpeg.stdout)) yield { picture, number: 1 + every * frames++ };
    const end = await ended;
    if (end instanceof UserError) throw end;
    if (end !== 0 || frames === 0) {
      const reason = said.trim().split('\n').at(-1) || 'it has no frame';
      throw new UserError(`${name}: cannot be read as an image or a video (${reason}); check the file`);
    }
  } finally {
    ffmpeg.kill();
  }
}

/** 'P6', a width, a height and '255', each followed by white space. */
const LEAST_HEADER = 11;
const LONGEST_HEADER = 32;

/** Images in the form 'P6 WIDTH HEIGHT 255' and RGB, one after the other. */
async function* ppmImages(stream: Readable): AsyncGenerator<DecodedImage> {
  let waiting: Buffer[] = [];
  let length = 0;
  let needed = LEAST_HEADER;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    waiting.push(chunk);
    length += chunk.length;
    while (length >= needed) {
      const bytes = waiting.length === 1 ? waiting[0]! : Buffer.concat(waiting);
      const header = /^P6\s+(\d+)\s+(\d+)\s+255\s/.exec(bytes.toString('latin1', 0, LONGEST_HEADER));
      if (!header && bytes.length < LONGEST_HEADER) {
        waiting = [bytes];
        needed = bytes.length + 1;
        continue;
      }
      if (!header) throw new UserError('ffmpeg: gave something other than images; update it');
      const [width, height] = [Number(header[1]), Number(header[2])];
      const end = header[0].length + 3 * width * height;
      if (bytes.length >= end) {
        yield { width, height, rgba: toRgba(bytes.subarray(header[0].length, end)) };
        waiting = [bytes.subarray(end)];
        length = bytes.length - end;
        needed = LEAST_HEADER;
      } else {
        waiting = [bytes];
        needed = end;
      }
    }
  }
}

function toRgba(rgb: Uint8Array): Uint8Array {
  const rgba = new Uint8Array((rgb.length / 3) * 4).fill(255);
  for (let i = 0, j = 0; i < rgb.length; i += 3, j += 4) {
    rgba[j] = rgb[i]!;
    rgba[j + 1] = rgb[i + 1]!;
    rgba[j + 2] = rgb[i + 2]!;
  }
  return rgba;
}

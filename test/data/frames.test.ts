/** Frames of videos through ffmpeg: here a program of its name that writes what ffmpeg would. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { framesOf } from '../../src/data/frames.ts';
import { skip } from '../harness.ts';
import { temporaryFolder, userError, writeImage } from './fixtures.ts';

/** Runs `fn` with a program `ffmpeg` of this text alone in the path; none if it is undefined. */
async function withFfmpeg(script: string | undefined, fn: (folder: string) => Promise<void>): Promise<void> {
  const folder = temporaryFolder();
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  if (script !== undefined) {
    writeFileSync(join(bin, 'ffmpeg'), `#!${process.execPath}\n${script}`);
    chmodSync(join(bin, 'ffmpeg'), 0o755);
  }
  const before = process.env['PATH'];
  process.env['PATH'] = script === undefined ? bin : [bin, before].join(delimiter);
  try {
    await fn(folder);
  } finally {
    process.env['PATH'] = before;
  }
}

async function collect(path: string, every = 1) {
  const frames = [];
  for await (const { picture, number } of framesOf(path, every)) {
    frames.push({ number, size: [picture.width, picture.height], first: [...picture.rgba.subarray(0, 4)] });
  }
  return frames;
}

test('an image is one frame, a video as many as ffmpeg gives, in pieces of any size', async () => {
  // Three frames of 3x2, written byte by byte around the headers.
  const script = `
    const frame = (value) => Buffer.concat([Buffer.from('P6\\n3 2\\n255\\n'), Buffer.alloc(18, value)]);
    const all = Buffer.concat([frame(10), frame(80), frame(200)]);
    process.stdout.write(all.subarray(0, 5));
    setTimeout(() => { process.stdout.write(all.subarray(5, 40)); setTimeout(() => process.stdout.write(all.subarray(40)), 20); }, 20);`;
  await withFfmpeg(script, async (folder) => {
    await writeImage(join(folder, 'a.png'), 40, 30);
    assert.equal(await collect(join(folder, 'a.png')), [
      { number: undefined, size: [40, 30], first: [255, 0, 0, 255] },
    ]);
    const frames = await collect(join(folder, 'a.mp4'), 5);
    assert.equal(
      frames.map(({ number, size, first }) => [number, ...size, ...first]),
      [
        [1, 3, 2, 10, 10, 10, 255],
        [6, 3, 2, 80, 80, 80, 255],
        [11, 3, 2, 200, 200, 200, 255],
      ],
    );
  });
});

/** Runs `fn` with these pieces as standard input. */
async function withStdin(pieces: readonly Buffer[], fn: () => Promise<void>): Promise<void> {
  const before = Object.getOwnPropertyDescriptor(process, 'stdin')!;
  Object.defineProperty(process, 'stdin', { ...before, get: () => Readable.from(pieces) });
  try {
    await fn();
  } finally {
    Object.defineProperty(process, 'stdin', before);
  }
}

test('standard input is an image, or a video that ffmpeg reads from its own standard input', async () => {
  // A frame for each byte that it is given.
  const script = `
    const bytes = require('node:fs').readFileSync(0);
    for (const value of bytes) process.stdout.write(Buffer.concat([Buffer.from('P6\\n3 2\\n255\\n'), Buffer.alloc(18, value)]));
    if (!process.argv.includes('pipe:0')) process.exitCode = 1;`;
  await withFfmpeg(script, async (folder) => {
    await writeImage(join(folder, 'a.png'), 40, 30);
    const png = readFileSync(join(folder, 'a.png'));
    await withStdin([png.subarray(0, 10), png.subarray(10)], async () => {
      assert.equal(await collect('-'), [{ number: undefined, size: [40, 30], first: [255, 0, 0, 255] }]);
    });
    await withStdin([Buffer.from([10, 80]), Buffer.from([200])], async () => {
      const frames = await collect('-');
      assert.equal(
        frames.map(({ number, first }) => [number, first[0]]),
        [
          [1, 10],
          [2, 80],
          [3, 200],
        ],
      );
    });
    await withStdin([], async () => {
      assert.match(await userError(collect('-')), /^standard input: cannot be read as an image/);
    });
  });
  await withFfmpeg(undefined, () =>
    withStdin([Buffer.from('neither')], async () => {
      assert.match(await userError(collect('-')), /^standard input: a video needs ffmpeg/);
    }),
  );
});

test('each frame of a video whose rate varies is one image', async () => {
  const folder = temporaryFolder();
  const clip = join(folder, 'clip.mkv');
  const source = ['-v', 'error', '-f', 'lavfi', '-i', 'testsrc=size=64x48:rate=10:duration=1'];
  // Seven of ten frames, with gaps between them.
  const gaps = ['-vf', 'select=not(eq(n\\,3)+eq(n\\,4)+eq(n\\,7)),settb=1/1000', '-vsync', '0'];
  const made = spawnSync('ffmpeg', [...source, ...gaps, clip]);
  if (made.error) return skip('no ffmpeg');
  assert.is(made.status, 0, made.stderr.toString());
  const numbers = async (every: number) => (await collect(clip, every)).map(({ number }) => number);
  assert.equal(await numbers(1), [1, 2, 3, 4, 5, 6, 7]);
  assert.equal(await numbers(3), [1, 4, 7]);
  assert.equal((await collect(clip))[0]!.size, [64, 48]);
});

test('no ffmpeg, or one that cannot read the file, is one line', async () => {
  await withFfmpeg(undefined, async () => {
    assert.match(await userError(collect('a.mp4')), /^a\.mp4: a video needs ffmpeg, .*; install it$/);
  });
  await withFfmpeg(`console.error('moov atom not found'); process.exitCode = 1;`, async () => {
    assert.match(
      await userError(collect('a.mp4')),
      /^a\.mp4: cannot be read as an image or a video \(moov atom not found\)/,
    );
  });
});

test.run();

/** Pictures as cameras, tools and broken copies leave them: each is drawn here, and its outcome said. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp, { type Sharp } from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { assertWholeImage, checkImage, readImage } from '../../src/data/images.ts';
import { openDataset } from '../../src/data/registry.ts';
import type { DecodedImage } from '../../src/kernels/imagePrepare.ts';
import { decodeAll, openSplits } from '../../src/run/reports/dataReport.ts';
import { temporaryFolder, userError, vocXml, writeVoc } from './fixtures.ts';

const [WIDTH, HEIGHT] = [64, 48];

/** Four quarters: red and green above, blue and white below. */
function quarters(width = WIDTH, height = HEIGHT): Sharp {
  const rgb = Buffer.alloc(3 * width * height);
  for (let i = 0; i < width * height; i++) {
    const [right, below] = [i % width >= width / 2, Math.floor(i / width) >= height / 2];
    rgb.set(below ? (right ? [255, 255, 255] : [0, 0, 255]) : right ? [0, 255, 0] : [255, 0, 0], 3 * i);
  }
  return sharp(rgb, { raw: { width, height, channels: 3 } });
}

const COLOURS = { r: [255, 0, 0], g: [0, 255, 0], b: [0, 0, 255], w: [255, 255, 255], k: [0, 0, 0] };

/** The nearest of `COLOURS` in the middle of each quarter, row by row: lossy encoders and CMYK miss them by a little. */
function coloursOf({ width, height, rgba }: DecodedImage): string {
  const at = (x: number, y: number): string => {
    const i = 4 * (Math.floor(y * height) * width + Math.floor(x * width));
    const distances = Object.entries(COLOURS).map(
      ([name, rgb]) => [Math.hypot(...rgb.map((value, c) => value - rgba[i + c]!)), name] as const,
    );
    return distances.sort(([a], [b]) => a - b)[0]![1];
  };
  return at(0.25, 0.25) + at(0.75, 0.25) + at(0.25, 0.75) + at(0.75, 0.75);
}

/** Writes `bytes` and reads them again: size and colours, or the message; `checkImage` must agree on the size. */
async function outcome(bytes: Buffer, name = 'a.jpg'): Promise<string> {
  const path = join(temporaryFolder(), name);
  writeFileSync(path, bytes);
  let picture: DecodedImage;
  try {
    picture = await readImage(path);
  } catch {
    const message = await userError(readImage(path));
    assert.ok(message.startsWith(`${path}: cannot be read as an image (`), message);
    return message.slice(message.indexOf('(') + 1, message.lastIndexOf(');'));
  }
  const { width, height } = await checkImage(path);
  assert.equal([width, height], [picture.width, picture.height]);
  assert.ok(picture.rgba.every((value, i) => i % 4 !== 3 || value === 255));
  return `${width}x${height} ${coloursOf(picture)}`;
}

test("the camera's orientation is applied, all eight", async () => {
  const upright = `${WIDTH}x${HEIGHT} `;
  const turned = `${HEIGHT}x${WIDTH} `;
  // EXIF 2.3, 4.6.4: which side of the picture row 0 and column 0 are.
  const shown = ['rgbw', 'grwb', 'wbgr', 'bwrg'].map((colours) => upright + colours);
  shown.push(...['rbgw', 'brwg', 'wgbr', 'gwrb'].map((colours) => turned + colours));
  for (const [i, expected] of shown.entries()) {
    const bytes = await quarters()
      .withMetadata({ orientation: i + 1 })
      .jpeg({ quality: 95 })
      .toBuffer();
    assert.is(await outcome(bytes), expected, `orientation ${i + 1}`);
  }
});

test('encodings: those that libvips reads, and bitmaps, by their contents', async () => {
  const grey = quarters().greyscale();
  const two = { raw: { width: WIDTH, height: 2 * HEIGHT, channels: 3 as const, pageHeight: HEIGHT } };
  const pages = Buffer.concat([await quarters().raw().toBuffer(), await quarters().negate().raw().toBuffer()]);
  const encoded: Record<string, [Promise<Buffer>, string?]> = {
    'CMYK.jpg': [quarters().toColourspace('cmyk').jpeg().toBuffer()],
    'progressive.jpg': [quarters().jpeg({ progressive: true }).toBuffer()],
    'PNG.jpg': [quarters().png().toBuffer()],
    'rgba.png': [quarters().ensureAlpha(0.5).png().toBuffer()],
    'palette.png': [quarters().png({ palette: true, colours: 4 }).toBuffer()],
    '16bit.png': [quarters().toColourspace('rgb16').png().toBuffer()],
    'grey16.png': [grey.clone().toColourspace('grey16').png().toBuffer(), 'kwkw'],
    'grey.tif': [grey.clone().tiff().toBuffer(), 'kwkw'],
    'onebit.png': [grey.clone().threshold().png({ palette: true, colours: 2 }).toBuffer(), 'kwkw'],
    'a.tif': [quarters().tiff().toBuffer()],
    'a.gif': [quarters().gif().toBuffer()],
    'a.webp': [quarters().webp().toBuffer()],
    'a.avif': [quarters().avif().toBuffer()],
    'animated.gif': [sharp(pages, two).gif({ delay: 100 }).toBuffer()],
    'animated.webp': [sharp(pages, two).webp({ lossless: true }).toBuffer()],
    'thin.png': [quarters(3000, 2).png().toBuffer()],
  };
  for (const [name, [bytes, colours = 'rgbw']] of Object.entries(encoded)) {
    const size = name === 'thin.png' ? '3000x2' : `${WIDTH}x${HEIGHT}`;
    assert.is(await outcome(await bytes, name), `${size} ${colours}`, name);
  }
});

/** A JPEG whose header has another size. */
function resized(jpeg: Buffer, width: number, height: number): Buffer {
  const bytes = Buffer.from(jpeg);
  let at = 2;
  while (bytes[at + 1] !== 0xc0 && bytes[at + 1] !== 0xc2) at += 2 + bytes.readUInt16BE(at + 2); // to the frame's header
  bytes.writeUInt16BE(height, at + 5);
  bytes.writeUInt16BE(width, at + 7);
  return bytes;
}

test('a JPEG without its last marker is whole, with bytes behind it too; one that is cut off is not', async () => {
  const jpeg = await quarters().jpeg().toBuffer();
  const whole = `${WIDTH}x${HEIGHT} rgbw`;
  assert.is(await outcome(Buffer.concat([jpeg, Buffer.alloc(1000, 7)])), whole);
  assert.is(await outcome(jpeg.subarray(0, -1)), whole);
  assert.is(await outcome(jpeg.subarray(0, -2)), whole);
  for (const rest of [0.95, 0.9]) {
    assert.match(await outcome(jpeg.subarray(0, rest * jpeg.length)), /^it is cut off$|end before/);
  }
  assert.is(await outcome(Buffer.alloc(0)), 'it is empty');
  assert.is(await outcome(Buffer.from('<html>not here</html>')), 'its contents are not those of an image');
});

test('an image whose header announces more pixels than its data hold is reported in one line', async () => {
  const kinds = [quarters(), quarters().greyscale(), quarters().toColourspace('cmyk')];
  for (const encoded of kinds.flatMap((kind) =>
    [false, true].map((progressive) => kind.clone().jpeg({ progressive })),
  )) {
    const jpeg = await encoded.toBuffer();
    for (const [width, height] of [
      [64, 15664],
      [64, 80],
      [128, 48],
    ] as const) {
      const expected = `its data end before the ${width}x${height} pixels that its header announces`;
      assert.is(await outcome(resized(jpeg, width, height)), expected);
    }
  }
  const png = await quarters().png().toBuffer();
  const cut = Buffer.concat([png.subarray(0, -40), png.subarray(-12)]);
  assert.match(await outcome(cut, 'a.png'), /^it is (cut off|damaged)/);
  const announced = Buffer.from(png);
  announced.writeUInt32BE(2 * HEIGHT, 20);
  assert.match(await outcome(announced, 'a.png'), /^it is (cut off|damaged)/);
  // Grey pictures are pictures.
  const grey = { create: { width: WIDTH, height: HEIGHT, channels: 3 as const, background: '#808080' } };
  assert.ok((await outcome(await sharp(grey).jpeg().toBuffer())).startsWith(`${WIDTH}x${HEIGHT}`));
  const root = await writeVoc();
  const path = join(root, 'JPEGImages', 'a.jpg');
  writeFileSync(path, resized(readFileSync(path), 40, 3000));
  writeFileSync(join(root, 'Annotations', 'a.xml'), vocXml([{ name: 'cat', box: [3, 4, 20, 15] }], { height: 3000 }));
  const { splits } = await openSplits(root, ['train']);
  const { problems } = await decodeAll(splits[0]!.dataset.samples);
  assert.is(problems.length, 1);
  assert.match(problems[0]!, /a\.jpg: .*end before the 40x3000 pixels/);
});

test('a JPEG whose header announces fewer pixels than its data hold is a problem for rcnn check', async () => {
  const kinds = [quarters(), quarters().greyscale(), quarters().toColourspace('cmyk')];
  const options = [{}, { progressive: true }, { chromaSubsampling: '4:4:4' }, { quality: 100 }];
  for (const encoded of kinds.flatMap((kind) => options.map((option) => kind.clone().jpeg(option)))) {
    const path = join(temporaryFolder(), 'a.jpg');
    const jpeg = await encoded.toBuffer();
    for (const whole of [jpeg, jpeg.subarray(0, -2), Buffer.concat([jpeg, Buffer.alloc(1000, 7)])]) {
      writeFileSync(path, whole);
      await assertWholeImage(path);
    }
    for (const [width, height] of [
      [64, 16],
      [32, 48],
      [16, 16],
    ] as const) {
      writeFileSync(path, resized(jpeg, width, height));
      const message = await userError(assertWholeImage(path));
      assert.match(message, `(its data hold more than the ${width}x${height} pixels that its header announces);`);
    }
  }
  const root = await writeVoc();
  const path = join(root, 'JPEGImages', 'a.jpg');
  writeFileSync(path, resized(readFileSync(path), 40, 15));
  writeFileSync(join(root, 'Annotations', 'a.xml'), vocXml([{ name: 'cat', box: [3, 4, 20, 15] }], { height: 15 }));
  const { splits } = await openSplits(root, ['train']);
  assert.match((await decodeAll(splits[0]!.dataset.samples)).problems.join(), /a\.jpg: .*more than the 40x15 pixels/);
});

test('boxes of a turned photograph that only fit the pixels as they are stored are one problem', async () => {
  const object = { name: 'cat', box: [3, 4, 38, 25] as [number, number, number, number] };
  const unsized = (xml: string): string => xml.replace(/<size>.*<\/size>/, '');
  const root = await writeVoc({ splits: { train: 'a\nb\n' }, annotations: {}, images: ['b.jpg'] });
  const turned = await sharp({ create: { width: 40, height: 30, channels: 3, background: 'red' } })
    .withMetadata({ orientation: 6 })
    .jpeg()
    .toBuffer();
  writeFileSync(join(root, 'JPEGImages', 'a.jpg'), turned);
  for (const id of ['a', 'b']) writeFileSync(join(root, 'Annotations', `${id}.xml`), unsized(vocXml([object])));
  const line =
    /a\.jpg: is displayed as 30x40, turned by its EXIF orientation, but the boxes in \S+a\.xml only fit 40x30/;
  assert.match(await userError(openDataset(root, { split: 'train' })), line);
  assert.match(await userError(openDataset(root, { split: 'train', onBadBox: 'skip' })), line);
  const opened = await openSplits(root, ['train']);
  assert.is(opened.problems.length, 1);
  assert.match(opened.problems[0]!, line);
  assert.equal(
    opened.splits[0]!.dataset.samples.map(({ id }) => id),
    ['b'],
  );
  // Those that only fit it as it is shown are right; those that fit both are left to the user's eyes.
  writeFileSync(join(root, 'Annotations', 'a.xml'), unsized(vocXml([{ name: 'cat', box: [3, 4, 25, 38] }])));
  assert.is((await openDataset(root, { split: 'train' })).samples.length, 2);
});

test.run();

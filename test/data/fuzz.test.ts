/** Mutated annotation files, lists and pictures: a right data set or one line, whatever they hold. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkPicture, readPicture } from '../../src/data/pictures.ts';
import { openDataset } from '../../src/data/registry.ts';
import type { Dataset } from '../../src/data/types.ts';
import { UserError } from '../../src/engine/errors.ts';
import { vocXml, writeCoco, writeVoc } from './fixtures.ts';

const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() & 0x7fffffff);
console.log(`fuzz: FUZZ_SEED=${seed}`);

/** What tools, editors and broken copies leave in place of a part of a file. */
const PIECES = [
  '',
  '"',
  '<',
  '>',
  '</',
  '&a;',
  '[',
  '{',
  '}',
  ',',
  '-1',
  '1e999',
  'NaN',
  'null',
  '\u0000',
  '\u001b[31m',
  'é',
  '../',
];
PIECES.push('<__proto__>', '"__proto__":', '99999999999999999999', '\n', '\ufeff', '<![CDATA[', '<!--', '%', '\ud800');

/** Changes in turn: at a share of the file so many bytes are replaced by a piece, or by those of another place. */
const mutations = fc.array(
  fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    length: fc.integer({ min: 0, max: 12 }),
    piece: fc.oneof(
      fc.constantFrom(...PIECES).map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 4 }).map((bytes) => Buffer.from(bytes)),
    ),
  }),
  { minLength: 1, maxLength: 4 },
);

function mutate(bytes: Buffer, changes: readonly { at: number; length: number; piece: Buffer }[]): Buffer {
  return changes.reduce((before, { at, length, piece }) => {
    const start = Math.floor(at * before.length);
    return Buffer.concat([before.subarray(0, start), piece, before.subarray(start + length)]);
  }, bytes);
}

/** One line without control characters. */
function assertLine(message: string): void {
  assert.not.match(message, /[\u0000-\u001f\u007f-\u009f]/);
}

function assertRight({ classes, samples, notes }: Dataset): void {
  notes.forEach(assertLine);
  for (const { width, height, boxes } of samples) {
    for (const { x1, y1, x2, y2, classIndex } of boxes) {
      assert.ok(0 <= x1 && x1 <= x2 && x2 <= width - 1, `${x1} ${x2} in ${width}`);
      assert.ok(0 <= y1 && y1 <= y2 && y2 <= height - 1, `${y1} ${y2} in ${height}`);
      assert.ok(Number.isInteger(classIndex) && classIndex >= 1 && classIndex < classes.length);
    }
  }
}

async function rightOrLine(run: () => Promise<unknown>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    assertLine(error.message);
  }
}

const RUNS = { seed, numRuns: 400 };

test('VOC: an annotation file and a list', async () => {
  const annotation = vocXml([
    { name: 'cat', box: [3, 4, 20, 15] },
    { name: 'dog', box: [5, 5, 9, 9], difficult: true },
  ]);
  const root = await writeVoc({ annotations: { a: annotation } });
  for (const path of [join(root, 'Annotations', 'a.xml'), join(root, 'ImageSets', 'Main', 'train.txt')]) {
    const whole = readFileSync(path);
    await fc.assert(
      fc.asyncProperty(mutations, fc.boolean(), async (changes, collect) => {
        writeFileSync(path, mutate(whole, changes));
        const problems: string[] = [];
        const options = collect ? { onProblem: (problem: string) => void problems.push(problem) } : {};
        await rightOrLine(async () => assertRight(await openDataset(root, { split: 'train', ...options })));
        problems.forEach(assertLine);
      }),
      RUNS,
    );
    writeFileSync(path, whole);
  }
});

test('COCO', async () => {
  const { path, spec } = await writeCoco({
    annotations: [
      {
        id: 1,
        image_id: 7,
        category_id: 18,
        bbox: [2, 3, 18, 12],
        area: 100,
        iscrowd: 0,
        segmentation: [[2, 3, 20, 15, 4, 5]],
      },
      { id: 2, image_id: 7, category_id: 18, bbox: null, segmentation: { size: [30, 40], counts: [100, 5, 1095] } },
    ],
  });
  const whole = readFileSync(path);
  await fc.assert(
    fc.asyncProperty(mutations, fc.boolean(), async (changes, collect) => {
      writeFileSync(path, mutate(whole, changes));
      const problems: string[] = [];
      const options = collect ? { onProblem: (problem: string) => void problems.push(problem) } : {};
      await rightOrLine(async () => assertRight(await openDataset(spec, { split: 'all', ...options })));
      problems.forEach(assertLine);
    }),
    { ...RUNS, numRuns: 1000 },
  );
});

test('pictures', async () => {
  const root = await writeVoc({ images: ['a.jpg', 'b.png'] });
  for (const name of ['a.jpg', 'b.png']) {
    const path = join(root, 'JPEGImages', name);
    const whole = readFileSync(path);
    await fc.assert(
      fc.asyncProperty(mutations, async (changes) => {
        writeFileSync(path, mutate(whole, changes));
        await rightOrLine(async () => {
          const { width, height } = await checkPicture(path);
          const picture = await readPicture(path);
          assert.equal([picture.width, picture.height], [width, height]);
          assert.is(picture.rgba.length, 4 * width * height);
        });
      }),
      { ...RUNS, numRuns: 100 },
    );
  }
});

test.run();

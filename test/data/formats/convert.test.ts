/** What a writer writes its reader reads: boxes, classes and splits of random data sets, through every pair of formats. */
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { hostname } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { convert } from '../../../src/data/convert.ts';
import { FORMATS, openDataset, splitsOf } from '../../../src/data/registry.ts';
import type { AnnotatedBox, Dataset, Sample } from '../../../src/data/types.ts';
import { temporaryFolder, userError, writeImage } from '../fixtures.ts';
import { check, says } from './files.ts';

const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() & 0x7fffffff);
console.log(`convert: FUZZ_SEED=${seed}`);

const WRITERS = new Map([...FORMATS.values()].flatMap(({ name, writer }) => (writer ? [[name, writer] as const] : [])));
const [WIDTH, HEIGHT] = [40, 30];
const PICTURES = ['a.jpg', 'b.png', 'c d.JPG', 'ü.png'];
const pictures = temporaryFolder();
const written = Promise.all(PICTURES.map((name) => writeImage(join(pictures, name.toLowerCase()), WIDTH, HEIGHT)));

/** Corners in hundredths of a pixel, two columns or rows at least. */
const side = (size: number) =>
  fc
    .tuple(fc.integer({ min: 0, max: 100 * (size - 3) }), fc.integer({ min: 150, max: 100 * size }))
    .map(([start, extent]): [number, number] => [start / 100, Math.min(size - 1, (start + extent) / 100)]);
const className = fc
  .string({ minLength: 1, maxLength: 12, unit: 'grapheme' })
  .map((text) =>
    text
      .replace(/[\p{C}\s]+/gu, ' ')
      .trim()
      .normalize('NFC'),
  )
  .filter((text) => text !== '' && !/^(__)?background(__)?$/i.test(text));

const data = fc
  .record({
    classes: fc.uniqueArray(className, { minLength: 1, maxLength: 4 }),
    images: fc.array(
      fc.record({
        boxes: fc.array(fc.tuple(side(WIDTH), side(HEIGHT), fc.nat()), { maxLength: 4 }),
        test: fc.boolean(),
      }),
      { minLength: PICTURES.length, maxLength: PICTURES.length },
    ),
  })
  .filter(
    ({ images }) => images.some(({ boxes, test }) => !test && boxes.length > 0) && images.some(({ test }) => test),
  );

function datasets({ classes, images }: typeof data extends fc.Arbitrary<infer T> ? T : never) {
  const part = (wanted: boolean): Dataset => ({
    name: 'random',
    classes: ['__background__', ...classes],
    samples: images.flatMap(({ boxes, test }, i): Sample[] => {
      if (test !== wanted) return [];
      const file = join(pictures, PICTURES[i]!.toLowerCase());
      const objects = boxes.map(([[x1, x2], [y1, y2], c]): AnnotatedBox => ({
        x1,
        y1,
        x2,
        y2,
        classIndex: (c % classes.length) + 1,
        difficult: false,
      }));
      return [
        {
          id: PICTURES[i]!.slice(0, -4),
          width: WIDTH,
          height: HEIGHT,
          boxes: objects,
          file,
          load: () => assert.unreachable() as never,
        },
      ];
    }),
    flippable: true,
    notes: [],
  });
  return [
    { split: 'train', dataset: part(false) },
    { split: 'test', dataset: part(true) },
  ];
}

/** By the picture: its objects with the names of their classes, to 0.00001 px. */
const objectsOf = ({ classes, samples }: Dataset): [string, string[]][] =>
  samples
    .map(({ id, boxes }): [string, string[]] => [
      id,
      boxes.map(({ x1, y1, x2, y2, classIndex }) =>
        [classes[classIndex], ...[x1, y1, x2, y2].map((v) => v.toFixed(4))].join(' '),
      ),
    ])
    .sort(([a], [b]) => (a < b ? -1 : 1));

async function read(folder: string) {
  return Promise.all(
    ['train', 'test'].map(async (split) => ({ split, dataset: await openDataset(folder, { split }) })),
  );
}

test('through every pair of formats boxes, classes, splits and images without objects stay', async () => {
  await written;
  await fc.assert(
    fc.asyncProperty(data, async (random) => {
      const original = datasets(random);
      const expected = original.map(({ dataset }) => objectsOf(dataset));
      for (const [first, writer] of WRITERS) {
        const folder = join(temporaryFolder(), first);
        await convert(original, writer, folder, { link: true });
        const once = await read(folder);
        assert.equal(
          once.map(({ dataset }) => objectsOf(dataset)),
          expected,
          first,
        );
        for (const [second, other] of WRITERS) {
          const again = join(temporaryFolder(), second);
          await convert(once, other, again, { link: true });
          assert.equal(
            (await read(again)).map(({ dataset }) => objectsOf(dataset)),
            expected,
            `${first}, ${second}`,
          );
        }
      }
    }),
    { seed, numRuns: 5, includeErrorInReport: true },
  );
});

const one = (boxes: Partial<AnnotatedBox>[], more: Partial<Sample> = {}): Dataset => ({
  name: 'one',
  classes: ['__background__', 'cat', 'unused'],
  samples: [
    {
      ...{
        id: 'a',
        width: WIDTH,
        height: HEIGHT,
        file: join(pictures, 'a.jpg'),
        load: () => assert.unreachable() as never,
      },
      boxes: boxes.map((box) => ({ x1: 2, y1: 3, x2: 19, y2: 14, classIndex: 1, difficult: false, ...box })),
      ...more,
    },
  ],
  flippable: true,
  notes: [],
});

test('each format has the corners in its own convention, and says what it cannot hold', async () => {
  await written;
  const boxes = [{}, { difficult: true }, { crowd: true }, { x1: 5, x2: 5 }, { x1: 1 / 3 }];
  const results = new Map<string, { folder: string; lost: string[] }>();
  for (const [name, writer] of WRITERS) {
    const folder = join(temporaryFolder(), 'out');
    results.set(name, { folder, lost: await convert([{ split: undefined, dataset: one(boxes) }], writer, folder) });
  }
  const text = (name: string, file: string): string => readFileSync(join(results.get(name)!.folder, file), 'utf8');
  assert.match(
    text('voc', 'Annotations/a.xml').replace(/\s+/g, ''),
    '<xmin>3</xmin><ymin>4</ymin><xmax>20</xmax><ymax>15</ymax>',
  );
  assert.equal(JSON.parse(text('coco', 'annotations/instances_default.json')).annotations[0].bbox, [2, 3, 18, 12]);
  assert.is(text('yolo', 'labels/a.txt').split('\n')[0], '0 0.275 0.3 0.45 0.4');
  assert.is(text('csv', 'annotations.csv').split('\n')[0], 'images/a.jpg,2,3,20,15,cat');
  assert.equal(results.get('voc')!.lost, [
    'VOC has no regions of many objects: they are written as difficult ones (1)',
    'VOC has no boxes of a single column or row of pixels, which readers take for slips: they are left out (1)',
    'corners are rounded to 6 decimals of a pixel (1)',
    'VOC has no list of classes: they are those of the objects, in the order of the alphabet, and others are lost (1)',
  ]);
  says(
    results.get('coco')!.lost[0]!,
    'COCO has no difficult objects: they are written as regions of many (iscrowd) (1)',
  );
  assert.equal(results.get('csv')!.lost, [
    'CSV has no difficult objects: they are left out (1)',
    'CSV has no regions of many objects: they are left out (1)',
    'corners are rounded to 6 decimals of a pixel (1)',
  ]);
  for (const { folder } of results.values()) {
    assert.ok(splitsOf(folder).includes('all'), 'data without splits stays so');
    assert.equal(await check(folder, 'all'), []);
  }
});

test('names cannot lead elsewhere, no two images share a file, and the folder is complete or absent', async () => {
  await written;
  const names = ['../../evil', '..\\evil', '.hidden', 'x.png.jpg', 'x', 'X', '"q"', ''];
  const samples = names.map((id) => ({ ...one([{}]).samples[0]!, id }));
  // One file would be one picture.
  for (const [i, sample] of samples.entries()) {
    sample.file = join(pictures, `n${i}.jpg`);
    writeFileSync(sample.file, readFileSync(join(pictures, 'a.jpg')));
  }
  const dataset = { ...one([{}]), samples };
  for (const [name, writer] of WRITERS) {
    const parent = temporaryFolder();
    const folder = join(parent, 'out');
    mkdirSync(folder);
    await convert([{ split: undefined, dataset }], writer, folder);
    assert.equal(readdirSync(parent), ['out']);
    const again = await openDataset(folder, { split: 'all' });
    assert.equal(
      [again.samples.length, again.samples.every(({ boxes }) => boxes.length === 1)],
      [names.length, true],
      name,
    );
    says(
      await userError(convert([{ split: undefined, dataset }], writer, folder)),
      `${folder}: is not empty; choose a new folder`,
    );
    const missing = { ...dataset, samples: [{ ...samples[0]!, file: join(pictures, 'gone.jpg') }] };
    says(await userError(convert([{ split: undefined, dataset: missing }], writer, join(parent, 'b'))), 'gone.jpg');
    assert.equal(readdirSync(parent), ['out']);
  }
  assert.ok(!existsSync(join(pictures, '..', 'evil.jpg')));
});

test('links in place of copies; drawn images as PNG; splits that YOLO does not know are refused', async () => {
  await written;
  const drawn = await openDataset('digits', { split: 'test' });
  const few = { ...drawn, samples: drawn.samples.slice(0, 2) };
  const folder = join(temporaryFolder(), 'out');
  await convert([{ split: 'test', dataset: few }], WRITERS.get('yolo')!, folder);
  assert.equal(splitsOf(folder), ['test']);
  const again = await openDataset(folder, { split: 'test' });
  assert.equal(
    objectsOf(again).map(([, boxes]) => boxes),
    objectsOf(few).map(([, boxes]) => boxes),
  );
  assert.equal(Buffer.from((await again.samples[0]!.load()).rgba), Buffer.from((await few.samples[0]!.load()).rgba));
  const linked = join(temporaryFolder(), 'out');
  await convert([{ split: undefined, dataset: one([{}]) }], WRITERS.get('voc')!, linked, { link: true });
  assert.ok(lstatSync(join(linked, 'JPEGImages', 'a.jpg')).isSymbolicLink());
  const odd = convert([{ split: 'odd', dataset: one([{}]) }], WRITERS.get('yolo')!, join(linked, 'x'));
  says(await userError(odd), '--split odd: YOLO has one split each for train, val and test; choose them with --split');
});

test('what a killed conversion to the same place left behind is removed, and nothing else', async () => {
  await written;
  const folder = temporaryFolder();
  const dead = spawnSync(process.execPath, ['-e', '']).pid;
  const host = hostname()
    .replace(/[^\w-]/g, '-')
    .slice(0, 40);
  const name = (of: string, pid: number, on = host): string => `.${of}.${on}.${pid}.partial`;
  const kept = [name('other', dead), name('out', process.ppid), name('out', dead, 'elsewhere'), '.out.partial'];
  for (const one of [name('out', dead), ...kept]) {
    mkdirSync(join(folder, one, 'images'), { recursive: true });
    writeFileSync(join(folder, one, 'images', 'a.jpg'), '');
  }
  const dataset = await openDataset('digits', { split: 'test' });
  dataset.samples = dataset.samples.slice(0, 1);
  await convert([{ split: undefined, dataset }], WRITERS.get('csv')!, join(folder, 'out'));
  assert.equal(readdirSync(folder).sort(), [...kept, 'out'].sort());
});

test.run();

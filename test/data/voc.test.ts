import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Dataset, OpenDatasetOptions } from '../../src/data/types.ts';
import { openDataset, splitsOf } from '../../src/data/registry.ts';
import { checkImages } from '../../src/data/images.ts';
import { UserError } from '../../src/engine/errors.ts';
import { type VocFiles, type VocObjectSpec, realData, vocXml, writeImage, writeVoc } from './fixtures.ts';

/** Runs something that must fail with one line that names the file and holds every text. */
async function expectLine(run: () => Promise<unknown>, ...texts: string[]): Promise<void> {
  let error: unknown;
  try {
    await run();
  } catch (caught) {
    error = caught;
  }
  assert.instance(error, UserError);
  const { message } = error as UserError;
  assert.not.match(message, '\n');
  for (const text of texts) assert.ok(message.includes(text), `'${message}' lacks '${text}'`);
}

const open = async (files: VocFiles, options: Partial<OpenDatasetOptions> = {}) =>
  openDataset(`voc:${await writeVoc(files)}`, { split: 'train', ...options });

const withObjects = (objects: VocObjectSpec[], options: Partial<OpenDatasetOptions> = {}) =>
  open({ annotations: { a: vocXml(objects) } }, options);

test('a file counts from 1, a box from 0', async () => {
  const { classes, samples, flippable } = await withObjects([
    { name: 'cat', box: [1, 1, 40, 30] },
    { name: 'dog', box: [3, 4, 20, 15], difficult: true },
  ]);
  assert.equal(classes, ['__background__', 'cat', 'dog']);
  assert.is(flippable, true);
  assert.equal(samples[0]!.boxes, [
    { x1: 0, y1: 0, x2: 39, y2: 29, classIndex: 1, difficult: false },
    { x1: 2, y1: 3, x2: 19, y2: 14, classIndex: 2, difficult: true },
  ]);
  assert.equal([samples[0]!.id, samples[0]!.width, samples[0]!.height], ['a', 40, 30]);
});

test('children are read by name, and only those of the object itself', async () => {
  const xml = `<?xml version="1.0"?><annotation><size><width>40</width><height>30</height></size><object>
    <part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>
    <bndbox><xmin>3</xmin><xmax>20.5</xmax><ymin>4</ymin><ymax>15</ymax></bndbox><name>007</name></object></annotation>`;
  const { classes, samples } = await open({ annotations: { a: xml } });
  assert.equal(classes, ['__background__', '007']);
  assert.equal(samples[0]!.boxes, [{ x1: 2, y1: 3, x2: 19.5, y2: 14, classIndex: 1, difficult: false }]);
});

test('a border crossed by a pixel or two is clipped: xmin 0 does not wrap', async () => {
  const { samples } = await withObjects([{ name: 'cat', box: [0, -1, 42, 31] }]);
  assert.equal(samples[0]!.boxes, [{ x1: 0, y1: 0, x2: 39, y2: 29, classIndex: 1, difficult: false }]);
});

test('several folders are one data set, with the classes of all', async () => {
  const one = async (name: string) => writeVoc({ annotations: { a: vocXml([{ name, box: [3, 4, 20, 15] }]) } });
  const [dog, cat] = [await one('dog'), await one('cat')];
  const both = `voc:${dog},${cat}`;
  const named = ({ classes, samples }: Dataset) => samples.map(({ boxes }) => classes[boxes[0]!.classIndex]);
  const found = await openDataset(both, { split: 'train' });
  assert.equal(found.classes, ['__background__', 'cat', 'dog']);
  assert.equal(named(found), ['dog', 'cat']);
  const given = await openDataset(both, { split: 'train', classes: ['dog', 'cow', 'cat'] });
  assert.equal(given.classes, ['__background__', 'dog', 'cow', 'cat']);
  assert.equal(named(given), ['dog', 'cat']);
  await expectLine(() => openDataset(`voc:${dog},`, { split: 'train' }), '--data voc:', 'not a data set');
  await expectLine(() => openDataset(`voc:${dog},/nowhere`, { split: 'train' }), '/nowhere', 'no such folder');
});

test('classes come from all splits, so that train and test agree', async () => {
  const root = await writeVoc({
    splits: { train: 'a', test: 'b', cat_train: 'a  1\nb -1\n' },
    annotations: {
      a: vocXml([{ name: 'zebra', box: [1, 1, 9, 9] }]),
      b: vocXml([{ name: 'ant', box: [1, 1, 9, 9] }]),
    },
    images: ['a.jpg', 'b.png'],
  });
  for (const split of ['train', 'test']) {
    assert.equal((await openDataset(`voc:${root}`, { split })).classes, ['__background__', 'ant', 'zebra']);
  }
  const given = await openDataset(`voc:${root}`, { split: 'test', classes: ['zebra', 'ant'] });
  assert.is(given.samples[0]!.boxes[0]!.classIndex, 2);
});

test('an image without objects is a sample without boxes', async () => {
  const { samples } = await open({
    splits: { train: '\ufeffa\r\n\r\nb\r\n'.slice(1) },
    annotations: { a: vocXml([]), b: vocXml([{ name: 'cat', box: [1, 1, 9, 9] }]) },
    images: ['a.jpg', 'b.jpg'],
  });
  assert.equal(
    samples.map(({ boxes }) => boxes.length),
    [0, 1],
  );
});

test('JPEG, PNG and WebP decode to RGBA; the name of the annotation file goes before <filename>', async () => {
  for (const image of ['a.jpg', 'a.jpeg', 'a.png', 'a.webp', 'other.jpg']) {
    const { samples } = await open({ images: image === 'a.png' ? [image, 'other.jpg'] : [image] });
    const { width, height, rgba } = await samples[0]!.load();
    assert.equal([width, height, rgba.length], [40, 30, 40 * 30 * 4]);
    const pixel = (x: number, y: number) => [...rgba.subarray(4 * (y * 40 + x), 4 * (y * 40 + x) + 4)];
    const near = (actual: number[], expected: number[]) =>
      assert.ok(
        actual.every((value, c) => Math.abs(value - expected[c]!) < 12),
        `${image}: ${actual} is not ${expected}`,
      );
    near(pixel(5, 5), [255, 0, 0, 255]);
    near(pixel(35, 25), [0, 0, 255, 255]);
  }
});

test('boxes without area, with swapped corners or outside: an error, or left out with a note', async () => {
  const bad: [VocObjectSpec['box'], string][] = [
    [[5, 5, 5, 9], 'has no area'],
    [[5, 9, 8, 9], 'has no area'],
    [[9, 5, 5, 8], 'swapped'],
    [[50, 5, 60, 8], 'outside its 40x30 image'],
    [[5, 5, 43, 8], '3 px outside'],
    [[-2, 5, 9, 8], '3 px outside'],
    [[40, 5, 42, 8], 'no area inside'],
  ];
  for (const [box, text] of bad) {
    const objects = [
      { name: 'cat', box: [1, 1, 9, 9] as VocObjectSpec['box'] },
      { name: 'cat', box },
    ];
    await expectLine(() => withObjects(objects), 'a.xml: object 2 (cat)', text, '--skip-bad-boxes');
    const { samples, notes } = await withObjects(objects, { onBadBox: 'skip' });
    assert.is(samples[0]!.boxes.length, 1);
    assert.is(notes.length, 1);
    assert.match(notes[0]!, /1 unusable box left out.*a\.xml: object 2/);
  }
});

test('every other fault of a data set is one line that names the file', async () => {
  await expectLine(() => openDataset('voc:/no/such', { split: 'train' }), '/no/such', 'no such folder');
  await expectLine(() => openDataset('imagenet', { split: 'train' }), 'imagenet', "'digits', 'voc:PATH'");
  await expectLine(() => openDataset('voc:', { split: 'train' }), "'digits', 'voc:PATH'");
  await expectLine(() => open({}, { split: 'test' }), '--split test', 'it has train');
  await expectLine(() => open({ splits: { train: '\n \n' } }), 'train.txt', 'lists no image');
  await expectLine(() => open({ splits: { train: 'a\nb\n' } }), 'b.xml', 'missing');
  await expectLine(() => open({ images: [] }), 'a.*', 'no such image');
  const lists = { splits: { train: 'a\n', cat_train: 'a -1\nb  1\n' } };
  await expectLine(() => open(lists, { split: 'cat_train' }), 'cat_train.txt', "('a -1')", '--split train');
  await expectLine(() => open({}, { classes: ['dog'] }), 'a.xml', "'cat'", 'dog');
  await expectLine(() => open({ annotations: { a: vocXml([]) } }), 'no annotated object');
  const broken = vocXml([{ name: 'cat', box: [3, 4, 20, 15] }]);
  const faults: [string, string][] = [
    [broken.replace('</object>', ''), 'not well-formed'],
    [broken.slice(0, 150), 'not well-formed'],
    ['', 'a.xml'],
    ['<picture></picture>', 'no <annotation>'],
    [broken.replace('<xmin>3</xmin>', ''), 'exactly one <xmin>'],
    [broken.replace('<xmin>3<', '<xmin>three<'), 'not a number'],
    [broken.replace('<xmin>3<', '<xmin>NaN<'), 'not a number'],
    [broken.replace('<xmin>3<', '<xmin><'), 'exactly one <xmin>'],
    [broken.replace('<name>cat</name>', ''), 'exactly one <name>'],
    [broken.replace('>cat<', '>__background__<'), "object 1 is of class '__background__'"],
    [broken.replace('</bndbox>', '</bndbox><bndbox></bndbox>'), 'exactly one <xmin>'],
    [broken.replace('<width>40', '<width>wide'), '<width>wide</width> is not a number'],
  ];
  for (const [xml, text] of faults) await expectLine(() => open({ annotations: { a: xml } }), 'a.xml', text);
});

test('all problems at once: each image and object that has one is left out', async () => {
  const good = { name: 'cat', box: [3, 4, 20, 15] as VocObjectSpec['box'] };
  const bad = (box: VocObjectSpec['box']) => ({ name: 'cat', box });
  const root = await writeVoc({
    splits: { train: 'a\nb\nc\nd\ne\n', test: 'f\n' },
    annotations: {
      a: vocXml([bad([5, 5, 5, 9]), good, bad([50, 5, 60, 8])]),
      b: vocXml([good, good, good]).replace('<xmin>3<', '<xmin>three<'),
      d: '<annotation>',
      e: vocXml([good]),
      f: vocXml([{ name: 'dog', box: [1, 1, 9, 9] }]),
    },
    images: ['a.jpg', 'b.jpg', 'c.jpg', 'd.jpg', 'f.jpg'],
  });
  const problems: string[] = [];
  const onProblem = (problem: string): void => void problems.push(problem);
  const { samples, classes } = await openDataset(`voc:${root}`, { split: 'train', onProblem });
  assert.equal(
    samples.map(({ id, boxes }) => [id, boxes.length]),
    [
      ['a', 1],
      ['b', 2],
    ],
  );
  assert.equal(classes, ['__background__', 'cat', 'dog']);
  const expected = [
    /b\.xml: object 1: <bndbox>: <xmin>three<\/xmin> is not a number; fix the file$/,
    /c\.xml: missing, though split 'train' lists c;/,
    /d\.xml: line 1: not well-formed XML/,
    /a\.xml: object 1 \(cat\): box \(5, 5, 5, 9\) has no area;/,
    /a\.xml: object 3 \(cat\): box .* outside its 40x30 image;/,
    /JPEGImages.e\.\*: no such image/,
  ];
  assert.is(problems.length, expected.length, problems.join('\n'));
  expected.forEach((text, i) => assert.match(problems[i]!, text));
  problems.length = 0;
  await openDataset(`voc:${root}`, { split: 'test', classes: ['cat'], onProblem });
  assert.match(problems.join('\n'), /^\S*f\.xml: object 1 is of class 'dog', which is not one of cat; .*$/);
});

test('the splits of a data set, of several folders those that all have', async () => {
  const object = vocXml([{ name: 'cat', box: [3, 4, 20, 15] }]);
  const one = await writeVoc({ splits: { train: 'a', test: 'a', minival: 'a' }, annotations: { a: object } });
  const other = await writeVoc({ splits: { train: 'a', minival: 'a' }, annotations: { a: object } });
  assert.equal(splitsOf(`voc:${one}`), ['minival', 'test', 'train']);
  assert.equal(splitsOf(`voc:${one},${other}`), ['minival', 'train']);
  assert.equal(splitsOf('digits'), ['train', 'val', 'test']);
});

test('an image that is cut off, not an image, or of another size fails when it is loaded', async () => {
  for (const image of ['a.jpg', 'a.png', 'a.webp']) {
    const root = await writeVoc({ images: [image] });
    const { samples } = await openDataset(`voc:${root}`, { split: 'train' });
    const path = join(root, 'JPEGImages', image);
    const whole = readFileSync(path);
    await writeImage(path, 41, 30);
    await expectLine(() => samples[0]!.load(), image, 'is 41x30', 'says 40x30');
    await expectLine(() => checkImages(samples), image, 'is 41x30', 'says 40x30');
    writeFileSync(path, whole.subarray(0, Math.floor(whole.length * 0.7)));
    await expectLine(() => samples[0]!.load(), image, 'cannot be read as an image');
    for (const text of ['no image', '']) {
      writeFileSync(path, text);
      await expectLine(() => samples[0]!.load(), image, 'cannot be read as an image');
      await expectLine(() => checkImages(samples), image, 'cannot be read as an image');
    }
  }
});

test('a check before training takes the size of the turned image, and looks at every file', async () => {
  const { samples } = await open({
    splits: { train: 'a\nb\n' },
    annotations: { a: vocXml([{ name: 'cat', box: [1, 1, 9, 9] }], { width: 30, height: 40 }), b: vocXml([]) },
    images: ['a.jpg', 'b.jpg'],
  });
  await expectLine(() => checkImages(samples), 'a.jpg', 'is 40x30', 'says 30x40');
  const root = await writeVoc({
    annotations: { a: vocXml([{ name: 'cat', box: [1, 1, 9, 9] }], { width: 30, height: 40 }) },
  });
  const path = join(root, 'JPEGImages', 'a.jpg');
  // As a camera that was held upright writes it.
  writeFileSync(path, await sharp(readFileSync(path)).withMetadata({ orientation: 6 }).jpeg().toBuffer());
  const turned = (await openDataset(`voc:${root}`, { split: 'train' })).samples;
  let looked = 0;
  await checkImages(turned, () => looked++);
  assert.is(looked, 1);
  assert.is((await turned[0]!.load()).width, 30);
});

const bccd = realData('BCCD');
if (bccd !== undefined) {
  test('BCCD: counts, classes, the box without area of each split, one picture', async () => {
    await expectLine(() => openDataset(`voc:${bccd}`, { split: 'train' }), 'BloodImage_00343.xml', 'has no area');
    const counts: Record<string, [number, number]> = {};
    for (const split of ['train', 'val', 'test']) {
      const data = await openDataset(`voc:${bccd}`, { split, onBadBox: 'skip' });
      assert.equal(data.classes, ['__background__', 'Platelets', 'RBC', 'WBC']);
      counts[split] = [data.samples.length, data.samples.reduce((sum, { boxes }) => sum + boxes.length, 0)];
      assert.is(data.notes.length, split === 'test' ? 0 : 1);
      if (split === 'test') {
        const picture = await data.samples[0]!.load();
        assert.equal([picture.width, picture.height], [640, 480]);
      }
    }
    assert.equal(
      Object.values(counts).map(([images]) => images),
      [205, 87, 72],
    );
    assert.is(
      Object.values(counts).reduce((sum, [, boxes]) => sum + boxes, 0),
      4888 - 2,
    );
  });
}

const chess = realData('CHESS416');
if (chess !== undefined) {
  test('CHESS416: corners in another order, 13 names in every split', async () => {
    const train = await openDataset(`voc:${chess}`, { split: 'train' });
    const testing = await openDataset(`voc:${chess}`, { split: 'test' });
    assert.is(train.samples.length, 606);
    assert.is(testing.samples.length, 28);
    assert.is(testing.classes.length, 14);
    assert.equal(testing.classes, train.classes);
    for (const { x1, y1, x2, y2 } of train.samples.flatMap(({ boxes }) => boxes)) {
      assert.ok(0 <= x1 && x1 < x2 && x2 <= 415 && 0 <= y1 && y1 < y2 && y2 <= 415);
    }
  });
}

test.run();

/** COCO's annotation files: what they become, and what is said of those that cannot be used. */
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { OpenDatasetOptions } from '../../src/data/types.ts';
import { openDataset, usualSplit } from '../../src/data/registry.ts';
import { type CocoFiles, userError, writeCoco, writeImage, writeVoc } from './fixtures.ts';

const open = async (files: CocoFiles = {}, options: Partial<OpenDatasetOptions> = {}) =>
  openDataset((await writeCoco(files)).spec, { split: 'all', ...options });

const image = (id: number | string, file_name: string) => ({ id, file_name, width: 40, height: 30 });
const object = (bbox: unknown, more: object = {}) => ({ id: 5, image_id: 7, category_id: 18, bbox, ...more });
const boxesOf = async (...annotations: object[]) => (await open({ annotations })).samples[0]!.boxes;

/** One line that holds every text. */
function says(message: string, ...texts: string[]): void {
  assert.not.match(message, '\n');
  for (const text of texts) assert.ok(message.includes(text), `'${message}' lacks '${text}'`);
}

test('x, y, width, height become inclusive corners, and stay for the evaluation with the area', async () => {
  const { folder, spec } = await writeCoco();
  const { name, classes, samples, flippable, notes } = await openDataset(spec, { split: 'all' });
  assert.equal([name, classes, flippable, notes], ['instances', ['__background__', 'cat'], true, []]);
  const { load, check, ...sample } = samples[0]!;
  const box = { x1: 2, y1: 3, x2: 19, y2: 14, classIndex: 1, difficult: false, crowd: false };
  assert.equal(sample, {
    id: 'a',
    width: 40,
    height: 30,
    boxes: [{ ...box, bbox: [2, 3, 18, 12], area: 100 }],
    file: join(folder, 'a.jpg'),
    resultIds: { image: 7, categories: [undefined, 18] },
  });
  assert.equal([(await load()).width, (await load()).height], [40, 30]);
});

test('corners are those of py-faster-rcnn at borders and below a pixel; area and crowd as given', async () => {
  const corners = async (...bbox: number[]) => {
    const { x1, y1, x2, y2 } = (await boxesOf(object(bbox)))[0]!;
    return [x1, y1, x2, y2];
  };
  assert.equal(await corners(-1.5, 0, 10, 30), [0, 0, 9, 29]);
  assert.equal(await corners(30.5, 20.25, 10, 11), [30.5, 20.25, 39, 29]);
  assert.equal(await corners(5, 6, 0.5, 1), [5, 6, 5, 6]);
  const [crowd, plain] = await boxesOf(object([1, 2, 3, 4], { iscrowd: 1, area: 9.5 }), object([1, 2, 3, 4]));
  assert.equal([crowd!.crowd, crowd!.area, crowd!.difficult], [true, 9.5, false]);
  assert.equal([plain!.crowd, plain!.area], [false, 12]);
});

test('a file is listed once; files that differ in their extension alone are told apart; null is as missing', async () => {
  const twice = await userError(open({ images: [image(7, 'a.jpg'), image(8, 'a.jpg')] }));
  says(twice, 'instances.json: two of "images" have the file_name a.jpg; change or remove one');
  const both = { images: [image(7, 'a.jpg'), image(8, 'a.png')], files: ['a.jpg', 'a.png'] };
  assert.equal(
    (await open(both)).samples.map(({ id }) => id),
    ['a.jpg', 'a.png'],
  );
  const [box] = await boxesOf(object([1, 2, 3, 4], { iscrowd: null, area: null }));
  assert.equal([box!.crowd, box!.area], [false, 12]);
});

test('classes are in the order of the file or as given; images in that of their ids; names may have folders', async () => {
  const files: CocoFiles = {
    images: [image(10, 'x/b.png'), image(9, 'a.jpg')],
    categories: [
      { id: 90, name: 'toothbrush' },
      { id: 1, name: 'person' },
    ],
    annotations: [object([1, 1, 5, 5], { image_id: 10, category_id: 1 })],
    files: ['a.jpg', 'x/b.png'],
  };
  const own = await open(files);
  assert.equal(own.classes, ['__background__', 'toothbrush', 'person']);
  assert.equal(
    own.samples.map(({ id, boxes }) => [id, ...boxes.map(({ classIndex }) => classIndex)]),
    [['a'], ['x/b', 2]],
  );
  const given = await open(files, { classes: ['person', 'unicorn', 'toothbrush'] });
  assert.equal(given.classes, ['__background__', 'person', 'unicorn', 'toothbrush']);
  assert.is(given.samples[1]!.boxes[0]!.classIndex, 1);
  assert.equal(given.samples[1]!.resultIds, { image: 10, categories: [undefined, 1, undefined, 90] });
  assert.match(given.notes.join(), /instances\.json: has no category unicorn: /);
});

test('polygons, runs and what looks like them in a text are passed over', async () => {
  const annotations = [
    object([2, 3, 18, 12], { segmentation: [[1.5, 2, 3e1, -4.25, 5, 6], [7]], note: '"segmentation": [1], [' }),
    object([2, 3, 18, 12], { segmentation: { counts: [1, 2], size: [30, 40] }, iscrowd: 1 }),
    object([4, 3, 18, 12], { segmentation: [] }),
  ];
  assert.equal(
    (await boxesOf(...annotations)).map(({ x1, crowd }) => [x1, crowd]),
    [
      [2, false],
      [2, true],
      [4, false],
    ],
  );
});

test('several files are one data set, with the classes of the first', async () => {
  const first = await writeCoco();
  const second = await writeCoco({
    categories: [{ id: 3, name: 'cat' }],
    annotations: [object([1, 1, 5, 5], { category_id: 3 })],
  });
  const both = await openDataset(`${first.spec},${second.folder},${second.path}`, { split: 'all' });
  assert.equal(both.classes, ['__background__', 'cat']);
  assert.equal(
    both.samples.map(({ boxes, resultIds }) => [boxes[0]!.x1, resultIds!.categories[1]]),
    [
      [2, 18],
      [1, 3],
    ],
  );
});

test('a file without annotations, as of COCO’s test images, can be tested on but not trained on', async () => {
  const { path, spec } = await writeCoco();
  const { images, categories } = JSON.parse(readFileSync(path, 'utf8'));
  writeFileSync(path, `\ufeff${JSON.stringify({ images, categories })}`);
  assert.equal((await openDataset(spec, { split: 'all', classes: ['cat'] })).samples[0]!.boxes, []);
  says(await userError(openDataset(spec, { split: 'all' })), 'instances.json', 'nothing to learn');
});

test('boxes without area or outside: an error, or left out with a note', async () => {
  const bad: [annotation: object, text: string][] = [
    [object([5, 5, 0, 9]), 'bbox [5, 5, 0, 9] has no area'],
    [object([5, 5, 9, -1]), 'has no area'],
    [object([5, 5, NaN, 9]), 'bbox [5, 5, NaN, 9] has a value that is not a number'],
    [object([30, 5, 12.5, 9]), 'lies 2.5 px outside its 40x30 image'],
    [object([-3, 5, 9, 9]), 'lies 3 px outside'],
    [object([39.5, 5, 2, 9]), 'has no area inside its 40x30 image'],
  ];
  for (const [annotation, text] of bad) {
    const files = { annotations: [object([1, 1, 9, 9]), annotation] };
    says(await userError(open(files)), 'instances.json: annotation 5 (cat)', text, '--skip-bad-boxes');
    const { samples, notes } = await open(files, { onBadBox: 'skip' });
    assert.is(samples[0]!.boxes.length, 1);
    assert.match(notes.join(), /^1 unusable box left out, the first: .*instances\.json: annotation 5/);
  }
});

test('the split: one file is one', async () => {
  const { spec, path } = await writeCoco();
  assert.equal([usualSplit(spec, 'test'), usualSplit(`voc:${await writeVoc()}`, 'test')], ['all', 'test']);
  says(await userError(openDataset(spec, { split: 'val' })), '--split val', path, 'no such split; it has all');
});

test('every other fault is one line that names the file', async () => {
  const { folder, path, spec } = await writeCoco();
  const whole = JSON.parse(readFileSync(path, 'utf8'));
  const all = { split: 'all' };
  for (const wrong of [`coco:${folder}`, `${spec},${folder}`, `coco:${folder},${folder}`, `coco:${path},${folder}`]) {
    says(
      await userError(openDataset(wrong, all)),
      `${folder}: holds no annotation file`,
      'coco:IMAGES,ANNOTATIONS.json',
    );
  }
  says(await userError(openDataset('coco:x', all)), 'x: there is no such file');
  for (const wrong of ['coco:', `${spec},`]) {
    says(await userError(openDataset(wrong, all)), `--data ${wrong}: not a data set`, 'coco:IMAGES,ANNOTATIONS.json');
  }
  says(await userError(openDataset(`coco:/no/such,${path}`, all)), '/no/such: no such folder');
  says(await userError(openDataset(`coco:${folder},/no/such.json`, all)), '/no/such.json: there is no such file');
  says(await userError(openDataset(`coco:${folder},${folder}.json`, all)), `${folder}.json: there is no such file`);

  const [annotation] = whole.annotations;
  const changed = (change: object) => ({ ...whole, annotations: [{ ...annotation, ...change }] });
  const faults: [content: unknown, ...texts: string[]][] = [
    ['', 'is not JSON'],
    [JSON.stringify(whole).slice(0, -9), 'is not JSON', 'position'],
    ['<annotation></annotation>', 'is not JSON'],
    [[{ image_id: 7, category_id: 18, bbox: [1, 2, 3, 4], score: 1 }], 'expected object', 'instances_*.json'],
    [{ annotation: {} }, 'images: '],
    [{ ...whole, categories: [] }, 'categories: '],
    [{ ...whole, images: [] }, '"images" is empty'],
    [{ ...whole, images: [{ ...whole.images[0], width: 'wide' }] }, 'images.0.width: '],
    [{ ...whole, images: [{ ...whole.images[0], file_name: '' }] }, 'images.0.file_name: '],
    [{ ...whole, images: [whole.images[0], whole.images[0]] }, 'two of "images" have the id 7'],
    [
      { ...whole, categories: [whole.categories[0], { id: 0, name: '__background__' }] },
      "category 0 is of class '__background__'",
    ],
    [{ ...whole, categories: [whole.categories[0], { id: 18, name: 'dog' }] }, 'two of "categories" have the id 18'],
    [{ ...whole, annotations: [{ image_id: 7, id: 1, caption: 'a cat' }] }, 'annotation 1: category_id: '],
    [changed({ bbox: [1, 2, 3] }), 'annotation 1: bbox'],
    [changed({ bbox: '1 2 3 4' }), 'annotation 1: bbox'],
    [changed({ image_id: 8 }), 'annotation 1 is of image 8, which is not in "images"'],
    [changed({ image_id: 8, id: undefined }), 'annotation number 1 is of image 8'],
    [changed({ category_id: 19 }), 'annotation 1 is of category 19, which is not in "categories"'],
  ];
  for (const [content, ...texts] of faults) {
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
    says(await userError(openDataset(spec, all)), `${path}: `, ...texts);
  }

  says(await userError(open({}, { classes: ['dog'] })), "annotation 1 is of class 'cat', which is not one of dog");
  says(await userError(open({ files: ['b.jpg'] })), join('images', 'a.jpg'), 'no such image', 'instances.json');
  const nested = { images: [image(7, 'none/b.jpg')] };
  says(await userError(open(nested)), join('images', 'none', 'b.jpg'), 'no such image');
});

test('an image of another size fails when it is loaded', async () => {
  const { folder, path, spec } = await writeCoco();
  const { samples } = await openDataset(spec, { split: 'all' });
  await writeImage(join(folder, 'a.jpg'), 41, 30);
  says(await userError(samples[0]!.load()), 'a.jpg: is 41x30', `${path} says 40x30`);
});

test('a file that is too large to be read says so', async () => {
  const { folder, path } = await writeCoco();
  truncateSync(path, 2 ** 29); // zeros, which take no room on the disk
  says(
    await userError(openDataset(`coco:${folder},${path}`, { split: 'all' })),
    path,
    'larger than the 536 MB',
    'IMAGES,B.json',
  );
});

test.run();

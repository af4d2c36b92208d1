/** Label Studio's JSON and JSON-MIN. */
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openDataset } from '../../../src/data/registry.ts';
import { boxesOf, check, writeFiles } from './files.ts';

const result = (value: object, type = 'rectanglelabels', sizes = true) => ({
  id: 'x',
  type,
  value,
  ...(sizes && { original_width: 40, original_height: 30 }),
  image_rotation: 0,
  from_name: 'label',
  to_name: 'image',
});
const rectangle = (x: number, y: number, width: number, height: number, rotation = 0, label = 'cat') => ({
  ...{ x, y, width, height, rotation },
  rectanglelabels: [label],
});
const task = (id: number, image: string, ...annotations: object[]) => ({ id, data: { image }, annotations });

test('per cent of the image, rotated about the top left corner; images by the address of their upload', async () => {
  const root = await writeFiles({
    'project.json': [
      task(1, '/data/upload/3/0a1b2c3d-a.jpg', {
        result: [
          result(rectangle(0, 0, 100, 100)),
          // 8 px wide and 3 high at (20, 15), turned by 90 degrees: 3 px to the left, 8 down.
          result(rectangle(50, 50, 20, 10, 90, 'dog')),
          result({ points: [[5, 10], [50, 10], [10, 50]], polygonlabels: ['dog'] }, 'polygonlabels'), // prettier-ignore
          result({ x: 50, y: 50, radiusX: 10, radiusY: 20, ellipselabels: ['dog'] }, 'ellipselabels'),
          result({ choices: ['blurred'] }, 'choices'),
        ],
      }),
      task(2, '/data/local-files/?d=photos/b%20c.png'),
      task(3, 's3://bucket/d.jpg?x=1', { result: [result(rectangle(1, 1, 2, 2))], was_cancelled: true }),
    ],
    'images/a.jpg': '',
    'images/b c.png': '',
    'images/d.jpg': '',
  });
  const { classes, samples, notes } = await openDataset(root, { split: 'all' });
  assert.equal(classes, ['__background__', 'cat', 'dog']);
  assert.equal(samples.map(boxesOf), [
    [
      ['1', 0, 0, 39, 29],
      ['2', 17, 15, 19, 22],
      ['2', 2, 3, 19, 14],
      ['2', 16, 9, 23, 20],
    ],
    [],
    [],
  ]);
  const where = `${join(root, 'project.json')}: task 1`;
  assert.equal(notes, [
    `${root}: rotated boxes and other shapes are replaced by their bounds (3, the first: ${where}: result 2)`,
    `${root}: results that are no rectangle, polygon or ellipse are left out (1, the first: ${where}: result 5)`,
  ]);
});

test('JSON-MIN; the ground truth, or the last of several annotations', async () => {
  const minimal = await writeFiles({
    'min.json': [
      {
        image: '/data/upload/1/0a1b2c3d-a.jpg',
        id: 5,
        label: [{ ...rectangle(5, 10, 45, 40), original_width: 40, original_height: 30 }],
        annotator: 1,
      },
    ],
    '0a1b2c3d-a.jpg': '',
  });
  assert.equal((await openDataset(minimal, { split: 'all' })).samples.map(boxesOf), [[['1', 2, 3, 19, 14]]]);
  const several = await writeFiles({
    'a.json': [
      task(1, 'a.jpg', { result: [result(rectangle(0, 0, 50, 50))], ground_truth: true }, { result: [] }),
      task(2, 'b.jpg', { result: [] }, { result: [result(rectangle(0, 0, 100, 100))] }),
    ],
    'a.jpg': '',
    'b.jpg': '',
  });
  const { samples, notes } = await openDataset(`labelstudio:${several}`, { split: 'all' });
  assert.equal(samples.map(boxesOf), [[['1', 0, 0, 19, 14]], [['1', 0, 0, 39, 29]]]);
  assert.is(notes.length, 1);
});

test('each wrong result is one problem', async () => {
  const results = [
    result({ ...rectangle(0, 0, 10, 10), rectanglelabels: [] }),
    result({ ...rectangle(0, 0, 10, 10), x: 'a' }),
    result(rectangle(0, 0, 10, 10, 5), 'rectanglelabels', false),
    result({ points: 3, polygonlabels: ['cat'] }, 'polygonlabels', false),
  ];
  const root = await writeFiles({
    'a.json': [
      task(7, 'a.jpg', { result: [...results, result(rectangle(0, 0, 10, 10))] }),
      { id: 8, data: {}, annotations: [] },
      3,
    ],
    'a.jpg': '',
  });
  const where = `${join(root, 'a.json')}: task 7`;
  const found = await check(root, 'all');
  assert.equal(found.slice(0, 2), [
    `${where}: result 1: has no label; give it one or remove it`,
    `${where}: result 2: "x" is not a number; fix or remove it`,
  ]);
  assert.is(found[2], `${where}: result 4: its points are no points; fix or remove it`);
  assert.is(found[3], `${join(root, 'a.json')}: task 8: has no image in its data; add "image", or remove the task`);
  assert.is(found.length, 5);
});

test.run();

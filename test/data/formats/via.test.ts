/** VIA's CSV, JSON and project files. */
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openDataset } from '../../../src/data/registry.ts';
import { boxesOf, check, writeFiles } from './files.ts';

const region = (shape_attributes: object, region_attributes: object) => ({ shape_attributes, region_attributes });
const rect = (x: number, y: number, width: number, height: number) => ({ name: 'rect', x, y, width, height });
const entry = (filename: string, regions: unknown) => ({ filename, size: 1234, regions, file_attributes: {} });

const BOXES = [
  [
    ['1', 0, 0, 39, 29],
    ['2', 15, 10, 24, 19],
    ['2', 2, 3, 19, 14],
  ],
  [],
];

test('JSON and project: x, y, width, height as edges; the class by the name of its attribute; other shapes by their bounds', async () => {
  const images = {
    'a.jpg1234': entry('a.jpg', [
      region(rect(0, 0, 40, 30), { note: 'x', class: 'cat' }),
      region({ name: 'circle', cx: 20, cy: 15, r: 5 }, { type: { dog: true, cat: false } }),
      region({ name: 'polygon', all_points_x: [2, 20, 4], all_points_y: [3, 3, 15] }, { animal: 'dog' }),
      region({ name: 'point', cx: 1, cy: 1 }, {}),
    ]),
    'b.png99': entry('b.png', {}),
  };
  const project = { _via_settings: {}, _via_img_metadata: images, _via_attributes: {} };
  for (const content of [images, project]) {
    const root = await writeFiles({ 'via.json': content, 'a.jpg': '', 'b.png': '' });
    const { samples, notes } = await openDataset(root, { split: 'all' });
    assert.equal(samples.map(boxesOf), BOXES);
    const where = `${join(root, 'via.json')}: image a.jpg`;
    assert.equal(notes, [
      `${root}: shapes other than rectangles are replaced by their bounds (2, the first: ${where}: region 2)`,
      `${root}: points and lines have no area and are left out (1, the first: ${where}: region 4)`,
    ]);
  }
});

const quoted = (value: object) => `"${JSON.stringify(value).replaceAll('"', '""')}"`;
const row = (file: string, shape: object, attributes: object) =>
  `${file},1234,"{}",1,0,${quoted(shape)},${quoted(attributes)}`;

test('CSV, in which an image without a region has an empty one; wrong rows are one problem each', async () => {
  const header = 'filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes';
  const rows = [
    row('a.jpg', rect(0, 0, 40, 30), { class: 'cat' }),
    row('a.jpg', { name: 'circle', cx: 20, cy: 15, r: 5 }, { class: 'dog' }),
    row('a.jpg', { name: 'polygon', all_points_x: [2, 20, 4], all_points_y: [3, 3, 15] }, { class: 'dog' }),
    row('b.png', {}, {}),
  ];
  const root = await writeFiles({ 'via.csv': [header, ...rows].join('\n'), 'a.jpg': '', 'b.png': '' });
  assert.equal((await openDataset(root, { split: 'all' })).samples.map(boxesOf), BOXES);
  const wrong = [
    row('a.jpg', { name: 'rect', x: 1 }, { class: 'cat' }),
    row('a.jpg', rect(1, 1, 2, 2), { a: 'x', b: 'y' }),
    'a.jpg,1,{},1,0,{x,{}',
    row('a.jpg', { name: 'blob' }, {}),
  ];
  const bad = await writeFiles({ 'via.csv': [header, ...rows, ...wrong].join('\n'), 'a.jpg': '', 'b.png': '' });
  const path = join(bad, 'via.csv');
  assert.equal(await check(bad, 'all'), [
    `${path}: line 6: "y" is not a number; fix or remove it`,
    `${path}: line 7: has no attribute 'class' with one value (it has a, b); add it or remove the region`,
    `${path}: line 8: {x is not JSON; fix or remove it`,
    `${path}: line 9: its shape 'blob' cannot be read; fix or remove it`,
  ]);
});

test.run();

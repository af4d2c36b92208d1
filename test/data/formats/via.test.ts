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

/** A project of VIA 3 with two images and a video. */
const project3 = (metadata: object) => ({
  project: { pid: '__VIA_PROJECT_ID__', pname: 'p', data_format_version: '3.1.1', vid_list: ['1', '2', '3'] },
  config: { file: { loc_prefix: { '1': '', '2': '', '3': '', '4': '' } } },
  attribute: {
    '1': { aname: 'Class', anchor_id: 'FILE1_Z0_XY1', type: 4, desc: '', options: { '7': 'cat', '8': 'dog' } },
    '2': { aname: 'note', anchor_id: 'FILE1_Z0_XY1', type: 1, desc: '', options: {} },
  },
  file: {
    '1': { fid: '1', fname: 'a.jpg', type: 2, loc: 1, src: '' },
    '2': { fid: '2', fname: '', type: 2, loc: 2, src: 'https://example.com/x/b.png' },
    '3': { fid: '3', fname: 'c.mp4', type: 4, loc: 1, src: '' },
  },
  view: { '1': { fid_list: ['1'] }, '2': { fid_list: [2] }, '3': { fid_list: ['3'] } },
  metadata,
});

test('a project of VIA 3: shapes by their numbers, the class by the name of the chosen option', async () => {
  const of = (xy: number[], av: object, vid = '1') => ({ vid, flg: 0, z: [], xy, av });
  const metadata = {
    '1_a': of([2, 0, 0, 40, 30], { '1': '7', '2': 'free text' }),
    '1_b': of([3, 20, 15, 5], { '1': '8' }),
    '1_c': of([7, 2, 3, 20, 3, 4, 15], { '1': '8' }),
    '1_d': of([1, 5, 5], {}),
    '3_a': { ...of([2, 1, 1, 5, 5], { '1': '7' }, '3'), z: [1.5] },
    '3_b': { ...of([], { '2': 'a scene' }, '3'), z: [1, 2] },
  };
  const root = await writeFiles({ 'via_project.json': project3(metadata), 'a.jpg': '', 'b.png': '' });
  const { samples, notes } = await openDataset(root, { split: 'all' });
  assert.equal(samples.map(boxesOf), BOXES);
  const where = `${join(root, 'via_project.json')}: image a.jpg`;
  assert.equal([...notes].sort(), [
    `${root}: images found in another folder than the one written (1, the first: https://example.com/x/b.png is ${join(root, 'b.png')})`,
    `${root}: points and lines have no area and are left out (1, the first: ${where}: region 4)`,
    `${root}: shapes other than rectangles are replaced by their bounds (2, the first: ${where}: region 2)`,
    `${root}: videos and sounds are left out (1, the first: ${join(root, 'via_project.json')}: file 3)`,
  ]);
  const wrong = {
    w1: of([2, 1, 1, 5], { '1': '7' }),
    w2: of([2, 1, 1, 5, 5], { '1': '7,8' }),
    w3: of([2, 1, 1, 5, 5], { '9': '7' }),
    w4: of([2, 1, 1, 5, 5], { '1': '7' }, '4'),
    w5: { vid: '1', xy: ['x'] },
    w6: of([9, 1, 1, 5, 5], { '1': '7' }),
  };
  const bad = await writeFiles({ 'p.json': project3({ ...metadata, ...wrong }), 'a.jpg': '', 'b.png': '' });
  const problems = await check(bad, 'all');
  assert.is(problems.length, 6, problems.join('\n'));
  for (const text of [
    /p\.json: image a\.jpg: region 5: "height" is not a number; fix or remove it$/,
    /region 6: has no attribute 'class' with one value \(it has Class\); add it or remove the region$/,
    /metadata w3: its attribute 9: .*; fix or remove it$/,
    /metadata w4: its view 4: .*; fix or remove it$/,
    /metadata w5: xy\.0: .*; fix or remove it$/,
    /region 7: its shape '9' cannot be read; fix or remove it$/,
  ]) {
    assert.ok(
      problems.some((problem) => text.test(problem)),
      `${text}: ${problems.join('\n')}`,
    );
  }
});

test.run();

/** labelme's JSON files. */
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openDataset, splitsOf } from '../../../src/data/registry.ts';
import { boxesOf, check, writeFiles } from './files.ts';

const shape = (label: string, shape_type: string | null, ...points: number[][]) => ({
  label,
  points,
  group_id: null,
  shape_type,
  flags: {},
});
const file = (imagePath: string, ...shapes: object[]) => ({
  version: '5.4.1',
  flags: {},
  shapes,
  imagePath,
  imageData: 'aGVsbG8=',
  imageHeight: 30,
  imageWidth: 40,
});

test('points are pixels, the last one included: what shape_to_mask fills', async () => {
  const root = await writeFiles({
    'a.jpg': '',
    'a.json': file(
      '..\\photos\\a.jpg',
      shape('cat', 'rectangle', [39, 29], [0, 0]),
      shape('dog', null, [2, 3], [19, 3], [5, 14.5]),
    ),
    'b.png': '',
    'b.json': file('', shape('cat', 'circle', [20, 15], [23, 19]), shape('cat', 'point', [3, 4])),
  });
  const { classes, samples, notes } = await openDataset(root, { split: 'all' });
  assert.equal(classes, ['__background__', 'cat', 'dog']);
  // shape_to_mask of (0, 0), (39, 29) fills the whole picture of 40x30.
  assert.equal(samples.map(boxesOf), [
    [
      ['1', 0, 0, 39, 29],
      ['2', 2, 3, 19, 14.5],
    ],
    [['1', 15, 10, 25, 20]],
  ]);
  assert.equal(notes.slice(0, 2), [
    `${root}: shapes other than rectangles are replaced by their bounds (2, the first: ${join(root, 'a.json')}: shape 2)`,
    `${root}: points and lines have no area and are left out (1, the first: ${join(root, 'b.json')}: shape 2)`,
  ]);
});

test('folders of splits; each wrong shape is one problem', async () => {
  const root = await writeFiles({
    'train/a.jpg': '',
    'train/a.json': file('a.jpg', shape('cat', 'rectangle', [1, 2], [9, 8])),
    'val/b.jpg': '',
    'val/b.json': file(
      'b.jpg',
      shape('', 'rectangle', [1, 2], [9, 8]),
      { label: 3 },
      shape('cat', 'rectangle', [1, 2]),
    ),
    'val/c.json': '{"shapes": [',
  });
  assert.equal(splitsOf(root), ['train', 'val']);
  assert.equal((await openDataset(root, { split: 'train', onProblem: () => {} })).samples.map(boxesOf), [
    [['1', 1, 2, 9, 8]],
  ]);
  const [first, second, third, fourth] = await check(root, 'val');
  const b = join(root, 'val/b.json');
  assert.match(first!, `${b}: shape 2: label: `);
  assert.is(second, `${b}: shape 3: a rectangle has two points or more, not one; fix or remove it`);
  assert.match(third!, `${join(root, 'val/c.json')}: is not JSON`);
  assert.is(fourth, `${b}: shape 1 has no class; name one or remove the object`);
});

test.run();

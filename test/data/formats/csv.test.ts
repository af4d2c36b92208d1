/** Tables: keras-retinanet's, TensorFlow's, and with names of columns in any order. */
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openDataset, splitsOf } from '../../../src/data/registry.ts';
import { userError } from '../fixtures.ts';
import { boxesOf, check, says, writeFiles } from './files.ts';

const PICTURES = { 'img/a.jpg': '', 'img/b.jpg': '' };
const BOXES = [
  [
    ['1', 2, 3, 19, 14],
    ['2', 0, 0, 39, 29],
  ],
  [],
];

test("keras-retinanet's: edges; rows without a box are images without objects; classes.csv has the order", async () => {
  const rows = 'img/a.jpg,2,3,20,15,dog\nimg/a.jpg,0,0,40,30,cat\nimg/b.jpg,,,,,\n';
  const root = await writeFiles({ ...PICTURES, 'annotations.csv': rows, 'classes.csv': 'cat,1\ndog,0\n' });
  for (const spec of [root, `csv:${join(root, 'annotations.csv')}`]) {
    const { classes, samples } = await openDataset(spec, { split: 'all' });
    assert.equal([classes, samples.map(boxesOf)], [['__background__', 'dog', 'cat'], BOXES]);
  }
});

test('a table is recognised whose first class has a comma in its name', async () => {
  const rows = 'img/a.jpg,2,3,20,15,"dog, small"\nimg/b.jpg,,,,,\n';
  const { classes } = await openDataset(await writeFiles({ ...PICTURES, 'annotations.csv': rows }), { split: 'all' });
  assert.equal(classes, ['__background__', 'dog, small']);
});

test("TensorFlow's in a folder for each split (Roboflow), other orders, semicolons and decimal commas", async () => {
  const tensorflow =
    'filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,40,30,cat,2,3,20,15\na.jpg,40,30,dog,0,0,40,30\n';
  const root = await writeFiles({
    'train/_annotations.csv': tensorflow,
    'train/a.jpg': '',
    'valid/_annotations.csv':
      '"Image Path";"Label";"x_min";"y_min";"x_max";"y_max"\r\n"b.jpg";"cat";"2,5";"3";"20";"15"\r\n',
    'valid/b.jpg': '',
  });
  assert.equal(splitsOf(root), ['train', 'valid']);
  assert.equal((await openDataset(root, { split: 'train' })).samples.map(boxesOf), BOXES.slice(0, 1));
  assert.equal((await openDataset(root, { split: 'valid' })).samples.map(boxesOf), [[['1', 2.5, 3, 19, 14]]]);
});

test('each wrong row is one problem; a table that is none is one line', async () => {
  const rows =
    'image,x1,y1,x2,y2,class\nimg/a.jpg,2,3,20,15,dog\nimg/a.jpg,2,x,20,15,dog\n,1,2,3,4,dog\nimg/b.jpg,1,2,9,9\nimg/b.jpg,9,9,1,1,dog\n';
  const root = await writeFiles({ ...PICTURES, 'a.csv': rows });
  const path = join(root, 'a.csv');
  assert.equal(await check(root, 'all'), [
    `${path}: line 3: 'x' is not a number (img/a.jpg,2,x,20,15,dog); fix or remove it`,
    `${path}: line 4: names no image; fix or remove it`,
    `${path}: line 5 has no class; name one or remove the object`,
    `${path}: line 6 (dog): box (9, 9, 1, 1) has its corners swapped; fix or delete it, or pass --skip-bad-boxes`,
  ]);
  says(
    await userError(openDataset(`csv:${await writeFiles({ 'a.txt': '' })}`, { split: 'all' })),
    'holds no table of objects',
  );
});

test.run();

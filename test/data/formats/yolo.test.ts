/** YOLO's text files in the layouts that Ultralytics, Roboflow, CVAT, labelImg and Label Studio write. */
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openDataset, splitsOf } from '../../../src/data/registry.ts';
import { userError } from '../fixtures.ts';
import { boxesOf, check, says, writeFiles } from './files.ts';

const open = (root: string, split = 'train') => openDataset(root, { split });
/** A cat from (2, 3) to (20, 15) in pictures of 40x30, to six decimals as tools write it. */
const CAT = '0 0.275000 0.300000 0.450000 0.400000\n';
const YAML = 'train: images/train\nval: images/val\nnames: [cat, dog]\n';

test('centre and size as fractions: continuous edges, as Ultralytics has them', async () => {
  const root = await writeFiles({
    'data.yaml': YAML,
    'images/train/a.jpg': '',
    'images/train/empty.jpg': '',
    'images/train/none.png': '',
    'images/val/b.jpg': '',
    'labels/train/a.txt': `${CAT}\n1 0.5 0.5 1 1\r\n`,
    'labels/train/empty.txt': '',
    'labels/val/b.txt': CAT,
  });
  const { classes, samples, notes } = await open(root);
  assert.equal(classes, ['__background__', 'cat', 'dog']);
  assert.equal(notes, []);
  assert.equal(
    samples.map(({ id }) => id),
    ['a', 'empty', 'none'],
  );
  // xywhn2xyxy: x1 = W (cx - w / 2) = 2, x2 = W (cx + w / 2) = 20: pixels 2 to 19.
  assert.equal(boxesOf(samples[0]!), [
    ['1', 2, 3, 19, 14],
    ['2', 0, 0, 39, 29],
  ]);
  assert.equal([boxesOf(samples[1]!), boxesOf(samples[2]!)], [[], []]);
  assert.equal(splitsOf(root), ['train', 'val']);
  assert.equal(splitsOf(`yolo:${join(root, 'data.yaml')}`), ['train', 'val']);
  assert.equal(boxesOf((await open(root, 'val')).samples[0]!), [['1', 2, 3, 19, 14]]);
});

test("Roboflow's folders, whose data.yaml leads a folder too high; names as a map with a gap", async () => {
  const root = await writeFiles({
    'data.yaml':
      "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 3\nnames:\n  0: cat\n  2: 'no'\n",
    'train/images/a_jpg.rf.0123.jpg': '',
    'train/labels/a_jpg.rf.0123.txt': '2 0.5 0.5 0.5 0.5',
    'valid/images/b.jpg': '',
    'valid/labels/b.txt': CAT,
  });
  assert.equal(splitsOf(root), ['train', 'val']);
  const { classes, samples, notes } = await open(root);
  assert.equal(classes, ['__background__', 'cat', '1', 'no']);
  assert.equal(samples[0]!.id, 'a_jpg.rf.0123');
  assert.equal(boxesOf(samples[0]!), [['3', 10, 7.5, 29, 21.5]]);
  assert.equal(notes, [`${join(root, 'data.yaml')}: has 'test: ../test/images', which is not there`]);
});

test('splits as lists, from the list, the data or a folder above them; several places for one split', async () => {
  const root = await writeFiles({
    'data.yaml': 'path: /somewhere/else\ntrain: [one.txt, images/more]\nval: two.txt\nnames: [cat]\n',
    'one.txt': './images/all/a.jpg\n/home/me/set/images/all/b.jpg\n',
    'two.txt': 'images\\all\\c.jpg\n',
    'images/all/a.jpg': '',
    'images/all/b.jpg': '',
    'images/all/c.jpg': '',
    'images/more/d.jpg': '',
    'labels/all/a.txt': CAT,
    'labels/all/b.txt': CAT,
    'labels/all/c.txt': CAT,
  });
  const { samples, notes } = await open(root);
  assert.equal(
    samples.map(({ id, boxes }) => `${id} ${boxes.length}`),
    ['all/a 1', 'all/b 1', 'd 0'],
  );
  assert.equal(notes, []);
  assert.equal(
    (await open(root, 'val')).samples.map(({ id }) => id),
    ['all/c'],
  );
});

test("CVAT's export, and pictures and text files in one folder (labelImg), without a data.yaml", async () => {
  const cvat = await writeFiles({
    'obj.data': 'classes = 1\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n',
    'obj.names': 'cat\n',
    'train.txt': 'data/obj_train_data/a.jpg\n',
    'obj_train_data/a.jpg': '',
    'obj_train_data/a.txt': CAT,
  });
  assert.equal((await open(cvat)).samples.map(boxesOf), [[['1', 2, 3, 19, 14]]]);
  const flat = await writeFiles({ 'classes.txt': 'cat\n', 'a.JPG': '', 'a.txt': CAT, 'lost.txt': CAT });
  const { classes, samples, notes } = await openDataset(flat, { split: 'all' });
  assert.equal([classes, samples.map(boxesOf)], [['__background__', 'cat'], [[['1', 2, 3, 19, 14]]]]);
  assert.equal(notes, [`${flat}: text files without an image are ignored (1, the first: ${join(flat, 'lost.txt')})`]);
  const nameless = await writeFiles({ 'images/a.png': '', 'labels/a.txt': '7 0.5 0.5 0.5 0.5' });
  assert.equal((await openDataset(nameless, { split: 'all' })).classes, ['__background__', '7']);
});

test('outlines and rotated boxes: their bounds, and said; poses: their boxes; scores are passed over', async () => {
  const lines = ['0 0.1 0.2 0.5 0.1 0.3 0.9', '0 0.5 0.2 0.9 0.5 0.5 0.8 0.1 0.5', '0 0.5 0.5 0.5 0.4 0.99'];
  const files = { 'images/train/a.png': '', 'labels/train/a.txt': lines.join('\n') };
  const root = await writeFiles({ ...files, 'data.yaml': 'train: images/train\nnames: [cat]' });
  const { samples, notes } = await open(root);
  const expected = [
    [4, 3, 19, 26],
    [4, 6, 35, 23],
    [10, 9, 29, 20],
  ].map((box) => ['1', ...box]);
  assert.equal(boxesOf(samples[0]!), expected);
  const text = join(root, 'labels/train/a.txt');
  assert.equal(notes, [
    `${root}: outlines and rotated boxes are replaced by their bounds (2, the first: ${text}: line 1)`,
    `${root}: the sixth value of a line is taken for a score and ignored (1, the first: ${text}: line 3)`,
  ]);
  const poses = await writeFiles({
    'images/train/a.png': '',
    'labels/train/a.txt': '0 0.5 0.5 0.5 0.4 0.1 0.1 2 0.2 0.2 1',
    'data.yaml': 'train: images/train\nnames: [cat]\nkpt_shape: [2, 3]',
  });
  assert.equal((await open(poses)).samples.map(boxesOf), [[['1', 10, 9, 29, 20]]]);
});

test('each line that is wrong is one problem, with what to do', async () => {
  const root = await writeFiles({
    'data.yaml': YAML,
    'images/train/a.png': '',
    'labels/train/a.txt': `0 0.5 0.5\n2 0.5 0.5 0.1 0.1\n0 20 15 10 10\n0 x 0.5 0.1 0.1\n0 0.9 0.5 0.5 0.5\n${CAT}`,
  });
  const text = join(root, 'labels/train/a.txt');
  assert.equal(await check(root, 'train'), [
    `${text}: line 1: has 3 values, not class, centre x and y, width and height; fix or remove it`,
    `${text}: line 2: class 2 is not one of 0 to 1; add its name, or fix the line`,
    `${text}: line 3: 20 is not a fraction of the image, 0 to 1; divide pixels by its width and height`,
    `${text}: line 4: 'x' is not a number; fix or remove the line`,
    `${text}: line 5 (cat): box 0.9 0.5 0.5 0.5 lies 6 px outside its 40x30 image; fix or delete it, or pass --skip-bad-boxes`,
  ]);
  says(await userError(open(root)), 'line 1: has 3 values');
});

test('a data.yaml that is none is one line', async () => {
  const wrong = async (yaml: string) => userError(open(`yolo:${await writeFiles({ 'data.yaml': yaml, 'a.png': '' })}`));
  says(await wrong('names: [a, "b]\n'), 'data.yaml: is not YAML');
  says(await wrong('names: {cat: 0}\n'), 'data.yaml: names', 'it needs names, train and val');
  says(await wrong('names: {99999999: cat}\n'), 'names.99999999: there are at most 100000 classes');
  says(await wrong('names: []\n'), 'names no class');
});

test.run();

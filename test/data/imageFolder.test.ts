/** Folders of images per class: layouts, the split, and what is wrong with a folder, in one line that names it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { crop } from '../../src/data/crop.ts';
import { openLabelled } from '../../src/data/labelled.ts';
import { temporaryFolder, userError, writeClasses } from './fixtures.ts';

const open = (root: string) => openLabelled(`folder:${root}`, { size: 32, seed: 1, check: true });

test('train and val folders: classes and images in the order of names, without those that begin with a dot', async () => {
  const root = await writeClasses({ 'train/cat': 2, 'train/ant': 3, 'val/cat': 1 });
  mkdirSync(join(root, 'train', '.cache'));
  writeFileSync(join(root, 'train', 'cat', '._0.png'), 'not an image');
  const data = await open(root);
  assert.equal(data.classes, ['ant', 'cat']);
  assert.equal(
    data.train.map(({ label }) => label),
    [0, 0, 0, 1, 1],
  );
  assert.equal(
    data.val.map(({ id, label }) => [id, label]),
    [[join(root, 'val', 'cat', '0.png'), 1]],
  );
  const { width, height } = await data.train[0]!.load();
  assert.equal([width, height], [40, 30]);
});

test('folders of classes alone: one in ten of each class is for validation, the same ones each time', async () => {
  const root = await writeClasses({ ant: 11, cat: 2 });
  const data = await open(root);
  assert.equal(
    data.val.map(({ id }) => id),
    ['ant/0.png', 'ant/9.png', 'cat/0.png'].map((name) => join(root, name)),
  );
  assert.is(data.train.length, 10);
  assert.equal(
    (await open(root)).val.map(({ id }) => id),
    data.val.map(({ id }) => id),
  );
});

test('a wrong folder is reported in one line that names it', async () => {
  const fails = async (root: string, message: RegExp) => assert.match(await userError(open(root)), message);
  await fails(join(temporaryFolder(), 'absent'), /absent: no such folder; /);
  await fails(temporaryFolder(), /holds no class folder; /);
  await fails(await writeClasses({ cat: 3 }), /holds one class folder \(cat\); /);
  await fails(await writeClasses({ 'train/cat': 3, 'val/cat': 1 }), /train: holds one class folder \(cat\); /);
  await fails(await writeClasses({ ant: 2, cat: 0 }), /cat: holds no image \(/);
  await fails(await writeClasses({ ant: 2, cat: 1 }), /cat: holds one image; /);
  await fails(await writeClasses({ 'train/ant': 2, 'train/cat': 2 }), /val: no such folder, /);
  await fails(await writeClasses({ 'train/ant': 2, 'train/cat': 2, 'val/dog': 1 }), /dog: no class of this name/);
  const broken = await writeClasses({ ant: 2, cat: 2 });
  writeFileSync(join(broken, 'cat', '1.png'), 'not an image');
  await fails(broken, /1\.png: cannot be read as an image \(.*\); replace the file/);
  assert.match(
    await userError(openLabelled('photos', { size: 32, seed: 1, check: true })),
    /--data photos: not a data set/,
  );
});

test('a crop is the square that was asked for', () => {
  const rgba = Uint8Array.from({ length: 4 * 5 * 3 }, (_, i) => i);
  const part = crop({ width: 5, height: 3, rgba }, { left: 2, top: 1, side: 2 });
  assert.equal([part.width, part.height], [2, 2]);
  assert.equal([...part.rgba], [28, 29, 30, 31, 32, 33, 34, 35, 48, 49, 50, 51, 52, 53, 54, 55]);
});

test('drawn digits are a pure function of seed, split and number, of the size that is asked for', async () => {
  const digits = (seed: number) => openLabelled('mnist', { size: 40, seed, check: true });
  const [first, again, other] = [await digits(3), await digits(3), await digits(4)];
  assert.is(first.classes.length, 10);
  assert.equal([first.train.length, first.val.length], [50000, 10000]);
  const picture = await first.train[5]!.load();
  assert.equal([picture.width, picture.height], [40, 40]);
  assert.equal((await again.train[5]!.load()).rgba, picture.rgba);
  assert.not.equal((await other.train[5]!.load()).rgba, picture.rgba);
});

test.run();

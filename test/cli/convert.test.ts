/** `rcnn convert` as a user runs it. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openDataset } from '../../src/data/registry.ts';
import { boxesOf, writeFiles } from '../data/formats/files.ts';
import { rcnn } from './command.ts';

test('a folder becomes one of another format; what is lost and every obstacle is a line', async () => {
  const root = await writeFiles({
    'data.yaml': 'train: images/train\nval: images/val\nnames: [dog, cat]\n',
    'images/train/a.jpg': '',
    'images/val/b.jpg': '',
    'labels/train/a.txt': '1 0.275 0.3 0.45 0.4\n',
    'labels/val/b.txt': '',
  });
  const out = join(root, 'voc');
  const first = await rcnn(root, 'convert', '--data', '.', '--to', 'voc', '--out', 'voc');
  assert.equal([first.code, first.stderr], [0, '']);
  assert.match(first.stdout, /^ *train +1 +1$/m);
  assert.match(first.stdout, /^ *val +1 +0$/m);
  assert.match(first.stdout, 'lost: VOC has no list of classes');
  assert.match(
    first.stdout,
    'voc in voc: boxes and classes; outlines, poses and other attributes are not carried over',
  );
  assert.is(readFileSync(join(out, 'ImageSets/Main/train.txt'), 'utf8'), 'a\n');
  assert.equal((await openDataset(out, { split: 'train' })).samples.map(boxesOf), [[['1', 2, 3, 19, 14]]]);
  const again = await rcnn(root, 'convert', '--data', '.', '--to', 'voc', '--out', 'voc');
  assert.equal(
    [again.code, again.stdout, again.stderr],
    [1, '', 'rcnn convert: voc: is not empty; choose a new folder\n'],
  );
  const odd = await rcnn(root, 'convert', '--data', '.', '--to', 'labelme', '--out', 'x');
  assert.equal([odd.code, odd.stdout], [1, '']);
  assert.match(odd.stderr, /^rcnn convert: .*voc, coco, yolo, csv.*\n$/);
  assert.ok(!existsSync(join(root, 'x')));
});

test.run();

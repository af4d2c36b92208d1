/** "CVAT for images 1.1". */
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openDataset, splitsOf } from '../../../src/data/registry.ts';
import { userError } from '../fixtures.ts';
import { boxesOf, check, says, writeFiles } from './files.ts';

const META =
  '<version>1.1</version><meta><task><labels><label><name>dog</name></label><label><name>cat</name></label></labels></task></meta>';
const xml = (...images: string[]) =>
  `<?xml version="1.0" encoding="utf-8"?><annotations>${META}${images.join('')}</annotations>`;
const image = (name: string, shapes = '', more = '') =>
  `<image id="0" name="${name}" width="40" height="30"${more}>${shapes}</image>`;
const box = (corners: string, more = '') => `<box label="cat" occluded="0" ${corners} z_order="0"${more}></box>`;

test('edges from 0; labels in the order of the task; other shapes and rotated boxes by their bounds', async () => {
  const shapes = [
    box('xtl="0.00" ytl="0.00" xbr="40.00" ybr="30.00"'),
    box('xtl="10" ytl="10" xbr="20" ybr="14"', ' rotation="90"'),
    '<polygon label="dog" points="2.00,3.00;20.00,3.00;4.00,15.00"/>',
    '<ellipse label="dog" cx="20" cy="15" rx="10" ry="5"/>',
    '<mask label="dog" rle="1, 2" left="3" top="4" width="5" height="6"/>',
    '<points label="dog" points="1,1"/>',
  ];
  const root = await writeFiles({
    'annotations.xml': xml(image('cam1/a.jpg', shapes.join('')), image('b.png')),
    'images/cam1/a.jpg': '',
    'images/b.png': '',
  });
  const { classes, samples, notes } = await openDataset(root, { split: 'all' });
  assert.equal(classes, ['__background__', 'dog', 'cat']);
  assert.equal(samples.map(boxesOf), [
    [
      ['2', 0, 0, 39, 29],
      ['2', 13, 7, 16, 16], // about the centre (15, 12): 4 wide, 10 high
      ['1', 2, 3, 19, 14],
      ['1', 10, 10, 29, 19],
      ['1', 3, 4, 7, 9],
    ],
    [],
  ]);
  const where = `${join(root, 'annotations.xml')}: image cam1/a.jpg`;
  assert.equal(notes, [
    `${root}: rotated boxes and other shapes are replaced by their bounds (4, the first: ${where}: box 2)`,
    `${root}: points, lines and skeletons have no area and are left out (1, the first: ${where}: points 6)`,
  ]);
});

test('subsets are splits; wrong shapes are one problem each; tracks are refused', async () => {
  const good = box('xtl="1" ytl="2" xbr="9" ybr="8"');
  const wrong = [
    box('xtl="1" ytl="2" xbr="x" ybr="8"'),
    '<polygon label="cat" points="1,2;3"/>',
    good.replace('cat', 'cow'),
  ];
  const root = await writeFiles({
    'annotations.xml': xml(
      image('a.jpg', good, ' subset="Train"'),
      image('b.jpg', wrong.join(''), ' subset="Validation"'),
    ),
    'images/Train/a.jpg': '',
    'images/Validation/b.jpg': '',
  });
  assert.equal(splitsOf(root), ['Train', 'Validation']);
  assert.equal((await openDataset(root, { split: 'Train', onProblem: () => {} })).samples.map(boxesOf), [
    [['2', 1, 2, 8, 7]],
  ]);
  const where = `${join(root, 'annotations.xml')}: image b.jpg`;
  assert.equal(await check(root, 'Validation'), [
    `${where}: box 1: xbr="x" is not a number; fix or remove it`,
    `${where}: polygon 3: points="1,2;3" are no points; fix or remove it`,
    `${where}: box 2 is of class 'cow', which is not one of dog, cat; rename or remove it, or choose data with these classes`,
  ]);
  const video = await writeFiles({
    'annotations.xml': `<annotations>${META}<track id="0" label="cat"></track></annotations>`,
  });
  says(
    await userError(openDataset(video, { split: 'all' })),
    "is 'CVAT for video'",
    "export it as 'CVAT for images 1.1'",
  );
});

test.run();

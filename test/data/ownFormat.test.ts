/** A format of data that a program adds (ownFormat.ts) is opened, recognised and checked like the others. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openDataset, registerFormat } from '../../src/node.ts';
import { absoluteSpec } from '../../src/data/registry.ts';
import { userError } from './fixtures.ts';
import { boxesOf, writeFiles } from './formats/files.ts';
import { mine } from './ownFormat.ts';

test('it is opened by its name and recognised; images, sizes, classes and usable boxes are the same for all', async () => {
  const root = await writeFiles({
    'boxes.mine': 'a.jpg cat 2 3 20 15\nb dog 0 0 40 30\n',
    'a.jpg': '',
    'sub/b.PNG': '',
  });
  const path = join(root, 'boxes.mine');
  assert.match(await userError(openDataset(`mine:${path}`, { split: 'all' })), /not a data set; give 'digits', 'voc:/);
  registerFormat(mine);
  for (const spec of [`mine:${path}`, path]) {
    const { classes, samples } = await openDataset(spec, { split: 'all' });
    assert.equal(
      [classes, samples.map(boxesOf)],
      [
        ['__background__', 'cat', 'dog'],
        [[['1', 2, 3, 19, 14]], [['2', 0, 0, 39, 29]]],
      ],
    );
    assert.is(samples[1]!.file, join(root, 'sub', 'b.PNG'));
    assert.is(absoluteSpec(spec), `mine:${path}`);
  }
  writeFileSync(path, 'a.jpg cat 2 3 60 15\n');
  assert.match(
    await userError(openDataset(path, { split: 'all' })),
    /boxes\.mine: line 1 \(cat\): box \(2, 3, 60, 15\) lies 20 px outside its 40x30 image/,
  );
  assert.match(await userError(openDataset('none', { split: 'all' })), /'mine:FILE', or a folder/);
});

test('a name is taken once', () => {
  registerFormat(mine);
  assert.throws(() => registerFormat({ ...mine }), /registerFormat: there is already a format mine/);
});

test.run();

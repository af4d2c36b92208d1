/** `rcnn proposals` as a user runs it. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readProposalFile } from '../../src/data/proposalFiles.ts';
import { openDataset } from '../../src/data/registry.ts';
import { vocXml, writeVoc } from '../data/fixtures.ts';
import { rcnn } from './command.ts';

test('both methods write what rcnn recall reads, the same with any number of threads', async () => {
  const ids = ['a', 'b', 'c'];
  const cat = vocXml([{ name: 'cat', box: [3, 4, 20, 15] }]);
  const root = await writeVoc({
    splits: { train: 'a\n', test: 'b\nc\n' },
    annotations: Object.fromEntries(ids.map((id) => [id, cat])),
    images: ids.map((id) => `${id}.jpg`),
  });
  const { samples } = await openDataset(root, { split: 'test' });
  for (const method of ['selective-search', 'edge-boxes']) {
    const files = [];
    for (const workers of ['1', '2']) {
      const out = `${method}-${workers}.csv`;
      const result = await rcnn(
        root,
        ...['proposals', '--method', method, '--data', '.', '--out', out, '--side', '200', '--workers', workers],
      );
      assert.equal([result.code, result.stderr], [0, '']);
      assert.match(
        result.stdout,
        new RegExp(`${method} on split test of .*, 2 images: [\\d.]+ boxes each, .* one thread; saved in ${out}\\n$`),
      );
      files.push(readFileSync(join(root, out), 'utf8'));
      const boxes = await readProposalFile(join(root, out), samples);
      assert.ok(boxes.every((list) => list.length > 0));
    }
    assert.is(files[0], files[1]);
  }
  assert.ok(!readdirSync(root).some((name) => name.endsWith('.part')));
});

test('what cannot work is one line, and nothing is written', async () => {
  const root = await writeVoc();
  const common = ['--data', '.', '--split', 'train'];
  const cases: [args: string[], message: RegExp][] = [
    [
      ['--method', 'selective-search', '--out', 'x.csv', '--edges', '.'],
      /--edges: selective-search uses no edge maps; leave it out, or/,
    ],
    [
      ['--method', 'edge-boxes', '--out', 'x.csv', '--edges', 'maps'],
      /maps: is not a folder; name the one with the edge maps/,
    ],
    [
      ['--method', 'edge-boxes', '--out', 'x.csv', '--edges', 'JPEGImages'],
      /JPEGImages\/a\.png: there is no such file/,
    ],
    [
      ['--method', 'edge-boxes', '--out', 'JPEGImages'],
      /JPEGImages: could not be written, there is a folder of this name/,
    ],
    [['--method', 'objectness', '--out', 'x.csv'], /Allowed choices are selective-search, edge-boxes/],
  ];
  for (const [args, message] of cases) {
    const { code, stderr } = await rcnn(root, 'proposals', ...args, ...common);
    assert.equal([code, stderr.trim().split('\n').length], [1, 1], stderr);
    assert.match(stderr, message);
  }
  assert.not.ok(existsSync(join(root, 'x.csv')));
});

test.run();

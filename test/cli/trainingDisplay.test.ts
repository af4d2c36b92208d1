/** What the terminal says of initial weights. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { describeInit } from '../../src/cli/trainingDisplay.ts';
import type { InitReport } from '../../src/run/storage/checkpoint.ts';

const report = (changes: Partial<InitReport>): InitReport => ({
  loaded: [],
  fresh: [],
  misfits: [],
  unused: [],
  ...changes,
});

test('layers are named once, and a bias goes with its weight', () => {
  const misfit = (name: string, why: string) => ({ name, from: name.replace('head', 'box_predictor'), why });
  const text = describeInit(
    'file',
    { channels: 'rgb' },
    report({
      loaded: ['a.weight', 'a.bias', 'b.weight'].map((name) => ({ name, from: name })),
      fresh: ['head.c.weight', 'head.c.bias'],
      misfits: [misfit('head.c.weight', 'is [2]'), misfit('head.c.bias', 'is [3]'), misfit('b.bias', 'is [4]')],
      unused: ['z.weight', 'z.bias'],
    }),
  );
  assert.equal(text.split('\n'), [
    'initial weights from file: 3 tensors, for input in RGB',
    '  loaded: a, b',
    '  does not fit: box_predictor.c.weight is [2]',
    '  does not fit: b.bias is [4]',
    '  random: head.c',
    '  not used: z.weight, z.bias',
  ]);
});

test('weights that may be torchvision’s, and are taken as Caffe’s, come with a word of it', () => {
  const first = (channels: 'bgr' | 'rgb', from: string) =>
    describeInit('file', { channels }, report({ loaded: [{ name: 'features.0.weight', from }] })).split('\n')[0];
  const told = 'initial weights from file: 1 tensors, for input in';
  assert.is(first('bgr', 'features.0.weight'), `${told} BGR (torchvision's own weights need --input rgb)`);
  assert.is(first('rgb', 'features.0.weight'), `${told} RGB`);
  assert.is(first('bgr', 'conv1_1/0'), `${told} BGR`);
});

test.run();

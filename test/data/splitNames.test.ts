/** Which splits are meant by usual names, and which ones together hold a data set. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { disjointSplits, isTestSplit, namedSplit } from '../../src/data/splitNames.ts';

test('a usual name finds the split that tools call by another name', () => {
  assert.is(namedSplit(['train', 'valid', 'test'], 'val'), 'valid');
  assert.is(namedSplit(['train2017', 'val2017'], 'train'), 'train2017');
  assert.is(namedSplit(['all'], 'test'), 'all');
  assert.is(namedSplit(['default'], 'train'), 'train', 'opening it names the splits that there are');
  assert.is(namedSplit(['val2014', 'val2017'], 'val'), 'val', 'two are alike');
});

test('val serves as test where there is none, and never the other way round', () => {
  assert.is(namedSplit(['train', 'val'], 'test'), 'val');
  assert.is(namedSplit(['train', 'valid', 'test'], 'test'), 'test');
  assert.is(namedSplit(['train', 'test'], 'val'), 'val');
  assert.equal(['test', 'testing', 'all', 'val', 'train'].map(isTestSplit), [true, true, true, false, false]);
});

test('splits that share no image', () => {
  assert.equal(disjointSplits(['test', 'train', 'trainval', 'val']), ['trainval', 'test']);
  assert.equal(disjointSplits(['test', 'valid', 'train']), ['train', 'valid', 'test']);
  assert.equal(disjointSplits(['train', 'val', 'test', 'all']), ['all']);
  assert.equal(disjointSplits(['default']), ['default']);
});

test.run();

/** Tiles of large pictures: where they lie, what objects they have, and how their detections become one picture's. */
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cutTile, tiledDataset, tilesOf } from '../../src/data/tiles.ts';
import type { Dataset } from '../../src/data/types.ts';
import { mergeDetections } from '../../src/eval/mergeTiles.ts';

test('tiles cover the picture, lie in it, and overlap as asked', () => {
  const length = fc.integer({ min: 1, max: 300 });
  fc.assert(
    fc.property(length, length, fc.integer({ min: 8, max: 120 }), fc.double({ min: 0, max: 0.9, noNaN: true }), (width, height, side, overlap) => {
      const tiles = tilesOf({ width, height }, { side, overlap });
      const columns = [...new Set(tiles.map(({ left }) => left))];
      for (const { left, top, width: w, height: h } of tiles) {
        assert.ok(left >= 0 && top >= 0 && left + w <= width && top + h <= height);
        assert.is(w, Math.min(side, width));
        assert.is(h, Math.min(side, height));
      }
      assert.is(columns[0], 0);
      assert.is(columns.at(-1), Math.max(0, width - side));
      columns.slice(1).forEach((left, i) => assert.ok(left > columns[i]! && left - columns[i]! <= Math.max(1, side * (1 - overlap))));
    }),
  ); // prettier-ignore
  assert.equal(
    tilesOf({ width: 100, height: 40 }, { side: 64, overlap: 0.25 }).map(({ left }) => left),
    [0, 36],
  );
});

test('a data set of tiles has each object where most of it lies, and no tile without one', async () => {
  const rgba = Uint8Array.from({ length: 4 * 100 * 40 }, (_, i) => i % 251);
  const box = (x1: number, x2: number) => ({ x1, y1: 5, x2, y2: 14, classIndex: 1, difficult: false });
  const dataset: Dataset = {
    name: 'test',
    classes: ['__background__', 'thing'],
    samples: [
      { id: 'a', width: 100, height: 40, boxes: [box(80, 89), box(62, 69)], load: () => Promise.resolve({ width: 100, height: 40, rgba }) },
      { id: 'empty', width: 100, height: 40, boxes: [], load: () => Promise.resolve({ width: 100, height: 40, rgba }) },
      { id: 'small', width: 40, height: 40, boxes: [], load: () => Promise.resolve({ width: 40, height: 40, rgba }) },
    ],
    flippable: true,
    notes: [],
  }; // prettier-ignore
  const tiled = tiledDataset(dataset, { side: 64, overlap: 0.25 });
  // Of the first image the left tile has a quarter of one object, and none of the other.
  assert.equal(tiled.samples.map(({ id }) => id), ['a@36,0', 'empty@0,0', 'empty@36,0', 'small']); // prettier-ignore
  const [first] = tiled.samples;
  assert.equal(first!.boxes, [box(44, 53), box(26, 33)]);
  const picture = await first!.load();
  assert.is(picture.width, 64);
  assert.equal([...picture.rgba.subarray(0, 4)], [...rgba.subarray(4 * 36, 4 * 37)]);
  assert.equal([...picture.rgba.subarray(4 * 64, 4 * 65)], [...rgba.subarray(4 * 136, 4 * 137)]);
  assert.equal(cutTile(picture, { left: 0, top: 0, width: 64, height: 40 }).rgba, picture.rgba);
  assert.equal(tiled.notes, ['trains on 4 tiles of 64 pixels from 3 images']);
});

test('the halves of an object that a border cuts become one; neighbours and other classes stay', () => {
  const found = (x1: number, x2: number, score: number, classIndex = 1) => ({
    x1,
    y1: 0,
    x2,
    y2: 9,
    score,
    classIndex,
  });
  assert.equal(
    mergeDetections([
      found(0, 19, 0.8),
      found(12, 29, 0.9),
      found(0, 29, 0.7),
      found(40, 49, 0.6),
      found(0, 29, 0.5, 2),
    ]),
    [found(0, 29, 0.9), found(40, 49, 0.6), found(0, 29, 0.5, 2)],
  );
  // Less than half of the smaller one in common: two objects.
  assert.is(mergeDetections([found(0, 9, 0.9), found(6, 15, 0.8)]).length, 2);
  assert.equal(mergeDetections([]), []);
});

test.run();

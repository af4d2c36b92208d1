/** Detection in tiles, by a detector whose findings are known, and what is refused. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { tilesFor } from '../../src/cli/common.ts';
import { configureRun } from '../../src/run/config/runConfig.ts';
import { detectImage } from '../../src/run/evaluation/detect.ts';
import { detectTiled } from '../../src/run/evaluation/detectTiled.ts';
import { evaluate } from '../../src/run/evaluation/evaluate.ts';
import { cutTile } from '../../src/data/tiles.ts';
import { mergeDetections } from '../../src/eval/mergeTiles.ts';
import { userError } from '../data/fixtures.ts';
import { tinyRun, trainHere } from './tinyRun.ts';

test('what is found in tiles and in the whole image is merged, in pixels of the image', async () => {
  const run = await tinyRun({ steps: 2, set: ['training.tiles.side=120', 'training.tiles.overlap=0.25'] });
  assert.match(run.dataset.notes.join(), /trains on \d+ tiles of 120 pixels from \d+ images/);
  assert.ok(run.dataset.samples.every(({ width, height }) => width <= 120 && height <= 120));
  const { model } = await trainHere(run);
  model.config.test.scoreThreshold = 0;
  const { dataset } = await tinyRun();
  const picture = await dataset.samples[0]!.load();
  const tiles = { side: 120, overlap: 0.25 };
  const found = await detectTiled(model, picture, tiles, 3);
  const expected = await detectImage(model, picture, 3);
  for (const top of [0, picture.height - 120])
    for (const left of [0, picture.width - 120]) {
      const tile = cutTile(picture, { left, top, width: 120, height: 120 });
      for (const one of await detectImage(model, tile, 3))
        expected.push({ ...one, x1: one.x1 + left, x2: one.x2 + left, y1: one.y1 + top, y2: one.y2 + top });
    }
  assert.is(picture.width, 160);
  assert.ok(found.length > 0);
  assert.equal(found, mergeDetections(expected));
  // A tile as large as the image changes nothing.
  assert.equal(await detectTiled(model, picture, { side: 160, overlap: 0 }, 3), await detectImage(model, picture, 3));
  const one = { ...dataset, samples: dataset.samples.slice(0, 1) };
  assert.equal(
    (await evaluate(model, one, 'voc10', { tiles })).detections[0],
    await detectTiled(model, picture, tiles, 0),
  );
});

test('tiles that cannot be are one line each', async () => {
  assert.is(tilesFor({}, undefined), undefined);
  assert.equal(tilesFor({ tile: 640 }, undefined), { side: 640, overlap: 0.2 });
  assert.throws(() => tilesFor({ overlap: 0.1 }, undefined), /^--overlap: of which tiles\? Give --tile PIXELS too$/);
  assert.throws(() => tilesFor({ tile: 9, overlap: 1 }, undefined), /^--overlap 1: leaves too many tiles; /);
  assert.throws(
    () => tilesFor({ tile: 9 }, 'a.csv'),
    /^--tile: a detector that is given proposals \(--proposals\) sees /,
  );
  const wrong = (...set: string[]) => userError(configureRun({ preset: 'demo', set }));
  assert.is(await wrong('training.tiles.side=9'), '--set: training.tiles.overlap: is missing');
  assert.match(
    await wrong('training.tiles={"side":9,"overlap":1}'),
    /training.tiles.overlap: must be at most 0.9, not 1$/,
  );
  assert.match(await wrong('training.oversample=0'), /training.oversample: must be above 0, not 0$/);
});

test.run();

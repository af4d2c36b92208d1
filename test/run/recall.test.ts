/** Proposals for the recall of a tiny network: their number and order, the anchors beside them, and the rows of the table. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openDataset } from '../../src/data/registry.ts';
import type { AnnotatedBox as AnnotatedBox, Sample } from '../../src/data/types.ts';
import type { Box } from '../../src/kernels/boxes.ts';
import { UserError } from '../../src/engine/errors.ts';
import {
  countedObjects,
  networkProposals,
  randomAnchors,
  RECALL_CURVE,
  recallRows,
} from '../../src/run/evaluation/recall.ts';
import { loadModel } from '../../src/run/storage/loadModel.ts';
import { sharedGpu } from '../harness.ts';
import { tinyRun, trainHere } from './tinyRun.ts';

const COUNT = 150;
const trained = (async () => (await trainHere(await tinyRun({ steps: 3 }))).directory.path)();
const samples = (async () => (await openDataset('digits', { split: 'test' })).samples.slice(0, 3))();
const model = async () => loadModel(await sharedGpu(), await trained);

const inScene = (boxes: Box[]) => boxes.every(([x1, y1, x2, y2]) => x1 >= 0 && y1 >= 0 && x2 < 160 && y2 < 160);

test('a network gives as many proposals as are asked for, and of fewer the same first ones', async () => {
  const network = await model();
  const done: number[] = [];
  const proposals = await networkProposals(network, await samples, COUNT, (n) => done.push(n));
  assert.equal(done, [1, 2, 3]);
  assert.equal(
    proposals.map(({ length }) => length),
    [COUNT, COUNT, COUNT],
  );
  assert.ok(proposals.every(inScene));
  assert.equal(
    await networkProposals(network, await samples, 20),
    proposals.map((boxes) => boxes.slice(0, 20)),
  );
});

test('anchors: inside the image, each once, the same for a seed, others for another image or seed', async () => {
  const network = await model();
  const anchors = await randomAnchors(network, await samples, COUNT, 1);
  const places = (boxes: Box[]) => boxes.map((box) => box.join());
  for (const boxes of anchors) {
    assert.is(new Set(places(boxes)).size, COUNT);
    assert.ok(inScene(boxes));
    // Squares of 16 and 32 pixels at half the size of the scene, from the network's own rounding.
    for (const [x1, y1, x2, y2] of boxes) {
      assert.is(x2 - x1, y2 - y1);
      assert.ok([30, 62].includes(x2 - x1), String(x2 - x1));
    }
  }
  assert.equal(
    await randomAnchors(network, await samples, 20, 1),
    anchors.map((boxes) => boxes.slice(0, 20)),
  );
  assert.not.equal(anchors[0], anchors[1]);
  assert.not.equal(await randomAnchors(network, await samples, COUNT, 2), anchors);
  // All of them: 20x20 cells of stride 4; a square of side s fits at (80 - s) / 4 + 1 places along an axis, less those
  // that its centre, off the middle of the window, keeps outside.
  const all = (await randomAnchors(network, await samples, 1e6, 1))[0]!;
  const sides = [30, 62].map((side) => all.filter(([x1, , x2]) => x2 - x1 === side).length);
  assert.equal(sides, [16 ** 2, 12 ** 2]);
});

test('rows: recall at the IoUs of the table, and on the curve', () => {
  const objects: Box[][] = [[[0, 0, 9, 9]], [], [[10, 10, 19, 19]]];
  const proposals: Box[][] = [[[0, 0, 9, 9]], [[0, 0, 1, 1]], [[50, 50, 60, 60], [10, 10, 19, 15]]]; // prettier-ignore
  const [one, two] = recallRows('boxes', proposals, objects, [1, 2]);
  assert.equal([one!.recall50, one!.recall70, one!.averageRecall, one!.meanProposals], [0.5, 0.5, 0.5, 1]);
  assert.equal([two!.recall50, two!.recall70, two!.meanProposals], [1, 0.5, 4 / 3]);
  assert.equal([RECALL_CURVE[0], RECALL_CURVE[20], RECALL_CURVE.at(-1)], [0.5, 0.7, 1]);
  // The second object is covered by 0.6 of its area: counted at 0.6 and not beyond.
  assert.equal(
    two!.curve,
    RECALL_CURVE.map((threshold) => (threshold <= 0.6 ? 1 : 0.5)),
  );
});

test('difficult objects and regions of many do not count, and without any object there is no recall', () => {
  const box: AnnotatedBox = { x1: 1, y1: 2, x2: 3, y2: 4, classIndex: 1, difficult: false };
  const sample = (...boxes: AnnotatedBox[]): Sample => ({
    id: 'a',
    width: 9,
    height: 9,
    boxes,
    load: () => assert.unreachable() as never,
  });
  const left = [
    { ...box, difficult: true },
    { ...box, crowd: true },
  ];
  assert.equal(countedObjects([sample(box, ...left), sample()]), [[[1, 2, 3, 4]], []]);
  assert.throws(
    () => countedObjects([sample(...left), sample()]),
    (error: Error) => error instanceof UserError && /no object that counts .*--split/.test(error.message),
  );
});

test.run();

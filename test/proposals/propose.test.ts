/** Proposals of a picture in its own pixels, the worker threads, and edge maps from files. */
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { proposalLines } from '../../src/data/proposalFiles.ts';
import type { Sample } from '../../src/data/types.ts';
import type { DecodedImage } from '../../src/kernels/imagePrepare.ts';
import { readEdgeMap } from '../../src/proposals/node/edgeMapFiles.ts';
import { proposeAll } from '../../src/proposals/node/proposeAll.ts';
import { ProposalWorkers } from '../../src/proposals/node/workers.ts';
import { PROPOSAL_METHODS, proposeBoxes, type ProposalSettings } from '../../src/proposals/propose.ts';
import { temporaryFolder, userError } from '../data/fixtures.ts';
import { iou, picture } from './drawing.ts';

const settings = (method: ProposalSettings['method'], change: Partial<ProposalSettings> = {}): ProposalSettings => ({
  method,
  longerSide: 100,
  most: 10_000,
  seed: 0,
  ...change,
});

/** A dark square with corners (60, 30) and (139, 109) on grey, 200x150. */
const square = picture(200, 150, (x, y) =>
  x >= 60 && x < 140 && y >= 30 && y < 110 ? [30, 20, 60] : [150 + (x % 3), 150, 160],
);

test('boxes are in the pixels of the picture, whatever it is resized to', () => {
  for (const method of PROPOSAL_METHODS) {
    for (const longerSide of [100, 200, 260]) {
      const { boxes, scores } = proposeBoxes(square, 'a', settings(method, { longerSide }));
      const overlaps = Array.from(scores, (_, i) => iou([...boxes.slice(4 * i, 4 * i + 4)], [60, 30, 139, 109]));
      assert.ok(Math.max(...overlaps) > 0.65, `${method} at ${longerSide}: ${Math.max(...overlaps)}`);
      for (let i = 0; i < boxes.length; i += 4) {
        const [x1, y1, x2, y2] = boxes.slice(i, i + 4) as unknown as [number, number, number, number];
        assert.ok(x1 >= 0 && y1 >= 0 && x1 <= x2 && y1 <= y2 && x2 <= 199 && y2 <= 149, `${[x1, y1, x2, y2]}`);
      }
    }
  }
});

test('an image of one colour is one box, whatever its shape', () => {
  for (const method of PROPOSAL_METHODS) {
    for (const [width, height] of [
      [64, 48],
      [1, 1],
      [2, 900],
      [3000, 1],
    ] as const) {
      const { boxes } = proposeBoxes(
        picture(width, height, () => [7, 70, 170]),
        'plain',
        settings(method),
      );
      assert.equal([...boxes], [0, 0, width - 1, height - 1], `${method} ${width}x${height}`);
    }
  }
});

test('the order of Selective Search is drawn by seed and name; most keeps the first', () => {
  const boxes = (id: string, change: Partial<ProposalSettings> = {}): number[] => [
    ...proposeBoxes(square, id, settings('selective-search', change)).boxes,
  ];
  assert.equal(boxes('a'), boxes('a'));
  assert.not.equal(boxes('a'), boxes('b'));
  assert.not.equal(boxes('a'), boxes('a', { seed: 1 }));
  assert.equal(boxes('a', { most: 2 }), boxes('a').slice(0, 8));
});

const pictures: DecodedImage[] = Array.from({ length: 5 }, (_, n) =>
  picture(90, 70, (x, y) => (x > 10 * n + 5 && y > 20 && y < 60 ? [200, 40 * n, 10] : [(x * y) % 40, 60, 60])),
);

async function inThreads(threads: number, method: ProposalSettings['method']): Promise<string[]> {
  const workers = new ProposalWorkers(threads);
  try {
    return await Promise.all(
      pictures.map(async (picture, n) => {
        const { found, seconds } = await workers.run({ image: picture, id: `image${n}`, settings: settings(method) });
        assert.ok(seconds > 0);
        return proposalLines(`image${n}`, found);
      }),
    );
  } finally {
    await workers.close();
  }
}

test('the number of threads changes nothing', async () => {
  const here = (method: ProposalSettings['method']): string[] =>
    pictures.map((picture, n) => {
      return proposalLines(`image${n}`, proposeBoxes(picture, `image${n}`, settings(method)));
    });
  for (const method of PROPOSAL_METHODS) {
    assert.equal(await inThreads(1, method), here(method));
    assert.equal(await inThreads(3, method), here(method));
  }
});

test('an error in a thread is that of its picture and of those that wait', async () => {
  const workers = new ProposalWorkers(1);
  const broken = { image: { width: 5, height: 5, rgba: null as never }, id: 'a', settings: settings('edge-boxes') };
  const outcomes = await Promise.allSettled([workers.run(broken), workers.run({ ...broken, image: pictures[0]! })]);
  assert.equal(
    outcomes.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  await workers.close();
});

test('stopped and continued, the file is that of one go', async () => {
  const folder = temporaryFolder();
  const samples = pictures.map((picture, n): Sample => {
    const { width, height } = picture;
    return { id: `image${n}`, width, height, boxes: [], load: async () => picture };
  });
  const options = { samples, settings: settings('selective-search'), workers: 2 };
  const whole = await proposeAll({ ...options, out: join(folder, 'whole.csv') });
  assert.equal([whole.finished, whole.images], [true, 5]);
  const out = join(folder, 'stopped.csv');
  const stop = new AbortController();
  const first = await proposeAll({
    ...options,
    out,
    signal: stop.signal,
    onImage: (done) => done === 3 && stop.abort(),
  });
  assert.equal([first.finished, first.done, existsSync(out)], [false, 3, false]);
  const second = await proposeAll({ ...options, out });
  assert.equal([second.finished, second.images], [true, 3], 'the last image once more');
  assert.is(readFileSync(out, 'utf8'), readFileSync(join(folder, 'whole.csv'), 'utf8'));
  assert.equal(readdirSync(folder).sort(), ['stopped.csv', 'whole.csv']);
});

/** Writes a grey PNG. */
async function writeMap(
  path: string,
  width: number,
  height: number,
  at: (x: number, y: number) => number,
): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  const grey = Uint8Array.from({ length: width * height }, (_, i) => at(i % width, Math.floor(i / width)));
  await sharp(grey, { raw: { width, height, channels: 1 } })
    .png()
    .toFile(path);
}

test('edge maps from files, of the size of the image or smaller, with or without orientations', async () => {
  const folder = temporaryFolder();
  const outline = (x: number, y: number): number =>
    ((x === 20 || x === 69) && y >= 15 && y <= 54) || ((y === 15 || y === 54) && x >= 20 && x <= 69) ? 204 : 0;
  await writeMap(join(folder, 'sub', 'a.png'), 100, 75, outline);
  const id = 'sub/a';
  const map = await readEdgeMap(folder, { id, width: 200, height: 150 });
  assert.equal([map.width, map.height, map.orientations], [100, 75, undefined]);
  assert.ok(Math.abs(map.magnitudes[15 * 100 + 30] - 0.8) < 1e-6);
  const plain = picture(200, 150, () => [9, 9, 9]);
  const { boxes } = proposeBoxes(plain, id, settings('edge-boxes'), map);
  assert.ok(iou([...boxes.slice(0, 4)], [40, 30, 139, 109]) > 0.65, `${boxes.slice(0, 4)}`);

  await writeMap(join(folder, 'sub', 'a.orientation.png'), 100, 75, (_, y) => (y === 15 || y === 54 ? 128 : 0));
  const { orientations } = await readEdgeMap(folder, { id, width: 200, height: 150 });
  assert.ok(Math.abs(orientations![15 * 100 + 30] - Math.PI / 2) < 1e-6);
});

test('an edge map that is missing or does not fit is one line', async () => {
  const folder = temporaryFolder();
  await writeMap(join(folder, 'a.png'), 50, 50, () => 0);
  await writeMap(join(folder, 'b.png'), 100, 75, () => 0);
  await writeMap(join(folder, 'b.orientation.png'), 50, 75, () => 0);
  const cases: [id: string, message: RegExp][] = [
    ['a', /a\.png: is 50x50, not of the shape of its 200x150 image; compute it from that image$/],
    ['b', /b\.orientation\.png: is 50x75, but .*b\.png is 100x75; they must have one size$/],
    ['c', /c\.png: there is no such file/],
  ];
  for (const [id, message] of cases) {
    assert.match(await userError(readEdgeMap(folder, { id, width: 200, height: 150 })), message);
  }
});

test.run();

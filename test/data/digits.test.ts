import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { DecodedImage } from '../../src/kernels/imagePrepare.ts';
import type { AnnotatedBox } from '../../src/data/types.ts';
import { openDataset } from '../../src/data/registry.ts';
import { readGlyphs } from '../../src/data/mnistFiles.ts';
import { UserError } from '../../src/engine/errors.ts';
import { iou } from '../../src/kernels/boxes.ts';

const train = await openDataset('digits', { split: 'train', seed: 3 });
const testing = await openDataset('digits', { split: 'test', seed: 3 });

test('at least 2000 training and 400 test scenes of ten classes', () => {
  assert.ok(train.samples.length >= 2000);
  assert.ok(testing.samples.length >= 400);
  assert.equal(train.classes, ['__background__', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
  assert.is(train.flippable, false);
});

test('a scene is a pure function of seed, split and number', async () => {
  const again = await openDataset('digits', { split: 'train', seed: 3 });
  const other = await openDataset('digits', { split: 'train', seed: 4 });
  for (const i of [5, 7]) {
    const picture = await train.samples[i]!.load();
    assert.is((await train.samples[i]!.load()).rgba.join() === picture.rgba.join(), true);
    assert.is((await again.samples[i]!.load()).rgba.join() === picture.rgba.join(), true);
    assert.equal(again.samples[i]!.boxes, train.samples[i]!.boxes);
    assert.not.equal(other.samples[i]!.boxes, train.samples[i]!.boxes);
    assert.not.equal(testing.samples[i]!.boxes, train.samples[i]!.boxes);
    assert.is((await other.samples[i]!.load()).rgba.join() === picture.rgba.join(), false);
  }
});

test('1 to 8 digits, inside the scene, from small to half of it, hardly overlapping, all classes alike', () => {
  const counts = new Set<number>();
  const classes = new Array<number>(11).fill(0);
  const longest: number[] = [];
  for (const { boxes } of [...train.samples.slice(0, 600), ...testing.samples]) {
    counts.add(boxes.length);
    boxes.forEach((a, i) => {
      classes[a.classIndex]!++;
      longest.push(Math.max(a.x2 - a.x1, a.y2 - a.y1) + 1);
      for (const value of [a.x1, a.y1, a.x2, a.y2]) assert.ok(Number.isInteger(value) && value >= 0 && value < 160);
      assert.ok(a.x2 - a.x1 >= 6 && a.y2 - a.y1 >= 6);
      for (const b of boxes.slice(i + 1)) assert.ok(iou(quad(a), quad(b), 1) < 0.1);
    });
  }
  assert.equal([...counts].sort(), [1, 2, 3, 4, 5, 6, 7, 8]);
  assert.is(classes[0], 0);
  const mean = classes.reduce((sum, n) => sum + n) / 10;
  for (const n of classes.slice(1)) assert.ok(n > 0.7 * mean && n < 1.3 * mean, String(classes));
  longest.sort((a, b) => a - b);
  assert.ok(longest[0]! <= 20 && longest.at(-1)! > 70 && longest.at(-1)! <= 80, `${longest[0]} to ${longest.at(-1)}`);
});

test('a box is tight: every one of its four edges touches ink', async () => {
  let checked = 0;
  let all = 0;
  for (const sample of testing.samples.slice(0, 150)) {
    if (sample.boxes.length > 3) continue;
    const picture = await sample.load();
    for (const box of sample.boxes) {
      // Ink differs from the paper around it by its whole contrast; just outside the box only its faint border is left.
      const inside = contrastOfEdges(picture, box, 0);
      const outside = contrastOfEdges(picture, box, 2);
      all++;
      if (outside.some((value) => value > 75)) continue; // a neighbour or a stroke passes there
      inside.forEach((value) => assert.ok(value > 25, `${sample.id}: edge contrast ${value.toFixed(0)}`));
      checked++;
    }
  }
  assert.ok(checked > 0.85 * all, `${checked} of ${all}`);
});

test('the digits of the test scenes are in no training or validation scene', async () => {
  const parts = {
    train: readGlyphs('train'),
    val: readGlyphs('val'),
    test: readGlyphs('test'),
  };
  const last = (images: Uint8Array) => Buffer.from(images.subarray(-784));
  assert.is(parts.train.images.length, 50000 * 784);
  assert.is(parts.val.labels.length, 10000);
  assert.is(parts.test.images.length, 10000 * 784);
  // The known first labels of MNIST, and the ranges do not overlap.
  assert.equal([...parts.train.labels.subarray(0, 5)], [5, 0, 4, 1, 9]);
  assert.equal([...parts.test.labels.subarray(0, 5)], [7, 2, 1, 0, 4]);
  assert.is(Buffer.from(parts.val.images.subarray(0, 784)).equals(last(parts.train.images)), false);
});

test('an image is opaque RGB of 160x160, with digits that stand out', async () => {
  for (const sample of train.samples.slice(0, 30)) {
    const { width, height, rgba } = await sample.load();
    assert.equal([width, height, rgba.length], [160, 160, 160 * 160 * 4]);
    for (let i = 3; i < rgba.length; i += 4) assert.is(rgba[i], 255);
    for (const box of sample.boxes) assert.ok(lumaRange(await sample.load(), box) > 70, sample.id);
  }
});

test('an unknown split and foreign classes are one clear line', async () => {
  for (const options of [{ split: 'trainval' }, { split: 'test', classes: ['cat'] }]) {
    try {
      await openDataset('digits', options);
      assert.unreachable();
    } catch (error) {
      assert.instance(error, UserError);
      assert.match((error as Error).message, /^--data digits: [^\n]*$/);
    }
  }
});

const quad = ({ x1, y1, x2, y2 }: AnnotatedBox): [number, number, number, number] => [x1, y1, x2, y2];

const lumaAt = ({ width, rgba }: DecodedImage, x: number, y: number): number => {
  const i = 4 * (y * width + x);
  return 0.299 * rgba[i]! + 0.587 * rgba[i + 1]! + 0.114 * rgba[i + 2]!;
};

function lumaRange(picture: DecodedImage, box: AnnotatedBox): number {
  let [low, high] = [255, 0];
  for (let y = box.y1; y <= box.y2; y++) {
    for (let x = box.x1; x <= box.x2; x++) {
      low = Math.min(low, lumaAt(picture, x, y));
      high = Math.max(high, lumaAt(picture, x, y));
    }
  }
  return high - low;
}

/** Range of luma along the top, bottom, left and right edge of the box, `out` pixels outside it (0: the edge itself). */
function contrastOfEdges(picture: DecodedImage, box: AnnotatedBox, out: number): number[] {
  const clamp = (value: number) => Math.min(159, Math.max(0, value));
  const row = (y: number) => range(box.x1, box.x2).map((x) => lumaAt(picture, x, clamp(y)));
  const column = (x: number) => range(box.y1, box.y2).map((y) => lumaAt(picture, clamp(x), y));
  return [row(box.y1 - out), row(box.y2 + out), column(box.x1 - out), column(box.x2 + out)].map(
    (values) => Math.max(...values) - Math.min(...values),
  );
}

const range = (first: number, last: number): number[] => Array.from({ length: last - first + 1 }, (_, i) => first + i);

test.run();

import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { PNG } from 'pngjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Canvas, newCanvas, writePng } from '../../src/draw/canvas.ts';
import { classColour, scoreColour } from '../../src/draw/colours.ts';
import { type LossPoint, movingAverage, plotLosses } from '../../src/draw/losses.ts';
import { contactSheet, drawDetections, drawProposals } from '../../src/draw/pictures.ts';
import { plotRecall } from '../../src/draw/recall.ts';
import { UserError } from '../../src/engine/errors.ts';
import { temporaryFolder } from '../data/fixtures.ts';

const folder = temporaryFolder();

async function decode(canvas: Canvas): Promise<PNG> {
  const path = join(folder, 'sub', 'picture.png');
  await writePng(path, canvas);
  return PNG.sync.read(readFileSync(path));
}

const pixel = ({ width, data }: PNG, x: number, y: number) => [
  ...data.subarray(4 * (y * width + x), 4 * (y * width + x) + 3),
];
const near = (actual: number[], expected: readonly number[], what: string, tolerance = 8) =>
  assert.ok(
    actual.every((value, c) => Math.abs(value - expected[c]!) <= tolerance),
    `${what}: ${actual} is not ${expected}`,
  );
const rgbOf = (hex: string) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
const count = (png: PNG, colour: readonly number[], tolerance = 8) => {
  let n = 0;
  for (let i = 0; i < png.data.length; i += 4) {
    if ([0, 1, 2].every((c) => Math.abs(png.data[i + c]! - colour[c]!) <= tolerance)) n++;
  }
  return n;
};

const GREY = [100, 100, 100];
const grey = (width: number, height: number) => ({
  width,
  height,
  rgba: new Uint8Array(width * height * 4).map((_, i) => (i % 4 === 3 ? 255 : 100)),
});
const classes = ['__background__', 'cat', 'dog'];

test('a box is drawn around its pixels in the colour of its class, and nowhere else', async () => {
  const detection = { x1: 20, y1: 30, x2: 59, y2: 69, classIndex: 2, score: 0.9 };
  const png = await decode(drawDetections(grey(100, 100), [detection], classes, { scale: 2 }));
  assert.equal([png.width, png.height], [200, 200]);
  const colour = rgbOf(classColour(2));
  // The line of width 2 lies on both sides of the border between pixels 2 x1 - 1 and 2 x1, and of 2 (x2 + 1).
  for (const [x, y] of [
    [40, 100],
    [39, 100],
    [119, 100],
    [120, 100],
    [80, 60],
    [80, 139],
    [80, 140],
  ] as const) {
    near(pixel(png, x, y), colour, `${x}, ${y}`);
  }
  for (const [x, y] of [
    [80, 100],
    [36, 100],
    [124, 100],
    [80, 144],
    [180, 20],
  ] as const) {
    near(pixel(png, x, y), GREY, `${x}, ${y}`, 1);
  }
});

test('labels have a tab in the colour of the class, with letters on it, inside the picture', async () => {
  const alone = { x1: 40, y1: 40, x2: 79, y2: 79, classIndex: 1, score: 0.5 };
  const colour = rgbOf(classColour(1));
  const areas: number[] = [];
  // In the middle, and in three corners, where the tab must be moved.
  for (const [x, y] of [
    [40, 40],
    [0, 0],
    [119, 0],
    [119, 119],
  ] as const) {
    const box = { ...alone, x1: x, y1: y, x2: x + 40, y2: y + 40 };
    const png = await decode(drawDetections(grey(160, 160), [box], classes));
    areas.push(count(png, colour));
    assert.ok(count(png, [255, 255, 255], 40) + count(png, [0, 0, 0], 40) > 60, 'letters');
  }
  for (const area of areas) assert.ok(area > 0.75 * areas[0]!, String(areas));
});

test('ground truth is dashed, and named where there are no detections', async () => {
  const groundTruth = [{ x1: 20, y1: 30, x2: 59, y2: 69, classIndex: 2 }];
  const png = await decode(drawDetections(grey(100, 100), [], classes, { scale: 2, groundTruth }));
  const edge = Array.from({ length: 76 }, (_, i) => pixel(png, 42 + i, 139)[0]!);
  assert.ok(edge.some((value) => value > 220) && edge.some((value) => value < 80), String(edge));
  assert.ok(count(png, rgbOf(classColour(2))) > 100);
});

test('small pictures are enlarged by a whole factor, large ones left as they are', () => {
  assert.is(drawDetections(grey(160, 160), [], classes).width, 480);
  assert.is(drawDetections(grey(640, 480), [], classes).width, 640);
  assert.is(drawDetections(grey(1000, 600), [], classes).width, 1000);
});

test('proposals are coloured by score, the best on top', async () => {
  const rois = [
    [10, 10, 49, 49],
    [10, 10, 49, 49],
    [60, 60, 89, 89],
  ];
  const png = await decode(drawProposals(grey(100, 100), rois, Float32Array.of(1, 0.1, 0), [], 4));
  // Three quarters of the line's width lie on this pixel: nearly the yellow of score 1, which was drawn last.
  const [red, green, blue] = pixel(png, 40, 120) as [number, number, number];
  assert.ok(red > 190 && green > 180 && blue < 70, `${red} ${green} ${blue}`);
  assert.is(scoreColour(1), 'rgb(253 231 37)');
  assert.ok(pixel(png, 240, 300)[0]! < 90, 'worst is dark');
  near(pixel(png, 220, 220), [70, 70, 70], 'dimmed picture', 2);
});

test('a sheet holds every canvas in its place', async () => {
  const colours = ['#ff0000', '#00ff00', '#0000ff', '#ffff00', '#00ffff'];
  const canvases = colours.map((colour) => {
    const canvas = newCanvas(50, 40);
    const context = canvas.getContext('2d');
    context.fillStyle = colour;
    context.fillRect(0, 0, 50, 40);
    return canvas;
  });
  const png = await decode(contactSheet(canvases, 3));
  assert.equal([png.width, png.height], [12 + 3 * 62, 12 + 2 * 52]);
  colours.forEach((colour, i) => {
    near(pixel(png, 12 + 25 + 62 * (i % 3), 12 + 20 + 52 * Math.floor(i / 3)), rgbOf(colour), colour, 0);
  });
  near(pixel(png, 12 + 25 + 62 * 2, 12 + 20 + 52), [255, 255, 255], 'the empty cell', 0);
  const titled = contactSheet(canvases, 5, { title: 'Five', captions: ['a', 'b', 'c', 'd', 'e'] });
  assert.ok(count(await decode(titled), [28, 28, 30], 60) > 30, 'letters');
  assert.ok(titled.height > 40 + 40 + 24);
});

const metrics = (n: number): LossPoint[] =>
  Array.from({ length: n }, (_, i) => {
    const decay = Math.exp(-i / 20);
    return {
      step: 10 * i,
      lr: i < 70 ? 0.01 : 0.001,
      loss: 4 * decay,
      rpn_cls: decay,
      rpn_box: decay / 2,
      head_cls: 2 * decay,
      head_box: decay / 2,
    };
  });

test('the plot of losses has a curve for each term, falling where the term falls', async () => {
  const png = await decode(plotLosses(metrics(100)));
  assert.equal([png.width, png.height], [1920, 1080]);
  for (const colour of ['#1c1c1e', '#2f9bff', '#00b3a4', '#ff4d4d', '#ff9f0a', '#8e8e93']) {
    assert.ok(count(png, rgbOf(colour), 24) > 200, colour);
  }
  // The red curve (head classes): its mean height in the left and in the right half, below the legend.
  const height = (from: number, to: number) => {
    let [sum, n] = [0, 0];
    for (let y = 150; y < 1000; y++) {
      for (let x = from; x < to; x++) {
        if (pixel(png, x, y).every((value, c) => Math.abs(value - rgbOf('#ff4d4d')[c]!) < 24))
          [sum, n] = [sum + y, n + 1];
      }
    }
    return sum / n;
  };
  assert.ok(height(200, 800) + 50 < height(1000, 1700));
});

test('a plot of one line, or of none, does not fail', async () => {
  for (const n of [0, 1, 2]) assert.is((await decode(plotLosses(metrics(n)))).width, 1920);
});

test('recall has a panel for each number of proposals and a curve for each method', async () => {
  const thresholds = [0.5, 0.75, 1];
  const curves = [50, 300].flatMap((proposals) => [
    { method: 'high', proposals, curve: [0.9, 0.9, 0.9] },
    { method: 'low', proposals, curve: [0.1, 0.1, 0.1] },
  ]);
  const png = await decode(plotRecall(curves, thresholds, 'Recall'));
  const rows = (x: number, colour: string) =>
    Array.from({ length: png.height }, (_, y) => y).filter((y) =>
      pixel(png, x, y).every((value, c) => Math.abs(value - rgbOf(colour)[c]!) < 24),
    );
  for (const x of [0.4 * png.width, 0.9 * png.width].map(Math.round)) {
    const [high, low] = [rows(x, classColour(1)), rows(x, classColour(2))];
    assert.ok(high.length > 0 && low.length > 0 && Math.max(...high) < Math.min(...low), `${high} ${low}`);
  }
});

test('the moving average keeps straight lines and the range', () => {
  assert.equal(movingAverage([1, 2, 3, 4, 5], 2), [1, 2, 3, 4, 5]);
  assert.equal(movingAverage([0, 3, 0], 1), [0, 1, 0]);
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: -99, max: 99 }), { minLength: 1 }),
      fc.integer({ min: 1, max: 9 }),
      (values, half) => {
        for (const value of movingAverage(values, half)) {
          assert.ok(value >= Math.min(...values) - 1e-9 && value <= Math.max(...values) + 1e-9);
        }
      },
    ),
  );
});

test('classes have colours of their own', () => {
  assert.is(new Set(Array.from({ length: 80 }, (_, i) => classColour(i + 1))).size, 80);
});

test('a picture that cannot be written is one line, and leaves nothing behind', async () => {
  const place = temporaryFolder();
  writeFileSync(join(place, 'file'), '');
  try {
    await writePng(join(place, 'file', 'picture.png'), newCanvas(2, 2));
    assert.unreachable();
  } catch (error) {
    assert.instance(error, UserError);
    assert.match((error as Error).message, /^[^\n]*picture\.png: could not be written[^\n]*$/);
  }
  await writePng(join(place, 'whole.png'), newCanvas(2, 2));
  assert.equal(readdirSync(place).sort(), ['file', 'whole.png']);
});

test.run();

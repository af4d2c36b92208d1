/** Selective Search: its parts against hand calculation and obvious implementations, then the whole. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Random } from '../../src/kernels/rng.ts';
import { inColourSpace } from '../../src/proposals/colourSpaces.ts';
import { segment, sortedEdges } from '../../src/proposals/graphSegmentation.ts';
import { mergeAll } from '../../src/proposals/hierarchy.ts';
import { filtered, gaussian, gaussianDerivative, type Planes, planesOf, resized } from '../../src/proposals/planes.ts';
import { colourBins, neighboursOf, type PixelBins, Regions, textureBins } from '../../src/proposals/regionFeatures.ts';
import { selectiveSearch } from '../../src/proposals/selectiveSearch.ts';
import {
  colourSimilarity,
  fillSimilarity,
  sizeSimilarity,
  textureSimilarity,
} from '../../src/proposals/similarities.ts';
import { drawn, picture, plane } from './drawing.ts';

const close = (actual: number, expected: number, tolerance = 1e-12): void =>
  assert.ok(Math.abs(actual - expected) <= tolerance, `${actual}, expected ${expected}`);

const random = new Random(7);
const noise = (width: number, height: number, channels = 3): Planes => ({
  width,
  height,
  channels: Array.from({ length: channels }, () =>
    Float32Array.from({ length: width * height }, () => random.integer(32)),
  ),
});

test('resizing keeps a plane of one value, means of whole blocks, and the middle of a ramp', () => {
  const grey = resized(planesOf(picture(13, 7, () => [10, 20, 30])), 5, 20);
  assert.equal([grey.width, grey.height], [5, 20]);
  grey.channels.forEach((channel, c) => channel.forEach((value) => close(value, 10 * (c + 1), 1e-5)));
  const ramp = resized(plane([[0, 2, 4, 6, 8, 10, 12, 14]]), 4, 1).channels[0]!;
  close(ramp[1], 5, 1e-6); // centres of pairs: 1, 5, 9, 13
  close(ramp[2], 9, 1e-6);
  assert.equal([...resized(plane([[1, 5]]), 4, 1).channels[0]!], [1, 2, 4, 5], 'linear between pixels');
});

test('the derivative of a ramp is its slope, smoothing keeps a constant', () => {
  const size = { width: 20, height: 15 };
  const ramp = Float32Array.from({ length: 300 }, (_, i) => 3 * (i % 20) - 2 * Math.floor(i / 20));
  const gx = filtered(ramp, size, gaussianDerivative(1), gaussian(1));
  const gy = filtered(ramp, size, gaussian(1), gaussianDerivative(1));
  close(gx[7 * 20 + 10], 3, 1e-5);
  close(gy[7 * 20 + 10], -2, 1e-5);
  filtered(new Float32Array(300).fill(9), size, gaussian(0.8), gaussian(0.8)).forEach((value) => close(value, 9, 1e-5));
});

test('HSV and Lab of known colours, in 0 to 255', () => {
  const colours = [
    { rgb: [255, 0, 0], hsv: [0, 255, 255], lab: [135.764, 208.0925, 195.2032] },
    { rgb: [0, 128, 0], hsv: [85, 255, 128], lab: [117.88, 76.3015, 177.8968] },
    { rgb: [128, 128, 128], hsv: [0, 0, 128], lab: [136.6418, 128, 128] },
    { rgb: [0, 0, 0], hsv: [0, 0, 0], lab: [0, 128, 128] },
    { rgb: [64, 0, 128], hsv: [191.25, 255, 128], lab: [47.3703, 178.1549, 72.7766] },
  ];
  const rgb = planesOf(picture(colours.length, 1, (x) => colours[x]!.rgb));
  const [hsv, lab] = [inColourSpace(rgb, 'hsv'), inColourSpace(rgb, 'lab')];
  colours.forEach((colour, i) => {
    hsv.channels.forEach((channel, c) => close(channel[i], colour.hsv[c]!, 1e-3));
    lab.channels.forEach((channel, c) => close(channel[i], colour.lab[c]!, 1e-3));
  });
});

test('edges of all 8 neighbours, ascending', () => {
  const { codes, weights } = sortedEdges(
    plane([
      [0, 1, 5],
      [2, 2, 9],
    ]),
  );
  assert.is(codes.length, 11); // 4 horizontal, 3 vertical, 4 diagonal
  assert.equal([...weights], [0, 1, 1, 1, 2, 2, 3, 4, 4, 7, 8]);
  const distances = sortedEdges({
    width: 2,
    height: 1,
    channels: [
      [3, 0],
      [4, 0],
    ].map((row) => Float32Array.from(row)),
  });
  assert.equal([...distances.weights], [5], 'Euclidean over the channels');
});

test('two plain halves join where their difference is at most k / |C|', () => {
  const halves = (difference: number) =>
    segment(sortedEdges(plane(Array.from({ length: 4 }, () => [0, 0, difference, difference]))), 80, 1).count;
  assert.is(halves(10), 1);
  assert.is(halves(10.5), 2);
});

test('regions of one colour are the components, and spots below the minimum size join', () => {
  const rows = ['00001111', '00001111', '00221111', '00223333', '22223333', '22223333'];
  const shades = [10, 90, 170, 250];
  const planes = plane(rows.map((row) => [...row].map((digit) => shades[Number(digit)]!)));
  const expected = drawn(...rows);
  assert.equal([...segment(sortedEdges(planes), 50, 4).labels], [...expected.labels]);
  planes.channels[0]![8] = 200; // a pixel that touches the first region alone
  assert.is(segment(sortedEdges(planes), 50, 1).count, 5);
  assert.equal([...segment(sortedEdges(planes), 50, 2).labels], [...expected.labels]);
  assert.is(
    segment(
      sortedEdges(
        plane([
          [7, 7],
          [7, 7],
        ]),
      ),
      50,
      50,
    ).count,
    1,
    'one colour, fewer pixels than the minimum',
  );
});

test('segmentation of noise is that of the definition', () => {
  for (const k of [5, 40, 200]) {
    const planes = noise(17, 12);
    const { labels } = segment(sortedEdges(planes), k, 6);
    assert.equal([...labels], naiveSegmentation(planes, k, 6), `k ${k}`);
  }
});

/** Components as sets of pixels. */
function naiveSegmentation({ width, height, channels }: Planes, k: number, minSize: number): number[] {
  const edges: { a: number; b: number; weight: number }[] = [];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (const [dx, dy] of [
        [1, 0],
        [-1, 1],
        [0, 1],
        [1, 1],
      ] as const) {
        if (x + dx < 0 || x + dx >= width || y + dy >= height) continue;
        const [a, b] = [y * width + x, (y + dy) * width + x + dx];
        edges.push({ a, b, weight: Math.fround(Math.hypot(...channels.map((channel) => channel[a] - channel[b]))) });
      }
    }
  }
  edges.sort((p, q) => p.weight - q.weight);
  const components = Array.from({ length: width * height }, (_, pixel) => ({ pixels: [pixel], internal: 0 }));
  const join = (a: number, b: number, weight: number): void => {
    const joined = { pixels: [...components[a]!.pixels, ...components[b]!.pixels], internal: weight };
    for (const pixel of joined.pixels) components[pixel] = joined;
  };
  for (const { a, b, weight } of edges) {
    const [p, q] = [components[a]!, components[b]!];
    if (p !== q && weight <= Math.min(...[p, q].map(({ pixels, internal }) => internal + k / pixels.length)))
      join(a, b, weight);
  }
  for (const { a, b, weight } of edges) {
    const [p, q] = [components[a]!, components[b]!];
    if (p !== q && Math.min(p.pixels.length, q.pixels.length) < minSize) join(a, b, weight);
  }
  const numbered = [...new Set(components)];
  return components.map((component) => numbered.indexOf(component));
}

test('bins of colour and texture', () => {
  const colours = colourBins(plane([[0, 10.23, 10.25, 255]]));
  assert.equal([colours.count, colours.histograms, [...colours.bins]], [25, 1, [0, 0, 1, 24]]);
  // A ramp to the right: the derivative is the slope to the right, its part along 45 degrees, and 0 to the left and across.
  const ramp = plane(Array.from({ length: 15 }, () => Array.from({ length: 15 }, (_, x) => 4 * x)));
  const texture = textureBins(ramp);
  assert.equal([texture.count, texture.histograms], [10, 8]);
  const middle = [...texture.bins.slice(8 * (7 * 15 + 7), 8 * (7 * 15 + 8))];
  assert.equal(middle.slice(1, 8), [7, 0, 0, 0, 0, 0, 7]);
  assert.ok(middle[0]! >= 9);
});

/** A histogram of two bins that says where the digit of a drawing is 1. */
const binsDrawn = (...rows: string[]): PixelBins => ({
  bins: Uint8Array.from(drawn(...rows).labels),
  histograms: 1,
  count: 2,
});

test('similarities and mergers by hand', () => {
  const segmentation = drawn('0011', '0221', '0221');
  const colour = binsDrawn('0010', '1100', '0111'); // region 0: 1 of 4, region 1: 1 of 4 (0, 0 and 1), region 2: 1 of 4
  const texture = binsDrawn('1111', '1001', '1001'); // 4 of 4, 4 of 4, none of 4
  const regions = Regions.of(segmentation, colour, texture);
  assert.equal([...regions.sizes.slice(0, 3)], [4, 4, 4]);
  assert.equal([...regions.boxes.slice(0, 12)], [0, 0, 1, 2, 2, 0, 3, 2, 1, 1, 2, 2]);
  assert.equal(neighboursOf(segmentation), [
    [1, 2],
    [0, 2],
    [0, 1],
  ]);
  const share = (region: number): number[] => [...regions.colours.slice(2 * region, 2 * region + 2)];
  assert.equal(
    [share(0), share(1), share(2)],
    [
      [0.75, 0.25],
      [0.5, 0.5],
      [0.25, 0.75],
    ],
  );
  close(colourSimilarity(regions, 0, 1, 12), 0.5 + 0.25);
  close(colourSimilarity(regions, 0, 2, 12), 0.25 + 0.25);
  close(textureSimilarity(regions, 0, 1, 12), 1);
  close(textureSimilarity(regions, 0, 2, 12), 0);
  close(sizeSimilarity(regions, 0, 1, 12), 1 - 8 / 12);
  close(fillSimilarity(regions, 0, 1, 12), 1 - (12 - 8) / 12);
  close(fillSimilarity(regions, 0, 2, 12), 1 - (9 - 8) / 12);
  const merged = regions.merge(0, 1);
  assert.is(merged, 3);
  assert.equal([regions.sizes[3], ...regions.boxes.slice(12, 16)], [8, 0, 0, 3, 2]);
  assert.equal(share(3), [0.625, 0.375]);
  const whole = regions.merge(3, 2);
  assert.equal([regions.sizes[whole], share(whole)], [12, [0.5, 0.5]], 'weighted by size: 6 of 12');
});

test('histograms of several channels add up to 1 together', () => {
  const planes = noise(6, 5);
  const regions = Regions.of(
    drawn(...Array.from({ length: 5 }, () => '000111')),
    colourBins(planes),
    textureBins(planes),
  );
  for (const region of [0, 1]) {
    close(
      regions.colours.slice(75 * region, 75 * (region + 1)).reduce((a, b) => a + b),
      1,
    );
    close(
      regions.textures.slice(240 * region, 240 * (region + 1)).reduce((a, b) => a + b),
      1,
    );
  }
});

test('the most similar neighbours merge first, as by trying all pairs each time', () => {
  const planes = noise(30, 22);
  const segmentation = segment(sortedEdges(planes), 10, 4);
  assert.ok(segmentation.count > 20, `${segmentation.count} regions`);
  const measures = [colourSimilarity, textureSimilarity, sizeSimilarity, fillSimilarity];
  const pixels = 30 * 22;
  const make = (): Regions => Regions.of(segmentation, colourBins(planes), textureBins(planes));
  const regions = make();
  mergeAll(regions, neighboursOf(segmentation), measures, pixels);
  assert.is(regions.count, 2 * segmentation.count - 1);

  const naive = make();
  const touching = neighboursOf(segmentation).map((list) => new Set(list));
  const alive = new Set(touching.keys());
  while (alive.size > 1) {
    let best = { similarity: -1, a: 0, b: 0 };
    for (const a of alive) {
      for (const b of touching[a]!) {
        const similarity = measures.reduce((sum, measure) => sum + measure(naive, a, b, pixels), 0);
        if (a < b && similarity > best.similarity) best = { similarity, a, b };
      }
    }
    const union = naive.merge(best.a, best.b);
    touching[union] = new Set([...touching[best.a]!, ...touching[best.b]!]);
    for (const gone of [best.a, best.b]) {
      alive.delete(gone);
      for (const set of touching) if (set.delete(gone)) set.add(union);
    }
    touching[union]!.delete(union);
    alive.add(union);
  }
  assert.equal([...regions.boxes], [...naive.boxes]);
});

/** A light and a dark square on grey, with a little noise. */
const squares = planesOf(
  picture(120, 90, (x, y) => {
    const shade = x >= 20 && x < 50 && y >= 15 && y < 55 ? 220 : x >= 70 && x < 105 && y >= 40 && y < 80 ? 30 : 128;
    return [shade, shade, shade].map((level) => level + ((x * 7 + y * 13) % 5));
  }),
);

test('the whole: objects are found, distinct boxes, in an order that the seed draws', () => {
  const { boxes, scores } = selectiveSearch(squares, new Random(1));
  const found = Array.from(scores, (_, i) => [...boxes.slice(4 * i, 4 * i + 4)].join());
  assert.is(new Set(found).size, found.length);
  for (const [x1, y1, x2, y2] of [
    [20, 15, 49, 54],
    [70, 40, 104, 79],
  ] as const) {
    const near = found.some((box) =>
      box.split(',').every((side, i) => Math.abs(Number(side) - [x1, y1, x2, y2][i]!) <= 1),
    );
    assert.ok(near, `no box near ${[x1, y1, x2, y2]}: ${found.join('  ')}`);
  }
  assert.ok(found.includes('0,0,119,89'));
  scores.forEach((score, i) => assert.ok(score <= 0 && (i === 0 || score <= scores[i - 1])));
  assert.equal(selectiveSearch(squares, new Random(1)), { boxes, scores });
  const other = selectiveSearch(squares, new Random(2));
  assert.not.equal([...other.boxes], [...boxes]);
  assert.equal(
    Array.from(other.scores, (_, i) => [...other.boxes.slice(4 * i, 4 * i + 4)].join()).sort(),
    [...found].sort(),
    'the same boxes',
  );
});

test('an image of one colour is one box', () => {
  for (const [width, height] of [
    [30, 20],
    [1, 1],
    [3, 200],
  ] as const) {
    const { boxes } = selectiveSearch(planesOf(picture(width, height, () => [90, 20, 200])), new Random(0));
    assert.equal([...boxes], [0, 0, width - 1, height - 1]);
  }
});

test.run();

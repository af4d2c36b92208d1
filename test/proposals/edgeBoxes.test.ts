/** EdgeBoxes: edges, groups, affinities and scores against hand calculation and the definition, then the whole. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Random } from '../../src/kernels/rng.ts';
import { BoxScorer } from '../../src/proposals/boxScorer.ts';
import { edgeBoxes, eachWindow, refined, type ScoredBox, suppressed } from '../../src/proposals/edgeBoxes.ts';
import { type EdgeGroups, groupEdges } from '../../src/proposals/edgeGroups.ts';
import { edgesFrom, type EdgeMap, gradientEdges } from '../../src/proposals/edgeMap.ts';
import { planesOf } from '../../src/proposals/planes.ts';
import { drawnEdges, iou, picture } from './drawing.ts';

const close = (actual: number, expected: number, tolerance = 1e-6): void =>
  assert.ok(Math.abs(actual - expected) <= tolerance, `${actual}, expected ${expected}`);

const disc = (x: number, y: number): number[] => ((x - 40) ** 2 + (y - 30) ** 2 < 400 ? [200, 60, 60] : [90, 90, 90]);

test('gradient edges are thin, lie on the outline and face across it', () => {
  const map = gradientEdges(planesOf(picture(80, 60, disc)));
  let strong = 0;
  map.magnitudes.forEach((magnitude, i) => {
    assert.ok(magnitude >= 0 && magnitude <= 1);
    if (magnitude < 0.3) return;
    strong++;
    const [dx, dy] = [(i % 80) - 40, Math.floor(i / 80) - 30];
    close(Math.hypot(dx, dy), 20, 1.5);
    close(Math.abs(Math.cos(map.orientations[i] - Math.atan2(dy, dx))), 1, 0.02);
  });
  assert.ok(strong > 90 && strong < 200, `${strong} pixels on a circle of length 126`);
  assert.ok(gradientEdges(planesOf(picture(30, 20, () => [5, 5, 5]))).magnitudes.every((value) => value < 1e-5));
});

test('an outline that is weak but alone counts nearly as much as a strong one', () => {
  const stripes = planesOf(
    picture(120, 40, (x) => (x < 40 ? [80, 80, 80] : x < 80 ? [250, 250, 250] : [210, 210, 210])),
  );
  const row = gradientEdges(stripes).magnitudes.subarray(20 * 120, 21 * 120);
  const [strong, weak] = [Math.max(...row.subarray(35, 45)), Math.max(...row.subarray(75, 85))];
  assert.ok(weak > 0.4 * strong && weak < strong, `${weak} of ${strong}`);
});

test('orientations of a given map come from its ridges, and thin lines stay', () => {
  const width = 40;
  const magnitudes = new Float32Array(width * 40);
  for (let i = 5; i < 35; i++) magnitudes[12 * width + i] = magnitudes[i * width + 25] = 1;
  const map = edgesFrom({ width, height: 40, magnitudes });
  for (let i = 8; i < 18; i++) close(Math.abs(Math.sin(map.orientations[12 * width + i])), 1, 0.01); // across: up and down
  for (let i = 20; i < 32; i++) close(Math.abs(Math.cos(map.orientations[i * width + 25])), 1, 0.01);
  for (let i = 8; i < 18; i++) assert.is(map.magnitudes[12 * width + i], 1);
  const thick = magnitudes.map((_, i) => (Math.abs((i % width) - 20) <= 2 ? 1 - Math.abs((i % width) - 20) / 4 : 0));
  const thin = edgesFrom({ width, height: 40, magnitudes: thick }).magnitudes;
  assert.equal(
    [18, 19, 20, 21, 22].map((x) => thin[20 * width + x]),
    [0, 0, 1, 0, 0],
  );
});

const ofPixel = ({ labels }: EdgeGroups, { width }: EdgeMap, x: number, y: number): number => labels[y * width + x];

/** The affinity of two groups; 0 if they have none. */
function affinity({ starts, neighbours, affinities }: EdgeGroups, a: number, b: number): number {
  for (let k = starts[a]; k < starts[a + 1]; k++) if (neighbours[k] === b) return affinities[k];
  return 0;
}

test('a straight line is one group, a right angle in all stays in it, a second one ends it', () => {
  const line = drawnEdges('..........', '..........', '.--------.', '..........', '..........');
  const groups = groupEdges(line);
  assert.is(groups.count, 1);
  assert.equal([...groups.magnitudes], [8]);
  const bend = drawnEdges('..........', '.----.....', '.....\\....', '......\\...', '.......\\..', '..........');
  assert.is(groupEdges(bend).count, 1);
  const cup = drawnEdges('..........', '.|......|.', '.|......|.', '.|......|.', '.--------.', '..........');
  const parts = groupEdges(cup);
  assert.is(parts.count, 2);
  assert.is.not(ofPixel(parts, cup, 1, 1), ofPixel(parts, cup, 8, 1));
  assert.is(ofPixel(parts, cup, 5, 4), ofPixel(parts, cup, 8, 1));
});

test('pixels at the border are no edges, lone weak ones neither, those beside a group join it', () => {
  const map = drawnEdges(
    '----------',
    '..........',
    '.---------',
    '..........',
    '.....-....',
    '..........',
    '..........',
  );
  map.magnitudes[4 * 10 + 5] = 0.4;
  map.magnitudes[3 * 10 + 2] = 0.4; // touches the line, but with another orientation: joins it as a small group
  const groups = groupEdges(map);
  assert.is(groups.count, 1);
  assert.equal(
    [0, 5].map((x) => ofPixel(groups, map, x, 0)),
    [-1, -1],
  );
  assert.is(ofPixel(groups, map, 9, 2), -1, 'the last column');
  assert.is(ofPixel(groups, map, 5, 4), -1);
  assert.is(ofPixel(groups, map, 2, 3), 0);
  close(groups.magnitudes[0], 8.4);
});

test('affinities of drawn lines', () => {
  const collinear = drawnEdges('............', '............', '.----.-----.', '............', '............');
  let groups = groupEdges(collinear);
  assert.is(groups.count, 2);
  close(affinity(groups, 0, 1), 1);
  close(affinity(groups, 1, 0), 1);

  const parallel = drawnEdges('........', '.------.', '........', '.------.', '........');
  groups = groupEdges(parallel);
  assert.is(groups.count, 2);
  assert.is(affinity(groups, 0, 1), 0);

  const apart = drawnEdges('.............', '.............', '.----..-----.', '.............', '.............');
  assert.is(affinity(groupEdges(apart), 0, 1), 0, 'more than two pixels apart');

  // A T: the mean positions are (7, 2) and (4, 5.5), 3 to the left and 3.5 down; across that, both lines are turned away.
  const tee = drawnEdges(
    ...['.............', '.............', '..---------..', '.............'],
    ...['.....|.......', '.....|.......', '.....|.......', '.....|.......', '.............'],
  );
  groups = groupEdges(tee);
  assert.is(groups.count, 2);
  const [bar, stem] = [ofPixel(groups, tee, 6, 2), ofPixel(groups, tee, 5, 5)];
  const across = Math.atan2(2 - 5.5, 6 - 5) + Math.PI / 2;
  close(affinity(groups, bar, stem), (Math.cos(Math.PI / 2 - across) * Math.cos(0 - across)) ** 2);
});

/** Edges at random: lines of several directions and stray pixels, so that groups are cut, joined and apart. */
function randomEdges(seed: number, width = 36, height = 28): EdgeMap {
  const random = new Random(seed);
  const map: EdgeMap = {
    width,
    height,
    magnitudes: new Float32Array(width * height),
    orientations: new Float32Array(width * height),
  };
  for (let line = 0; line < 14; line++) {
    const angle = random.uniform(0, 2 * Math.PI);
    let [x, y] = [random.uniform(2, width - 2), random.uniform(2, height - 2)];
    let bend = angle;
    for (let i = 0; i < 12; i++) {
      const at = Math.round(y) * width + Math.round(x);
      if (x >= 1 && y >= 1 && x < width - 1 && y < height - 1) {
        map.magnitudes[at] = random.uniform(0.3, 1);
        map.orientations[at] = (bend + 1.5 * Math.PI + 2 * Math.PI) % Math.PI;
      }
      bend += random.uniform(-0.3, 0.3);
      x += Math.cos(bend);
      y += Math.sin(bend);
    }
  }
  return map;
}

/** The score by its definition: which pixels lie where, and the best path from every cut group. */
function naiveScore(
  map: EdgeMap,
  groups: EdgeGroups,
  [x1, y1, x2, y2]: readonly [number, number, number, number],
): number {
  const { width } = map;
  const pixels: [number, number][][] = Array.from({ length: groups.count }, () => []);
  groups.labels.forEach((label, i) => label >= 0 && pixels[label]!.push([i % width, Math.floor(i / width)]));
  const within = (x: number, y: number, by: number): boolean =>
    x >= x1 + by && x <= x2 - by && y >= y1 + by && y <= y2 - by;
  const isCut = pixels.map((list) => list.some(([x, y]) => within(x, y, 0) && !within(x, y, 1)));
  const isInside = pixels.map((list, group) => !isCut[group] && list.every(([x, y]) => within(x, y, 1)));
  const products = isCut.map(Number);
  for (let round = 0; round < groups.count; round++) {
    for (let a = 0; a < groups.count; a++) {
      for (let b = 0; b < groups.count; b++) {
        const longer = products[a]! * affinity(groups, a, b);
        if ((isInside[b] || isCut[b]) && longer >= 0.05) products[b] = Math.max(products[b]!, longer);
      }
    }
  }
  const [w, h] = [x2 - x1 + 1, y2 - y1 + 1];
  const [left, top] = [x1 + Math.floor((w - Math.floor(w / 2)) / 2), y1 + Math.floor((h - Math.floor(h / 2)) / 2)];
  let sum = 0;
  pixels.forEach((list, group) => {
    if (isInside[group]) sum += (1 - products[group]!) * groups.magnitudes[group];
    for (const [x, y] of list) {
      const inCentre = x >= left && x < left + Math.floor(w / 2) && y >= top && y < top + Math.floor(h / 2);
      if (inCentre) sum -= map.magnitudes[y * width + x];
    }
  });
  return sum / (2 * (w + h) ** 1.5);
}

test('scores are those of the definition', () => {
  let positive = 0;
  for (let seed = 0; seed < 12; seed++) {
    const map = randomEdges(seed);
    const groups = groupEdges(map);
    const scorer = new BoxScorer(map, groups);
    const random = new Random(seed, 1);
    for (let trial = 0; trial < 100; trial++) {
      const [x1, y1] = [random.integer(14), random.integer(10)];
      const box = [x1, y1, x1 + 6 + random.integer(16), y1 + 5 + random.integer(13)] as const;
      const expected = naiveScore(map, groups, box);
      const score = scorer.score(...box);
      if (score > 0) positive++;
      if (score > 0 || expected > 0.002) close(score, expected, 1e-9);
    }
  }
  assert.ok(positive > 60, `${positive} boxes scored`);
});

/** The outline of a rectangle whose corners are pixels. */
function outline(width: number, height: number, [x1, y1, x2, y2]: readonly number[]): EdgeMap {
  const rows = Array.from({ length: height }, (_, y) =>
    Array.from({ length: width }, (_, x) => {
      if (x < x1! || x > x2! || y < y1! || y > y2!) return '.';
      if (y === y1 || y === y2) return '-';
      return x === x1 || x === x2 ? '|' : '.';
    }).join(''),
  );
  return drawnEdges(...rows);
}

test('the score of a drawn rectangle by hand', () => {
  const map = outline(60, 50, [20, 15, 39, 34]);
  const scorer = new BoxScorer(map, groupEdges(map));
  // 76 pixels of outline in a box of 22 x 22, none in its middle.
  close(scorer.score(19, 14, 40, 35), 76 / (2 * 44 ** 1.5), 1e-9);
  assert.ok(scorer.score(10, 10, 50, 40) < scorer.score(19, 14, 40, 35), 'a larger box is worth less');
  assert.is(scorer.score(25, 14, 40, 35), 0, 'a box that cuts the outline');
  assert.is(scorer.score(0, 0, 8, 8), 0);
});

test('windows reach every place: any box of allowed size and shape has IoU of at least 0.6 with one', () => {
  const windows: number[][] = [];
  eachWindow(90, 70, (...box) => windows.push(box));
  windows.forEach(([x1, y1, x2, y2]) =>
    assert.ok(x1! >= 0 && y1! >= 0 && x2! < 90 && y2! < 70 && x1! < x2! && y1! < y2!),
  );
  const random = new Random(3);
  for (let trial = 0; trial < 200; trial++) {
    const w = 34 + random.integer(40);
    const h = Math.round(w * random.uniform(0.7, 1));
    const [x, y] = [random.integer(90 - w), random.integer(70 - Math.min(69, h))];
    const best = Math.max(
      ...windows.map(([x1, y1, x2, y2]) => iou([x, y, x + w - 1, y + h - 1], [x1!, y1!, x2!, y2!])),
    );
    assert.ok(best >= 0.6, `box ${[x, y, w, h]}: ${best}`);
  }
});

test('refinement moves each side uphill', () => {
  const goal = [20, 15, 69, 54];
  const scorer = {
    width: 100,
    height: 80,
    score: (...box: number[]) => 1 / (1 + box.reduce((sum, side, i) => sum + Math.abs(side - goal[i]!), 0)),
  };
  const start: ScoredBox = { x1: 14, y1: 10, x2: 75, y2: 60, score: scorer.score(14, 10, 75, 60) };
  const { x1, y1, x2, y2, score } = refined(start, scorer);
  assert.ok(score > 2 * start.score, `${start.score} to ${score}`);
  [x1, y1, x2, y2].forEach((side, i) => close(side, goal[i]!, 3));
});

test('suppression keeps the best of boxes that overlap by more than 0.75', () => {
  const random = new Random(5);
  const boxes = Array.from({ length: 300 }, (_, i): ScoredBox => {
    const [x1, y1] = [random.integer(20), random.integer(20)];
    return { x1, y1, x2: x1 + 20 + random.integer(30), y2: y1 + 20 + random.integer(30), score: 300 - i };
  });
  const corners = ({ x1, y1, x2, y2 }: ScoredBox): number[] => [x1, y1, x2, y2];
  const expected: ScoredBox[] = [];
  for (const box of boxes) if (expected.every((other) => iou(corners(box), corners(other)) <= 0.75)) expected.push(box);
  assert.ok(expected.length > 20 && expected.length < 290);
  assert.equal(suppressed(boxes), expected);
});

test('the whole: the best box is about the drawn rectangle, and the disc of a picture', () => {
  const drawing = edgeBoxes(outline(120, 100, [30, 20, 89, 69]));
  assert.ok(iou([...drawing.boxes.slice(0, 4)], [30, 20, 89, 69]) > 0.65, String(drawing.boxes.slice(0, 4)));
  const found = edgeBoxes(gradientEdges(planesOf(picture(80, 60, disc))));
  assert.ok(iou([...found.boxes.slice(0, 4)], [21, 11, 59, 49]) > 0.65, String(found.boxes.slice(0, 4)));
  found.scores.forEach((score, i) => assert.ok(score > 0 && (i === 0 || score <= found.scores[i - 1])));
  assert.is(edgeBoxes(drawnEdges('...', '...')).scores.length, 0);
});

test.run();

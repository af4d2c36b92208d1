/** MultiBox: priors, matching and loss by hand and by trying everything; gradients by central differences; the paper's counts. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { UserError } from '../../src/engine/errors.ts';
import { add } from '../../src/engine/ops/arithmetic.ts';
import { Sgd } from '../../src/engine/sgd.ts';
import { Random } from '../../src/kernels/rng.ts';
import { FasterRcnn } from '../../src/model/fasterRcnn.ts';
import { bipartiteMatching } from '../../src/model/multiBox/bipartiteMatching.ts';
import { MultiBox, multiBoxOutputWeights } from '../../src/model/multiBox/multiBox.ts';
import { multiBoxLoss, multiBoxLossReference, multiBoxTargets } from '../../src/model/multiBox/multiBoxLoss.ts';
import { kMeansPriors, type RelativeBox } from '../../src/model/multiBox/priors.ts';
import { PRESETS } from '../../src/run/config/presets.ts';
import { expectClose, sharedGpu } from '../harness.ts';
import { expectGradient } from '../kernels/centralDifferences.ts';

test('priors are the means of clusters, the same for a seed', () => {
  const random = new Random(1);
  const centres: RelativeBox[] = [
    [0.1, 0.1, 0.3, 0.3],
    [0.6, 0.1, 0.9, 0.5],
    [0.2, 0.5, 0.8, 0.95],
  ];
  const boxes = Array.from(
    { length: 90 },
    (_, i) => centres[i % 3]!.map((side) => side + random.uniform(-0.02, 0.02)) as unknown as RelativeBox,
  );
  const priors = kMeansPriors(boxes, 3, 5);
  const means = centres.map((_, k) =>
    [0, 1, 2, 3].map((side) => boxes.filter((_, i) => i % 3 === k).reduce((sum, box) => sum + box[side]!, 0) / 30),
  );
  const found = [0, 1, 2].map((k) => [...priors.slice(4 * k, 4 * k + 4)]).sort((a, b) => a[0]! - b[0]!);
  means
    .sort((a, b) => a[0]! - b[0]!)
    .forEach((mean, k) => expectClose(found[k]!, mean, { atol: 1e-12, rtol: 0, what: 'prior' }));
  assert.equal(kMeansPriors(boxes, 3, 5), priors);
  const all = kMeansPriors(boxes, 90, 5);
  assert.is(new Set(Array.from({ length: 90 }, (_, k) => [...all.slice(4 * k, 4 * k + 4)].join())).size, 90);
});

test('fewer different objects than priors are one line', () => {
  const box: RelativeBox = [0.1, 0.2, 0.3, 0.4];
  assert.throws(
    () => kMeansPriors([box, box, [0, 0, 1, 1]], 3, 0),
    (error: Error) =>
      error instanceof UserError &&
      /^the data has 2 different boxes of objects, fewer than the 3 priors; choose 2 priors or fewer, or more images$/.test(
        error.message,
      ),
  );
});

/** The least cost over all ways to give each row a column of its own. */
function leastCost(cost: Float64Array, rows: number, columns: number, row = 0, taken: readonly number[] = []): number {
  if (row === rows) return 0;
  let least = Infinity;
  for (let column = 0; column < columns; column++) {
    if (taken.includes(column)) continue;
    least = Math.min(
      least,
      cost[row * columns + column]! + leastCost(cost, rows, columns, row + 1, [...taken, column]),
    );
  }
  return least;
}

test('the matching costs the least of all', () => {
  const random = new Random(2);
  for (const [rows, columns] of [
    [1, 1],
    [1, 5],
    [3, 3],
    [4, 6],
    [5, 7],
  ] as const) {
    for (let trial = 0; trial < 20; trial++) {
      const cost = Float64Array.from({ length: rows * columns }, () =>
        trial % 2 ? random.integer(4) : random.normal(),
      );
      const matched = bipartiteMatching(cost, rows, columns);
      assert.is(new Set(matched).size, rows);
      const total = matched.reduce((sum, column, row) => sum + cost[row * columns + column]!, 0);
      expectClose([total], [leastCost(cost, rows, columns)], {
        atol: 1e-12,
        rtol: 0,
        what: `cost of ${rows}x${columns}`,
      });
    }
  }
  assert.equal([...bipartiteMatching(new Float64Array(0), 0, 4)], []);
  assert.throws(() => bipartiteMatching(new Float64Array(6), 3, 2));
});

/** Two priors that lie nearest to the same object: one has to take the other. */
const PRIORS = [0.1, 0.1, 0.3, 0.3, 0.2, 0.2, 0.4, 0.4, 0.6, 0.6, 0.9, 0.9];
const OBJECTS: RelativeBox[] = [
  [0.2, 0.2, 0.4, 0.5],
  [0.15, 0.2, 0.4, 0.4],
];

test('every object has a prior of its own; with more objects than priors the nearest ones do', () => {
  const { matched, offsets } = multiBoxTargets(PRIORS, OBJECTS);
  assert.equal([...matched], [1, 1, 0]);
  // (0, 1) and (1, 0) cost 0.0325 + 0.01; (0, 0) and (1, 1) 0.06 + 0.0025
  expectClose(offsets.slice(0, 8), [0.05, 0.1, 0.1, 0.1, 0, 0, 0, 0.1], { atol: 1e-6, rtol: 0, what: 'offsets' });
  assert.equal([...multiBoxTargets(PRIORS, []).matched], [0, 0, 0]);
  const one = multiBoxTargets(PRIORS.slice(0, 4), OBJECTS);
  assert.equal([...one.matched], [1]);
  expectClose(one.offsets, [0.05, 0.1, 0.1, 0.1], { atol: 1e-6, rtol: 0, what: 'offset to the nearest object' });
});

test('the loss by hand', () => {
  const offsets = new Float64Array(12);
  const logits = Float64Array.of(0, 0, Math.log(3)); // confidences 1/2, 1/2, 3/4
  const expected = 0.15 * (0.05 ** 2 + 3 * 0.1 ** 2 + 0.1 ** 2) + 2 * Math.log(2) + Math.log(4);
  expectClose([multiBoxLossReference(PRIORS, offsets, logits, OBJECTS, 0.3)], [expected], {
    atol: 1e-8,
    rtol: 0,
    what: 'loss',
  });
});

test('the loss and its gradients on the device are those of the definition and of central differences', async () => {
  const gpu = await sharedGpu();
  const random = new Random(3);
  const values = (n: number, scale: number) =>
    Float64Array.from({ length: n }, () => Math.fround(scale * random.normal()));
  const [offsets, logits] = [values(24, 0.3), values(6, 2)];
  const objects = [OBJECTS, [[0.5, 0.5, 0.95, 0.8]] as RelativeBox[]];
  const alpha = 0.7;
  const reference = (offsets: ArrayLike<number>, logits: ArrayLike<number>): number =>
    objects.reduce((sum, boxes, i) => {
      const part = (values: ArrayLike<number>, n: number) => Array.from(values).slice(i * n, (i + 1) * n);
      return sum + multiBoxLossReference(PRIORS, part(offsets, 12), part(logits, 3), boxes, alpha) / 2;
    }, 0);
  const o = gpu.parameter([...offsets], [2, 12], 'offsets');
  const l = gpu.parameter([...logits], [2, 3], 'logits');
  const { location, confidence } = multiBoxLoss(
    o,
    l,
    objects.map((boxes) => multiBoxTargets(PRIORS, boxes)),
    alpha,
  );
  const loss = add(location, confidence);
  loss.backward();
  expectClose(await loss.read(), [reference(offsets, logits)], { atol: 0, rtol: 1e-5, what: 'loss' });
  // Gradients in float64 by hand, held against central differences, and the device's against them.
  const targets = objects.map((boxes) => multiBoxTargets(PRIORS, boxes));
  const byOffsets = offsets.map((value, i) => {
    const { matched, offsets: wanted } = targets[Math.floor(i / 12)]!;
    return (alpha / 2) * matched[Math.floor((i % 12) / 4)]! * (value - wanted[i % 12]!);
  });
  const byLogits = logits.map(
    (value, i) => (1 / (1 + Math.exp(-value)) - targets[Math.floor(i / 3)]!.matched[i % 3]!) / 2,
  );
  expectGradient(byOffsets, (x) => reference(x, logits), offsets);
  expectGradient(byLogits, (x) => reference(offsets, x), logits);
  expectClose(await o.grad!.read(), byOffsets, { atol: 1e-6, rtol: 0, what: 'gradient of offsets' });
  expectClose(await l.grad!.read(), byLogits, { atol: 1e-6, rtol: 0, what: 'gradient of logits' });
});

test('the output layers have the weights that the paper compares: 6.1 million against 28 thousand', async () => {
  const gpu = await sharedGpu();
  const rpnWeights = (features: number, anchors: number): number => features * (4 + 2) * anchors;
  const input = { size: 32, ...PRESETS['demo']!.detector.input };
  const config = { backbone: 'small', classes: ['object'], input, pooled: 4, priors: PRIORS, alpha: 0.3 };
  const multiBox = new MultiBox(gpu, config, 1);
  const { parameters } = multiBox;
  assert.is(
    parameters['multibox.locations.weight']!.size + parameters['multibox.confidences.weight']!.size,
    multiBoxOutputWeights(multiBox.backbone.regionFeatures, 3),
  );
  const detector = { ...PRESETS['demo']!.detector, classes: ['__background__', 'thing'] };
  const faster = new FasterRcnn(gpu, detector, 1);
  const anchors = faster.rpn.anchors.size / 4;
  const [cls, box] = ['rpn.cls_score.weight', 'rpn.bbox_pred.weight'].map((name) => faster.parameters[name]!);
  assert.is(cls!.size + box!.size, rpnWeights(cls!.shape[1]!, anchors));
  assert.is(multiBoxOutputWeights(1536, 800), 6_144_000);
  assert.is(rpnWeights(512, 9), 27_648);
  multiBox.dispose();
  faster.dispose();
});

test('two images are learnt by heart', async () => {
  const gpu = await sharedGpu();
  const input = { ...PRESETS['demo']!.detector.input, size: 32 };
  const config = { backbone: 'small', classes: ['object'], input, pooled: 4, priors: PRIORS, alpha: 0.3 };
  const model = new MultiBox(gpu, config, 1);
  const images = [0, 250].map((red) => ({
    pixels: {
      width: 40,
      height: 30,
      rgba: Uint8Array.from({ length: 4800 }, (_, i) => [red, 40, 250 - red, 255][i % 4]!),
    },
    flip: false,
  }));
  const objects: RelativeBox[][] = [[[0.12, 0.15, 0.33, 0.3]], [[0.6, 0.65, 0.95, 0.9]]];
  const optimizer = new Sgd(Object.values(model.parameters), { learningRate: 0.001, momentum: 0.9 });
  const losses: number[][] = [];
  for (let step = 0; step < 40; step++) {
    optimizer.zeroGrad();
    const { location, confidence } = gpu.scope(() => {
      const losses = model.losses(model.prepare(images), objects, step);
      add(losses.location, losses.confidence).backward({ free: true });
      return losses;
    });
    optimizer.step();
    losses.push([(await location.read())[0]!, (await confidence.read())[0]!]);
  }
  const [first, last] = [losses[0]!, losses.at(-1)!];
  assert.ok(last[0]! < 0.1 * first[0]! && last[1]! < 0.05 * first[1]!, `${first} to ${last}`);
  optimizer.dispose();
  model.dispose();
});

test('boxes are in pixels of the image, by confidence, and lie inside it', async () => {
  const gpu = await sharedGpu();
  const input = { ...PRESETS['demo']!.detector.input, size: 32 };
  const config = {
    backbone: 'small',
    classes: ['object'],
    input,
    pooled: 4,
    priors: [...PRIORS, 0, 0, 1, 1],
    alpha: 0.3,
  };
  const model = new MultiBox(gpu, config, 1);
  for (const layer of ['locations', 'confidences']) {
    const weight = model.parameters[`multibox.${layer}.weight`]!;
    weight.write(new Float32Array(weight.size));
  }
  const bias = model.parameters['multibox.confidences.bias']!;
  bias.write(Float32Array.of(-1, 1, 0, 2));
  const image = { width: 50, height: 40, rgba: new Uint8Array(50 * 40 * 4).fill(100) };
  const { boxes, scores } = await model.propose(image);
  assert.equal(
    [...scores].sort((a, b) => b - a),
    [...scores],
  );
  expectClose(boxes.slice(0, 8), [0, 0, 49, 39, 10, 8, 19, 15], { atol: 1e-4, rtol: 0, what: 'boxes' });
  model.dispose();
});

test.run();

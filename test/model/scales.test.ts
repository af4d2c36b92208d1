/** Several scales of an image: what is computed of each, where regions are taken from, what is trained. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  add,
  concat,
  detectImage,
  type Detector,
  type DetectorConfig,
  FasterRcnn,
  makeDetector,
  multiply,
  pyramidPool,
  roiAlign,
  roiPool,
  roiWarp,
  sum,
  type Tensor,
} from '../../src/index.ts';
import { drawnScale } from '../../src/model/inputScales.ts';
import { pixelBoxes } from '../../src/kernels/checks/inputs.ts';
import { expectClose, randomArray, sharedGpu } from '../harness.ts';
import { POOLED_DETECTOR, ramp } from './pooledBackbone.ts';

const SCALES = [32, 64, 48];
const { input, head, rpn } = POOLED_DETECTOR;
const SCALED: DetectorConfig = {
  ...POOLED_DETECTOR,
  input: { ...input, scales: SCALES },
  head: { ...head, scaleSide: 20 },
};
const PICTURE = ramp(40, 32);
const disposeAll = (...models: Detector[]): void => models.forEach((model) => model.dispose());

test('one scale in the list is that shorter side, to the bit', async () => {
  const gpu = await sharedGpu();
  const [plain, listed] = [input, { ...input, shorterSide: 7, scales: [32] }].map(
    (input) => new FasterRcnn(gpu, { ...POOLED_DETECTOR, input }, 1),
  ) as [FasterRcnn, FasterRcnn];
  assert.equal(await detectImage(listed, PICTURE), await detectImage(plain, PICTURE));
  disposeAll(plain, listed);
});

/** As the operations on one map do it, region by region from its own map. */
const OPERATIONS: Record<string, (maps: Tensor | Tensor[], rois: Tensor) => Tensor> = {
  roiPool: (maps, rois) => roiPool(maps, rois, { size: 3, spatialScale: 0.25 }),
  roiWarp: (maps, rois) => roiWarp(maps, rois, { size: 3, spatialScale: 0.25 }),
  pyramidPool: (maps, rois) => pyramidPool(maps, rois, { spatialScale: 0.25 }),
  roiAlign: (maps, rois) => {
    const all = Array.isArray(maps) ? maps : [maps];
    return roiAlign(all, rois, { size: 3, spatialScales: all.map(() => 0.25), aligned: true, mapOf: 'image' });
  },
};
for (const [name, operation] of Object.entries(OPERATIONS))
  test(`${name} of several maps: values and gradients of each region are those of its own map alone`, async () => {
    const gpu = await sharedGpu();
    const sides = [
      [14, 20],
      [9, 12],
      [17, 11],
    ] as const;
    const data = sides.map(([h, w], k) => randomArray(5 * h * w, 20 + k));
    const boxes = pixelBoxes(13, 7, 1, 4, 50);
    for (let r = 0; r < 13; r++) boxes[5 * r] = (2 * r) % 3;
    const dy = randomArray(13 * 5 * 50, 30);
    const leaves = () =>
      data.map((values, k) => gpu.parameter(() => Float32Array.from(values), [1, 5, ...sides[k]!], `x${k}`));
    const weighted = async (y: Tensor, maps: Tensor[]) => {
      const bins = y.size / (13 * 5);
      const weights = gpu.tensor(
        Float32Array.from({ length: y.size }, (_, i) => dy[Math.floor(i / bins) * 50 + (i % bins)]!),
        y.shape,
      );
      sum(multiply(y, weights)).backward();
      return { y: await y.read(), gradients: await Promise.all(maps.map((map) => map.grad!.read())) };
    };
    const together = leaves();
    const several = await gpu.scope(() => weighted(operation(together, gpu.tensor(boxes, [13, 5])), together));
    const alone = leaves();
    const each = await gpu.scope(() => {
      // Row r from map (2 r) mod 3, whose only image is number 0.
      const rows = Array.from({ length: 13 }, (_, r) => {
        const roi = gpu.tensor([0, ...boxes.subarray(5 * r + 1, 5 * r + 5)], [1, 5]);
        return operation(alone[(2 * r) % 3]!, roi);
      });
      return weighted(concat(rows, 0), alone);
    });
    assert.equal(several.y, each.y);
    several.gradients.forEach((gradient, k) =>
      expectClose(gradient, each.gradients[k]!, { atol: 1e-5, rtol: 1e-5, what: `gradient of map ${k}` }),
    );
    [...together, ...alone].forEach((tensor) => tensor.dispose());
  });

test('a region is scored on the map of the scale at which its area is nearest to the square', async () => {
  const gpu = await sharedGpu();
  const model = new FasterRcnn(gpu, SCALED, 1);
  const singles = SCALES.map(
    (side) => new FasterRcnn(gpu, { ...POOLED_DETECTOR, input: { ...input, shorterSide: side } }, 1),
  );
  // In pixels of the first scale: sides 20, 10 and 13 become 20 at the first, the second and the third.
  const rois = [
    [0, 4, 5, 23, 24],
    [0, 2, 8, 11, 17],
    [0, 20, 10, 32, 22],
  ];
  const logits = await gpu.scope(() => {
    const { features } = model.convolve(model.prepare(PICTURE));
    return model.head.forward(features, gpu.tensor(rois.flat(), [3, 5]), null).logits.read();
  });
  for (const [k, single] of singles.entries()) {
    const expected = await gpu.scope(() => {
      const { features } = single.convolve(single.prepare(PICTURE));
      const scaled = rois[k]!.map((value) => (value * SCALES[k]!) / SCALES[0]!);
      return single.head.forward(features, gpu.tensor(scaled, [1, 5]), null).logits.read();
    });
    assert.equal([...logits.subarray(3 * k, 3 * k + 3)], [...expected], `region ${k}`);
  }
  disposeAll(model, ...singles);
});

test('proposals of all scales are one list, in pixels of the first, by one suppression', async () => {
  const gpu = await sharedGpu();
  const limits = { preNms: 1000, postNms: 1000, without: 'nms' } as const;
  const anySize = { ...SCALED, rpn: { ...rpn, minSize: 0 } };
  const model = new FasterRcnn(gpu, anySize, 1);
  const singles = SCALES.map((side) => new FasterRcnn(gpu, { ...anySize, input: { ...input, shorterSide: side } }, 1));
  const read = async (of: FasterRcnn, without: 'nms' | 'nothing' = 'nms') => {
    const { found, scale } = gpu.scope(() => {
      const image = of.prepare(PICTURE);
      return { found: of.propose(image, { ...limits, without }), scale: image.scale };
    });
    const [rois, scores, [count]] = [await found.rois.read(), await found.scores.read(), await found.count.read()];
    Object.values(found).forEach((tensor) => tensor.dispose());
    return Array.from({ length: count! }, (_, i) => ({
      box: [...rois.subarray(5 * i + 1, 5 * i + 5)].map((value) => value / scale),
      score: scores[i]!,
      scale: rois[5 * i]!,
    }));
  };
  const united = await read(model);
  const apart = (await Promise.all(singles.map((single) => read(single)))).flatMap((found, scale) =>
    found.map((proposal) => ({ ...proposal, scale })),
  );
  apart.sort((a, b) => b.score - a.score);
  assert.is(united.length, apart.length);
  assert.equal(
    united.map(({ score }) => score),
    apart.map(({ score }) => score),
  );
  assert.equal([...new Set(united.map(({ scale }) => scale))].sort(), [0, 1, 2]);
  const best = await read(model, 'nothing');
  assert.ok(best.length < united.length / 2, `${best.length} of ${united.length} are left`);
  disposeAll(model, ...singles);
});

test('one-stage detection joins the windows of all scales, each scored at its own', async () => {
  const gpu = await sharedGpu();
  const model = new FasterRcnn(gpu, { ...SCALED, stages: 1 }, 1);
  const image = model.prepare(PICTURE);
  const { rois, count, logits } = await gpu.scope(async () => {
    const maps = model.convolve(image);
    const windows = model.proposeOn(maps, image);
    const { logits } = model.head.forward(maps.features as never, windows.rois, null);
    return { rois: await windows.rois.read(), count: (await windows.count.read())[0]!, logits: await logits.read() };
  });
  // A map of stride 4 has a window at each cell.
  const cells = image.scales!.map(({ height, width }) => Math.floor(height / 4) * Math.floor(width / 4));
  assert.is(
    count,
    cells.reduce((a, b) => a + b),
  );
  assert.equal([...new Set(Array.from({ length: count }, (_, i) => rois[5 * i]!))], [0, 1, 2]);
  const single = new FasterRcnn(
    gpu,
    { ...POOLED_DETECTOR, stages: 1, input: { ...input, shorterSide: SCALES[1]! } },
    1,
  );
  const alone = await gpu.scope(async () => {
    const image = single.prepare(PICTURE);
    const maps = single.convolve(image);
    const { logits } = single.head.forward(maps.features as never, single.proposeOn(maps, image).rois, null);
    return logits.read();
  });
  const first = 3 * cells[0]!;
  expectClose(logits.subarray(first, first + alone.length), alone, { atol: 1e-4, rtol: 0, what: 'scores at scale 1' });
  const found = await detectImage(model, PICTURE);
  assert.ok(found.length > 0 && found.every(({ x2, y2 }) => x2 <= 39 && y2 <= 31));
  disposeAll(model, single);
});

test('training takes the scale that the seed draws; SPP-net, whose convolutions are fixed, all', async () => {
  const gpu = await sharedGpu();
  const drawn = Array.from({ length: 60 }, (_, seed) => drawnScale(SCALED.input, seed));
  assert.equal([...new Set(drawn)].sort(), [0, 1, 2]);
  assert.equal(
    drawn,
    Array.from({ length: 60 }, (_, seed) => drawnScale(SCALED.input, seed)),
  );
  const given = { boxes: Float32Array.of(2, 3, 21, 19), scores: Float32Array.of(1) };
  const backbone = 'small';
  const [fast, spp] = ['fast-rcnn', 'spp-net'].map((system) =>
    makeDetector(gpu, { ...SCALED, backbone, system }, 1),
  ) as [Detector, Detector];
  gpu.scope(() => {
    const one = fast.prepare(PICTURE, false, given, 1);
    assert.is(one.height, 64);
    assert.is(one.scales, undefined);
    assert.equal([...one.proposals!.boxes], [4, 6, 42, 38]);
    assert.equal(
      spp.prepare(PICTURE, false, given, 1).scales!.map(({ height }) => height),
      SCALES,
    );
    assert.is(fast.prepare(PICTURE, false, given).scales!.length, 3);
  });
  for (const model of [fast, spp]) {
    const loss = gpu.scope(() => {
      const image = model.prepare(PICTURE, false, given);
      const truth = model.truth([{ x1: 2, y1: 3, x2: 21, y2: 19, classIndex: 1 }], image);
      const losses = model.losses(image, truth, { random: true, seed: 1 });
      model.total(losses).backward();
      return add(losses.head_cls, losses.head_box);
    });
    assert.ok(Number.isFinite((await loss.read())[0]!));
    loss.dispose();
    const trained = Object.keys(model.parameters).filter((name) => model.parameters[name]!.grad);
    assert.is(
      trained.some((name) => name.startsWith('conv')),
      model === fast,
      String(trained),
    );
  }
  disposeAll(fast, spp);
});

test.run();

/** The region proposal network on maps that are given: its losses by hand, its limits in pixels of the right image. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { FasterRcnn, PRESETS, RPN_DEFAULTS, type DetectorConfig } from '../../src/index.ts';
import type { Backbone } from '../../src/model/backbones/backbone.ts';
import type { RpnConfig } from '../../src/model/config.ts';
import type { ImageGeometry } from '../../src/model/detector.ts';
import { RegionProposalNetwork } from '../../src/model/rpn.ts';
import { expectClose, sharedGpu } from '../harness.ts';
import { POOLED_DETECTOR, ramp } from './pooledBackbone.ts';

/** A map of stride 4, of which only the geometry is used. */
const BACKBONE = { stride: 4, channels: 1 } as Backbone;

async function network(sizes: number[], rpn: Partial<RpnConfig>): Promise<RegionProposalNetwork> {
  const { detector } = PRESETS['digits']!;
  const config: DetectorConfig = {
    ...detector,
    classes: ['__background__', 'a'],
    anchors: { sizes, ratios: [1] },
    rpn: { ...RPN_DEFAULTS, channels: 1, ...rpn },
  };
  return new RegionProposalNetwork(await sharedGpu(), config, BACKBONE, 1);
}

/** An image whose sides are those of a network's input of 100 x 100 pixels. */
const imageAt = (scale: number): ImageGeometry => ({
  height: 100,
  width: 100,
  scale,
  original: { height: 100 / scale, width: 100 / scale },
});

/** Outputs of zero: all anchors score the same and none is moved. */
async function silent(anchors: number, cells: number) {
  const gpu = await sharedGpu();
  return {
    logits: gpu.parameter(new Float32Array(2 * anchors * cells ** 2), [1, 2 * anchors, cells, cells], 'logits'),
    deltas: gpu.parameter(new Float32Array(4 * anchors * cells ** 2), [1, 4 * anchors, cells, cells], 'deltas'),
  };
}

test('the smallest side of a proposal is in pixels of the original image', async () => {
  // At the cells 0, 1, 2 of a row, clipped at 0, an anchor of 16 is 11, 15 and 17 pixels wide, one of 32 is 19, 23 and 27
  // (decoding adds one). Of the input at scale 2 a proposal of 10 pixels has 20.
  const rpn = await network([16, 32], { minSize: 10 });
  const gpu = await sharedGpu();
  const output = await silent(2, 3);
  const count = (scale: number): Promise<ArrayLike<number>> =>
    gpu.scope(() =>
      rpn.proposals(output, imageAt(scale), { preNms: 100, postNms: 100, without: 'nms' }, 0).count.read(),
    );
  assert.equal([...Array.from(await count(1)), ...Array.from(await count(2))], [18, 4]);
  [...Object.values(output), ...Object.values(rpn.parameters), rpn.anchors].forEach((tensor) => tensor.dispose());
});

// Of the 25 anchors of 16 pixels nine lie inside, at x, y = 2, 6, 10. The object is one pixel to the right of the first of
// them, whose target is (1/16, 0, 0, 0); five overlap it by 0.306 to 0.684, three by less than 0.27.
const OBJECT = [3, 2, 18, 17, 1];
for (const [what, settings, expected] of [
  // Smooth L1 of 1/16 is 1/512, with sigma 3 it is 9/512; one positive, three negatives.
  ['over the examples', { normalisation: 'examples', lambda: 1, sigma: 1 }, 1 / 512 / 4],
  ['over the examples, sigma 3', { normalisation: 'examples', lambda: 1, sigma: 3 }, 9 / 512 / 4],
  // Equation 1: lambda / N_reg, the number of anchor locations.
  ['over the locations', { normalisation: 'locations', lambda: 10, sigma: 1 }, (10 / 25) * (1 / 512)],
] as const)
  test(`the loss of the boxes ${what}`, async () => {
    const rpn = await network([16], settings);
    const gpu = await sharedGpu();
    const output = await silent(1, 5);
    const { cls, box } = gpu.scope(() => {
      const truth = { boxes: gpu.tensor(OBJECT, [1, 5]), count: 1 };
      return rpn.losses(output, truth, imageAt(1), { random: false, seed: 1 });
    });
    expectClose(await box.read(), [expected], { atol: 0, rtol: 1e-5, what: 'box' });
    expectClose(await cls.read(), [Math.LN2], { atol: 0, rtol: 1e-5, what: 'cls' });
    [cls, box, ...Object.values(output), ...Object.values(rpn.parameters), rpn.anchors].forEach((tensor) =>
      tensor.dispose(),
    );
  });

for (const [settings, expected] of [
  [{ normalisation: 'examples', lambda: 2, batch: 50 }, (3 * 2) / 50],
  [{ normalisation: 'locations', lambda: 10, batch: 50 }, (3 * 10) / 64],
] as const)
  test(`RoI warping, ${settings.normalisation}: a RoI weighs in a delta so many times what the box loss can`, async () => {
    const config: DetectorConfig = {
      ...POOLED_DETECTOR,
      rpn: { ...POOLED_DETECTOR.rpn, ...settings },
      // One RoI, the first proposal that is foreground.
      head: { ...POOLED_DETECTOR.head, pooling: 'warp', warpLimit: 3, batch: 1, foregroundFraction: 1 },
    };
    const gpu = await sharedGpu();
    const model = new FasterRcnn(gpu, config, 1);
    // Proposals are anchors, and every region is of class 1 by so much that the loss of one of class 2 has huge gradients.
    for (const parameter of Object.values(model.parameters)) parameter.write(new Float32Array(parameter.size));
    const weight = model.parameters['head.cls_score.weight']!;
    const inputs = weight.shape[1]!;
    weight.write(Float32Array.from({ length: 3 * inputs }, (_, i) => (Math.floor(i / inputs) === 1 ? 1e6 : 0)));
    gpu.scope(() => {
      const image = model.prepare(ramp(32, 32)); // 64 locations
      const truth = model.truth([{ x1: 10, y1: 6, x2: 25, y2: 21, classIndex: 2 }], image);
      model.losses(image, truth, { random: false, seed: 1 }).head_cls.backward();
    });
    const gradient = Array.from(await model.parameters['rpn.bbox_pred.bias']!.grad!.read());
    assert.is(Math.max(...gradient.map(Math.abs)), Math.fround(expected));
    model.dispose();
  });

test('a pyramid of filters: each ratio has a convolution of its own size, and its scores and boxes are in their places', async () => {
  const gpu = await sharedGpu();
  const { detector } = PRESETS['digits']!;
  const filters: [number, number][] = [[5, 7], [3, 3], [7, 5]]; // prettier-ignore
  const config: DetectorConfig = {
    ...detector,
    classes: ['__background__', 'a'],
    rpn: { ...detector.rpn, channels: 2, filters },
  };
  const rpn = new RegionProposalNetwork(gpu, config, BACKBONE, 1);
  const { parameters } = rpn;
  assert.equal(
    filters.map((_, i) => parameters[`rpn.filter${i}.conv.weight`]!.shape),
    [[2, 1, 5, 7], [2, 1, 3, 3], [2, 1, 7, 5]], // prettier-ignore
  );
  assert.equal(Object.keys(parameters).length, 18);
  // Each filter adds up its window, so on a map of ones hidden values are the cells of the window that lie on the map.
  const fill = (name: string, values: (i: number) => number) => {
    const parameter = parameters[name]!;
    parameter.write(Float32Array.from({ length: parameter.size }, (_, i) => values(i)));
  };
  filters.forEach((_, f) => {
    fill(`rpn.filter${f}.conv.weight`, () => 1);
    fill(`rpn.filter${f}.cls_score.weight`, (i) => (i % 2 === 0 ? 1 : 0));
    fill(`rpn.filter${f}.cls_score.bias`, (i) => 100 * f + 1000 * i);
    fill(`rpn.filter${f}.bbox_pred.weight`, () => 0);
    fill(`rpn.filter${f}.bbox_pred.bias`, (i) => 100 * f + i);
  });
  await gpu.scope(async () => {
    const { logits, deltas } = rpn.forward(gpu.tensor(new Float32Array(9 * 9).fill(1), [1, 1, 9, 9]));
    assert.equal([logits.shape, deltas.shape], [[1, 18, 9, 9], [1, 36, 9, 9]]); // prettier-ignore
    const [scores, moves] = [await logits.read(), await deltas.read()];
    for (const [f, [kh, kw]] of filters.entries()) {
      for (let size = 0; size < 3; size++) {
        // Anchors are ratio-major: all backgrounds, then all objects.
        for (const [object, channel] of [
          [0, 3 * f + size],
          [1, 9 + 3 * f + size],
        ] as const) {
          // prettier-ignore
          const at = (y: number, x: number) => scores[(channel * 9 + y) * 9 + x]! - (100 * f + 1000 * (3 * object + size));
          assert.is(at(4, 4), kh * kw, `filter ${f}, channel ${channel}, the middle`);
          assert.is(at(0, 0), ((kh + 1) / 2) * ((kw + 1) / 2), `filter ${f}, channel ${channel}, the corner`);
          assert.is(at(0, 4), ((kh + 1) / 2) * kw, `filter ${f}, channel ${channel}, the upper side`);
        }
        for (let k = 0; k < 4; k++) assert.is(moves[(4 * (3 * f + size) + k) * 81], 100 * f + 4 * size + k);
      }
    }
  });
  [...Object.values(parameters), rpn.anchors].forEach((tensor) => tensor.dispose());
});

test.run();

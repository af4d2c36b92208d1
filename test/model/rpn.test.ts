/** The region proposal network on maps that are given: its losses by hand, its limits in pixels of the right image. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { multiply, PRESETS, RPN_DEFAULTS, sum, type DetectorConfig } from '../../src/index.ts';
import type { Backbone } from '../../src/model/backbones/backbone.ts';
import type { RpnConfig } from '../../src/model/config.ts';
import { type ImageGeometry, RegionProposalNetwork } from '../../src/model/rpn.ts';
import { expectClose, sharedGpu } from '../harness.ts';

/** A map of stride 4, of which only the geometry is used. */
const BACKBONE = { stride: 4, channels: 1 } as Backbone;

async function network(sizes: number[], rpn: Partial<RpnConfig>, warpLimit = 1): Promise<RegionProposalNetwork> {
  const { detector } = PRESETS['digits']!;
  const config: DetectorConfig = {
    ...detector,
    classes: ['__background__', 'a'],
    anchors: { sizes, ratios: [1] },
    rpn: { ...RPN_DEFAULTS, channels: 1, ...rpn },
    head: { ...detector.head, warpLimit },
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
    gpu.scope(() => rpn.proposals(output, imageAt(scale), { preNms: 100, postNms: 100, without: 'nms' }).count.read());
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
  [{ normalisation: 'locations', lambda: 10, batch: 50 }, (3 * 10) / 25],
] as const)
  test(`RoI warping, ${settings.normalisation}: a RoI weighs in a delta so many times what the box loss can`, async () => {
    const rpn = await network([16], settings, 3);
    const gpu = await sharedGpu();
    const output = await silent(1, 5);
    gpu.scope(() => {
      const image = imageAt(1);
      const proposals = rpn.proposals(output, image, { preNms: 25, postNms: 4, without: 'nms' });
      const selected = gpu.tensor(Int32Array.of(0, 1, 2, 3), [4]);
      const rois = rpn.differentiable({ rois: proposals.rois, selected }, proposals, output, image);
      sum(multiply(rois, gpu.tensor([1e6], [1]))).backward();
    });
    const gradient = Array.from(await output.deltas.grad!.read());
    assert.is(Math.max(...gradient.map(Math.abs)), Math.fround(expected));
    [...Object.values(output), ...Object.values(rpn.parameters), rpn.anchors].forEach((tensor) => tensor.dispose());
  });

test.run();

/** Feature pyramids in half precision, where the device has it: losses, gradients and detections near those of float32. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { LOSS_TERMS } from '../../src/index.ts';
import { mobilenet320Fpn } from '../../src/model/backbones/mobilenet.ts';
import { resnet18Fpn } from '../../src/model/backbones/resnetPyramids.ts';
import type { DetectorConfig } from '../../src/model/config.ts';
import { makeDetector } from '../../src/model/detectors.ts';
import { detectImage } from '../../src/run/evaluation/detect.ts';
import { pyramidDetector } from '../../src/run/config/presets.ts';
import { sharedGpu } from '../harness.ts';
import { fill, picture } from './seeded.ts';
import { torchvisionName } from './torchvisionNames.ts';

const gpu = await sharedGpu();
const testHalf = gpu.hasHalf ? test : test.skip;
const SCALE = 1024;

const resnet = pyramidDetector(resnet18Fpn);
const mobile = pyramidDetector(mobilenet320Fpn);
const frozen = { ...resnet, rpn: { ...resnet.rpn, train: { ...resnet.rpn.train, preNms: 60, postNms: 30 } } };
const CASES: Readonly<Record<string, Omit<DetectorConfig, 'classes'>>> = {
  'normalisation folded into convolutions': frozen,
  'normalisation trained': { ...frozen, batchNorm: { training: true, epsilon: 1e-5 }, frozenStages: 0 },
  // So few cells that all anchors are proposals: the scores of this network are too close for the same ones to be kept.
  'depthwise convolutions, squeeze and excitation': {
    ...mobile,
    rpn: { ...mobile.rpn, nmsThreshold: 1, train: { ...mobile.rpn.train, preNms: 1000, postNms: 1000 } },
  },
};

async function results(config: Omit<DetectorConfig, 'classes'>, precision: 'f32' | 'f16') {
  const model = makeDetector(
    gpu,
    {
      ...config,
      classes: ['__background__', 'a', 'b'],
      precision,
      input: { ...config.input, shorterSide: 64, longerSide: 96 },
      rpn: { ...config.rpn, batch: 64 },
      // All proposals: which of them are drawn would depend on the order of nearly equal scores.
      head: { ...config.head, batch: 512 },
    },
    3,
  );
  for (const [name, tensor] of Object.entries(model.parameters))
    tensor.write(fill(torchvisionName(name, ''), tensor.shape, '5', 0.05));
  const pixels = picture('half', 90, 120);
  const terms = await gpu.scope(async () => {
    const image = model.prepare(pixels);
    const boxes = [
      { x1: 5, y1: 6, x2: 78, y2: 67, classIndex: 1 },
      { x1: 42, y1: 2, x2: 97, y2: 81, classIndex: 2 },
    ];
    const losses = model.losses(image, model.truth(boxes, image), { random: true, seed: 10, dropout: false });
    model.total(losses).backward({ scale: SCALE });
    return Promise.all(LOSS_TERMS.map(async (term) => (await losses[term].read())[0]!));
  });
  const gradients = new Map<string, Float32Array>();
  for (const [name, { grad }] of Object.entries(model.parameters))
    if (grad)
      gradients.set(
        name,
        Float32Array.from(await grad.read(), (value) => value / SCALE),
      );
  const found = await detectImage(model, pixels);
  model.dispose();
  return { terms, gradients, found };
}

const rms = (values: ArrayLike<number>): number =>
  Math.sqrt(Array.from(values, (value) => value * value).reduce((a, b) => a + b, 0) / values.length);

/** Shares of the losses, and of the root mean square of the gradients, by which they may differ: each layer rounds to 11 bits. */
const LOSSES = 0.05;
const GRADIENTS = 0.25;

for (const [name, config] of Object.entries(CASES))
  testHalf(`${name}: losses, gradients and detections near those of float32`, async () => {
    const [whole, half] = [await results(config, 'f32'), await results(config, 'f16')];
    whole.terms.forEach((expected, i) => {
      const off = Math.abs(half.terms[i]! - expected) / expected;
      assert.ok(off > 0 && off < LOSSES, `${LOSS_TERMS[i]}: ${half.terms[i]}, in float32 ${expected}`);
    });
    assert.equal([...half.gradients.keys()], [...whole.gradients.keys()]);
    for (const [parameter, expected] of whole.gradients) {
      const found = half.gradients.get(parameter)!;
      const off = rms(Array.from(expected, (value, i) => found[i]! - value)) / (rms(expected) || 1);
      assert.ok(off < GRADIENTS, `${parameter}: gradients are off by ${off} of their root mean square`);
    }
    const [first, expected] = [half.found[0]!, whole.found[0]!];
    assert.is(first.classIndex, expected.classIndex);
    assert.ok(Math.abs(first.score - expected.score) < 1e-3, `score ${first.score}, in float32 ${expected.score}`);
    for (const side of ['x1', 'y1', 'x2', 'y2'] as const)
      assert.ok(Math.abs(first[side] - expected[side]) < 1, `${side} ${first[side]}, in float32 ${expected[side]}`);
  });

test.run();

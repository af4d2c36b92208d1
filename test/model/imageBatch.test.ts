/** Images that go through the network together: their gradients are the sum of those of the same images one by one, equally padded. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { add, type Detector, LOSS_TERMS, type Losses } from '../../src/index.ts';
import { PRESETS, pyramidDetector } from '../../src/run/config/presets.ts';
import { withSchedule } from '../../src/run/config/stages.ts';
import { resnet18Fpn } from '../../src/model/backbones/resnetPyramids.ts';
import type { DetectorConfig } from '../../src/model/config.ts';
import type { TrainingImage } from '../../src/model/detector.ts';
import { makeDetector } from '../../src/model/detectors.ts';
import { batchOf, padTo } from '../../src/model/imageBatch.ts';
import { sharedGpu } from '../harness.ts';
import { fill, picture } from './seeded.ts';
import { torchvisionName } from './torchvisionNames.ts';

/** Height and width: the batch is as high as the second and as wide as the first. */
const SIZES: readonly (readonly [number, number])[] = [
  [60, 100],
  [90, 60],
  [64, 64],
];
const CLASSES = ['__background__', 'a', 'b'];

const pyramid = pyramidDetector(resnet18Fpn);
const digits = PRESETS['digits']!.detector;
const small: DetectorConfig = {
  ...digits,
  classes: CLASSES,
  input: { ...digits.input, shorterSide: 60, longerSide: 100 },
  anchors: { sizes: [16, 32], ratios: [1] },
  rpn: { ...digits.rpn, channels: 16, batch: 32, train: { ...digits.rpn.train, preNms: 100, postNms: 32 } },
  head: { ...digits.head, batch: 16 },
};

const CASES: Readonly<Record<string, DetectorConfig>> = {
  'a feature pyramid': {
    ...pyramid,
    classes: CLASSES,
    input: { ...pyramid.input, shorterSide: 60, longerSide: 100 },
    rpn: { ...pyramid.rpn, batch: 64, train: { ...pyramid.rpn.train, preNms: 100, postNms: 100 } },
    head: { ...pyramid.head, batch: 16 },
  },
  'one map': small,
  'RoI warping': withSchedule(small, 'joint-warp'),
  'features that the RPN does not share': withSchedule(small, 'unshared'),
  'one stage': { ...small, stages: 1 },
  'proposals of another method': withSchedule(small, 'fast-rcnn'),
};

function imagesFor(model: Detector): TrainingImage[] {
  return SIZES.map(([height, width], k) => {
    const proposals = { boxes: Float32Array.of(4, 6, 40, 50, 20, 3, 59, 44), scores: Float32Array.of(2, 1) };
    const image = model.prepare(picture(`${k}`, height, width), k === 1, proposals);
    const boxes = [
      { x1: 5, y1: 6 + k, x2: 38, y2: 47, classIndex: 1 },
      { x1: 22, y1: 2, x2: 57, y2: 41 - k, classIndex: 2 },
    ];
    return { image, truth: model.truth(boxes, image), sampling: { random: true, seed: 10 + k, dropout: false } };
  });
}

/** The gradients of the sum of the losses that `passes` gives, several passes adding up; and the terms of each image. */
async function gradients(model: Detector, passes: (images: TrainingImage[]) => Losses[][]) {
  const { gpu } = model;
  for (const parameter of Object.values(model.parameters)) parameter.clearGrad();
  const terms = await gpu.scope(async () => {
    const losses = passes(imagesFor(model));
    for (const pass of losses)
      pass
        .map((terms) => model.total(terms))
        .reduce((a, b) => add(a, b))
        .backward();
    const values = losses.flat().map((terms) => LOSS_TERMS.map(async (term) => (await terms[term].read())[0]!));
    return Promise.all(values.map((one) => Promise.all(one)));
  });
  const found = new Map<string, ArrayLike<number>>();
  for (const [name, { grad }] of Object.entries(model.parameters)) if (grad) found.set(name, await grad.read());
  return { terms, found };
}

const rms = (values: ArrayLike<number>): number =>
  Math.sqrt(Array.from(values, (value) => value * value).reduce((a, b) => a + b, 0) / values.length);

for (const [name, config] of Object.entries(CASES))
  test(`gradients of a batch are those of its images added: ${name}`, async () => {
    const model = makeDetector(await sharedGpu(), config, 3);
    // Scores far enough apart that rounding changes the places of no two proposals.
    for (const [own, tensor] of Object.entries(model.parameters)) {
      if (/running_|bn|downsample.1/.test(own)) continue;
      tensor.write(fill(torchvisionName(own, ''), tensor.shape, '5', 0.3));
    }
    const together = await gradients(model, (images) => [model.batchLosses(images)]);
    const apart = await gradients(model, (images) => {
      const [, , height, width] = batchOf(images.map(({ image }) => image)).tensor.shape as [
        number,
        number,
        number,
        number,
      ];
      return images.map(({ image, truth, sampling }) => [
        model.losses({ ...image, tensor: padTo(image.tensor, [height, width]) }, truth, sampling),
      ]);
    });
    together.terms.forEach((terms, k) =>
      terms.forEach((value, i) => {
        const expected = apart.terms[k]![i]!;
        assert.ok(
          Math.abs(value - expected) <= 1e-6 * Math.abs(expected),
          `${LOSS_TERMS[i]} of image ${k}: ${value}, ${expected}`,
        );
      }),
    );
    assert.ok(
      together.terms.every((terms) => terms[3]! > 0),
      'every image has foreground RoIs',
    );
    assert.equal([...together.found.keys()], [...apart.found.keys()], 'the same parameters have gradients');
    for (const [parameter, expected] of apart.found) {
      const found = together.found.get(parameter)!;
      const off = rms(Array.from(expected, (value, i) => found[i]! - value)) / rms(expected);
      assert.ok(off <= 5e-6, `${parameter}: off by ${off} of its size`);
    }
    model.dispose();
  });

test('the images of a batch lie at its top left, with zeros around them; one image is a batch as it is', async () => {
  const model = makeDetector(await sharedGpu(), CASES['a feature pyramid']!, 1);
  await model.gpu.scope(async () => {
    const images = imagesFor(model).map(({ image }) => image);
    const { tensor, ...rest } = batchOf(images);
    assert.equal(tensor.shape, [3, 3, 96, 128], 'multiples of 32 pixels');
    const { tensor: _, ...first } = images[0]!;
    assert.equal(rest, first);
    const all = await tensor.read();
    for (const [k, { tensor: own }] of images.entries()) {
      const pixels = await own.read();
      const [, , height, width] = own.shape as [number, number, number, number];
      const expected = new Float32Array(3 * 96 * 128);
      for (let row = 0; row < 3 * height; row++) {
        const at = (Math.floor(row / height) * 96 + (row % height)) * 128;
        expected.set((pixels as Float32Array).subarray(row * width, (row + 1) * width), at);
      }
      assert.equal(all.subarray(k * expected.length, (k + 1) * expected.length), expected, `image ${k}`);
    }
    assert.is(batchOf(images.slice(1, 2)), images[1]);
  });
  model.dispose();
});

test('images at several scales are no batch', async () => {
  const input = { ...small.input, scales: [40, 60] };
  const model = makeDetector(await sharedGpu(), { ...withSchedule(small, 'spp-net'), input }, 1);
  model.gpu.scope(() =>
    assert.throws(
      () => model.batchLosses(imagesFor(model)),
      'training.microBatch: images at several scales are computed one by one; leave it out',
    ),
  );
  model.dispose();
});

test.run();

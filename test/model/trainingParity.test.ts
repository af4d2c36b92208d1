/**
 * Twenty training steps of a small Faster R-CNN with sampling switched off, against the same network in PyTorch with
 * py-faster-rcnn's rules (scripts/goldens/faster_rcnn.py, where the file's layout is described).
 *
 * PyTorch ran in float64 and its discrete choices are away from ties, so float32 stays close (lavapipe and SwiftShader:
 * within 1e-6): a loss may be off by 1e-4 of its size, a gradient or a weight by 1e-4 of the largest in its tensor.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { linear, relu, reshape, Sgd, type DetectorConfig } from '../../src/index.ts';
import { loadSafetensors } from '../../src/node.ts';
import { type Backbone, convolve, ParameterStore } from '../../src/model/backbones/backbone.ts';
import { HEAD_DEFAULTS, RPN_DEFAULTS, TEST_DEFAULTS } from '../../src/model/config.ts';
import { LOSS_TERMS, type PreparedImage } from '../../src/model/detector.ts';
import { FasterRcnn } from '../../src/model/fasterRcnn.ts';
import type { Gpu } from '../../src/engine/gpu.ts';
import { expectClose, sharedGpu } from '../harness.ts';
import { registered } from './registered.ts';

const { tensors, metadata } = await loadSafetensors(
  new URL('../golden/pytorch-frcnn.safetensors', import.meta.url).pathname,
);
const settings = JSON.parse(metadata['settings']!);
const { height, width } = settings;
const data = (name: string) => tensors[name]!.data;

/** Three 3x3 convolutions of stride 2; a region has one fully connected layer. */
function tinyBackbone(gpu: Gpu, { seed, bins }: { seed: number; bins: number }): Backbone {
  const [convolutions, regions] = [new ParameterStore(gpu, seed), new ParameterStore(gpu, seed)];
  const convs = (settings.backbone as [number, number][]).map(([inputs, outputs], i) =>
    convolutions.layer(`conv${i + 1}`, [outputs, inputs, 3, 3]),
  );
  const channels = settings.backbone.at(-1)[1];
  const fc6 = regions.layer('fc6', [settings.head.features, channels * bins]);
  return {
    stride: settings.stride,
    channels,
    regionFeatures: settings.head.features,
    featureParameters: convolutions.parameters,
    regionParameters: regions.parameters,
    features: (image) => convs.reduce((x, conv) => relu(convolve(x, conv, { stride: 2, padding: 1 })), image),
    regions: (region) => relu(linear(reshape(region, [region.shape[0]!, -1]), fc6.weight, fc6.bias)),
  };
}

const config: DetectorConfig = {
  convention: 'py-faster-rcnn',
  stages: 2,
  features: 'shared',
  backbone: registered(tinyBackbone),
  classes: ['__background__', ...Array.from({ length: settings.classes - 1 }, (_, i) => `class ${i + 1}`)],
  input: { shorterSide: height, longerSide: width, channels: 'rgb', mean: [0, 0, 0], factor: [1, 1, 1] },
  anchors: {
    sizes: settings.anchors.scales.map((scale: number) => scale * settings.anchors.baseSize),
    ratios: settings.anchors.ratios,
  },
  rpn: {
    ...RPN_DEFAULTS,
    channels: settings.rpn.channels,
    batch: 2000, // more than there are anchors: nothing is dropped
    positiveOverlap: settings.rpn.positiveOverlap,
    negativeOverlap: settings.rpn.negativeOverlap,
    sigma: settings.rpn.sigma,
    nmsThreshold: settings.rpn.nmsThreshold,
    minSize: settings.rpn.minSize,
    train: { preNms: settings.rpn.preNms, postNms: settings.rpn.postNms, without: 'nothing' },
  },
  head: {
    ...HEAD_DEFAULTS,
    pooled: settings.head.pooled,
    batch: 64, // 50 proposals and the ground truth
    foregroundFraction: 1,
    foregroundOverlap: settings.head.foregroundOverlap,
    targetStds: settings.head.targetStds,
    sigma: settings.head.sigma,
  },
  test: TEST_DEFAULTS,
  frozenStages: 0,
};

function setUp(gpu: Gpu) {
  const model = new FasterRcnn(gpu, config, 0);
  const names = Object.keys(tensors).filter((name) => name.startsWith('start/'));
  assert.equal(Object.keys(model.parameters).sort(), names.map((name) => name.slice('start/'.length)).sort());
  for (const [name, parameter] of Object.entries(model.parameters)) {
    assert.equal(parameter.shape, tensors[`start/${name}`]!.shape);
    parameter.write(data(`start/${name}`));
  }
  const image = (i: number): PreparedImage => {
    const tensor = gpu.tensor(data(`image/${i}`), tensors[`image/${i}`]!.shape);
    return { tensor, height, width, scale: 1, original: { height, width } };
  };
  const truth = (i: number) => {
    const { data: boxes, shape } = tensors[`gt/${i}`]!;
    return { boxes: gpu.tensor(boxes, shape), count: shape[0]! };
  };
  return { model, image, truth };
}

const sampling = { random: false, seed: 0 };
const largest = (values: ArrayLike<number>) =>
  Array.from(values).reduce((max, value) => Math.max(max, Math.abs(value)), 0);

test('the first step: proposals, regions, labels and targets, all gradients', async () => {
  const gpu = await sharedGpu();
  const { model, image, truth } = setUp(gpu);
  await gpu.scope(async () => {
    const prepared = image(0);
    const features = model.backbone.features(prepared.tensor);
    const proposals = model.rpn.proposals(model.rpn.forward(features), prepared, config.rpn.train, 0);
    const expected = tensors['first/proposals']!;
    const [count] = expected.shape as [number];
    assert.is((await proposals.count.read())[0], count);
    const rows = Array.from(await proposals.rois.read());
    const boxes = rows.filter((_, i) => i % 5 > 0).slice(0, count * 4);
    expectClose(boxes, expected.data, { atol: 1e-3, rtol: 0, what: 'proposals' });

    const batch = model.head.sample(proposals, truth(0), sampling);
    const labels = data('first/roi_labels');
    const known = labels.length;
    assert.equal([...(await batch.labels.read())].slice(0, known), [...labels]);
    assert.ok([...(await batch.labels.read())].slice(known).every((label) => label === -1));
    const head = async (tensor: typeof batch.rois) => (await tensor.read()).slice(0, known * tensor.shape[1]!);
    expectClose(await head(batch.rois), data('first/rois'), { atol: 1e-3, rtol: 0, what: 'rois' });
    expectClose(await head(batch.targets), data('first/roi_targets'), { atol: 1e-3, rtol: 0, what: 'roi targets' });

    model.total(model.losses(prepared, truth(0), sampling)).backward();
    for (const [name, parameter] of Object.entries(model.parameters)) {
      const gradient = data(`first/gradient/${name}`);
      const atol = 1e-4 * largest(gradient);
      assert.ok(atol > 0, `the gradient of ${name} is zero`);
      expectClose(await parameter.grad!.read(), gradient, { atol, rtol: 0, what: `gradient of ${name}` });
    }
  });
  Object.values(model.parameters).forEach((parameter) => parameter.dispose());
  model.rpn.anchors.dispose();
});

test('the losses of twenty steps, and the weights after them', async () => {
  const gpu = await sharedGpu();
  const { model, image, truth } = setUp(gpu);
  const sgd = new Sgd(Object.values(model.parameters), settings.sgd);
  const losses: number[] = [];
  for (let step = 0; step < settings.steps; step++) {
    const terms = gpu.scope(() => {
      const terms = model.losses(image(step % 3), truth(step % 3), sampling);
      sgd.zeroGrad();
      model.total(terms).backward();
      sgd.step();
      return terms;
    });
    for (const name of LOSS_TERMS) losses.push((await terms[name].read())[0]!);
    Object.values(terms).forEach((term) => term.dispose());
  }
  expectClose(losses, data('losses'), { atol: 1e-6, rtol: 1e-4, what: 'losses' });
  for (const [name, parameter] of Object.entries(model.parameters)) {
    const end = data(`end/${name}`);
    expectClose(await parameter.read(), end, { atol: 1e-4 * largest(end), rtol: 0, what: name });
  }
  sgd.slots.forEach(({ parameter, state }) => [parameter, state.momentum].forEach((tensor) => tensor.dispose()));
  model.rpn.anchors.dispose();
});

test.run();

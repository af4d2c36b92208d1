/** Exported models find in ONNX Runtime what the engine finds. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { operation, onTape } from '../../src/engine/autograd.ts';
import type { Tensor } from '../../src/engine/tensor.ts';
import { gaussian } from '../../src/engine/initializers.ts';
import { UserError } from '../../src/engine/errors.ts';
import type { DetectorConfig } from '../../src/model/config.ts';
import { makeDetector } from '../../src/model/detectors.ts';
import type { Detector } from '../../src/model/detector.ts';
import { small } from '../../src/model/backbones/small.ts';
import { Random } from '../../src/kernels/rng.ts';
import { exportOnnx, onnxModel } from '../../src/onnx/exportDetector.ts';
import { PRESETS } from '../../src/run/config/presets.ts';
import { userError } from '../data/fixtures.ts';
import { sharedGpu } from '../harness.ts';
import { registered } from '../model/registered.ts';
import { expectSameObjects } from './sameObjects.ts';

const CLASSES = ['__background__', 'one', 'two', 'three'];

type Change = (config: DetectorConfig) => Partial<DetectorConfig>;

/** `spread`: of the weights of the last layers, for features of about one. */
async function detectorOf(preset: keyof typeof PRESETS, change: Change = () => ({}), spread = 1): Promise<Detector> {
  const { detector } = PRESETS[preset]!;
  const config = { ...detector, classes: CLASSES, ...change({ ...detector, classes: CLASSES }) };
  const model = makeDetector(await sharedGpu(), config, 5);
  // Layers as they are drawn score everything alike: these tell regions apart.
  for (const [name, parameter] of Object.entries(model.parameters)) {
    const std = {
      'rpn.cls_score.weight': 0.1,
      'rpn.bbox_pred.weight': 0.01,
      'head.cls_score.weight': 0.2,
      'head.bbox_pred.weight': 0.1,
    }[name];
    if (std !== undefined) parameter.write(gaussian(std * spread, 7)(parameter.shape));
  }
  return model;
}

/** Waves and noise: without flat parts, where regions would score alike but for rounding. */
function picture(width: number, height: number, seed: number) {
  const random = new Random(seed, 1);
  const waves = Array.from({ length: 12 }, () => [random.uniform(-0.3, 0.3), random.uniform(-0.3, 0.3)] as const);
  const rgba = new Uint8Array(4 * width * height);
  for (let i = 0; i < rgba.length; i++) {
    const [x, y] = [(i >> 2) % width, Math.floor((i >> 2) / width)];
    const sum = waves.slice(3 * (i % 4)).reduce((total, [fx, fy]) => total + Math.sin(fx * x + fy * y), 0);
    rgba[i] = 128 + 20 * sum + random.uniform(-20, 20);
  }
  return { width, height, rgba };
}

const expectSame = (model: Detector, sizes: readonly (readonly [width: number, height: number])[]): Promise<void> =>
  expectSameObjects(
    model,
    sizes.map(([width, height], i) => picture(width, height, i)),
  );

const few: Change = ({ rpn, test: limits }) => ({
  rpn: { ...rpn, test: { ...rpn.test, preNms: 300, postNms: 60 } },
  test: { ...limits, scoreThreshold: 0.3 },
});

test('small: the same objects in images of several sizes, larger and smaller than the input', async () => {
  await expectSame(await detectorOf('demo', few), [
    [160, 160],
    [97, 143],
    [400, 90],
  ]);
});

test('SqueezeNet: the same objects', async () => {
  const change: Change = (config) => ({
    ...few(config),
    input: { ...config.input, shorterSide: 120, longerSide: 200 },
    anchors: { sizes: [16, 32, 64], ratios: [0.5, 1, 2] },
  });
  await expectSame(await detectorOf('photos', change), [[150, 110]]);
});

test('ResNet-18, whose normalisation is folded into its convolutions: the same objects', async () => {
  const change: Change = (config) => ({
    backbone: 'resnet18',
    input: { ...config.input, shorterSide: 96, longerSide: 160 },
    anchors: { sizes: [24, 48], ratios: [1] },
    rpn: { ...config.rpn, test: { ...config.rpn.test, preNms: 100, postNms: 12 } },
    test: { ...config.test, scoreThreshold: 0.001, nmsThreshold: 0.9 },
  });
  const model = await detectorOf('photos', change, 0.02);
  for (const [name, parameter] of Object.entries(model.parameters)) {
    const random = new Random(parameter.size, 3);
    const [low, high] = name.endsWith('running_var') ? [0.8, 1.5] : [-0.1, 0.1];
    if (name.includes('running_'))
      parameter.write(Float32Array.from({ length: parameter.size }, () => random.uniform(low, high)));
  }
  await expectSame(model, [[120, 90]]);
});

test('continuous coordinates, one-stage detection, few objects of many', async () => {
  await expectSame(await detectorOf('demo', (config) => ({ ...few(config), convention: 'torchvision' })), [[160, 120]]);
  const oneStage: Change = (config) => ({ ...few(config), stages: 1, anchors: { sizes: [24, 48], ratios: [1] } });
  await expectSame(await detectorOf('demo', oneStage), [[160, 120]]);
  const ten: Change = ({ test: limits }) => ({ test: { ...limits, scoreThreshold: 0.1, maxDetections: 10 } });
  await expectSame(await detectorOf('demo', ten), [[160, 120]]);
});

test('VGG-16 and ZF have a form in ONNX', async () => {
  for (const backbone of ['vgg16', 'zf']) {
    const model = await detectorOf('demo', ({ head }) => ({ backbone, head: { ...head, pooled: 1 } }));
    const { nodes, inputs, outputs, opset } = await onnxModel(model);
    assert.is(opset, 17);
    assert.equal(
      inputs.map(({ name }) => name),
      ['image'],
    );
    assert.equal(
      outputs.map(({ name }) => name),
      ['boxes', 'scores', 'labels'],
    );
    assert.is(nodes.filter(({ type }) => type === 'Conv').length, backbone === 'zf' ? 8 : 16);
    assert.is(nodes.filter(({ type }) => type === 'Gemm').length, 4);
    model.dispose();
  }
});

test('what has no form in ONNX is refused in one line', async () => {
  const refused = async (change: Change, message: RegExp): Promise<void> => {
    const model = await detectorOf('demo', change);
    try {
      await exportOnnx(model);
      assert.unreachable('exported');
    } catch (error) {
      assert.instance(error, UserError);
      assert.match((error as Error).message, message);
    }
    model.dispose();
  };
  await refused(
    ({ head }) => ({ head: { ...head, pooling: 'warp' } }),
    /^the operation roiWarp has no form in ONNX: no operator/,
  );
  await refused(
    ({ rpn }) => ({ rpn: { ...rpn, test: { ...rpn.test, without: 'cls' } } }),
    /^rpn.test.without cls is for experiments/,
  );
  const given = await detectorOf('demo', () => ({ system: 'fast-rcnn' }));
  assert.match(await userError(exportOnnx(given)), /^detector.system fast-rcnn cannot be exported to ONNX yet/);
  given.dispose();
  const own = operation<null>('ownLayer', () => [null]);
  const backbone = registered((gpu, options) => {
    const network = small.build(gpu, options);
    const features = (image: Tensor): Tensor => {
      const x = network.features(image);
      return onTape(own, [x], x.view(x.shape), null);
    };
    return { ...network, features };
  });
  await refused(() => ({ backbone }), /^the operation ownLayer has no form in ONNX yet/);
});

test.run();

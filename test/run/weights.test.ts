/** Initial weights: whose names they use, which of them fit, and how an image is prepared for them. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { UserError } from '../../src/engine/errors.ts';
import type { Gpu } from '../../src/engine/gpu.ts';
import { loadSafetensors, saveSafetensors } from '../../src/engine/node/safetensorsFile.ts';
import type { StoredTensor } from '../../src/engine/safetensors.ts';
import type { Shape } from '../../src/engine/tensor.ts';
import { backboneNamed } from '../../src/model/backbones/index.ts';
import { FasterRcnn } from '../../src/model/fasterRcnn.ts';
import { loadInitialWeights } from '../../src/run/storage/checkpoint.ts';
import { PRESETS } from '../../src/run/config/presets.ts';
import { configureRun, type RunChoices } from '../../src/run/config/runConfig.ts';
import { RunDirectory } from '../../src/run/storage/runDirectory.ts';
import { fitWeights, type Network } from '../../src/run/storage/weightNames.ts';
import { temporaryFolder } from '../data/fixtures.ts';
import { sharedGpu } from '../harness.ts';
import { tinyRun, trainHere } from './tinyRun.ts';

const CLASSES = ['__background__', ...Array.from({ length: 20 }, (_, i) => `class ${i}`)];

/** The parameters that a preset's network has: names and shapes, without a device. */
function network(preset: string): Network {
  const device = {
    plans: { device: { maxBindingBytes: 2 ** 31 } },
    parameter: (_: unknown, shape: Shape, name: string) => ({ shape, name }),
    tensor: () => ({}),
  };
  const { detector } = PRESETS[preset]!;
  const { parameters } = new FasterRcnn(device as unknown as Gpu, { ...detector, classes: CLASSES }, 1);
  const { publishedNames = {} } = backboneNamed(detector.backbone);
  return { parameters, publishedNames, classes: CLASSES, targetStds: detector.head.targetStds };
}

const vgg = network('paper-vgg16-voc07');
const sizeOf = (shape: Shape): number => shape.reduce((product, n) => product * n, 1);

/** Ones; of a tensor with more values than matter here, none. */
const ones = (shape: Shape): StoredTensor => ({
  shape: [...shape],
  data: new Float32Array(sizeOf(shape) < 1e6 ? sizeOf(shape) : 0).fill(1),
});

/** A file with layers of these shapes of weights, a bias each, as `suffixes` name them. */
function layers(shapes: Record<string, Shape>, [weight, bias]: readonly [string, string] = ['.weight', '.bias']) {
  const entries = Object.entries(shapes).flatMap(([layer, shape]) => [
    [layer + weight, ones(shape)] as const,
    [layer + bias, ones([shape[0]!])] as const,
  ]);
  return Object.fromEntries(entries);
}

const fit = (tensors: Record<string, StoredTensor>, to = vgg, metadata: Record<string, string> = {}) =>
  fitWeights({ tensors, metadata }, to);
const origins = ({ taken }: ReturnType<typeof fit>) =>
  Object.fromEntries([...taken].map(([name, { from }]) => [name, from]));

/** Names and shapes as torchvision's own networks have them: scripts/goldens/state_dicts.py. */
const { state_dicts: stateDicts } = JSON.parse(
  readFileSync(new URL('../golden/pytorch-state-dicts.json', import.meta.url), 'utf8'),
) as { state_dicts: Record<string, Record<string, Shape>> };
const stored = (shapes: Record<string, Shape>) =>
  Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, ones(shape)]));
const withParts = (layers: readonly string[]) => layers.flatMap((layer) => [`${layer}.weight`, `${layer}.bias`]).sort();

const OWN_LAYERS = ['rpn.conv', 'rpn.cls_score', 'rpn.bbox_pred', 'head.cls_score', 'head.bbox_pred'];
/** By state dict: the network it is for, layers of the file that no network of ours has, and layers of ours that it lacks. */
const EXPECTED: Record<string, { preset: string; unused: string[]; misfits: string[]; fresh: string[] }> = {
  vgg16: {
    preset: 'paper-vgg16-voc07',
    unused: ['classifier.6'], // tells ImageNet's 1000 classes apart
    misfits: [],
    fresh: OWN_LAYERS,
  },
  squeezenet1_1: {
    preset: 'photos',
    unused: ['classifier.1'], // likewise
    misfits: [],
    fresh: ['neck', 'fc6', 'fc7', ...OWN_LAYERS],
  },
  'fasterrcnn, TwoMLPHead': { preset: 'paper-vgg16-voc07', unused: [], misfits: [], fresh: [] },
  'fasterrcnn, classifier': { preset: 'paper-vgg16-voc07', unused: [], misfits: [], fresh: [] },
  'fasterrcnn, default head': {
    preset: 'paper-vgg16-voc07',
    unused: [],
    misfits: [
      // 1024 values for a region, where VGG-16 has 4096
      'roi_heads.box_head.fc6',
      'roi_heads.box_head.fc7',
      'roi_heads.box_predictor.cls_score',
      'roi_heads.box_predictor.bbox_pred',
    ],
    fresh: ['classifier.0', 'classifier.3', 'head.cls_score', 'head.bbox_pred'],
  },
};

test('torchvision’s own state dicts: every tensor has its place, or is left out for a reason', () => {
  assert.equal(Object.keys(stateDicts), Object.keys(EXPECTED));
  for (const [name, { preset, unused, misfits, fresh }] of Object.entries(EXPECTED)) {
    const to = network(preset);
    const result = fit(stored(stateDicts[name]!), to);
    assert.equal([...result.unused].sort(), withParts(unused), name);
    assert.equal(result.misfits.map(({ from }) => from).sort(), withParts(misfits), name);
    const left = [...result.unused, ...result.misfits.map(({ from }) => from)];
    assert.is(result.taken.size + left.length, Object.keys(stateDicts[name]!).length, name);
    const lacking = Object.keys(to.parameters).filter((parameter) => !result.taken.has(parameter));
    assert.equal(lacking.sort(), withParts(fresh), name);
  }
});

test('torchvision’s Faster R-CNN with other prefixes, and as its earlier versions name the RPN', () => {
  const shapes = stateDicts['fasterrcnn, TwoMLPHead']!;
  for (const [prefix, conv] of [
    ['backbone.body.', 'rpn.head.conv.0.0.'],
    ['backbone.features.', 'rpn.head.conv.'],
  ] as const) {
    const renamed = Object.entries(shapes).map(([name, shape]) => {
      return [name.replace(/^backbone\./, prefix).replace('rpn.head.conv.0.0.', conv), shape] as const;
    });
    const result = fit(stored(Object.fromEntries(renamed)));
    assert.equal([...result.taken.keys()].sort(), Object.keys(vgg.parameters).sort());
    assert.equal([...result.misfits, ...result.unused], []);
  }
});

test('an ONNX graph without known names is matched by the order of its layers: as by the names of the state dict', () => {
  for (const [name, preset] of [
    ['vgg16', 'paper-vgg16-voc07'],
    ['squeezenet1_1', 'photos'],
  ] as const) {
    const to = network(preset);
    const named = stored(stateDicts[name]!);
    const numbers = new Map(Object.keys(named).map((key, i) => [key, `${i}`]));
    const layers = Object.keys(named)
      .filter((key) => key.endsWith('.weight'))
      .map((key) => ({
        weight: numbers.get(key)!,
        bias: numbers.get(key.replace(/weight$/, 'bias'))!,
        inputsFirst: false,
      }));
    const tensors = Object.fromEntries([...numbers].map(([key, number]) => [number, named[key]!]));
    const byName = origins(fit(named, to));
    const byOrder = origins(fitWeights({ tensors, metadata: {}, layers }, to));
    assert.equal(byOrder, Object.fromEntries(Object.entries(byName).map(([own, from]) => [own, numbers.get(from)])));
  }
});

test('a sigmoid’s logits become those of a softmax that gives the same probabilities', () => {
  const parameters = { 'rpn.cls_score.weight': { shape: [6, 2, 1, 1] }, 'rpn.cls_score.bias': { shape: [6] } };
  const weight = Float32Array.of(0.5, -1, 2, 0.25, -0.75, 3);
  const bias = Float32Array.of(0.1, -2, 4);
  const { taken } = fit(
    {
      'rpn.head.cls_logits.weight': { shape: [3, 2, 1, 1], data: weight },
      'rpn.head.cls_logits.bias': { shape: [3], data: bias },
    },
    { ...vgg, parameters },
  );
  const [w, b] = Object.keys(parameters).map((name) => taken.get(name)!.data);
  const x = [1.5, -0.5];
  for (let anchor = 0; anchor < 3; anchor++) {
    const logit = (row: number, w: Float32Array, b: Float32Array) =>
      w[2 * row]! * x[0]! + w[2 * row + 1]! * x[1]! + b[row]!;
    const [background, object] = [logit(anchor, w!, b!), logit(3 + anchor, w!, b!)];
    const softmax = Math.exp(object) / (Math.exp(background) + Math.exp(object));
    assert.ok(Math.abs(softmax - 1 / (1 + Math.exp(-logit(anchor, weight, bias)))) < 1e-12);
  }
});

const VGG16_WIDTHS = [
  [64, 64],
  [128, 128],
  [256, 256, 256],
  [512, 512, 512],
  [512, 512, 512],
];
const CONVOLUTIONS = VGG16_WIDTHS.flatMap((widths, block) =>
  widths.map((width, i) => ({ name: `conv${block + 1}_${i + 1}`, width })),
);

/** The layers with weights of py-faster-rcnn's models/pascal_voc/VGG16, both trainings. */
const CAFFE_VGG16: Record<string, Shape> = {
  ...Object.fromEntries(
    CONVOLUTIONS.map(({ name, width }, i) => [name, [width, CONVOLUTIONS[i - 1]?.width ?? 3, 3, 3]]),
  ),
  'rpn_conv/3x3': [512, 512, 3, 3],
  rpn_cls_score: [18, 512, 1, 1],
  rpn_bbox_pred: [36, 512, 1, 1],
  fc6: [4096, 512 * 7 * 7],
  fc7: [4096, 4096],
  cls_score: [21, 4096],
  bbox_pred: [84, 4096],
};

/** Those of ZF; its alternating training has rpn_conv1, the end-to-end one rpn_conv/3x3. */
const caffeZf = (rpnConv: string): Record<string, Shape> => ({
  conv1: [96, 3, 7, 7],
  conv2: [256, 96, 5, 5],
  conv3: [384, 256, 3, 3],
  conv4: [384, 384, 3, 3],
  conv5: [256, 384, 3, 3],
  [rpnConv]: [256, 256, 3, 3],
  rpn_cls_score: [18, 256, 1, 1],
  rpn_bbox_pred: [36, 256, 1, 1],
  fc6: [4096, 256 * 6 * 6],
  fc7: [4096, 4096],
  cls_score: [21, 4096],
  bbox_pred: [84, 4096],
});

test('Caffe’s names, with every way to end them', () => {
  for (const suffixes of [
    ['.weight', '.bias'],
    ['_w', '_b'],
    ['/0', '/1'],
  ] as const) {
    const result = fit(layers(CAFFE_VGG16, suffixes));
    assert.equal([...result.taken.keys()].sort(), Object.keys(vgg.parameters).sort(), suffixes[0]);
    assert.equal([...result.misfits, ...result.unused], []);
    assert.is(origins(result)['features.28.weight'], `conv5_3${suffixes[0]}`);
    assert.is(origins(result)['classifier.0.bias'], `fc6${suffixes[1]}`);
  }
  const zf = network('paper-zf-voc07');
  for (const rpnConv of ['rpn_conv/3x3', 'rpn_conv1']) {
    const result = fit(layers(caffeZf(rpnConv), ['/0', '/1']), zf);
    assert.equal([...result.taken.keys()].sort(), Object.keys(zf.parameters).sort(), rpnConv);
    assert.equal([...result.misfits, ...result.unused], []);
    assert.is(origins(result)['rpn.conv.weight'], `${rpnConv}/0`);
  }
});

test('a classifier of Caffe’s: all but its last layer', () => {
  const classifier = Object.entries(CAFFE_VGG16).filter(([name]) => /^(conv|fc)/.test(name));
  const result = fit(layers({ ...Object.fromEntries(classifier), fc8: [1000, 4096] }, ['/0', '/1']));
  assert.is(result.taken.size, 2 * classifier.length);
  assert.equal(result.unused, ['fc8/0', 'fc8/1']);
});

test('Caffe’s deltas are divided by the deviations, Caffe2’s are already', () => {
  const bias = ['head.bbox_pred.bias', 'head.bbox_pred.weight'] as const;
  const caffe = fit(layers({ bbox_pred: [84, 4096] }));
  for (const name of bias) {
    const { data } = caffe.taken.get(name)!;
    const row = data.length / 84;
    assert.equal(
      [0, 1, 2, 3, 4].map((i) => data[i * row]),
      [10, 10, 5, 5, 10],
    );
  }
  assert.is(fit(layers({ bbox_pred: [84, 4096] }, ['_w', '_b'])).taken.get(bias[0])!.data[0], 1);
});

test('the four axes of an old Caffe file', () => {
  const result = fit({ 'cls_score/0': ones([1, 1, 21, 4096]), 'cls_score/1': ones([1, 1, 1, 21]) });
  assert.equal(Object.keys(origins(result)), ['head.cls_score.weight', 'head.cls_score.bias']);
  assert.is(fit({ 'cls_score/0': ones([1, 2, 21, 2048]) }).misfits.length, 1);
});

test('tensors that do not fit are named with the shape found and the shape expected', () => {
  const { taken, misfits, unused } = fit({
    'head.cls_score.bias': ones([21]),
    'head.cls_score.weight': ones([5, 4096]),
    'features.0.weight': ones([64, 3, 3, 3]),
    'conv1_1/0': ones([64, 3, 3, 3]),
    'cls_score/0': ones([7, 4096]),
    'features.0.bias': { shape: [64], data: new Int32Array(64) },
    'features.99.weight': ones([1]),
    num_batches: ones([]),
  });
  assert.equal([...taken.keys()], ['features.0.weight']);
  assert.equal(
    misfits.map(({ from, why }) => `${from} ${why}`),
    [
      'head.cls_score.weight is [5, 4096], in this network [21, 4096]',
      'conv1_1/0 is not needed: features.0.weight is taken from features.0.weight',
      'cls_score/0 is [7, 4096], head.cls_score.weight in this network [21, 4096]',
      'head.cls_score.bias comes without its weight',
      'features.0.bias holds integers',
    ],
  );
  assert.equal(unused, ['features.99.weight', 'num_batches']);
});

test('the last layers of a checkpoint with other classes stay out', () => {
  const file = layers({ 'head.cls_score': [21, 4096], 'rpn.conv': [512, 512, 3, 3] });
  const with_ = (classes: string[]) => Object.keys(origins(fit(file, vgg, { classes: JSON.stringify(classes) })));
  assert.is(with_(CLASSES).length, 4);
  assert.equal(with_([...CLASSES].reverse()), ['rpn.conv.weight', 'rpn.conv.bias']);
});

test('an image is prepared as it was when the initial weights were trained', async () => {
  const folder = temporaryFolder();
  const file = async (name: string, tensor: string, metadata: Record<string, string> = {}) => {
    const path = join(folder, `${name}.safetensors`);
    await saveSafetensors(path, { [tensor]: ones([1]) }, metadata);
    return path;
  };
  const own = JSON.stringify({ channels: 'rgb', mean: [1, 2, 3], factor: [4, 5, 6] });
  const torchvision = await file('torchvision', 'features.0.weight');
  const caffe = await file('caffe', 'conv1_1/0');
  const checkpoint = await file('checkpoint', 'features.0.weight', { step: '1', input: own });
  const old = await file('old', 'features.0.weight', { step: '1' });
  const input = async (choices: RunChoices) => {
    const { channels, mean, shorterSide } = (await configureRun({ preset: 'demo', ...choices })).config.detector.input;
    assert.is(shorterSide, 160);
    return `${channels} ${mean.map((value) => Math.round(value))}`;
  };
  const [bgr, rgb, squeezenet] = ['bgr 103,116,123', 'rgb 124,116,104', 'bgr 104,117,123'];
  assert.is(await input({ backbone: 'vgg16' }), bgr);
  assert.is(await input({ backbone: 'vgg16', init: torchvision }), rgb);
  assert.is(await input({ backbone: 'vgg16', init: caffe }), bgr);
  assert.is(await input({ backbone: 'vgg16', init: checkpoint }), 'rgb 1,2,3');
  assert.is(await input({ backbone: 'vgg16', init: old }), bgr);
  assert.is(await input({ backbone: 'vgg16', init: torchvision, input: 'bgr' }), bgr);
  assert.is(await input({ backbone: 'squeezenet1_1', init: torchvision }), squeezenet);
  assert.is(await input({ backbone: 'squeezenet1_1', init: torchvision, input: 'bgr' }), squeezenet);
  assert.is(await input({ backbone: 'squeezenet1_1', init: torchvision, input: 'rgb' }), rgb);
  assert.is(await input({ backbone: 'small', init: caffe }), 'rgb 110,110,110');
  const broken = await file('broken', 'features.0.weight', { step: '1', input: '{"channels":"rgb"}' });
  await fails(input({ init: broken }), /broken\.safetensors: its metadata do not say how an image is prepared/);
});

async function fails(promise: Promise<unknown>, text: RegExp): Promise<void> {
  try {
    await promise;
  } catch (error) {
    assert.instance(error, UserError);
    assert.match((error as Error).message, text);
    assert.not.match((error as Error).message, /\n/);
    return;
  }
  assert.unreachable(`no error that matches ${text}`);
}

test('--input rgb gives what torchvision’s networks take', async () => {
  const gpu = await sharedGpu();
  const { config } = await tinyRun({ input: 'rgb' });
  const model = new FasterRcnn(gpu, config.detector, 1);
  const colour = [200, 100, 50];
  const rgba = new Uint8Array(80 * 80 * 4).map((_, i) => colour[i % 4] ?? 255);
  const { tensor } = model.prepare({ width: 80, height: 80, rgba });
  const values = await tensor.read();
  const [mean, deviation] = [
    [0.485, 0.456, 0.406],
    [0.229, 0.224, 0.225],
  ];
  colour.forEach((value, channel) => {
    const expected = (value / 255 - mean[channel]!) / deviation[channel]!;
    assert.ok(Math.abs(values[channel * 80 * 80 + 17]! - expected) < 1e-4, `channel ${channel}`);
  });
  tensor.dispose();
});

test('a run that starts from another’s checkpoint takes the tensors that fit', async () => {
  const gpu = await sharedGpu();
  const { directory } = await trainHere(await tinyRun({ steps: 1 }));
  const { metadata, tensors } = await loadSafetensors(directory.checkpointPath);
  const { config } = await tinyRun({ init: directory.checkpointPath, input: 'bgr' });
  assert.equal((await tinyRun({ init: directory.checkpointPath })).config.detector.input.mean, [110, 110, 110]);
  assert.is(config.detector.input.channels, 'bgr');
  assert.equal(JSON.parse(metadata['input']!).mean, [110, 110, 110]);

  const other = new FasterRcnn(gpu, { ...config.detector, classes: [...config.detector.classes, 'ten'] }, 5);
  const { loaded, fresh, misfits, unused } = await loadInitialWeights(directory.checkpointPath, other);
  assert.ok(loaded.every(({ name, from }) => name === from && !name.startsWith('head.')));
  assert.equal(fresh, ['head.cls_score.weight', 'head.cls_score.bias', 'head.bbox_pred.weight', 'head.bbox_pred.bias']);
  assert.equal(misfits.map(({ name }) => name).sort(), [...fresh].sort());
  assert.equal(unused, []);
  assert.equal(await other.parameters['fc6.weight']!.read(), tensors['fc6.weight']!.data);
});

test('refused, with no run left behind: values that are not finite, and frozen layers that would stay random', async () => {
  const folder = temporaryFolder();
  const directory = new RunDirectory(join(folder, 'run'));
  const init = join(folder, 'init.safetensors');
  const conv2 = { shape: [48, 16, 3, 3], data: new Float32Array(48 * 16 * 9) };
  await saveSafetensors(init, { 'conv2.weight': conv2, 'conv1.weight': ones([16, 3, 3, 3]) });
  const run = await tinyRun({ init, steps: 1 });
  run.config.detector.frozenStages = 1;
  await fails(
    trainHere(run, { directory }),
    /init\.safetensors: conv1\.weight is \[16, 3, 3, 3\], in this network \[16, 3, 5, 5\], which is not trained/,
  );
  run.config.detector.frozenStages = 0;
  conv2.data[5] = NaN;
  await saveSafetensors(init, { 'conv2.weight': conv2 });
  await fails(trainHere(run, { directory }), /init\.safetensors: conv2\.weight is not finite/);
  assert.not(existsSync(directory.path));
});

test.run();

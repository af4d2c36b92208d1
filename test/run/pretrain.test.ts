/** Pre-training on tiny data: the loss falls, a stop changes no bit, and a detector takes the weights. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { rankOfLabel } from '../../src/eval/accuracy.ts';
import { backboneParameters } from '../../src/model/backbones/backbone.ts';
import { BACKBONES } from '../../src/model/backbones/index.ts';
import { Classifier } from '../../src/model/classifier.ts';
import { FasterRcnn } from '../../src/model/fasterRcnn.ts';
import { loadInitialWeights } from '../../src/run/storage/checkpoint.ts';
import { pretrain, type PretrainOptions, validate } from '../../src/run/training/pretrain.ts';
import {
  configurePretrain,
  pretrainDirectory,
  type PretrainChoices,
  reopenPretrain,
} from '../../src/run/config/pretrainConfig.ts';
import { PRESETS } from '../../src/run/config/presets.ts';
import { rcnn } from '../cli/command.ts';
import { temporaryFolder, userError, writeClasses } from '../data/fixtures.ts';
import { sharedGpu } from '../harness.ts';
import { checkpointBits, failure } from './tinyRun.ts';

const tiny = (choices: PretrainChoices = {}) =>
  configurePretrain({ size: 28, batch: 4, steps: 12, learningRate: 0.005, ...choices });

async function pretrainHere(choices: PretrainChoices, options: Partial<PretrainOptions> = {}) {
  const directory = pretrainDirectory(join(temporaryFolder(), 'run'));
  const result = await pretrain({
    gpu: await sharedGpu(),
    directory,
    resume: false,
    ...(await tiny(choices)),
    ...options,
  });
  return { ...result, directory };
}

test('the loss falls, and the classes are told apart', async () => {
  const root = await writeClasses({ red: 6, blue: 6 });
  const choices = { data: `folder:${root}`, steps: 40 };
  const { model, directory } = await pretrainHere(choices);
  const losses = directory.readMetrics().map(({ loss }) => loss);
  assert.is(losses.length, 4);
  assert.ok(losses.at(-1)! < 0.3 * losses[0]!, losses.join());
  const { data } = await tiny(choices);
  assert.equal(await validate(model, data, 4), { images: 2, top1: 1, top5: null });
});

for (const data of ['mnist', 'folder']) {
  test(`${data}: a run that was stopped and resumed ends with the bits of one that was not`, async () => {
    const choices = data === 'mnist' ? { data } : { data: `folder:${await writeClasses({ red: 4, blue: 4 })}` };
    const whole = await pretrainHere(choices);
    const controller = new AbortController();
    const stopped = await pretrainHere(choices, {
      signal: controller.signal,
      onStep: (step) => step === 5 && controller.abort(),
    });
    assert.is(stopped.finished, false);
    const { directory } = stopped;
    const reopened = await reopenPretrain({}, directory);
    const resumed = await pretrain({ gpu: await sharedGpu(), directory, resume: true, ...reopened });
    assert.ok(resumed.finished);
    assert.equal(await checkpointBits(directory), await checkpointBits(whole.directory));
    assert.equal(
      directory.readMetrics().map(({ step }) => step),
      [5, 10, 12],
    );
    assert.match(
      await userError(reopenPretrain({ batch: 5 }, directory)),
      /^--batch: the run to resume has 4 \(.*config\.json\), not 5; /,
    );
  });
}

test('a pre-training that fails leaves nothing on the device', async () => {
  const gpu = await sharedGpu();
  const { liveBytes } = gpu.statistics();
  for (const event of ['onMemory', 'onStart', 'onStep'] as const) {
    const options = {
      [event]: () => {
        throw new Error('the fault');
      },
    };
    assert.is(await failure(pretrainHere({}, options)), 'the fault', event);
    assert.is(gpu.statistics().liveBytes, liveBytes, event);
  }
});

test('lines of a log after the checkpoint are written again', async () => {
  const { directory } = await pretrainHere({ steps: 12, checkpointEvery: 10 });
  directory.appendMetrics({ ...directory.readMetrics()[0]!, step: 14 });
  const reopened = await reopenPretrain({}, directory);
  await pretrain({ gpu: await sharedGpu(), directory, resume: true, ...reopened });
  assert.equal(
    directory.readMetrics().map(({ step }) => step),
    [10, 12],
  );
});

test('the range of the input changes the first layer’s weights and nothing else', async () => {
  const run = async (factor: number) => {
    const { config, data } = await tiny({ steps: 3 });
    config.classifier.input.factor = [factor, factor, factor];
    // Strong enough to be seen in three steps.
    config.training.weightDecay = 2;
    const { model, directory } = await pretrainHere({}, { config, data });
    const { 'conv1.weight': first, ...others } = model.parameters;
    const rest = await Promise.all(Object.values(others).map((parameter) => parameter.read()));
    return { first: await first!.read(), rest, loss: directory.readMetrics()[0]!.loss };
  };
  // Powers of two: bit for bit.
  const [normal, caffe] = [await run(1 / 64), await run(1)];
  assert.equal(
    caffe.first.map((value) => 64 * value),
    normal.first,
  );
  assert.equal(caffe.rest, normal.rest);
  assert.is(caffe.loss, normal.loss);
});

test('a detector takes every tensor of the backbone, and says what it does not use', async () => {
  const { directory, model } = await pretrainHere({ steps: 2 });
  const classes = ['__background__', 'a'];
  const detector = new FasterRcnn(await sharedGpu(), { ...PRESETS['digits']!.detector, classes }, 9);
  const { loaded, unused, fresh } = await loadInitialWeights(directory.checkpointPath, detector);
  assert.equal(loaded.map(({ name }) => name).sort(), Object.keys(backboneParameters(model.backbone)).sort());
  assert.ok(fresh.every((name) => /^(rpn|head)\./.test(name)));
  assert.equal(
    unused.map((line) => line.replace(/ .*/, '')),
    ['classifier.weight', 'classifier.bias'],
  );
  const name = 'conv2.weight';
  assert.equal(await detector.parameters[name]!.read(), await model.parameters[name]!.read());
});

test('every backbone classifies, with the parameters of its detector', async () => {
  const gpu = await sharedGpu();
  for (const [backbone, { pooled }] of BACKBONES) {
    if (/^resnet(34|101|50_fpn_v2)$/.test(backbone)) continue; // more of the same layers
    const { config } = await configurePretrain({ backbone });
    const shapes = gpu.scope(() => {
      let logits: readonly number[] = [];
      gpu.measure(() => {
        const model = new Classifier(gpu, config.classifier, 1);
        const image = { width: 9, height: 8, rgba: new Uint8Array(4 * 9 * 8) };
        const images = model.prepare([0, 1].map(() => ({ pixels: image, flip: false })));
        logits = gpu.scope(() => model.logits(images, null)).shape;
      });
      return logits;
    });
    assert.equal(shapes, [2, 10], backbone);
    assert.is(config.classifier.pooled, pooled);
  }
});

test('the rank of a label: ties and NaN count against it', () => {
  assert.is(rankOfLabel([1, 3, 2], 1), 0);
  assert.is(rankOfLabel([1, 3, 2], 0), 2);
  assert.is(rankOfLabel([1, 1, 0], 0), 1);
  assert.is(rankOfLabel([NaN, NaN, NaN], 0), 2);
});

test('the command reports an error in one line and writes nothing; otherwise it prints the accuracy', async () => {
  const cwd = temporaryFolder();
  const root = await writeClasses({ red: 3, blue: 3 });
  const fails = async (message: RegExp, ...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await rcnn(cwd, 'pretrain', '--out', 'run', ...args);
    assert.is(code, 1);
    assert.match(stderr, message);
    assert.is(stderr.trim().split('\n').length, 1, stderr);
    assert.not.ok(existsSync(join(cwd, 'run')));
    return stdout;
  };
  await fails(/^rcnn pretrain: --backbone vgg: unknown; choose from small/, '--backbone', 'vgg');
  await fails(/: holds one class folder \(red\); /, '--data', `folder:${await writeClasses({ red: 3 })}`);
  const broken = await writeClasses({ red: 3, blue: 3 });
  writeFileSync(join(broken, 'red', '1.png'), 'not an image');
  await fails(/1\.png: cannot be read as an image/, '--data', `folder:${broken}`);
  writeFileSync(join(cwd, 'bad.safetensors'), 'no weights');
  const bad = /^rcnn pretrain: bad\.safetensors: .* is cut off or not a safetensors file: /;
  assert.is(await fails(bad, '--init', 'bad.safetensors'), '', 'before the device is opened');
  await fails(/needs a buffer of .* bytes, .*; use smaller or fewer images/, '--size', '480', '--batch', '4000');

  const args = ['--data', `folder:${root}`, '--size', '28', '--batch', '2', '--steps', '3'];
  const { code, stdout } = await rcnn(cwd, 'pretrain', '--out', 'run', ...args);
  assert.is(code, 0);
  assert.match(stdout, /^accuracy on 2 validation images: top-1 \d+\.\d\d %$/m);
  const trained = await rcnn(cwd, 'train', '--resume', '--out', 'run');
  assert.is(trained.code, 1);
  assert.match(
    trained.stderr,
    /config\.json: is not a configuration of this version of 'rcnn train' \(format pretrain 1\); /,
  );
});

test.run();

/** Run configurations, initial weights and checkpoints of the wrong kind. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { UserError } from '../../src/engine/errors.ts';
import { saveSafetensors } from '../../src/engine/node/safetensorsFile.ts';
import { learningRate } from '../../src/run/training/learningRate.ts';
import { FasterRcnn } from '../../src/model/fasterRcnn.ts';
import { loadInitialWeights } from '../../src/run/storage/checkpoint.ts';
import { loadModel } from '../../src/run/storage/loadModel.ts';
import { configureRun, type RunChoices } from '../../src/run/config/runConfig.ts';
import { assertSameRun } from '../../src/run/config/sameRun.ts';
import { RunDirectory } from '../../src/run/storage/runDirectory.ts';
import { PRESETS } from '../../src/run/config/presets.ts';
import { temporaryFolder, writeVoc } from '../data/fixtures.ts';
import { sharedGpu } from '../harness.ts';
import { tinyRun, trainHere } from './tinyRun.ts';

const isUserError = (text: RegExp) => (error: Error) => error instanceof UserError && text.test(error.message);

async function fails(promise: Promise<unknown>, text: RegExp): Promise<void> {
  try {
    await promise;
  } catch (error) {
    assert.ok(isUserError(text)(error as Error), `${error}`);
    return;
  }
  assert.unreachable(`no error that matches ${text}`);
}

test('--steps moves the milestones in proportion', async () => {
  const { training } = PRESETS['digits']!;
  const { config } = await configureRun({ preset: 'digits', steps: training.steps / 10 });
  assert.equal(
    config.training.milestones,
    training.milestones.map((milestone) => milestone / 10),
  );
  const rate = (step: number) => learningRate(step, config.training);
  assert.is(rate(0), training.learningRate / 10);
  assert.is(rate(training.warmup), training.learningRate);
  assert.ok(Math.abs(rate(config.training.steps - 1) - training.learningRate / 100) < 1e-9);
});

test('another backbone keeps the anchors’ sides in pixels and takes its own input', async () => {
  const { config } = await configureRun({ preset: 'demo', backbone: 'squeezenet1_1' });
  assert.equal(config.detector.anchors, PRESETS['demo']!.detector.anchors);
  assert.is(config.detector.input.channels, 'bgr');
  assert.is(config.detector.input.shorterSide, 160);
  assert.is(config.detector.frozenStages, 0);
});

test('stages are frozen only where there are weights worth keeping', async () => {
  const root = await writeVoc();
  const data = `voc:${root}`;
  const init = join(temporaryFolder(), 'weights.safetensors');
  await saveSafetensors(init, {});
  assert.is((await configureRun({ data, preset: 'photos' })).config.detector.frozenStages, 0);
  assert.is((await configureRun({ data, preset: 'photos', init })).config.detector.frozenStages, 3);
  assert.is((await configureRun({ data })).config.preset, 'photos');
  assert.is((await configureRun({})).config.preset, 'digits');
});

test('an unknown name is reported with the names that exist', async () => {
  const wrong: [RunChoices, RegExp][] = [
    [
      { preset: 'nope' },
      /^--preset nope: unknown; choose from demo, digits, photos, bccd, chess, paper-zf-voc07, paper-vgg16-voc07, paper-vgg16-voc0712, paper-vgg16-coco, resnet50-fpn$/,
    ],
    [{ backbone: 'alexnet' }, /^--backbone alexnet: unknown; choose from small, squeezenet1_1, vgg16, zf\b/],
    [{ backbone: 'resnet' }, /^--backbone resnet: unknown;/],
    [
      { schedule: 'greedy' },
      /^--schedule greedy: unknown; choose from joint, joint-warp, alternating, unshared, fast-rcnn, spp-net, rcnn$/,
    ],
    [{ data: 'coco:' }, /^--data coco:/],
    [{ split: 'nope' }, /^--data digits: has no split 'nope'/],
    [{ init: 'nope.safetensors' }, /^nope\.safetensors: there is no such file; check the name$/],
    [
      { set: ['detector.rpn.filters=[[3,3]]'] },
      /^--set: detector\.rpn\.filters: has 1 filters for 3 ratios of the anchors; give one for each$/,
    ],
    [{ set: ['detector.rpn.filters=[[3,4],[3,3],[3,3]]'] }, /rpn\.filters\.0\.1: must be odd$/],
    [{ input: 'gray' }, /^--input gray: unknown; choose bgr or rgb$/],
  ];
  for (const [choices, text] of wrong) await fails(configureRun(choices), text);
});

test('a resumed run takes no option that contradicts it', async () => {
  const { config } = await configureRun({ preset: 'demo', steps: 50 });
  assertSameRun({ steps: 50, preset: 'demo', data: 'digits', backbone: 'small', seed: 1 }, config, 'config.json');
  for (const choices of [
    { schedule: 'alternating' },
    { steps: 51 },
    { seed: 2 },
    { learningRate: 1 },
    { init: 'x' },
    { skipBadBoxes: true },
  ]) {
    assert.throws(
      () => assertSameRun(choices, config, 'config.json'),
      isUserError(/^--[a-z-]+: the run to resume has \S+ \(config\.json\), not .*; leave the option out/),
    );
  }
  const set = ['detector.rpn.lambda=1']; // as it is
  assertSameRun({ set }, config, 'config.json');
  assert.throws(
    () => assertSameRun({ set: ['detector.rpn.lambda=3'] }, config, 'config.json'),
    isUserError(/^--set detector\.rpn\.lambda=3: the run to resume has another value \(config\.json\)/),
  );
});

test('initial weights fit by name and shape; a file without any that fits is an error', async () => {
  const gpu = await sharedGpu();
  const { config } = await tinyRun();
  const model = new FasterRcnn(gpu, config.detector, 3);
  const path = join(temporaryFolder(), 'init.safetensors');
  const { shape } = model.parameters['conv2.weight']!;
  const ones = new Float32Array(shape.reduce((product, n) => product * n)).fill(1);
  await saveSafetensors(path, {
    'conv2.weight': { shape: [...shape], data: ones },
    'conv3.weight': { shape: [2], data: new Float32Array(2) },
    other: { shape: [1], data: new Float32Array(1) },
  });
  const report = await loadInitialWeights(path, model);
  assert.equal(report.loaded, [{ name: 'conv2.weight', from: 'conv2.weight' }]);
  assert.ok(report.fresh.includes('conv3.weight') && !report.fresh.includes('conv2.weight'));
  const why = 'is [2], in this network [64, 48, 3, 3]';
  assert.equal(report.misfits, [{ from: 'conv3.weight', name: 'conv3.weight', why }]);
  assert.equal(report.unused, ['other']);
  assert.equal(await model.parameters['conv2.weight']!.read(), ones);

  await saveSafetensors(path, { other: { shape: [1], data: new Float32Array(1) } });
  await fails(loadInitialWeights(path, model), /none of its tensors fits the backbone small/);
});

test('initial weights that cannot be used leave no run behind', async () => {
  const path = join(temporaryFolder(), 'init.safetensors');
  await saveSafetensors(path, { other: { shape: [1], data: new Float32Array(1) } });
  const directory = new RunDirectory(join(temporaryFolder(), 'run'));
  await fails(trainHere(await tinyRun({ init: path, steps: 1 }), { directory }), /none of its tensors fits/);
  assert.not(existsSync(directory.path));
});

test('a checkpoint that is cut off, of another network, or not a checkpoint', async () => {
  const gpu = await sharedGpu();
  const { directory } = await trainHere(await tinyRun({ steps: 1 }));
  await loadModel(gpu, directory.path);
  const whole = readFileSync(directory.checkpointPath);
  const config = readFileSync(directory.configPath, 'utf8');
  const load = () => loadModel(gpu, directory.path);

  for (const bytes of [0, 4, 100, whole.length - 1]) {
    writeFileSync(directory.checkpointPath, whole.subarray(0, bytes));
    await fails(
      load(),
      /checkpoint\.safetensors: .*; it is cut off or not a safetensors file: restore or recreate it$/,
    );
  }
  writeFileSync(directory.checkpointPath, whole);
  const other = JSON.parse(config);
  other.detector.classes.push('ten');
  writeFileSync(directory.configPath, JSON.stringify(other));
  await fails(
    load(),
    /checkpoint\.safetensors: head\.cls_score\.weight is \[11,128\], this network has \[12,128\]; it belongs/,
  );
  other.detector.backbone = 'squeezenet1_1';
  writeFileSync(directory.configPath, JSON.stringify(other));
  await fails(load(), /checkpoint\.safetensors: lacks features\.0\.weight; it belongs to another network/);

  await saveSafetensors(directory.checkpointPath, { x: { shape: [1], data: new Float32Array(1) } });
  await fails(load(), /is not a checkpoint of a run; weights go to --init$/);
  writeFileSync(directory.configPath, '{');
  await fails(load(), /config\.json: is not a configuration of this version/);
  await fails(loadModel(gpu, temporaryFolder()), /config\.json: there is no such file; .* is not a run/);
});

test('a new run does not replace one that has a checkpoint, but does replace one without', async () => {
  const run = await tinyRun({ steps: 1 });
  const { directory } = await trainHere(run);
  await fails(
    trainHere(run, { directory }),
    /: already holds a run; continue it with --resume, or choose another --out$/,
  );
  directory.clear();
  assert.equal(readdirSync(directory.path), []);
  directory.create(run.config);
  await trainHere(run, { directory });
});

test('a run directory that cannot be made', async () => {
  const file = join(temporaryFolder(), 'file');
  writeFileSync(file, '');
  const directory = new RunDirectory(join(file, 'run'));
  assert.throws(
    () => directory.create({} as never),
    isUserError(/run: could not be written, a part of its path is a file; choose another place$/),
  );
  mkdirSync(join(file, '..', 'metrics', 'metrics.jsonl'), { recursive: true });
  const noLog = new RunDirectory(join(file, '..', 'metrics'));
  assert.throws(() => noLog.appendMetrics({} as never), isUserError(/metrics\.jsonl: could not be written/));
});

test.run();

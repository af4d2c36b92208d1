/** R-CNN on given proposals: its crops, fine-tuning, resuming, and options that do not fit it. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { configureRun, reopenRun, type RunChoices } from '../../src/run/config/runConfig.ts';
import { detectImage } from '../../src/run/evaluation/detect.ts';
import { evaluate } from '../../src/run/evaluation/evaluate.ts';
import { loadModel } from '../../src/run/storage/loadModel.ts';
import { trainRun } from '../../src/run/training/trainRun.ts';
import { userError } from '../data/fixtures.ts';
import { sharedGpu } from '../harness.ts';
import { boxesOf, csv, data, train, val } from './givenProposals.ts';
import { checkpointBits, tinyRun, trainHere } from './tinyRun.ts';

/** Small crops, and two images an update. */
const SMALL = ['detector.crop.size=24', 'detector.crop.context=2', 'detector.head.batch=8', 'training.warmup=0'];

const choices = async ({ set = [], ...more }: RunChoices = {}): Promise<RunChoices> => ({
  data: await data,
  schedule: 'rcnn',
  proposals: train,
  set: [...SMALL, 'training.imagesPerStep=2', ...set],
  ...more,
});

test('the published settings: 128 RoIs an update, a quarter of them foreground, 16 of 227 pixels of context', async () => {
  const { config } = await configureRun({
    data: await data,
    schedule: 'rcnn',
    proposals: train,
    preset: 'paper-vgg16-voc07',
    split: 'train',
  });
  const { detector, training } = config;
  assert.equal([detector.system, detector.crop], ['rcnn', { size: 224, context: 16 }]);
  assert.is(detector.head.batch * training.imagesPerStep, 128);
  assert.is(detector.head.foregroundFraction * detector.head.batch * training.imagesPerStep, 32);
  const { backgroundLow, backgroundHigh, foregroundOverlap } = detector.head;
  assert.equal([backgroundLow, backgroundHigh, foregroundOverlap], [0, 0.5, 0.5]);
  assert.equal([training.learningRate, training.steps, training.milestones], [0.001, 70000, [50000]]);
  const demo = (await configureRun({ data: await data, schedule: 'rcnn', proposals: train, preset: 'demo' })).config;
  assert.equal([demo.detector.crop, demo.training.steps], [{ size: 48, context: 3 }, 3000]);
});

test('it learns from crops and finds the regions that it was given, unmoved', async () => {
  const run = await tinyRun(await choices({ steps: 60 }));
  const { model, directory } = await trainHere(run);
  assert.ok(Object.keys(model.parameters).every((name) => !name.startsWith('head.bbox_pred')));
  const lines = directory.readMetrics();
  assert.ok(lines.every(({ head_box, rpn_cls }) => head_box === 0 && rpn_cls === 0));
  assert.ok(lines.at(-1)!.loss < lines[0]!.loss / 2, `${lines[0]!.loss} to ${lines.at(-1)!.loss}`);
  const { dataset } = await configureRun(await choices({ split: 'val', proposals: val }));
  const loaded = await loadModel(await sharedGpu(), directory.path);
  const { report, detections } = await evaluate(loaded, dataset, 'voc10');
  assert.is(report.mAP, 1);
  const [sample] = dataset.samples;
  const { scale } = loaded.gpu.scope(() => loaded.prepare({ width: 40, height: 30, rgba: new Uint8Array(4800) }));
  assert.is(scale, 1, 'crops come from the picture as it is');
  const best = detections[0]!.slice(0, 2).map(({ x1, y1, x2, y2 }) => [x1, y1, x2, y2].map(Math.round).join());
  // py-faster-rcnn's boxes end a pixel later, within the image.
  assert.equal(best.sort(), ['1,4,19,25', '21,3,39,24']);
  const again = await detectImage(loaded, await sample!.load(), 0, sample!.proposals);
  assert.equal(again, detections[0]);
  [model, loaded].forEach((network) => network.dispose());
});

test('more regions than pass at once give what each gives alone', async () => {
  const run = await tinyRun(
    await choices({ steps: 2, set: ['detector.test.scoreThreshold=0', 'detector.rpn.test.postNms=701'] }),
  );
  const { model } = await trainHere(run);
  const sample = run.dataset.samples[0]!;
  const picture = await sample.load();
  // 24 x 24 pixels: 696 at once. All but the last are the whole image, which the last does not overlap.
  const count = 701;
  const boxes = new Float32Array(4 * count);
  for (let i = 0; i < count; i++) boxes.set(i < count - 1 ? [0, 0, 19, 29] : [21, 3, 38, 23], 4 * i);
  const many = await detectImage(model, picture, 0, { boxes, scores: new Float32Array(count) });
  const alone = await detectImage(model, picture, 0, { boxes: boxes.slice(-4), scores: new Float32Array(1) });
  const right = many.filter(({ x1 }) => Math.round(x1) === 21);
  assert.equal(right, alone);
  model.dispose();
});

test('a run that was stopped and resumed ends with the bits of one that was not', async () => {
  const run = await tinyRun(await choices({ steps: 4, validate: 'val', proposals: `${train},${val}` }));
  const whole = await trainHere(run);
  const controller = new AbortController();
  const stopped = await trainHere(run, {
    signal: controller.signal,
    onStep: (step) => void (step === 2 && controller.abort()),
  });
  assert.is(stopped.finished, false);
  const { directory } = stopped;
  const resumed = await trainRun({
    gpu: await sharedGpu(),
    directory,
    resume: true,
    ...(await reopenRun(directory.readConfig())),
  });
  assert.ok(resumed.finished);
  assert.equal(await checkpointBits(directory), await checkpointBits(whole.directory));
  [whole, stopped, resumed].forEach(({ model }) => model.dispose());
});

test('options that do not fit are one line each', async () => {
  const wrong: [RunChoices, RegExp][] = [
    [{ proposals: csv(...boxesOf('a')) }, /has no box for 3 of 4 images, the first: b; add them/],
    [{ set: ['detector.crop.context=12'] }, /crop\.context: 12 on each side leaves nothing of 24 pixels; choose less$/],
    [{ set: ['detector.crop.size=8'] }, /crop\.size: must be at least 16, not 8$/],
    [
      { set: ['detector.input.shorterSide=300'] },
      /^--set detector\.input\.shorterSide=300: has no effect with --schedule rcnn: the input is a crop of a region/,
    ],
    [{ backbone: 'resnet50_fpn' }, /^--schedule rcnn: the backbone resnet50_fpn has several maps; choose one/],
    [{ schedule: 'fast-rcnn' }, /^--set detector\.crop\.size=24: .*crops no regions; --schedule rcnn does$/],
  ];
  for (const [more, message] of wrong) assert.match(await userError(configureRun(await choices(more))), message);
});

test.run();

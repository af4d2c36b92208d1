/** R-CNN on given proposals: its crops, fine-tuning, SVMs and regression of boxes, resuming, and options that do not fit it. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { configureRun, reopenRun, type RunChoices } from '../../src/run/config/runConfig.ts';
import { detectImage } from '../../src/run/evaluation/detect.ts';
import { evaluate } from '../../src/run/evaluation/evaluate.ts';
import { loadSafetensors } from '../../src/engine/node/safetensorsFile.ts';
import type { ScoredBoxes } from '../../src/kernels/boxes.ts';
import { capable } from '../../src/model/detector.ts';
import type { FitPart, FitReport } from '../../src/run/training/fitScorer.ts';
import { loadModel } from '../../src/run/storage/loadModel.ts';
import { userError } from '../data/fixtures.ts';
import { expectClose, sharedGpu } from '../harness.ts';
import { boxesOf, csv, data, train, val } from './givenProposals.ts';
import {
  checkpointBits,
  failure,
  resumeHere,
  stopped,
  stoppedAt,
  type TinyRun,
  tinyRun,
  trainHere,
} from './tinyRun.ts';

/** Small crops, and two images an update. */
const SMALL = ['detector.crop.size=24', 'detector.crop.context=2', 'detector.head.batch=8', 'training.warmup=0'];

const choices = async ({ set = [], ...more }: RunChoices = {}): Promise<RunChoices> => ({
  data: await data,
  schedule: 'rcnn',
  proposals: train,
  set: [...SMALL, 'training.imagesPerStep=2', ...set],
  ...more,
});
const softmax = 'detector.head.scorer=softmax';

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
  const run = await tinyRun(await choices({ steps: 60, set: [softmax] }));
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
    await choices({ steps: 2, set: [softmax, 'detector.test.scoreThreshold=0', 'detector.rpn.test.postNms=701'] }),
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
  const run = await tinyRun(await choices({ steps: 4, validate: 'val', proposals: `${train},${val}`, set: [softmax] }));
  const whole = await trainHere(run);
  const begun = await stoppedAt(2, (options) => trainHere(run, options));
  const { directory } = begun;
  const resumed = await resumeHere(directory);
  assert.equal(await checkpointBits(directory), await checkpointBits(whole.directory));
  [whole, begun, resumed].forEach(({ model }) => model.dispose());
});

test('SVMs and regressions are fitted to the fine-tuned network, and find the objects', async () => {
  const gpu = await sharedGpu();
  const run = await tinyRun(await choices({ steps: 60 }));
  const parts: FitPart[] = [];
  let report: FitReport | undefined;
  const { model, directory, finished } = await trainHere(run, {
    onFitting: (part) => void parts.push(part),
    onFitted: (fitted) => (report = fitted),
  });
  assert.ok(finished);
  assert.equal(parts, [...Array<FitPart>(4).fill('objects'), ...Array<FitPart>(4).fill('negatives')]);
  assert.equal(
    report!.classes.map(({ name, positives, examples }) => [name, positives, examples]),
    [
      ['blue', 4, 4],
      ['red', 4, 4],
    ],
  );
  assert.ok(report!.classes.every(({ negatives }) => negatives > 0));
  const fineTuned = directory.stage('1-fine-tuning');
  const [before, after] = [
    await loadSafetensors(fineTuned.checkpointPath),
    await loadSafetensors(directory.checkpointPath),
  ];
  assert.not.ok('head.svm.weight' in before.tensors);
  assert.equal(after.tensors['conv4.weight']!.data, before.tensors['conv4.weight']!.data);
  assert.equal(after.tensors['head.svm.weight']!.shape, [3, 128]);
  assert.equal(after.tensors['head.ridge.weight']!.shape, [12, 64 * 9]);
  const { dataset } = await configureRun(await choices({ split: 'val', proposals: val }));
  const loaded = await loadModel(gpu, directory.path);
  const { report: found, detections } = await evaluate(loaded, dataset, 'voc10');
  assert.is(found.mAP, 1);
  // The regression moves the proposals nearer to the objects, which end at 19 and 37.
  const [red, blue] = detections[0]!.slice(0, 2).sort((a, b) => a.x1 - b.x1);
  assert.ok(Math.abs(red!.x2 - 19) < 1.5 && Math.abs(blue!.x2 - 37) < 1.5, `${red!.x2}, ${blue!.x2}`);
  // What the scorer sees gives the scores: the sigmoid of an SVM.
  const sample = dataset.samples[0]!;
  const picture = await sample.load();
  const vector = gpu.scope(() => {
    const image = loaded.prepare(picture);
    return capable(loaded, 'regionValues').regionValues(
      loaded.convolve(image),
      image,
      sample.proposals!.boxes,
      'vector',
    );
  });
  const values = await vector.read();
  const [weights, bias] = [after.tensors['head.svm.weight']!.data, after.tensors['head.svm.bias']!.data];
  const scores = Array.from({ length: 5 }, (_, r) => {
    const row = [...values.subarray(128 * r, 128 * (r + 1))];
    return 1 / (1 + Math.exp(-row.reduce((sum, x, k) => sum + x * weights[128 + k]!, bias[1]!)));
  });
  const best = Math.max(...detections[0]!.filter(({ classIndex }) => classIndex === 1).map(({ score }) => score));
  expectClose([best], [Math.max(...scores)], { atol: 1e-4, rtol: 0, what: 'score' });
  [vector, model, loaded].forEach((one) => one.dispose());
});

test('a fit that was stopped begins anew and ends with the same bits; a finished one is not repeated', async () => {
  const run = await tinyRun(await choices({ steps: 2, validate: 'val', proposals: `${train},${val}` }));
  const whole = await trainHere(run);
  const begun = await stopped(
    (stop) => ({ onFitting: (part) => void (part === 'negatives' && stop()) }),
    (options) => trainHere(run, options),
  );
  const { directory } = begun;
  assert.is(directory.hasCheckpoint, false);
  const resumed = await resumeHere(directory);
  assert.equal(await checkpointBits(directory), await checkpointBits(whole.directory));
  assert.equal(
    directory.readValidation().map(({ step }) => step),
    [2],
    'the whole detector is validated, once',
  );
  const again = await resumeHere(directory, { onFitting: () => assert.unreachable('fitted again') });
  [whole, begun, resumed, again].forEach(({ model }) => model.dispose());
});

test('SVMs are fitted to the moving average of a training that has one', async () => {
  const run = await tinyRun(await choices({ steps: 3, set: ['training.ema=0.9'] }));
  const { model, directory } = await trainHere(run);
  const { tensors } = await loadSafetensors(directory.stage('1-fine-tuning').checkpointPath);
  const { data } = (await loadSafetensors(directory.checkpointPath)).tensors['fc6.weight']!;
  assert.equal(data, tensors['average/fc6.weight']!.data);
  assert.not.equal(data, tensors['fc6.weight']!.data);
  model.dispose();
});

test('a last evaluation that was stopped is made up for by a resumed run', async () => {
  const run = await tinyRun(await choices({ steps: 2, validate: 'val', proposals: `${train},${val}` }));
  const { validation } = await reopenRun(run.config);
  const begun = await stopped(
    (stop) => ({ onFitted: stop }),
    (options) => trainHere(run, { validation, ...options }),
  );
  const { directory } = begun;
  assert.equal([directory.hasCheckpoint, directory.readValidation()], [true, []]);
  const resumed = await resumeHere(directory);
  assert.is(directory.readValidation().length, 1);
  [begun, resumed].forEach(({ model }) => model.dispose());
});

test('SPP-net scores by SVMs too', async () => {
  const init = (await trainHere(await tinyRun({ data: await data, steps: 2 }))).directory.checkpointPath;
  const settings = ['training.warmup=0', 'detector.head.scorer=svm'];
  const run = await tinyRun({ ...(await choices()), schedule: 'spp-net', init, steps: 20, set: settings });
  const { model, directory } = await trainHere(run);
  const channels = model.parameters['conv4.bias']!.size;
  assert.equal(model.parameters['head.ridge.weight']!.shape, [12, 50 * channels]);
  const loaded = await loadModel(await sharedGpu(), directory.path);
  const { dataset } = await configureRun(await choices({ split: 'val', proposals: val }));
  assert.is((await evaluate(loaded, dataset, 'voc10')).report.mAP, 1);
  [model, loaded].forEach((network) => network.dispose());
});

test('a class without objects is never found; a class without negatives is one line', async () => {
  const run = await tinyRun(await choices({ steps: 2 }));
  const onlyRed = (proposals: (of: ScoredBoxes) => ScoredBoxes): TinyRun => ({
    ...run,
    dataset: {
      ...run.dataset,
      samples: run.dataset.samples.map((sample) => ({
        ...sample,
        boxes: sample.boxes.filter(({ classIndex }) => classIndex === 2),
        proposals: proposals(sample.proposals!),
      })),
    },
  });
  const { model } = await trainHere(onlyRed((all) => all));
  const [sample] = run.dataset.samples;
  const found = await detectImage(model, await sample!.load(), 0, sample!.proposals);
  assert.ok(found.length > 0 && found.every(({ classIndex }) => classIndex === 2));
  model.dispose();
  const onObject = { boxes: Float32Array.of(2, 4, 19, 24), scores: Float32Array.of(1) };
  assert.match(
    await failure(trainHere(onlyRed(() => onObject))),
    /^class red: every proposal overlaps one of its objects, so there is no negative for its SVM; give more proposals$/,
  );
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
    [
      { schedule: 'joint', proposals: undefined, set: ['detector.head.scorer=svm'] },
      /detector\.head\.scorer: svm takes proposals of another method; choose --schedule fast-rcnn, spp-net or rcnn$/,
    ],
    [
      { backbone: 'resnet18' },
      /scorer: svm takes the vectors of fully connected layers, which resnet18 does not have$/,
    ],
    [{ backbone: 'resnet50_fpn' }, /^--schedule rcnn: the backbone resnet50_fpn has several maps; choose one/],
    [
      { patience: 2, validate: 'val', proposals: `${train},${val}` },
      /^--patience: this run of --schedule rcnn is evaluated only once, at its end; leave the option out$/,
    ],
    [{ schedule: 'fast-rcnn' }, /^--set detector\.crop\.size=24: .*crops no regions; --schedule rcnn does$/],
  ];
  for (const [more, message] of wrong) assert.match(await userError(configureRun(await choices(more))), message);
});

test.run();

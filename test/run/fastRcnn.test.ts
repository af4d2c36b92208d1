/** Fast R-CNN and SPP-net on the proposals of another method: training, resuming, evaluation, and files that do not fit the data. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { configureRun, type RunChoices } from '../../src/run/config/runConfig.ts';
import { assertSameRun } from '../../src/run/config/sameRun.ts';
import { giveProposals } from '../../src/run/config/runData.ts';
import { detectImage, detectInStages, proposeImage, STAGES } from '../../src/run/evaluation/detect.ts';
import { writeEvaluationReport } from '../../src/run/evaluation/evaluationReport.ts';
import { stageTimes } from '../../src/bench/stageTimes.ts';
import { evaluate } from '../../src/run/evaluation/evaluate.ts';
import { networkProposals } from '../../src/run/evaluation/recall.ts';
import { loadModel } from '../../src/run/storage/loadModel.ts';
import { loadSafetensors } from '../../src/engine/node/safetensorsFile.ts';
import { makeDetector } from '../../src/model/detectors.ts';
import { PRESETS } from '../../src/run/config/presets.ts';
import { temporaryFolder, userError } from '../data/fixtures.ts';
import { expectClose, sharedGpu } from '../harness.ts';
import { boxesOf, csv, data, train, val } from './givenProposals.ts';
import { checkpointBits, resumeHere, stoppedAt, tinyRun, trainHere } from './tinyRun.ts';

const folder = temporaryFolder();

const choices = async (more: RunChoices = {}): Promise<RunChoices> => ({
  data: await data,
  schedule: 'fast-rcnn',
  proposals: train,
  ...more,
});

test('the published settings: 64 RoIs of two images, background from 0.1, all proposals at test time', async () => {
  const paper = (await configureRun(await choices({ preset: 'paper-vgg16-voc07', split: 'train' }))).config;
  const { detector, training } = paper;
  assert.equal([detector.system, detector.head.batch, detector.head.backgroundLow], ['fast-rcnn', 64, 0.1]);
  assert.equal([training.imagesPerStep, training.steps, training.milestones], [2, 40000, [30000]]);
  assert.equal([detector.rpn.train.postNms, detector.rpn.test.postNms], [2000, 2000]);
  assert.equal(paper.proposals, [train]);
  // As many images as joint training, two an update.
  const demo = (await configureRun(await choices({ preset: 'demo' }))).config.training;
  assert.equal([demo.imagesPerStep, demo.steps, demo.milestones], [2, 1500, [1250]]);
  assert.is((await configureRun(await choices({ preset: 'demo', steps: 150 }))).config.training.milestones[0], 125);
});

test('it learns from the proposals it is given, and evaluates on those of the test images', async () => {
  const run = await tinyRun(await choices({ steps: 60, set: ['training.warmup=0'] }));
  assert.equal(
    run.dataset.samples.map(({ proposals }) => proposals!.scores.length),
    [5, 5, 5, 5],
  );
  const { model, directory } = await trainHere(run);
  assert.ok(Object.keys(model.parameters).every((name) => model.partOf(name) !== 'rpn'));
  const lines = directory.readMetrics();
  assert.ok(lines.every(({ rpn_cls, rpn_box }) => rpn_cls === 0 && rpn_box === 0));
  assert.ok(lines.at(-1)!.loss < lines[0]!.loss / 2, `${lines[0]!.loss} to ${lines.at(-1)!.loss}`);
  const { dataset } = await configureRun(await choices({ split: 'val', proposals: val }));
  const loaded = await loadModel(await sharedGpu(), directory.path);
  const { report, detections } = await evaluate(loaded, dataset, 'voc10');
  assert.is(report.mAP, 1);
  const sample = dataset.samples[0]!;
  const picture = await sample.load();
  assert.equal(await detectImage(loaded, picture, 0, sample.proposals), detections[0]);
  const staged = await detectInStages(loaded, picture, sample.proposals);
  assert.equal(staged.detections, detections[0]);
  assert.equal(
    staged.proposals.map(({ score }) => Math.fround(score)),
    [0.9, 0.8, 0.5, 0.4, 0.1].map(Math.fround),
  );
  const { x1, y1, x2, y2 } = staged.proposals[0]!;
  expectClose([x1, y1, x2, y2], [1, 4, 18, 24], { atol: 1e-5, rtol: 0, what: 'box' });
  assert.equal(await proposeImage(loaded, picture, { proposals: sample.proposals }), staged.proposals);
  assert.match(
    await userError(detectImage(loaded, picture)),
    /^the detector classifies proposals of another method: pass/,
  );
  assert.match(
    await userError(networkProposals(loaded, dataset.samples, 10)),
    /^detector\.system fast-rcnn: has no network that proposes regions; /,
  );
  const stages = await stageTimes(loaded, dataset.samples);
  assert.ok(STAGES.every((stage) => stages[stage] > 0));
  const page = await writeEvaluationReport(join(folder, 'report'), {
    dataset,
    detections,
    run: directory,
    stages,
    facts: [],
  });
  assert.match(readFileSync(page, 'utf8'), /<h2>Training<[\s\S]*part of a detection/);
  [model, loaded].forEach((network) => network.dispose());
});

test('of an image only the best proposals count, and without any nothing is found', async () => {
  const run = await tinyRun(await choices({ steps: 1, set: ['detector.rpn.test.postNms=2'] }));
  const { model } = await trainHere(run);
  const sample = run.dataset.samples[0]!;
  const picture = await sample.load();
  assert.is((await proposeImage(model, picture, { proposals: sample.proposals })).length, 2);
  const none = { boxes: new Float32Array(), scores: new Float32Array() };
  assert.equal(await detectImage(model, picture, 0, none), []);
  model.dispose();
});

test('the proposals of a mirrored image are mirrored', async () => {
  const run = await tinyRun(await choices({ steps: 1 }));
  const { model } = await trainHere(run);
  const sample = run.dataset.samples[0]!;
  const picture = await sample.load();
  model.gpu.scope(() => {
    const { scale, proposals } = model.prepare(picture, true, sample.proposals);
    const expected = [39 - 18, 4, 39 - 1, 24].map((value) => Math.fround(Math.fround(value) * scale));
    assert.equal([...proposals!.boxes.subarray(0, 4)], expected);
    assert.equal(
      [...model.prepare(picture, false, sample.proposals).proposals!.boxes.subarray(0, 2)],
      [scale, 4 * scale].map(Math.fround),
    );
  });
  model.dispose();
});

test('a run that was stopped and resumed reads its proposals again and ends with the bits of one that was not', async () => {
  const run = await tinyRun(await choices({ steps: 6, validate: 'val', proposals: `${train},${val}` }));
  const whole = await trainHere(run);
  const stopped = await stoppedAt(3, (options) => trainHere(run, options));
  const { directory } = stopped;
  const config = directory.readConfig();
  assert.equal(config.proposals, [train, val]);
  const resumed = await resumeHere(directory);
  assert.equal(await checkpointBits(directory), await checkpointBits(whole.directory));
  assert.is(directory.readValidation().at(-1)!.rpn_cls, 0);
  assert.throws(() => assertSameRun({ proposals: val }, config, 'config.json'), /^--proposals: the run to resume has /);
  [whole, stopped, resumed].forEach(({ model }) => model.dispose());
});

test('SPP-net pools into a pyramid, keeps the convolutions of its initial weights, and learns what follows', async () => {
  const gpu = await sharedGpu();
  const init = (await trainHere(await tinyRun({ data: await data, steps: 2 }))).directory.checkpointPath;
  const run = await tinyRun(await choices({ schedule: 'spp-net', init, steps: 60, set: ['training.warmup=0'] }));
  assert.is(run.config.detector.system, 'spp-net');
  const { model, directory } = await trainHere(run);
  const [before, after] = [await loadSafetensors(init), await loadSafetensors(directory.checkpointPath)];
  for (const name of ['conv1.weight', 'conv4.weight', 'conv4.bias'])
    assert.equal(after.tensors[name]!.data, before.tensors[name]!.data, name);
  assert.not.ok(Object.keys(after.tensors).some((name) => name.startsWith('momentum/conv')));
  const channels = after.tensors['conv4.bias']!.shape[0]!;
  assert.equal(after.tensors['fc6.weight']!.shape, [128, 50 * channels]);
  const lines = directory.readMetrics();
  assert.ok(lines.at(-1)!.loss < (2 / 3) * lines[0]!.loss, `${lines[0]!.loss} to ${lines.at(-1)!.loss}`);
  const loaded = await loadModel(gpu, directory.path);
  const { dataset } = await configureRun(await choices({ split: 'val', proposals: val }));
  assert.ok((await evaluate(loaded, dataset, 'voc10')).detections[0]!.length > 0);
  [model, loaded].forEach((network) => network.dispose());
});

test('SPP-net trains the layer that published SqueezeNets do not have', async () => {
  const gpu = await sharedGpu();
  const { detector } = PRESETS['photos']!;
  const model = makeDetector(gpu, { ...detector, system: 'spp-net', classes: ['__background__', 'a'] }, 1);
  const trained = Object.entries(model.parameters).filter(([, { requiresGrad }]) => requiresGrad);
  const layers = new Set(trained.map(([name]) => name.replace(/\.(weight|bias)$/, '')));
  assert.equal([...layers].sort(), ['fc6', 'fc7', 'head.bbox_pred', 'head.cls_score', 'neck']);
  model.dispose();
});

test('files that do not fit the data, and options that do not fit the schedule, are one line each', async () => {
  const wrong: [RunChoices, RegExp][] = [
    [{ proposals: csv('x,1,1,2,2,1') }, /line 2: image 'x' is not in the data; drop its lines, or choose the --split/],
    [{ proposals: csv(...boxesOf('a')) }, /proposals-\d+\.csv: has no box for 3 of 4 images, the first: b; add them/],
    [{ proposals: csv('a,1,1,40,20,1') }, /line 2: box \(1, 1, 40, 20\) leaves its 40x30 image/],
    [{ proposals: csv('a,1,1,NaN,20,1') }, /line 2: 'NaN' is not a number; fix the line/],
    [{ proposals: join(folder, 'none.csv') }, /none\.csv: there is no such file; check the name/],
    [{ proposals: val }, /line 2: image 'v' is not in the data/],
    [
      { schedule: 'joint' },
      /^--proposals: --schedule joint trains an RPN, which makes its own; choose fast-rcnn, spp-net/,
    ],
    [
      { schedule: 'spp-net' },
      /^--schedule spp-net: its convolutions are not trained and would stay random; give weights/,
    ],
    [{ set: ['detector.rpn.lambda=10'] }, /^--set detector\.rpn\.lambda=10: --schedule fast-rcnn has no RPN; of its/],
    [{ set: ['detector.anchors.sizes=[8]'] }, /^--set detector\.anchors\.sizes=\[8\]: --schedule fast-rcnn has no RPN/],
    [{ set: ['detector.system=faster-rcnn'] }, /is what --schedule is for$/],
    [{ set: ['training.stages={}'] }, /--schedule fast-rcnn has no stages/],
  ];
  for (const [more, message] of wrong) assert.match(await userError(configureRun(await choices(more))), message);
  const { proposals: _, ...without } = await choices();
  assert.match(await userError(configureRun(without)), /^--schedule fast-rcnn: on which proposals\? Give --proposals/);
});

test('an image to evaluate on may have no proposals, and a note counts those', async () => {
  const { dataset } = await configureRun({ data: await data, split: 'train' });
  const path = csv(...boxesOf('b'), ...boxesOf('c'), ...boxesOf('d'));
  await giveProposals([path], undefined, dataset);
  const [note] = dataset.notes.slice(-1);
  assert.is(note, `${path}: has no box for 1 of 4 images, in which nothing can be found; the first: a`);
  // In training's own validation too.
  const { validation } = await configureRun(await choices({ validate: 'val' }));
  assert.match(validation!.notes.at(-1)!, /has no box for 1 of 1 images, in which nothing can be found; the first: v$/);
});

test.run();

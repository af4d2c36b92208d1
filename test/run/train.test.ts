/** The training loop on tiny runs: same bits from the same seed and after a stop, constant memory, bad data, full disks. */
import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { AnnotatedBox, Dataset } from '../../src/data/types.ts';
import { type Choices, type Met, Plans } from '../../src/engine/plans.ts';
import type { Detector } from '../../src/model/detector.ts';
import { FasterRcnn } from '../../src/model/fasterRcnn.ts';
import { type Proposal, proposeImage } from '../../src/run/evaluation/detect.ts';
import { evaluate } from '../../src/run/evaluation/evaluate.ts';
import { loadRun } from '../../src/run/storage/loadRun.ts';
import { RunDirectory } from '../../src/run/storage/runDirectory.ts';
import { temporaryFolder, userError, vocXml, writeVoc } from '../data/fixtures.ts';
import { withFault } from '../faults.ts';
import { sharedGpu } from '../harness.ts';
import { checkpointBits, resumeHere, stoppedAt, tinyRun, trainHere } from './tinyRun.ts';

test('the same seed gives the same bits, another seed others', async () => {
  const bits = async (seed: number) => {
    const run = await tinyRun({ steps: 4, seed });
    const given = structuredClone(run.config);
    const { directory } = await trainHere(run);
    assert.equal(run.config, given, 'the configuration that the caller gave stays as it was');
    return checkpointBits(directory);
  };
  const first = await bits(7);
  assert.equal(await bits(7), first);
  const other = await bits(8);
  assert.ok(Object.keys(first).every((name) => name === 'step' || /bias/.test(name) || first[name] !== other[name]));
});

test('a run that was stopped and resumed ends with the bits of one that was not', async () => {
  const whole = await trainHere(await tinyRun({ steps: 12 }));
  const run = await tinyRun({ steps: 12 });
  const { directory } = await stoppedAt(5, (options) => trainHere(run, options));
  const half = await checkpointBits(directory);
  assert.is(half['step'], '5');
  assert.is(directory.readMetrics().at(-1)!.step, 5);

  await resumeHere(directory);
  const end = await checkpointBits(directory);
  assert.is.not(end['momentum/fc6.weight'], half['momentum/fc6.weight']);
  assert.equal(end, await checkpointBits(whole.directory));
  assert.equal(
    directory.readMetrics().map(({ step }) => step),
    [5, 10, 12],
  );
});

test('the random proposals of an RPN without scores are those of the run and the step, whatever was done before', async () => {
  const set = ['detector.rpn.train.without=cls'];
  const whole = await trainHere(await tinyRun({ steps: 4, set }));
  const run = await tinyRun({ steps: 4, set });
  const { directory } = await stoppedAt(2, (options) => trainHere(run, options));
  await resumeHere(directory);
  assert.equal(await checkpointBits(directory), await checkpointBits(whole.directory));
  // They are not those of any other seed.
  const model = whole.model as FasterRcnn;
  const picture = await run.dataset.samples[0]!.load();
  const rois = (seed: number) =>
    model.gpu.scope(() => {
      const image = model.prepare(picture);
      const output = model.rpn.forward(model.backbone.features(image.tensor));
      return model.rpn.proposals(output, image, model.config.rpn.train, seed).rois.read();
    });
  assert.equal(await rois(1), await rois(1));
  assert.not.equal(await rois(1), await rois(2));
  const proposals = (seed?: number) =>
    proposeImage(model, picture, { limits: model.config.rpn.train, ...(seed !== undefined && { seed }) });
  assert.equal(await proposals(), await proposals(), 'earlier proposals change nothing');
  assert.not.equal(await proposals(1), await proposals(2));
});

/** Other kernels than the planner's for every convolution that a step of the model meets and that has a choice. */
function otherKernels(model: Detector): { kernels: Choices; met: Met[] } {
  const plans = new Plans(model.plans.device);
  const met = model.plans.takeUntuned().filter(({ kind, candidates }) => kind === 'conv' && candidates.length > 1);
  for (const shape of met) plans.set(shape, shape.candidates.at(-1)!);
  return { kernels: plans.export(), met };
}

const planOf = (model: Detector, met: Met) =>
  met.kind === 'conv' ? model.plans.conv(met.direction, met.shape) : assert.unreachable();

test('a resumed run computes by the kernels that its configuration names, one without any by the planner’s', async () => {
  const run = await tinyRun({ steps: 1 });
  const { model } = await trainHere(run);
  const { kernels, met } = otherKernels(model);
  const [usual, other] = [planOf(model, met[0]!), met[0]!.candidates.at(-1)!];
  assert.not.equal(other, usual);
  const directory = new RunDirectory(join(temporaryFolder(), 'run'));
  directory.create({ ...run.config, kernels });
  const tuned = await trainHere({ ...run, config: directory.readConfig() }, { directory, resume: true });
  assert.equal(planOf(tuned.model, met[0]!), other);
  assert.equal(planOf((await trainHere(run)).model, met[0]!), usual);
  assert.is(run.config.kernels, undefined); // what the caller gave stays as it was
});

test('a run that is loaded with kernels of its own changes no bit of a training on the same device', async () => {
  const gpu = await sharedGpu();
  const run = await tinyRun({ steps: 4 });
  const alone = await trainHere(run);
  const bits = await checkpointBits(alone.directory);
  const { kernels, met } = otherKernels(alone.model);
  const picture = await run.dataset.samples[0]!.load();
  const config = { ...run.config, kernels };
  const checkpoint = readFileSync(alone.directory.checkpointPath);

  let loaded: Detector | undefined;
  const found: Proposal[][] = [];
  const beside = await trainHere(run, {
    onStep: async (step) => {
      if (step === 1) loaded = await loadRun(gpu, config, checkpoint);
      found.push(await proposeImage(loaded!, picture));
    },
  });
  assert.equal(await checkpointBits(beside.directory), bits);
  assert.equal(planOf(loaded!, met[0]!), met[0]!.candidates.at(-1)!);
  found.forEach((proposals) => assert.equal(proposals, found[0]));
  // These kernels do round differently: a training with them has other bits, and so have the proposals.
  assert.not.equal(await checkpointBits((await trainHere({ ...run, config })).directory), bits);
  assert.not.equal(await proposeImage(alone.model, picture), found[0]);
});

test('the gradients of a step are computed with the plans of the model, wherever backward is called', async () => {
  const gpu = await sharedGpu();
  const { config, dataset } = await tinyRun({ steps: 1 });
  const sample = dataset.samples[0]!;
  const picture = await sample.load();
  const model = new FasterRcnn(gpu, config.detector, 1);
  const gradient = async () => {
    gpu.scope(() => {
      const image = model.prepare(picture);
      model.total(model.losses(image, model.truth(sample.boxes, image), { random: true, seed: 1 })).backward();
    });
    const parameter = model.parameters['conv2.weight'] ?? Object.values(model.parameters)[2]!;
    const values = await parameter.grad!.read();
    for (const { grad } of Object.values(model.parameters)) grad?.write(new Float32Array(grad.size));
    return values;
  };
  const usual = await gradient();
  const { kernels } = otherKernels(model);
  try {
    gpu.plans.use(kernels); // the device's own plans
    assert.equal(await gradient(), usual);
  } finally {
    gpu.plans.use({});
  }
  model.plans.use(kernels);
  assert.not.equal(await gradient(), usual);
  model.dispose();
});

test('step 200 holds as many GPU bytes as step 10, and no new buffer, pipeline or bind group', async () => {
  const gpu = await sharedGpu();
  const at = new Map<number, ReturnType<typeof gpu.statistics>>();
  await trainHere(await tinyRun({ steps: 201 }), { onStep: (step) => at.set(step, gpu.statistics()) });
  const [early, settled, late] = [at.get(10)!, at.get(40)!, at.get(200)!];
  assert.is(late.liveBytes, early.liveBytes);
  assert.is(late.peakBytes, early.peakBytes);
  assert.is(late.pooledBytes, early.pooledBytes);
  assert.is(late.buffersCreated, early.buffersCreated);
  assert.is(late.pipelines, early.pipelines);
  // The pool hands its buffers round for some steps before every dispatch meets the same ones again.
  assert.is(late.bindGroupsCreated, settled.bindGroupsCreated);
  assert.ok(late.dispatches > settled.dispatches);
});

test('four scenes are memorised: AP 1 for every class in them', async () => {
  const { config, dataset } = await tinyRun({ steps: 400 });
  const { detector } = config;
  config.training.warmup = 20;
  config.detector = {
    ...detector,
    input: { ...detector.input, shorterSide: 112 },
    anchors: { sizes: [20, 40], ratios: [0.5, 1, 2] },
    rpn: { ...detector.rpn, channels: 32, train: { ...detector.rpn.train, preNms: 300, postNms: 64 } },
    head: { ...detector.head, pooled: 4, batch: 64 },
  };
  const large = ({ x1, y1, x2, y2 }: AnnotatedBox) => (x2 - x1) * (y2 - y1) > 32 * 32;
  const easy = dataset.samples.filter(({ boxes }) => boxes.length <= 2 && boxes.every(large));
  const four: Dataset = { ...dataset, samples: easy.slice(0, 4) };
  const { model } = await trainHere({ config, dataset: four });
  const { report } = await evaluate(model, four, 'voc10');
  assert.is(report.mAP, 1);
  assert.is(report.images, 4);
  assert.equal(Object.values(report.ap).filter((ap) => ap !== null).length, 4); // 0, 3, 5 and 8
  assert.ok(report.seconds > 0);
});

test('an image without objects trains, as all background', async () => {
  const root = await writeVoc({
    splits: { train: 'a\nempty\n' },
    annotations: { a: vocXml([{ name: 'cat', box: [3, 4, 20, 15] }]), empty: vocXml([]) },
    images: ['a.jpg', 'empty.jpg'],
  });
  const run = await tinyRun({ data: `voc:${root}`, preset: 'digits', steps: 8 });
  assert.equal(
    run.dataset.samples.map(({ boxes }) => boxes.length),
    [1, 0],
  );
  const { directory } = await trainHere(run);
  assert.ok(directory.readMetrics().every(({ loss }) => loss > 0));

  const { config, dataset } = await tinyRun({ steps: 20 });
  const samples = dataset.samples.map((sample) => ({ ...sample, load: sample.load, boxes: [] }));
  const nothing = await trainHere({ config, dataset: { ...dataset, samples } });
  const lines = nothing.directory.readMetrics();
  assert.ok(lines.every(({ rpn_box, head_box }) => rpn_box === 0 && head_box === 0));
  assert.ok(lines.at(-1)!.rpn_cls < lines[0]!.rpn_cls && lines.at(-1)!.head_cls < lines[0]!.head_cls);
});

test('a loss that is not finite stops the run with step, image and term, the last checkpoint intact', async () => {
  const run = await tinyRun({ steps: 30, checkpointEvery: 5 });
  const first = await trainHere({ ...run, config: { ...run.config, training: { ...run.config.training, steps: 5 } } });
  const { directory } = first;
  const good = await checkpointBits(directory);
  run.config.training.learningRate = 1e20;
  const message = await userError(trainHere(run, { directory, resume: true }));
  const [, step, image, term] = /^step (\d+), image (\S+): the loss term (\w+) is (?:NaN|-?Infinity); /.exec(message)!;
  assert.ok(Number(step) >= 7 && Number(step) <= 10, `the first update makes the weights huge; it stopped at ${step}`);
  assert.ok(run.dataset.samples.some(({ id }) => id === image));
  assert.ok(['rpn_cls', 'rpn_box', 'head_cls', 'head_box'].includes(term!));
  assert.match(message, / \(the last checkpoint is intact\)$/);
  assert.equal(await checkpointBits(directory), good);
  assert.is(directory.readMetrics().at(-1)!.step, 5);
  const without = await tinyRun({ steps: 30, checkpointEvery: 20 });
  without.config.training.learningRate = 1e20;
  assert.match(
    await userError(trainHere(without)),
    /: the loss term \w+ is .*; lower the learning rate or check [^()]*$/,
  );
});

test('weights that are not finite never become a checkpoint', async () => {
  const run = await tinyRun({ steps: 2, checkpointEvery: 1 });
  run.config.training.learningRate = 1e41; // beyond float32
  const message = await userError(trainHere(run));
  assert.match(message, /^step 1: \S+ is not finite; lower the learning rate/);
});

test('a full disk while saving: one line, the last good checkpoint intact', async () => {
  const run = await tinyRun({ steps: 8, checkpointEvery: 4 });
  const short = { ...run.config, training: { ...run.config.training, steps: 4 } };
  const { directory } = await trainHere({ ...run, config: short });
  const good = await checkpointBits(directory);
  // The disk is full from a step on.
  let training: Promise<string>;
  await new Promise<void>((filled) => {
    training = userError(trainHere(run, { directory, resume: true, onStep: (step) => step === 7 && filled() }));
  });
  const message = await withFault('renameSync', 'ENOSPC', () => training);
  assert.is(
    message,
    `${directory.checkpointPath}: could not be written, the disk is full; free some space and continue with --resume`,
  );
  assert.equal(await checkpointBits(directory), good);
  const resumed = await trainHere(run, { directory, resume: true });
  assert.ok(resumed.finished);
});

test('the last line of a log that a kill cut off is dropped, and lines after the checkpoint are written again', async () => {
  const run = await tinyRun({ steps: 30, checkpointEvery: 10 });
  const { directory } = await stoppedAt(12, (options) => trainHere(run, options));
  const text = readFileSync(directory.metricsPath, 'utf8');
  assert.is(text.trim().split('\n').length, 2);
  appendFileSync(directory.metricsPath, '{"step":14,"lr":0.001,"loss":1}\n{"step":16,"l');
  await trainHere(run, { directory, resume: true });
  assert.equal(
    directory.readMetrics().map(({ step }) => step),
    [10, 12, 20, 30],
  );
});

test.run();

/** The ways to share features, on tiny runs: what each stage trains and starts from, proposals on disk, resuming. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { loadSafetensors } from '../../src/engine/node/safetensorsFile.ts';
import { learningRate } from '../../src/run/training/learningRate.ts';
import { BACKBONES } from '../../src/model/backbones/index.ts';
import type { Detector } from '../../src/model/detector.ts';
import { FasterRcnn } from '../../src/model/fasterRcnn.ts';
import { evaluate } from '../../src/run/evaluation/evaluate.ts';
import { loadModel } from '../../src/run/storage/loadModel.ts';
import { ProposalStore } from '../../src/run/training/proposalStore.ts';
import { RunDirectory } from '../../src/run/storage/runDirectory.ts';
import { type RunTraining, trainRun } from '../../src/run/training/trainRun.ts';
import { stagesOf, stageTraining } from '../../src/run/config/stages.ts';
import { PRESETS } from '../../src/run/config/presets.ts';
import { temporaryFolder } from '../data/fixtures.ts';
import { sharedGpu } from '../harness.ts';
import { usualBackbones } from '../model/registered.ts';
import { checkpointBits, failure, stopped, stoppedAt, tinyRun } from './tinyRun.ts';

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array | Int32Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);

async function scheduled(schedule: string, options: Partial<RunTraining> = {}) {
  const run = await tinyRun({ steps: 7, schedule });
  run.dataset.samples = run.dataset.samples.slice(0, 6);
  const directory = new RunDirectory(join(temporaryFolder(), 'run'));
  const result = await trainRun({ gpu: await sharedGpu(), directory, resume: false, ...run, ...options });
  return { ...result, directory, run };
}

/** The names of the tensors whose bits differ. */
const changes = (a: Record<string, string>, b: Record<string, string>): string[] =>
  Object.keys(a).filter((name) => !name.startsWith('momentum/') && name !== 'step' && a[name] !== b[name]);
const parts = (model: Detector, names: string[]): string[] =>
  [...new Set(names.map((name) => model.partOf(name)!))].sort();

test('by rule, the stages of joint training on VOC 2007 have the published numbers of updates', () => {
  const { training } = PRESETS['paper-vgg16-voc07']!;
  const [rpn, detector] = stagesOf('alternating').map((stage) => stageTraining(stage, training));
  assert.equal([rpn!.steps, rpn!.imagesPerStep, rpn!.milestones], [80000, 1, [60000]]);
  assert.equal([detector!.steps, detector!.imagesPerStep, detector!.milestones], [40000, 2, [30000]]);
});

test('alternating training: each stage starts from the right weights and trains its own', async () => {
  const { directory, model } = await scheduled('alternating');
  const bits: Record<string, Record<string, string>> = {};
  for (const { name } of stagesOf('alternating')) bits[name] = await checkpointBits(directory.stage(name));
  // Stage 2 starts where stage 1 did, not where it ended.
  assert.equal(parts(model, changes(bits['1-rpn']!, bits['2-detector']!)), ['features', 'head', 'regions', 'rpn']);
  assert.equal(parts(model, changes(bits['2-detector']!, bits['3-rpn']!)), ['head', 'rpn']);
  assert.equal(parts(model, changes(bits['3-rpn']!, bits['4-detector']!)), ['head', 'regions']);
  assert.equal(changes(bits['4-detector']!, await checkpointBits(directory)), []);
  assert.ok(
    Object.keys(bits['3-rpn']!).every((name) => !/^momentum.(conv|fc|head)/.test(name)),
    'frozen: no momentum',
  );
  model.dispose();
});

for (const backbone of usualBackbones()) {
  const { stride, pyramid } = BACKBONES.get(backbone)!;
  // Pyramids are only trained jointly; the larger residual networks have more of ResNet-18's layers.
  if (pyramid || /^resnet(34|50|101)$/.test(backbone)) continue;
  test(`${backbone}: fc6 and fc7 continue from stage 2 and learn in stage 4, the convolutions are those of stage 2`, async () => {
    const set = [
      'training.stages.rpn={"steps":1,"milestones":[]}',
      'training.stages.detector={"steps":1,"milestones":[]}',
    ];
    const { config, dataset } = await tinyRun({ schedule: 'alternating', backbone, set });
    config.detector.head.pooled = 1; // VGG-16's fc6 is 8 MiB so, instead of 392
    config.detector.anchors.sizes = [2 * stride];
    config.detector.input.shorterSide = 64;
    /** The head's and the region layers' values before the first step of stages 2 and 4. */
    const first: Promise<Record<string, Buffer>>[] = [];
    const { directory, model } = await scheduled('alternating', {
      config,
      dataset: { ...dataset, samples: dataset.samples.slice(0, 2) },
      onStart(_, model) {
        const names = Object.keys(model.parameters).filter((name) => /regions|head/.test(model.partOf(name)!));
        const values = names.map(async (name) => [name, bytesOf(await model.parameters[name]!.read())] as const);
        first.push(Promise.all(values).then(Object.fromEntries));
      },
    });
    const [, start2, , start4] = await Promise.all(first);
    const stages = stagesOf('alternating').map(({ name }) => loadSafetensors(directory.stage(name).checkpointPath));
    const [, end2, end3, end4] = (await Promise.all(stages)).map(({ tensors }) => tensors);
    const names = Object.keys(model.parameters);
    // The statistics of batch normalisation are not.
    const trainable = new Set(names.filter((name) => !/\.running_(mean|var)$/.test(name)));
    model.dispose();
    for (const name of names) {
      const [in2, in3, in4] = [end2!, end3!, end4!].map((tensors) => bytesOf(tensors[name]!.data));
      const part = model.partOf(name)!;
      if (part === 'features' || part === 'regions') assert.ok(in2!.equals(in3!), `${name}: changed by stage 3`);
      if (part === 'features' || part === 'rpn') assert.ok(in3!.equals(in4!), `${name}: changed by stage 4`);
      if (part === 'regions') assert.ok(start4![name]!.equals(in3!), `${name}: stage 4 does not start from stage 3`);
      if (part === 'head') assert.ok(start4![name]!.equals(start2![name]!), `${name}: is not drawn anew`);
      const trained = (part === 'regions' || part === 'head') && trainable.has(name);
      // A bias may have no gradient in one step of random weights, and biases do not decay.
      if (trained && name.endsWith('weight')) assert.not.ok(in3!.equals(in4!), `${name}: stage 4 did not train it`);
      assert.is(Object.hasOwn(end4!, `momentum/${name}`), trained, `${name}: momentum in stage 4`);
    }
    assert.ok(names.some((name) => model.partOf(name) === 'regions'));
  });
}

test('unshared: two networks in one checkpoint, which detect', async () => {
  const { directory, model, run } = await scheduled('unshared');
  model.dispose();
  const { tensors } = await loadSafetensors(directory.checkpointPath);
  const rpn = (await loadSafetensors(directory.stage('1-rpn').checkpointPath)).tensors;
  const detector = (await loadSafetensors(directory.stage('2-detector').checkpointPath)).tensors;
  assert.equal(tensors['proposal_network.conv2.weight']!.data, rpn['conv2.weight']!.data);
  assert.equal(tensors['rpn.conv.weight']!.data, rpn['rpn.conv.weight']!.data);
  assert.equal(tensors['conv2.weight']!.data, detector['conv2.weight']!.data);
  assert.equal(tensors['head.cls_score.weight']!.data, detector['head.cls_score.weight']!.data);
  const loaded = await loadModel(await sharedGpu(), directory.path);
  const { report } = await evaluate(loaded, { ...run.dataset, samples: run.dataset.samples.slice(0, 2) }, 'voc10');
  assert.is(report.images, 2);
  loaded.dispose();
});

test('stages with settings of their own', async () => {
  const set = [
    'training.stages.rpn={"steps":3,"milestones":[2],"imagesPerStep":2}',
    'training.stages.detector={"steps":2,"milestones":[1],"imagesPerStep":3}',
  ];
  const { directory, model, progress } = await scheduled('unshared', await tinyRun({ schedule: 'unshared', set }));
  model.dispose();
  assert.is(progress.step, 5);
  const ran = stagesOf('unshared').map(({ name }) => directory.stage(name).readConfig().training);
  assert.equal(
    ran.map(({ steps, milestones, imagesPerStep }) => [steps, milestones, imagesPerStep]),
    [
      [3, [2], 2],
      [2, [1], 3],
    ],
  );
  assert.is(directory.stage('2-detector').readMetrics().at(-1)!.lr, learningRate(1, ran[1]!));
});

test('a stopped schedule continues at its stage and ends with the same bits', async () => {
  const whole = await scheduled('alternating');
  const expected = await checkpointBits(whole.directory);
  whole.model.dispose();
  // Once in the middle of stage 2, once while the proposals of stage 3 are collected.
  let stage = 0;
  const { directory, run } = await stopped(
    (stop) => ({
      onStage: (_, index) => void (stage = index),
      onStep: (step) => void (stage === 1 && step === 2 && stop()),
    }),
    (options) => scheduled('alternating', options),
  );
  assert.ok(existsSync(directory.stage('1-rpn').proposalsPath));
  const visited: string[] = [];
  const resume = async (options: Partial<RunTraining> = {}) =>
    trainRun({
      gpu: await sharedGpu(),
      directory,
      resume: true,
      ...run,
      config: directory.readConfig(),
      onStage: ({ name }) => visited.push(name),
      ...options,
    });
  await stopped((stop) => ({ onProposals: stop }), resume);
  assert.not.ok(directory.hasCheckpoint);
  assert.throws(() => directory.assertFree(), /already holds a run/);
  const { finished, model } = await resume();
  assert.ok(finished);
  assert.equal(visited, ['2-detector', '3-rpn', '3-rpn', '4-detector']);
  assert.equal(await checkpointBits(directory), expected);
  model.dispose();
});

test('a stopped stage continues with the kernels that it was tuned to', async () => {
  const { directory, run, model } = await stoppedAt(2, (options) => scheduled('alternating', options));
  const met = model.plans.takeUntuned().find(({ kind, candidates }) => kind === 'conv' && candidates.length > 1)!;
  const other = met.candidates.at(-1)!;
  model.plans.set(met, other);
  const stage = directory.stage('1-rpn');
  const tuned = { ...stage.readConfig(), kernels: model.plans.export() };
  model.dispose();
  writeFileSync(stage.configPath, JSON.stringify(tuned));
  const plans: unknown[] = [];
  const resumed = await trainRun({
    gpu: await sharedGpu(),
    directory,
    resume: true,
    ...run,
    onStart: (_, begun) => plans.push(met.kind === 'conv' && begun.plans.conv(met.direction, met.shape)),
  });
  resumed.model.dispose();
  assert.equal(plans, [other, ...[2, 3, 4].map(() => met.candidates[0])]);
  // The network that the stages add up to is computed by their kernels, too.
  const loaded = await loadModel(await sharedGpu(), directory.path);
  assert.equal(met.kind === 'conv' && loaded.plans.conv(met.direction, met.shape), other);
  assert.is(resumed.finished, true);
  loaded.dispose();
});

test('a stage that fails leaves nothing on the device', async () => {
  const gpu = await sharedGpu();
  const fail = (): never => {
    throw new Error('the fault');
  };
  const { liveBytes } = gpu.statistics();
  for (const event of ['onMemory', 'onStart', 'onStep', 'onProposals'] as const) {
    assert.is(await failure(scheduled('alternating', { [event]: fail })), 'the fault', event);
    assert.is(gpu.statistics().liveBytes, liveBytes, event);
  }
});

test('stored proposals of an RPN without scores depend on the image alone, not on what the network did before', async () => {
  const { config, dataset } = await tinyRun();
  const model = new FasterRcnn(await sharedGpu(), config.detector, 1);
  const data = { ...dataset, samples: dataset.samples.slice(0, 3) };
  const limits = { ...config.detector.rpn.train, without: 'cls' } as const;
  const path = join(temporaryFolder(), 'proposals.safetensors');
  const collected = async (images: number[]) => {
    await (await ProposalStore.collect(model, data, new Set(images), limits))!.save(path);
    return [...(await loadSafetensors(path)).tensors['boxes']!.data];
  };
  const all = await collected([0, 1, 2]);
  assert.equal(await collected([0, 1, 2]), all);
  assert.equal([...(await collected([0])), ...(await collected([1])), ...(await collected([2]))], all);
  model.dispose();
});

test('a new run removes stages that never reached a checkpoint', async () => {
  const { config } = await tinyRun({ steps: 7, schedule: 'alternating' });
  const directory = new RunDirectory(join(temporaryFolder(), 'run'));
  directory.create(config);
  const stage = directory.stage('1-rpn');
  stage.create({ ...config, checkpointInterval: 77 });
  directory.create(config);
  assert.ok(directory.hasConfig);
  assert.not.ok(stage.hasConfig);
});

test('stored proposals that do not belong to the data are refused', async () => {
  const { directory, run, model } = await scheduled('unshared');
  model.dispose();
  run.dataset.samples.pop();
  const stage = directory.stage('2-detector');
  stage.clear();
  try {
    await trainRun({ gpu: await sharedGpu(), directory, resume: true, ...run });
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, /1-rpn.proposals\.safetensors: does not hold the proposals of 5 images/);
  }
  writeFileSync(directory.stage('1-rpn').proposalsPath, 'rubbish');
  try {
    await trainRun({ gpu: await sharedGpu(), directory, resume: true, ...run });
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, /1-rpn.proposals\.safetensors/);
  }
});

test('RoI warping: the losses of the detector reach the boxes of the RPN, RoI pooling keeps them apart', async () => {
  const gpu = await sharedGpu();
  const moved = async (schedule: string) => {
    const { model, run } = await scheduled(schedule);
    const sample = run.dataset.samples[0]!;
    const picture = await sample.load();
    gpu.scope(() => {
      const image = model.prepare(picture);
      const losses = model.losses(image, model.truth(sample.boxes, image), { random: true, seed: 1 });
      losses.head_box.backward({ free: true });
    });
    const { grad } = model.parameters['rpn.bbox_pred.weight']!;
    const gradient = grad ? Math.max(...(await grad.read()).map(Math.abs)) : 0;
    model.dispose();
    return gradient;
  };
  assert.is(await moved('joint'), 0);
  assert.ok((await moved('joint-warp')) > 0);
});

test('connecting sampled RoIs to the deltas leaves the mini-batch as it was', async () => {
  const gpu = await sharedGpu();
  const { config, dataset } = await tinyRun({ schedule: 'joint-warp' });
  const model = new FasterRcnn(gpu, config.detector, 3);
  const [sample] = dataset.samples;
  const picture = await sample!.load();
  gpu.scope(() => {
    const image = model.prepare(picture);
    const output = model.rpn.forward(model.backbone.features(image.tensor));
    const proposals = model.rpn.proposals(output, image, config.detector.rpn.train, 1);
    const batch = model.head.sample(proposals, model.truth(sample!.boxes, image), { random: true, seed: 1 });
    const rois = model.rpn.connectRois(batch, proposals, output, image);
    assert.equal([batch.rois.requiresGrad, rois.requiresGrad], [false, true]);
    assert.is(rois.storage, batch.rois.storage);
  });
  model.dispose();
});

test('RoI warping: the gradient of the class loss in the deltas, by differences', async () => {
  const gpu = await sharedGpu();
  const { config, dataset } = await tinyRun({ schedule: 'joint-warp' });
  config.detector.head.warpLimit = 1e9;
  const model = new FasterRcnn(gpu, config.detector, 3);
  // So that the loss depends on where the regions are.
  const weight = model.parameters['head.cls_score.weight']!;
  weight.write((await weight.read()).map((value) => 20 * value) as Float32Array);
  const sample = dataset.samples[0]!;
  const picture = await sample.load();
  const loss = async (backward = false): Promise<number> => {
    const value = gpu.scope(() => {
      const image = model.prepare(picture);
      const { head_cls } = model.losses(image, model.truth(sample.boxes, image), { random: false, seed: 1 });
      if (backward) head_cls.backward();
      return head_cls;
    });
    const [number] = await value.read();
    value.dispose();
    return number!;
  };
  await loss(true);
  const bias = model.parameters['rpn.bbox_pred.bias']!;
  const [gradient, values] = [await bias.grad!.read(), await bias.read()];
  const h = 1e-3;
  const at = async (i: number, value: number): Promise<number> => {
    bias.write(values.map((other, j) => (j === i ? value : other)) as Float32Array);
    return loss();
  };
  // Max pooling, suppression and sampling have kinks: a tenth of the largest is what they leave.
  const largest = Math.max(...gradient.map(Math.abs));
  for (let i = 0; i < 4; i++) {
    const difference = ((await at(i, values[i]! + h)) - (await at(i, values[i]! - h))) / (2 * h);
    assert.ok(Math.abs(difference - gradient[i]!) < 0.1 * largest, `delta ${i}: ${difference}, ${gradient[i]}`);
  }
  assert.ok(largest > 1);
  model.dispose();
});

test.run();

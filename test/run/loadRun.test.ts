/** A run without files, as a page has it: training, its checkpoint in memory, the network loaded again, its parts. */
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { UserError } from '../../src/engine/errors.ts';
import { parseSafetensors, type Safetensors, serializeSafetensors } from '../../src/engine/safetensors.ts';
import type { Detector } from '../../src/model/detector.ts';
import { makeDetector } from '../../src/model/detectors.ts';
import { FasterRcnn } from '../../src/model/fasterRcnn.ts';
import { restoreCheckpoint, serializeCheckpoint } from '../../src/run/storage/checkpointFormat.ts';
import { parseRunConfig } from '../../src/run/config/configSchema.ts';
import { detectImage, detectInStages, proposeImage } from '../../src/run/evaluation/detect.ts';
import { loadRun } from '../../src/run/storage/loadRun.ts';
import { makeOptimizer } from '../../src/run/training/makeOptimizer.ts';
import { trainDetector } from '../../src/run/training/trainDetector.ts';
import { sharedGpu } from '../harness.ts';
import { checkpointBits, tinyRun, trainHere } from './tinyRun.ts';

/** A run on disk, and its files as a page gets them. After six steps hardly anything is surer than 0.05. */
const run = (async () => {
  const { directory } = await trainHere(await tinyRun({ steps: 6, set: ['detector.test.scoreThreshold=0.001'] }));
  const config = readFileSync(directory.configPath, 'utf8');
  return { directory, config, checkpoint: new Uint8Array(readFileSync(directory.checkpointPath)) };
})();

const weights = async (model: Detector): Promise<Safetensors['tensors']> => {
  const end = { step: 6, seconds: 0, dataSeconds: 0 };
  return parseSafetensors(await serializeCheckpoint(model, undefined, end), 'test').tensors;
};

test('training without files, saved and continued, ends with the weights of rcnn train', async () => {
  const gpu = await sharedGpu();
  const { config, dataset } = await tinyRun({ steps: 6 });
  const { detector, training } = config;
  const first = { model: new FasterRcnn(gpu, detector, training.seed), steps: [] as number[], metrics: 0 };
  const optimizer = makeOptimizer(first.model.parameters, training);
  const controller = new AbortController();
  const stopped = await trainDetector({
    ...first,
    dataset,
    training,
    optimizer,
    signal: controller.signal,
    async onStep(step) {
      // The next step waits, and the model can be used meanwhile.
      await detectImage(first.model, await dataset.samples[0]!.load());
      first.steps.push(step);
      if (step === 4) controller.abort();
    },
    onMetrics: () => first.metrics++,
  });
  assert.equal(first.steps, [1, 2, 3, 4]);
  assert.is(stopped.step, 4);
  const saved = parseSafetensors(await serializeCheckpoint(first.model, optimizer, stopped), 'saved');
  first.model.dispose();
  optimizer.dispose();

  const model = new FasterRcnn(gpu, detector, training.seed + 1);
  const resumed = makeOptimizer(model.parameters, training);
  const progress = await restoreCheckpoint(saved, 'saved', model, resumed);
  assert.is(progress.step, 4);
  const lines: number[] = [];
  const options = {
    dataset,
    training,
    optimizer: resumed,
    progress,
    onMetrics: ({ step }: { step: number }) => lines.push(step),
  };
  assert.is((await trainDetector({ model, ...options })).step, 6);
  assert.equal(lines, [6]);
  const { directory } = await run;
  const bits = await checkpointBits(directory);
  for (const [name, parameter] of Object.entries(model.parameters)) {
    const { buffer } = await parameter.read();
    assert.is(Buffer.from(buffer).toString('base64'), bits[name], name);
  }
  model.dispose();
  resumed.dispose();
});

test('a run from the contents of its two files', async () => {
  const { config, checkpoint } = await run;
  const model = await loadRun(await sharedGpu(), parseRunConfig(config), checkpoint);
  const stored = parseSafetensors(checkpoint, 'test').tensors;
  for (const [name, { data }] of Object.entries(await weights(model))) assert.equal(data, stored[name]!.data, name);
  model.dispose();
});

test('a parameter in shards is whole in the checkpoint, whatever device reads it', async () => {
  const gpu = await sharedGpu();
  const { detector } = parseRunConfig((await run).config);
  const make = (maxBindingBytes: number, seed: number): FasterRcnn => {
    const { device } = gpu.plans;
    gpu.plans.planFor({ ...device, maxBindingBytes });
    const model = new FasterRcnn(gpu, detector, seed);
    for (const plans of [gpu.plans, model.plans]) plans.planFor(device);
    return model;
  };
  const [whole, split] = [make(2 ** 27, 1), make(2 ** 17, 2)];
  const shards = Object.keys(split.parameters).filter((name) => name.startsWith('fc6.weight['));
  assert.ok(shards.length > 1 && 'fc6.weight' in whole.parameters, String(shards));
  const picture = await (await tinyRun()).dataset.samples[0]!.load();
  const detections = await detectImage(whole, picture);
  assert.ok(detections.length > 0);
  for (const [from, to] of [
    [whole, split],
    [split, whole],
  ] as const) {
    const bytes = await serializeCheckpoint(from, undefined, { step: 6, seconds: 0, dataSeconds: 0 });
    Object.values(to.parameters).forEach((parameter) => parameter.write(new Float32Array(parameter.size)));
    await restoreCheckpoint(parseSafetensors(bytes, 'test'), 'test', to);
    assert.equal(await weights(to), await weights(from));
    assert.equal(await detectImage(to, picture), detections);
  }
  [whole, split].forEach((model) => model.dispose());
});

test('a detection in stages finds the same, from the proposals at test time, and leaves nothing behind', async () => {
  const gpu = await sharedGpu();
  const { config, checkpoint } = await run;
  const parsed = parseRunConfig(config);
  const picture = await (await tinyRun()).dataset.samples[1]!.load();
  for (const features of ['shared', 'unshared'] as const) {
    const model =
      features === 'shared'
        ? await loadRun(gpu, parsed, checkpoint)
        : makeDetector(gpu, { ...parsed.detector, features }, 3);
    const detections = await detectImage(model, picture); // from now on the model keeps transposes of its weights
    const before = gpu.statistics().liveBytes;
    const staged = await detectInStages(model, picture);
    assert.is(gpu.statistics().liveBytes, before);
    assert.equal(staged.detections, detections);
    assert.equal(staged.proposals, await proposeImage(model, picture));
    assert.ok(staged.detections.length > 0 && staged.proposals.length > 10);
    assert.equal(Object.keys(staged.milliseconds), ['image', 'conv', 'proposal', 'region']);
    assert.ok(Object.values(staged.milliseconds).every((time) => time > 0));
    model.dispose();
  }
});

test('a checkpoint that changed since it was saved, or is not finite, is refused; one without a checksum is not', async () => {
  const gpu = await sharedGpu();
  const { config, checkpoint } = await run;
  const parsed = parseRunConfig(config);
  const before = gpu.statistics().liveBytes;
  const headerBytes = Number(new DataView(checkpoint.buffer, checkpoint.byteOffset).getBigUint64(0, true));
  const refused = async (bytes: Uint8Array): Promise<string> => {
    try {
      (await loadRun(gpu, parsed, bytes)).dispose();
    } catch (error) {
      assert.instance(error, UserError);
      return (error as Error).message;
    }
    return '';
  };
  const changed =
    'checkpoint.safetensors: its contents have changed since they were saved (the SHA-256 differs); restore the file or train again';
  // The lowest bit of values here and there, weights and momentum: numbers that nobody would notice.
  for (const share of [0, 0.3, 0.6, 1]) {
    const bytes = Uint8Array.from(checkpoint);
    bytes[8 + headerBytes + 4 * Math.round((share * (checkpoint.length - 8 - headerBytes - 4)) / 4)]! ^= 1;
    assert.is(await refused(bytes), changed);
  }
  // The step, in the header.
  const text = Buffer.from(checkpoint);
  const digit = text.indexOf('"step":"') + 8;
  text[digit]! ^= 1;
  assert.is(await refused(text), changed);

  const { tensors, metadata } = parseSafetensors(checkpoint, 'test');
  const older = Object.fromEntries(Object.entries(metadata).filter(([key]) => key !== 'webgpu-rcnn sha256'));
  assert.is(Object.keys(older).length, Object.keys(metadata).length - 1);
  assert.is(await refused(serializeSafetensors(tensors, older)), '');
  const [name, first] = Object.entries(tensors)[0]!;
  for (const value of [NaN, Infinity, -Infinity]) {
    const data = Float32Array.from(first.data);
    data[data.length - 1] = value;
    const bytes = serializeSafetensors({ ...tensors, [name]: { shape: first.shape, data } }, older);
    assert.is(
      await refused(bytes),
      `checkpoint.safetensors: ${name} is not finite; restore the file, or train again at a lower rate`,
    );
  }
  assert.is(gpu.statistics().liveBytes, before);
});

test('files that are not a run, or belong to two, are refused in one line, and no memory stays behind', async () => {
  const gpu = await sharedGpu();
  const { config, checkpoint } = await run;
  const parsed = parseRunConfig(config);
  const before = gpu.statistics().liveBytes;
  const wrong: [() => unknown, RegExp][] = [
    [() => parseRunConfig('{'), /^config\.json: is not a configuration of this version of 'rcnn train' \(not JSON\); /],
    [() => parseRunConfig('null'), /^config\.json: is not a configuration .* \(not an object\); /],
    [
      () => parseRunConfig('{"format":1}', 'mine.json'),
      /^mine\.json: is not a configuration .* \(data: is missing\); /,
    ],
    [() => loadRun(gpu, parsed, checkpoint.subarray(0, 1000)), /^checkpoint\.safetensors: .* it is cut off or not /],
    [
      () => loadRun(gpu, { ...parsed, detector: { ...parsed.detector, classes: ['__background__', 'a'] } }, checkpoint),
      /^checkpoint\.safetensors: head\.cls_score\.weight is \[11,128\], this network has \[2,128\]; it belongs to another/,
    ],
  ];
  for (const [load, message] of wrong) {
    try {
      await load();
      assert.unreachable();
    } catch (error) {
      assert.instance(error, UserError);
      assert.match((error as Error).message, message);
      assert.not.match((error as Error).message, /\n/);
    }
  }
  assert.is(gpu.statistics().liveBytes, before);
});

test.run();

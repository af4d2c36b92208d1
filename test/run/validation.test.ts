/** Evaluation while training: it changes nothing, a stopped one is made up for, the best weights are kept. */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { loadSafetensors } from '../../src/engine/node/safetensorsFile.ts';
import { small } from '../../src/model/backbones/small.ts';
import { FasterRcnn } from '../../src/model/fasterRcnn.ts';
import { evaluate } from '../../src/run/evaluation/evaluate.ts';
import { loadModel } from '../../src/run/storage/loadModel.ts';
import { configureRun, type RunChoices } from '../../src/run/config/runConfig.ts';
import { assertSameRun } from '../../src/run/config/sameRun.ts';
import { openValidation } from '../../src/run/config/runData.ts';
import { RunDirectory, type ValidationLine } from '../../src/run/storage/runDirectory.ts';
import { trainRun } from '../../src/run/training/trainRun.ts';
import type { RunTraining } from '../../src/run/training/trainRun.ts';
import { sinceBest } from '../../src/run/training/validation.ts';
import { temporaryFolder, userError, vocXml, writeVoc } from '../data/fixtures.ts';
import { sharedGpu } from '../harness.ts';
import { registered } from '../model/registered.ts';
import { checkpointBits, resumeHere, stopped, stoppedAt, tinyRun, trainHere } from './tinyRun.ts';

const IMAGES = 3;

/** Trains on digit scenes, every 4 steps and at the end evaluated on three others. */
async function watched(choices: RunChoices, options: Partial<RunTraining> = {}) {
  const run = await tinyRun({ validate: 'val', validateEvery: 4, validateImages: IMAGES, ...choices });
  const directory = options.directory ?? new RunDirectory(join(temporaryFolder(), 'run'));
  return trainHere(run, { ...options, directory, validation: await openValidation(run.config) });
}

const withoutSeconds = (lines: ValidationLine[]) => lines.map(({ seconds: _, ...line }) => line);

test('a run that is evaluated ends with the bits of one that is not', async () => {
  for (const schedule of ['joint', 'joint-warp']) {
    const alone = await trainHere(await tinyRun({ steps: 10, schedule }));
    const { directory } = await watched({ steps: 10, schedule });
    assert.equal(await checkpointBits(directory), await checkpointBits(alone.directory));
    const lines = directory.readValidation();
    assert.equal(
      lines.map(({ step, images }) => [step, images]),
      [4, 8, 10].map((step) => [step, IMAGES]),
    );
    for (const { loss, rpn_cls, rpn_box, head_cls, head_box, mAP, ap } of lines) {
      assert.ok(Math.abs(loss - (rpn_cls + rpn_box + head_cls + head_box)) < 1e-9 && rpn_cls > 0 && head_cls > 0);
      const found = Object.values(ap).filter((value) => value !== null);
      assert.ok(Math.abs(mAP - found.reduce((a, b) => a + b, 0) / found.length) < 1e-12);
    }
    assert.ok(lines[2]!.loss < lines[0]!.loss, 'what is measured is the weights');
  }
});

test('a run that was stopped while it was evaluated makes up for it, and ends with the same bits and lines', async () => {
  const whole = await watched({ steps: 10 });
  let evaluated = 0;
  const { directory, progress } = await stopped(
    (stop) => ({ onValidationImage: () => ++evaluated === IMAGES + 1 && stop() }),
    (options) => watched({ steps: 10 }, options),
  );
  assert.is(progress.step, 8);
  assert.equal(
    directory.readValidation().map(({ step }) => step),
    [4],
  );
  // As a run leaves it that was killed: a line of a later step than the checkpoint's is not believed.
  directory.appendValidation({ ...directory.readValidation()[0]!, step: 9, mAP: 1 });
  await resumeHere(directory);
  assert.equal(await checkpointBits(directory), await checkpointBits(whole.directory));
  assert.equal(withoutSeconds(directory.readValidation()), withoutSeconds(whole.directory.readValidation()));
  assert.equal(await bestWeights(directory), await bestWeights(whole.directory));
});

async function bestWeights({ bestPath }: RunDirectory) {
  return checkpointBits({ checkpointPath: bestPath });
}

test('the best weights are those of the greatest mAP, the first of them, and can be loaded', async () => {
  const gpu = await sharedGpu();
  const seen: [number, boolean][] = [];
  const { directory, model } = await watched(
    { steps: 10 },
    { onValidation: ({ step }, best) => seen.push([step, best]) },
  );
  model.dispose();
  const lines = directory.readValidation();
  const best = lines.reduce((a, b) => (b.mAP > a.mAP ? b : a));
  const { metadata, tensors } = await loadSafetensors(directory.bestPath);
  assert.is(Number(metadata['step']), best.step);
  assert.not.ok(Object.keys(tensors).some((name) => name.startsWith('momentum/')));
  assert.is(seen.filter(([, isBest]) => isBest).at(-1)![0], best.step);
  const loaded = await loadModel(gpu, directory.path, undefined, 'best');
  const dataset = (await openValidation(directory.readConfig()))!;
  assert.is((await evaluate(loaded, dataset, 'voc10')).report.mAP, best.mAP);
  loaded.dispose();

  // A later step that is no better leaves the file alone.
  const again = await watched({ steps: 12 }, { directory, resume: true });
  again.model.dispose();
  const after = directory.readValidation().at(-1)!;
  assert.is(after.step, 12);
  const kept = (await loadSafetensors(directory.bestPath)).metadata['step'];
  assert.is(Number(kept), after.mAP > best.mAP ? 12 : best.step);

  rmSync(directory.bestPath);
  const message = await userError(loadModel(gpu, directory.path, undefined, 'best'));
  assert.match(message, /best\.safetensors: there is no such file; training keeps the best weights with --validate/);
});

test('losses and detections are those of the network without dropout', async () => {
  const gpu = await sharedGpu();
  const { config, dataset } = await tinyRun();
  const dropped: boolean[] = [];
  const backbone = registered((...args) => {
    const backbone = small.build(...args);
    return {
      ...backbone,
      regions(pooled, training) {
        dropped.push(training !== null);
        return backbone.regions(pooled, null);
      },
    };
  });
  const model = new FasterRcnn(gpu, { ...config.detector, backbone }, 3);
  const sample = dataset.samples[0]!;
  const picture = await sample.load();
  const values = async (use: (image: ReturnType<typeof model.prepare>) => import('../../src/node.ts').Tensor[]) => {
    const tensors = gpu.scope(() => use(model.prepare(picture)));
    return Promise.all(tensors.map(async (tensor) => [...(await tensor.read())]));
  };
  const truth = (image: ReturnType<typeof model.prepare>) => model.truth(sample.boxes, image);
  const both = await values((image) => {
    const { rows, count, losses } = model.validate(image, truth(image), 5);
    return [...Object.values(losses), rows, count];
  });
  assert.equal(dropped, [false, false]);
  const apart = await values((image) => {
    const losses = model.losses(image, truth(image), { random: true, seed: 5 });
    const { rows, count } = model.detect(image);
    return [...Object.values(losses), rows, count];
  });
  assert.equal(dropped.slice(2), [true, false]);
  assert.equal(both, apart);
  model.dispose();
});

test('what an RPN without scores finds depends on the seed alone, not on what the network did before', async () => {
  const gpu = await sharedGpu();
  const { config, dataset } = await tinyRun({
    set: ['detector.rpn.test.without=cls', 'detector.test.scoreThreshold=0.001'],
  });
  const model = new FasterRcnn(gpu, config.detector, 3);
  const { boxes, load } = dataset.samples[0]!;
  const picture = await load();
  const found = async (seed: number): Promise<number[]> => {
    const { rows, count } = gpu.scope(() => {
      const image = model.prepare(picture);
      return model.validate(image, model.truth(boxes, image), seed);
    });
    const values = [...(await rows.read())];
    assert.ok((await count.read())[0]! > 0);
    [rows, count].forEach((tensor) => tensor.dispose());
    return values;
  };
  const first = await found(5);
  assert.equal(await found(5), first);
  assert.not.equal(await found(6), first);
  model.dispose();
});

test('evaluations hold no more of the device each time', async () => {
  const gpu = await sharedGpu();
  const at: ReturnType<typeof gpu.statistics>[] = [];
  const { model } = await watched({ steps: 40 }, { onValidation: () => at.push(gpu.statistics()) });
  model.dispose();
  const [early, late] = [at[4]!, at.at(-1)!];
  assert.is(late.liveBytes, early.liveBytes);
  assert.is(late.buffersCreated, early.buffersCreated);
  assert.is(late.pipelines, early.pipelines);
});

test('in stages: the last of alternating is evaluated, and unshared features once, at the end', async () => {
  const lines = async (schedule: string) => {
    const run = await tinyRun({ steps: 7, schedule, validate: 'val', validateEvery: 2, validateImages: IMAGES });
    run.dataset.samples = run.dataset.samples.slice(0, 6);
    const directory = new RunDirectory(join(temporaryFolder(), 'run'));
    const validation = await openValidation(run.config);
    const options = { gpu: await sharedGpu(), directory, validation, ...run };
    const { model } = await trainRun({ ...options, resume: false });
    model.dispose();
    assert.not.ok([...directory.stages.values()].some((stage) => existsSync(stage.validationPath)));
    assert.ok(existsSync(directory.bestPath));
    const found = directory.readValidation();
    (await trainRun({ ...options, resume: true })).model.dispose();
    assert.equal(directory.readValidation(), found, 'nothing was left to do');
    return found.map(({ step }) => step);
  };
  assert.equal(await lines('alternating'), [2, 4]); // of 4 steps
  assert.equal(await lines('unshared'), [8]); // 4 and 4
});

test('a run that is stopped in its last evaluation is not finished, whatever its schedule, and is evaluated when it continues', async () => {
  for (const [schedule, last] of [
    ['joint', 7],
    ['alternating', 4],
  ] as const) {
    const run = await tinyRun({ steps: 7, schedule, validate: 'val', validateEvery: 50, validateImages: IMAGES });
    run.dataset.samples = run.dataset.samples.slice(0, 6);
    const directory = new RunDirectory(join(temporaryFolder(), 'run'));
    const options = { gpu: await sharedGpu(), directory, validation: await openValidation(run.config), ...run };
    const { model } = await stopped(
      (stop) => ({ onValidationImage: stop }),
      (events) => trainRun({ ...options, resume: false, ...events }),
    );
    model.dispose();
    assert.equal(directory.readValidation(), []);
    const resumed = await trainRun({ ...options, resume: true });
    resumed.model.dispose();
    assert.is(resumed.finished, true);
    assert.equal(
      directory.readValidation().map(({ step }) => step),
      [last],
    );
  }
});

test('crowds count no more than in rcnn eval', async () => {
  const run = await tinyRun({ steps: 1, validate: 'val', validateImages: IMAGES });
  const directory = new RunDirectory(join(temporaryFolder(), 'run'));
  const dataset = (await openValidation(run.config))!;
  const samples = dataset.samples.map((sample) => ({
    ...sample,
    boxes: sample.boxes.map((box, i) => (i === 0 ? box : { ...box, crowd: true })),
  }));
  const crowded = { ...dataset, samples };
  const { model } = await trainHere(run, { directory, validation: crowded });
  const { report } = await evaluate(model, crowded, 'voc10');
  model.dispose();
  const { ap, mAP } = directory.readValidation()[0]!;
  assert.equal(ap, report.ap);
  assert.is(mAP, report.mAP);
  assert.ok(Object.values(ap).filter((value) => value === null).length > 0, 'some class has nothing but crowds');
});

test('what is evaluated when, from the options', async () => {
  const settled = async (choices: RunChoices) => (await configureRun({ preset: 'demo', ...choices })).config.validation;
  assert.is(await settled({}), undefined);
  assert.equal(await settled({ validate: 'val' }), { data: 'digits', split: 'val', images: 100, interval: 300 });
  assert.equal(await settled({ validateData: 'digits', validateEvery: 9 }), {
    data: 'digits',
    split: 'val',
    images: 100,
    interval: 9,
  });
  assert.equal(await settled({ validate: 'test', steps: 7, validateImages: 9 }), {
    data: 'digits',
    split: 'test',
    images: 9,
    interval: 10,
  });
  assert.is((await settled({ validate: 'val', set: ['training.steps=1000'] }))!.interval, 100);
  assert.match(await userError(settled({ validateEvery: 10 })), /^--validate-every, .*Give --validate SPLIT too$/);
  assert.match(await userError(settled({ validateImages: 100 })), /Give --validate SPLIT too$/);
  assert.match(await userError(settled({ validate: 'dev' })), /no split 'dev'/);
  assert.match(await userError(settled({ validateData: 'voc:/nowhere' })), /nowhere.*no such folder/);

  const { config, validation, dataset } = await configureRun({ preset: 'demo', validate: 'val', validateImages: 3 });
  assert.equal(
    validation!.samples.map(({ id }) => id),
    [0, 134, 267].map((i) => `digits-val-${String(i).padStart(5, '0')}`),
  );
  assert.match(validation!.notes.join(), /validation takes 3 of the 400 images of split 'val', evenly spaced/);
  assert.is(dataset.samples.length, 4000);
  assert.throws(() => assertSameRun({ validate: 'test' }, config, 'c'), /--validate: the run to resume has val/);

  const empty = await writeVoc({
    splits: { train: 'a', val: 'b' },
    annotations: { a: vocXml([{ name: 'cat', box: [3, 4, 20, 15] }]), b: vocXml([]) },
    images: ['a.jpg', 'b.jpg'],
  });
  const message = await userError(configureRun({ data: `voc:${empty}`, preset: 'digits', validate: 'val' }));
  assert.match(message, /^--validate val: has no object that counts in 1 images; choose another split$/);
});

test('how long ago the best evaluation was, the first of several that are as good', () => {
  const since = (...mAPs: number[]) => sinceBest(mAPs.map((mAP) => ({ mAP })));
  assert.equal([since(), since(0.1), since(0.1, 0.2), since(0.2, 0.2), since(0.3, 0.1, 0.2)], [0, 0, 0, 1, 2]);
});

for (const [what, set] of [
  ['weights', []],
  ['averaged weights', ['training.ema=0.9']],
] as const)
  test(`a run ends once its ${what} no longer get better, and a resumed one where it would have ended`, async () => {
    const choices = { steps: 60, validateEvery: 2, patience: 2, set: [...set] };
    const whole = await watched(choices);
    const lines = whole.directory.readValidation();
    assert.is(whole.finished, true);
    assert.ok(whole.progress.step < 60, 'a tiny detector does not get better at every other evaluation');
    assert.is(lines.at(-1)!.step, whole.progress.step);
    assert.equal([sinceBest(lines), sinceBest(lines.slice(0, -1))], [2, 1]);
    const last = (await evaluate(whole.model, (await openValidation(whole.directory.readConfig()))!, 'voc10')).report;
    assert.is(last.mAP, lines.at(-1)!.mAP, 'what was validated last is what the training returns');

    const { directory } = await stoppedAt(3, (options) => watched(choices, options));
    for (const _ of ['the rest', 'nothing left']) {
      const result = await resumeHere(directory);
      assert.equal([result.finished, result.progress.step], [true, whole.progress.step]);
      assert.equal(await checkpointBits(directory), await checkpointBits(whole.directory));
      assert.equal(withoutSeconds(directory.readValidation()), withoutSeconds(lines));
    }
  });

test('checkpoints of earlier steps are kept, the last ones, and change nothing', async () => {
  const alone = await trainHere(await tinyRun({ steps: 9 }));
  const { directory } = await trainHere(await tinyRun({ steps: 9, saveEvery: 2, keep: 3, checkpointEvery: 3 }));
  assert.equal(directory.keptSteps, [4, 6, 8]);
  assert.equal(await checkpointBits(directory), await checkpointBits(alone.directory));
  const run = await tinyRun({ steps: 9 });
  const six = await stoppedAt(6, (options) => trainHere(run, options));
  assert.equal(await checkpointBits({ checkpointPath: directory.keptPath(6) }), await checkpointBits(six.directory));
  const gpu = await sharedGpu();
  (await loadModel(gpu, directory.path, undefined, 6)).dispose();
  const missing = await userError(loadModel(gpu, directory.path, undefined, 2));
  assert.match(missing, /checkpoint-2\.safetensors: there is no such file; there are 4, 6, 8, and --weights last$/);
  rmSync(directory.checkpointPath);
  assert.throws(() => directory.assertFree(), /already holds a run; continue it with --resume/);
  directory.clear();
  assert.equal(directory.keptSteps, []);
});

test('early stopping and kept checkpoints need what they refer to', async () => {
  const refused = (choices: RunChoices) => userError(configureRun({ preset: 'demo', ...choices }));
  assert.match(await refused({ patience: 3 }), /Give --validate SPLIT too$/);
  assert.match(await refused({ patience: 3, validate: 'val', schedule: 'unshared' }), /is evaluated only once/);
  assert.match(await refused({ keep: 3 }), /^--keep: which checkpoints\? Give --save-every STEPS too$/);
  const { config } = await configureRun({ preset: 'demo', validate: 'val', patience: 4, saveEvery: 50 });
  assert.equal([config.validation!.patience, config.kept], [4, { interval: 50 }]);
  assert.throws(() => assertSameRun({ patience: 5 }, config, 'c'), /--patience: the run to resume has 4/);
  assert.throws(() => assertSameRun({ keep: 5 }, config, 'c'), /--keep: the run to resume has none/);
});

test.run();

/** Runs with other optimisers, bounded gradients and averaged weights: resumed with the same bits, evaluated as averages. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { loadSafetensors } from '../../src/engine/node/safetensorsFile.ts';
import { configureRun, reopenRun, type RunChoices } from '../../src/run/config/runConfig.ts';
import { loadModel } from '../../src/run/storage/loadModel.ts';
import { userError } from '../data/fixtures.ts';
import { sharedGpu } from '../harness.ts';
import { assertShared } from './sharedTraining.ts';
import { checkpointBits, resumeHere, stoppedAt, tinyRun, trainHere } from './tinyRun.ts';

const SET = [
  'training.optimizer=adamw',
  'training.clipNorm=2',
  'training.clipValue=0.1',
  'training.ema=0.9',
  'training.rateSchedule=cosine',
];
const choices: RunChoices = { steps: 8, learningRate: 0.001, set: SET, validate: 'val', validateEvery: 4 };

async function values(path: string): Promise<Record<string, Float32Array>> {
  const { tensors } = await loadSafetensors(path);
  return Object.fromEntries(Object.entries(tensors).map(([name, { data }]) => [name, data as Float32Array]));
}

test('a stopped and resumed run ends with the bits of one that was not; the averages are what is evaluated', async () => {
  const whole = await run();
  const { directory } = await stoppedAt(3, run);
  const half = await checkpointBits(directory);
  assert.is(half['step'], '3');
  const { validation } = await configureOf(directory.readConfig());
  const resumed = await resumeHere(directory, { validation });
  const end = await checkpointBits(directory);
  assert.equal(end, await checkpointBits(whole.directory));
  for (const state of ['first_moment', 'second_moment', 'average'])
    assert.is.not(end[`${state}/fc6.weight`], half[`${state}/fc6.weight`], state);
  assert.not.ok(Object.keys(end).some((name) => name.startsWith('momentum/')));

  const kept = await values(directory.checkpointPath);
  assert.not.equal(kept['fc6.weight'], kept['average/fc6.weight']);
  // The weights of the last step were the best or not; either way the file has averages alone, under the parameters' names.
  const best = await values(directory.bestPath);
  assert.equal(Object.keys(best).sort(), Object.keys(resumed.model.parameters).sort());
  const { step } = directory.readValidation().reduce((a, b) => (b.mAP > a.mAP ? b : a));
  if (step === 8) assert.equal(best['fc6.weight'], kept['average/fc6.weight']);
  // What training returns and what a command loads computes with the averages.
  assert.equal(await resumed.model.parameters['fc6.weight']!.read(), kept['average/fc6.weight']);
  const model = await loadModel(await sharedGpu(), directory.path);
  assert.equal(await model.parameters['fc6.weight']!.read(), kept['average/fc6.weight']);
  model.dispose();
  const raw = await loadModel(await sharedGpu(), directory.path, undefined, 'raw');
  assert.equal(await raw.parameters['fc6.weight']!.read(), kept['fc6.weight']);
  raw.dispose();

  async function run(options: Parameters<typeof trainHere>[1] = {}) {
    const { config, dataset } = await tinyRun(choices);
    const { validation } = await configureOf(config);
    return trainHere({ config, dataset }, { ...options, validation });
  }
});

async function configureOf(config: Awaited<ReturnType<typeof tinyRun>>['config']) {
  const { validation } = await reopenRun(config);
  return { config, validation: { ...validation!, samples: validation!.samples.slice(0, 2) } };
}

test('choices without effect, and those that do not go together, are one line each', async () => {
  const wrong: [RunChoices, RegExp][] = [
    [{ set: ['training.optimizer=adamw'] }, /^--set training.optimizer=adamw: the preset's learning rate, 0.005, is for sgd; give one, such as --learning-rate 0.0003$/],
    [{ set: ['training.betas=[0.9,0.99]'] }, /^--set training.betas=\[0.9,0.99\]: training.optimizer sgd has no such value; leave it out$/],
    [{ learningRate: 1e-4, set: ['training.optimizer=adam', 'training.momentum=0.8'] }, /^--set training.momentum=0.8: training.optimizer adam has no such value/],
    [{ schedule: 'alternating', set: ['training.ema=0.9'] }, /^--set training.ema: --schedule alternating trains several networks one after the other, /],
    [{ set: ['training.ema=1'] }, /^--set training.ema=1: training.ema: must be below 1, not 1$/],
    [{ set: ['training.clipNorm=0'] }, /training.clipNorm: must be above 0, not 0$/],
    [{ set: ['training.optimizer=lion'] }, /training.optimizer: must be sgd or adam or adamw, not "lion"$/],
  ]; // prettier-ignore
  for (const [more, message] of wrong)
    assert.match(await userError(configureRun({ preset: 'demo', ...more })), message);
});

test('processes that share an update bound its gradients to the bits of one', async () => {
  const shared = { ...choices, set: [...SET, 'training.imagesPerStep=3'], steps: 3 };
  await assertShared(await tinyRun(shared), [2, 3]);
});

test.run();

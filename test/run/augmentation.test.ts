/** Runs on augmented pictures. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { augmentedSheet } from '../../src/run/evaluation/augmentedPictures.ts';
import { configureRun, type RunChoices } from '../../src/run/config/runConfig.ts';
import { userError } from '../data/fixtures.ts';
import { sharedGpu } from '../harness.ts';
import { checkpointBits, resumeHere, stoppedAt, tinyRun, trainHere } from './tinyRun.ts';

const EVERYTHING =
  '{"scale":[0.5,2],"crop":0.5,"brightness":0.3,"contrast":0.3,"saturation":0.5,"hue":0.1,"rotate":true,"flipVertical":true,"mosaic":0.5}';
const choices: RunChoices = { steps: 6, set: [`training.augmentation=${EVERYTHING}`] };

test('a stopped and resumed run on augmented pictures ends with the bits of one that was not', async () => {
  const whole = await trainHere(await tinyRun(choices));
  const run = await tinyRun(choices);
  const { directory } = await stoppedAt(3, (options) => trainHere(run, options));
  await resumeHere(directory);
  const end = await checkpointBits(directory);
  assert.equal(end, await checkpointBits(whole.directory));
  const plain = await trainHere(await tinyRun({ steps: 6 }));
  assert.is.not(end['fc6.weight'], (await checkpointBits(plain.directory))['fc6.weight']);
});

test('the sheet of augmented pictures is drawn on the device', async () => {
  const { config, dataset } = await tinyRun(choices);
  const { augmentation, ...training } = config.training;
  const sheet = await augmentedSheet(await sharedGpu(), dataset, { ...training, augmentation: augmentation! });
  assert.ok(sheet.width > 600 && sheet.height > 400);
});

test('bad values, and schedules that cannot be augmented, are one line each', async () => {
  const wrong: [RunChoices, RegExp][] = [
    [{ set: ['training.augmentation.scale=[2,0.5]'] }, /^--set training.augmentation.scale=\[2,0.5\]: training.augmentation.scale: must begin with the smaller number$/],
    [{ set: ['training.augmentation.crop=0'] }, /training.augmentation.crop: must be above 0, not 0$/],
    [{ set: ['training.augmentation.hue=1'] }, /training.augmentation.hue: must be at most 0.5, not 1$/],
    [{ set: ['training.augmentation.mosiac=1'] }, /there is no training.augmentation.mosiac; there are scale, crop, /],
    [{ schedule: 'alternating', ...choices }, /^--set training.augmentation: --schedule alternating keeps the proposals of unchanged pictures /],
  ]; // prettier-ignore
  for (const [more, message] of wrong)
    assert.match(await userError(configureRun({ preset: 'demo', ...more })), message);
});

test.run();

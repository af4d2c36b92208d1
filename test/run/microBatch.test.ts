/** Training with several images at a time through the network: it resumes with the same bits, shares them among processes, and refuses what it cannot do. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { makeDetector } from '../../src/model/detectors.ts';
import { configFor, type RunChoices } from '../../src/run/config/runConfig.ts';
import { JOINT_TASK, measureStep } from '../../src/run/training/trainDetector.ts';
import { sharedGpu } from '../harness.ts';
import { assertShared } from './sharedTraining.ts';
import { checkpointBits, failure, resumeHere, stoppedAt, tinyRun, trainHere } from './tinyRun.ts';

const set = ['training.imagesPerStep=6', 'training.microBatch=2'];

test('a run that was stopped and resumed ends with the bits of one that was not', async () => {
  const whole = await trainHere(await tinyRun({ steps: 3, set }));
  const run = await tinyRun({ steps: 3, set });
  const { directory } = await stoppedAt(1, (options) => trainHere(run, options));
  await resumeHere(directory);
  assert.equal(await checkpointBits(directory), await checkpointBits(whole.directory));
  const one = await trainHere(await tinyRun({ steps: 3, set: set.slice(0, 1) }));
  const [losses, alone] = [whole, one].map(({ directory }) => directory.readMetrics().at(-1)!.loss);
  assert.ok(Math.abs(losses! - alone!) < 0.2 * alone!, `${losses} together, ${alone} one by one`);
});

test('processes that share an update have the bits of one', async () => {
  await assertShared(await tinyRun({ steps: 2, set }), [2, 3]);
});

test('what cannot go together is one line', async () => {
  const refused: readonly (readonly [RunChoices, RegExp])[] = [
    [{ set: ['training.imagesPerStep=6', 'training.microBatch=4'] }, /^--set: training.microBatch: 4 does not divide training.imagesPerStep, 6; choose a divisor of it$/],
    [{ set: ['training.microBatch=2'] }, /^--set: training.microBatch: 2 does not divide training.imagesPerStep, 1; /],
    [{ set: ['training.microBatch=0'] }, /training.microBatch: must be above 0, not 0$/],
    [{ set, schedule: 'alternating' }, /^--set training.microBatch: --schedule alternating computes each image of a stage by itself; leave it out$/],
  ]; // prettier-ignore
  for (const [choices, message] of refused) {
    assert.throws(() => configFor({ preset: 'demo', ...choices }, ['__background__', 'a']), message);
  }
});

test('a batch that is too large for a buffer of the device is one line, before anything is written', async () => {
  const gpu = await sharedGpu();
  const run = await tinyRun({ steps: 1, set: ['training.imagesPerStep=4096', 'training.microBatch=4096'] });
  const message = await failure(trainHere(run));
  assert.match(
    message,
    /needs a buffer of \d+ bytes, but this device binds at most \d+; use smaller or fewer images at once/,
  );
  const model = makeDetector(gpu, run.config.detector, 1);
  const [sample] = run.dataset.samples;
  const [one, four, seven] = [1, 4, 7].map((count) =>
    measureStep(
      model,
      JOINT_TASK,
      Array.from({ length: count }, () => sample!),
      { first: 0, end: 1 },
    ),
  ) as [number, number, number];
  const three = 3 * 4 * 3 * 80 * 80; // the inputs alone
  assert.ok(four - one > three && seven - four > three, `${one}, ${four} and ${seven} bytes for 1, 4 and 7 images`);
  model.dispose();
});

test.run();

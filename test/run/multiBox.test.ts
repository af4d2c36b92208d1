/** MultiBox trained on tiny data: it learns, a stop changes no bit, its boxes are a file of proposals, bad input is one line. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readProposalFile } from '../../src/data/proposalFiles.ts';
import {
  configureMultiBox,
  type MultiBoxChoices,
  multiBoxDirectory,
  reopenMultiBox,
} from '../../src/run/config/multiBoxConfig.ts';
import { writeMultiBoxProposals } from '../../src/run/evaluation/multiBoxProposals.ts';
import { trainMultiBox, type TrainMultiBoxOptions } from '../../src/run/training/trainMultiBox.ts';
import { rcnn } from '../cli/command.ts';
import { temporaryFolder, userError, vocXml, writeVoc } from '../data/fixtures.ts';
import { sharedGpu } from '../harness.ts';
import { checkpointBits } from './tinyRun.ts';

/** Four images with an object each: two places, two of each. */
const IDS = ['a', 'b', 'c', 'd'];
const data = await writeVoc({
  splits: { train: `${IDS.join('\n')}\n`, test: 'a\n' },
  annotations: Object.fromEntries(
    IDS.map((id, i) => [
      id,
      vocXml([
        { name: 'cat', box: i % 2 ? [3 + i, 4, 20, 15] : [20, 12 + i, 38, 28] },
        { name: 'dog', box: [1, 1, 40, 30 - i], difficult: i === 0 },
      ]),
    ]),
  ),
  images: IDS.map((id) => `${id}.jpg`),
});
const tiny: MultiBoxChoices & { data: string } = {
  data,
  priors: 4,
  size: 32,
  batch: 2,
  steps: 12,
  learningRate: 0.005,
};

async function trainHere(choices: MultiBoxChoices = {}, options: Partial<TrainMultiBoxOptions> = {}) {
  const directory = multiBoxDirectory(join(temporaryFolder(), 'run'));
  const result = await trainMultiBox({
    gpu: await sharedGpu(),
    directory,
    resume: false,
    ...(await configureMultiBox({ ...tiny, ...choices })),
    ...options,
  });
  result.model.dispose();
  return { ...result, directory };
}

// The images are alike, so only how often a prior has an object can be learnt.
test('both terms of the loss fall, and the boxes are a file of proposals', async () => {
  const { directory } = await trainHere({ steps: 120, alpha: 2 });
  const lines = directory.readMetrics();
  const [first, last] = [lines[0]!, lines.at(-1)!];
  assert.ok(last.confidence < 0.9 * first.confidence, `${first.confidence} to ${last.confidence}`);
  assert.ok(last.location < 0.8 * first.location, `${first.location} to ${last.location}`);
  const { dataset } = await reopenMultiBox({}, directory);
  const out = join(directory.path, 'boxes.csv');
  const gpu = await sharedGpu();
  const result = await writeMultiBoxProposals({ gpu, directory, samples: dataset.samples, most: 3, out });
  assert.equal([result.finished, result.images, result.boxes], [true, 4, 12]);
  assert.equal(
    (await readProposalFile(out, dataset.samples)).map(({ length }) => length),
    [3, 3, 3, 3],
  );
});

test('a run that was stopped and resumed ends with the bits of one that was not', async () => {
  const whole = await trainHere();
  const controller = new AbortController();
  const stopped = await trainHere(
    {},
    { signal: controller.signal, onStep: (step) => step === 5 && controller.abort() },
  );
  assert.equal([stopped.finished, stopped.progress.step], [false, 5]);
  const { directory } = stopped;
  const resumed = await trainMultiBox({
    gpu: await sharedGpu(),
    directory,
    resume: true,
    ...(await reopenMultiBox({}, directory)),
  });
  resumed.model.dispose();
  assert.equal(await checkpointBits(directory), await checkpointBits(whole.directory));
});

test('what cannot work is one line', async () => {
  assert.match(
    await userError(configureMultiBox({ ...tiny, priors: 50 })),
    /^the data has 7 different boxes of objects, fewer than the 50 priors; choose 7 priors or fewer/,
  );
  const root = temporaryFolder();
  const cases: [args: string[], message: RegExp][] = [
    [['multibox'], /^rcnn multibox: --data is missing: name the images to train on, or pass --resume\n$/],
    [
      ['proposals', '--method', 'multibox', '--data', data, '--out', 'x.csv'],
      /--model is missing: multibox needs a run directory/,
    ],
    [
      ['proposals', '--method', 'multibox', '--data', data, '--out', 'x.csv', '--model', 'none'],
      /none is not a run of 'rcnn multibox'\n$/,
    ],
    [
      ['proposals', '--method', 'edge-boxes', '--data', data, '--out', 'x.csv', '--model', 'x'],
      /--model: edge-boxes uses no network; leave it out/,
    ],
  ];
  for (const [args, message] of cases) {
    const { code, stderr } = await rcnn(root, ...args);
    assert.equal([code, stderr.trim().split('\n').length], [1, 1], stderr);
    assert.match(stderr, message);
  }
  assert.ok(!existsSync(join(root, 'x.csv')));
});

test.run();

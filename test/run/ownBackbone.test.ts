/** A backbone registered in one line is known everywhere: options, configurations, stages of training, run directories. */
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { detectImage, openDataset, registerBackbone, registerFormat } from '../../src/node.ts';
import { configurePretrain } from '../../src/run/config/pretrainConfig.ts';
import { configureRun } from '../../src/run/config/runConfig.ts';
import { loadModel } from '../../src/run/storage/loadModel.ts';
import { RunDirectory } from '../../src/run/storage/runDirectory.ts';
import { trainRun } from '../../src/run/training/trainRun.ts';
import { temporaryFolder } from '../data/fixtures.ts';
import { writeFiles } from '../data/formats/files.ts';
import { mine } from '../data/ownFormat.ts';
import { sharedGpu } from '../harness.ts';
import { own } from './ownBackbone.ts';
import { tinyRun, trainHere } from './tinyRun.ts';

registerBackbone(own);

test('a configuration and a pre-training take what its descriptor says', async () => {
  const { config } = await configureRun({ preset: 'demo', backbone: 'own' });
  assert.is(config.detector.backbone, 'own');
  assert.is(config.detector.head.pooled, 2);
  assert.equal([config.detector.input.channels, config.detector.input.mean], ['bgr', [1, 2, 3]]);
  const { classifier, training } = (await configurePretrain({ backbone: 'own' })).config;
  assert.equal([classifier.input.size, classifier.pooled], [40, 2]);
  assert.equal([training.imagesPerStep, training.learningRate], [4, 0.02]);
  try {
    await configureRun({ backbone: 'other' });
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, /^--backbone other: unknown; choose from small, .*, own$/);
  }
});

test('it is trained in stages, its region layer with the head, and read back from the run directory', async () => {
  const gpu = await sharedGpu();
  const run = await tinyRun({ steps: 7, schedule: 'alternating', backbone: 'own' });
  run.dataset.samples = run.dataset.samples.slice(0, 4);
  const directory = new RunDirectory(join(temporaryFolder(), 'run'));
  const { model, finished } = await trainRun({ gpu, directory, resume: false, ...run });
  assert.ok(finished);
  assert.equal([model.partOf('a.weight'), model.partOf('b.weight')], ['features', 'regions']);
  const expected = await model.parameters['b.weight']!.read();
  model.dispose();
  const loaded = await loadModel(gpu, directory.path);
  assert.equal(await loaded.parameters['b.weight']!.read(), expected);
  loaded.dispose();
});

test('a backbone and a format of a program, one file and one call each, train and detect together', async () => {
  registerFormat(mine);
  const root = await writeFiles({
    'boxes.mine': 'a.jpg cat 2 3 20 15\nb.jpg dog 5 4 30 28\n',
    'a.jpg': '',
    'b.jpg': '',
  });
  const data = `mine:${join(root, 'boxes.mine')}`;
  const { config } = await tinyRun({ data, split: 'all', preset: 'demo', steps: 3, backbone: 'own' });
  const dataset = await openDataset(data, { split: 'all' });
  assert.equal([config.data, config.detector.classes], [data, ['__background__', 'cat', 'dog']]);
  const { model, finished, directory } = await trainHere({ config, dataset });
  assert.ok(finished);
  const image = await dataset.samples[0]!.load();
  const loaded = await loadModel(await sharedGpu(), directory.path);
  assert.is(loaded.config.backbone, 'own');
  assert.equal(await detectImage(loaded, image), await detectImage(model, image));
  [model, loaded].forEach((network) => network.dispose());
});

test('a name is taken once', () => {
  registerBackbone(own);
  assert.throws(() => registerBackbone({ ...own, stride: 4 }), /registerBackbone: there is already a backbone own/);
});

test.run();

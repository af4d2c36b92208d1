/** A backbone registered in one line is known everywhere: options, configurations, stages of training, run directories. */
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type BackboneDescriptor, conv2d, linear, ParameterStore, registerBackbone, reshape } from '../../src/index.ts';
import { configurePretrain } from '../../src/run/config/pretrainConfig.ts';
import { configureRun } from '../../src/run/config/runConfig.ts';
import { loadModel } from '../../src/run/storage/loadModel.ts';
import { RunDirectory } from '../../src/run/storage/runDirectory.ts';
import { trainRun } from '../../src/run/training/trainRun.ts';
import { temporaryFolder } from '../data/fixtures.ts';
import { sharedGpu } from '../harness.ts';
import { tinyRun } from './tinyRun.ts';

/** One convolution of stride 8; the names of its layers say nothing about which part they belong to. */
const own: BackboneDescriptor = {
  name: 'own',
  title: 'one convolution, stride 8',
  stride: 8,
  input: { channels: 'bgr', mean: [1, 2, 3], factor: [0.1, 0.1, 0.1] },
  frozenStages: 0,
  pooled: 2,
  learnsFromRandom: true,
  pretraining: { size: 40, batch: 4, learningRate: 0.02 },
  build(gpu, { pooled, seed }) {
    const [convolutions, regions] = [new ParameterStore(gpu, seed), new ParameterStore(gpu, seed)];
    const a = convolutions.layer('a', [8, 3, 9, 9]);
    const b = regions.layer('b', [12, 8 * pooled * pooled]);
    return {
      stride: 8,
      channels: 8,
      regionFeatures: 12,
      featureParameters: convolutions.parameters,
      regionParameters: regions.parameters,
      features: (image) => conv2d(image, a.weight, a.bias, { stride: 8, padding: 4, relu: true }),
      regions: (region) => linear(reshape(region, [region.shape[0]!, -1]), b.weight, b.bias, { relu: true }),
    };
  },
};

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

test('a name is taken once', () => {
  registerBackbone(own);
  assert.throws(() => registerBackbone({ ...own, stride: 4 }), /registerBackbone: there is already a backbone own/);
});

test.run();

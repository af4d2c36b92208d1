/** `--set` and the check of config.json. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { UserError } from '../../src/engine/errors.ts';
import { problemOf, withSettings } from '../../src/run/config/configSchema.ts';
import { PRESETS } from '../../src/run/config/presets.ts';
import { configureRun, type RunChoices } from '../../src/run/config/runConfig.ts';

const base = () => {
  const { detector, training } = PRESETS['demo']!;
  return structuredClone({ detector: { ...detector, classes: ['__background__', 'a'] }, training });
};

test('every preset is a valid configuration', () => {
  for (const [name, { detector, training }] of Object.entries(PRESETS)) {
    assert.is(problemOf({ detector: { ...detector, classes: ['__background__', 'a'] }, training }), null, name);
  }
});

test('values are changed one by one, and what was given is left as it was', () => {
  const before = base();
  const { detector, training } = withSettings(before, [
    'detector.rpn.lambda=10',
    'detector.rpn.normalisation=locations',
    'detector.anchors.sizes=[8,64]',
    'detector.rpn.test.without="cls"',
    'detector.stages=1',
    'training.flip=true',
  ]);
  assert.equal(before, base());
  assert.is(detector.rpn.lambda, 10);
  assert.is(detector.rpn.normalisation, 'locations');
  assert.equal(detector.anchors, { ...before.detector.anchors, sizes: [8, 64] });
  assert.is(detector.rpn.test.without, 'cls');
  assert.is(detector.stages, 1);
  assert.is(training.flip, true);
});

test('a wrong setting is told in one line', () => {
  const cases: [string, RegExp][] = [
    [
      'detector.rpn.lamda=10',
      /^--set detector.rpn.lamda=10: there is no detector.rpn.lamda; there are channels, batch,/,
    ],
    ['rpn.lambda=10', /there is no rpn.lambda; there are detector/],
    ['detector.rpn', /give PATH=VALUE/],
    ['detector.rpn.lambda=ten', /detector.rpn.lambda: .*expected number/],
    ['detector.anchors.sizes=[]', /detector.anchors.sizes: /],
    ['detector.head.batch=0.5', /detector.head.batch: /],
    ['detector.rpn.train.without=everything', /detector.rpn.train.without: /],
    ['detector.backbone=zf', /is what --backbone is for/],
    ['detector.features=unshared', /is what --schedule unshared is for/],
    ['detector.toString=1', /there is no detector.toString/],
    ['detector.rpn=1', /detector.rpn: /],
    ['detector={}', /there is no detector; there are detector...., training..../],
    [
      'training.stages.detector.step=9',
      /there is no training.stages.detector.step; there are steps, milestones, images/,
    ],
    ['training.stages.head.steps=9', /there is no training.stages.head.steps; there are /],
    ['training.stages.rpn.steps=-1', /training.stages.rpn.steps: .*expected number to be >0/],
    ['training.stages.rpn.imagesPerStep=0', /training.stages.rpn.imagesPerStep: /],
    ['training.stages.rpn.milestones=[-5]', /training.stages.rpn.milestones.0: /],
    ['training.stages.rpn.milestones=5', /training.stages.rpn.milestones: .*expected array/],
    ['training.stages={"rpn":{"stride":1}}', /training.stages.rpn: Unrecognized key: "stride"/],
    [
      'training.stages.rpn.milestones=[10,2000]',
      /^--set: training.stages.rpn.milestones: 2000 is beyond the stage's 1715 steps$/,
    ],
  ];
  for (const [setting, message] of cases) {
    try {
      withSettings(base(), [setting]);
      assert.unreachable(setting);
    } catch (error) {
      assert.instance(error, UserError, `${setting}: ${(error as Error).message}`);
      assert.match((error as Error).message, message);
      assert.not.match((error as Error).message, /\n/);
    }
  }
});

test('settings without effect are refused', async () => {
  const cases: [choices: RunChoices, setting: string, message: RegExp][] = [
    [
      {},
      'training.stages.rpn.steps=9',
      /^--set training.stages: --schedule joint has no stages; .* alternating and unsh/,
    ],
    [
      { schedule: 'alternating' },
      'training.milestones=[9]',
      /^--set training.milestones=\[9\]: .* set training.stages.rpn.milestones and training.stages.detector.milestones$/,
    ],
    [
      { schedule: 'alternating', preset: 'paper-zf-voc07', split: 'train' },
      'training.imagesPerStep=4',
      /^--set training.imagesPerStep=4: the stages of --schedule alternating have their own; set training.stages.rpn.imag/,
    ],
  ];
  for (const [choices, setting, message] of cases) {
    try {
      await configureRun({ preset: 'demo', ...choices, set: [setting] });
      assert.unreachable(setting);
    } catch (error) {
      assert.instance(error, UserError, `${setting}: ${(error as Error).message}`);
      assert.match((error as Error).message, message);
    }
  }
});

test('a config.json is checked as a whole, and one from before there were settings of stages is still good', () => {
  const { detector, training } = base();
  assert.is(problemOf({ detector, training }), null);
  assert.not.ok('stages' in training);
  assert.is(problemOf({ detector, training: { ...training, stages: {} } }), null);
  const stages = { detector: { steps: 10, milestones: [5, 11] } };
  assert.is(
    problemOf({ detector, training: { ...training, stages } }),
    "training.stages.detector.milestones: 11 is beyond the stage's 10 steps",
  );
});

test('anchors larger than every image are refused', async () => {
  const set = (sizes: string) => configureRun({ preset: 'demo', set: [`detector.anchors.sizes=${sizes}`] });
  try {
    await set('[400,800]');
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, /^anchors 400, 800: larger than every image \(the largest is 160 x 160/);
  }
  assert.equal((await set('[40,800]')).config.detector.anchors.sizes, [40, 800]);
});

test.run();

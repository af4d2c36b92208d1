/** `--set` and the check of config.json. */
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { settingsDocument, settingsPath } from '../../scripts/settings.ts';
import { UserError } from '../../src/engine/errors.ts';
import { parseRunConfig, problemOf, withDetectorSettings, withSettings } from '../../src/run/config/configSchema.ts';
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

test('values are changed one by one, and the given configuration stays as it was', () => {
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

test('nothing of its training is changed in a detector that is trained', () => {
  assert.is(withDetectorSettings(base(), ['detector.rpn.lambda=10']).detector.rpn.lambda, 10);
  assert.throws(
    () => withDetectorSettings(base(), ['detector.rpn.lambda=10', 'training.steps=3']),
    /^--set training.steps=3: the detector is trained already; give settings that begin with detector\.$/,
  );
});

test('a wrong setting is reported in one line', () => {
  const cases: [string, RegExp][] = [
    [
      'detector.rpn.lamda=10',
      /^--set detector.rpn.lamda=10: there is no detector.rpn.lamda; there are channels, filters, batch,/,
    ],
    ['rpn.lambda=10', /there is no rpn.lambda; there are detector/],
    ['detector.rpn', /give PATH=VALUE/],
    ['detector.rpn.lambda=ten', /detector.rpn.lambda: must be a number, not "ten"$/],
    ['detector.anchors.sizes=[]', /detector.anchors.sizes: /],
    ['detector.head.batch=0.5', /detector.head.batch: /],
    ['detector.rpn.train.without=everything', /detector.rpn.train.without: /],
    ['detector.backbone=zf', /is what --backbone is for/],
    ['detector.features=unshared', /is what --schedule unshared is for/],
    ['constructor=1', /there is no constructor; there are detector/],
    ['__proto__.polluted=1', /there is no __proto__.polluted; there are detector/],
    ['detector.constructor=1', /there is no detector.constructor; there are system, convention,/],
    ['detector.__proto__.rpn=1', /there is no detector.__proto__.rpn; there are detector/],
    ['detector.head.__proto__=1', /there is no detector.head.__proto__; there are pooled,/],
    ['detector.toString=1', /there is no detector.toString/],
    ['detector.rpn=1', /detector.rpn: /],
    ['detector={}', /there is no detector; there are detector...., training..../],
    [
      'training.stages.detector.step=9',
      /there is no training.stages.detector.step; there are steps, milestones, images/,
    ],
    ['training.stages.head.steps=9', /there is no training.stages.head.steps; there are /],
    ['training.stages.rpn.steps=-1', /training.stages.rpn.steps: must be above 0, not -1$/],
    ['training.stages.rpn.imagesPerStep=0', /training.stages.rpn.imagesPerStep: /],
    ['training.stages.rpn.milestones=[-5]', /training.stages.rpn.milestones.0: /],
    ['training.stages.rpn.milestones=5', /training.stages.rpn.milestones: must be a list, not 5$/],
    ['training.stages={"rpn":{"stride":1}}', /training.stages.rpn: there is no setting stride$/],
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
    [
      { set: ['training.rateSchedule=cosine'] },
      'training.milestones=[9]',
      /^--set training.milestones=\[9\]: has no effect with training.rateSchedule cosine; .*rateSchedule=steps$/,
    ],
    [{}, 'training.power=2', /^--set training.power=2: .*rateSchedule steps; .*rateSchedule=polynomial$/],
  ];
  for (const [choices, setting, message] of cases) {
    try {
      await configureRun({ preset: 'demo', ...choices, set: [...(choices.set ?? []), setting] });
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

test('a config.json that holds something else is one line, which names the value and what it must be', async () => {
  const { config } = await configureRun({ preset: 'demo', validate: 'test' });
  const good = JSON.parse(JSON.stringify(config));
  assert.equal(parseRunConfig(JSON.stringify(good)), config);
  const cases: [change: (run: any) => void, message: RegExp][] = [
    [(run) => (run.schedule = 'alternatin'), /schedule: must be joint or .* or rcnn, not "alternatin"/],
    [(run) => (run.checkpointInterval = 0), /checkpointInterval: must be above 0, not 0/],
    [(run) => (run.checkpointInterval = 1.5), /checkpointInterval: must be a whole number, not 1.5/],
    [(run) => delete run.data, /data: is missing/],
    [(run) => (run.split = 3), /split: must be a text, not 3/],
    [(run) => (run.preset = null), /preset: must be a text, not null/],
    [(run) => (run.skipBadBoxes = 'no'), /skipBadBoxes: must be true or false, not "no"/],
    [(run) => delete run.init, /init: is missing/],
    [(run) => (run.validation.interval = 0), /validation.interval: must be above 0, not 0/],
    [(run) => (run.kernels = { conv: 1 }), /kernels.conv: must be a text, not 1/],
    [(run) => (run.detector = []), /detector: must be an object, not \[\]/],
    [(run) => (run.detector.backbone = 'smal'), /detector.backbone: must be one of small, .*, not "smal"/],
    [(run) => (run.detector.stages = 3), /detector.stages: /],
    [(run) => (run.detector.rpn.nmsThreshold = 2), /detector.rpn.nmsThreshold: must be at most 1, not 2/],
    [(run) => (run.detector.input.mean = [1, 2]), /detector.input.mean/],
    [(run) => (run.constructor = 1), /there is no setting constructor/],
    [(run) => (run.detector.head.constructor = 1), /detector.head: there is no setting constructor/],
    [(run) => (run.shedule = 'joint'), /there is no setting shedule/],
    [(run) => (run.format = 2), /format 2/],
  ];
  const fails = (text: string, message: RegExp) => {
    try {
      parseRunConfig(text);
      assert.unreachable(text);
    } catch (error) {
      assert.instance(error, UserError, `${message}: ${(error as Error).message}`);
      assert.match((error as Error).message, message);
      assert.match(
        (error as Error).message,
        /^config\.json: is not a configuration .*; train again or restore the file$/,
      );
    }
  };
  for (const [change, message] of cases) {
    const run = structuredClone(good);
    change(run);
    fails(JSON.stringify(run), message);
  }
  const text = JSON.stringify(good);
  fails(text.replace('{', '{"__proto__":1,'), /there is no setting __proto__/);
  fails(text.replace('"head":{', '"head":{"__proto__":1,'), /detector.head: there is no setting __proto__/);
});

test('a preset or a backbone named like a property of every object is unknown', async () => {
  for (const name of ['constructor', '__proto__', 'toString']) {
    for (const option of ['preset', 'backbone']) {
      try {
        await configureRun({ [option]: name });
        assert.unreachable(name);
      } catch (error) {
        assert.instance(error, UserError);
        assert.match((error as Error).message, `--${option} ${name}: unknown; choose from `);
      }
    }
  }
});

test('docs/settings.md is what the schema says, and explains every setting', () => {
  assert.is(readFileSync(settingsPath, 'utf8'), settingsDocument(), 'stale: npm run settings');
  assert.not.match(settingsDocument(), /undefined/);
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

/** The numbers by which the presets train: the published ones of the paper's, and the rule for what nobody published. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { configureRun, detectorFor, type RunChoices } from '../../src/run/config/runConfig.ts';
import { configOf } from '../../src/run/training/trainRun.ts';
import { stagesOf } from '../../src/run/config/stages.ts';

/** Steps, milestones, images of an update, RoIs of an image, learning rate. */
type Numbers = [steps: number, milestones: number[], images: number, rois: number, rate: number];

/** By stage, whatever the data: digits stand for them. */
async function numbersOf(choices: RunChoices): Promise<Numbers[]> {
  const { config } = await configureRun({ split: 'train', ...choices });
  return stagesOf(config.schedule).map((stage) => {
    const { detector, training } = configOf(stage, config);
    const { steps, milestones, imagesPerStep, learningRate } = training;
    assert.not.ok('stages' in training, 'a stage has no stages');
    return [steps, milestones, imagesPerStep, detector.head.batch, learningRate];
  });
}

interface Published {
  joint: Numbers;
  rpn: Numbers;
  detector: Numbers;
}

// py-faster-rcnn: solver.prototxt of faster_rcnn_end2end (iter_size 2), train_faster_rcnn_alt_opt.py and its solvers.
const VOC07: Published = {
  joint: [70000, [50000], 2, 128, 0.001],
  rpn: [80000, [60000], 1, 64, 0.001],
  detector: [40000, [30000], 2, 64, 0.001],
};
const PUBLISHED: Record<string, Published> = {
  'paper-zf-voc07': VOC07,
  'paper-vgg16-voc07': VOC07,
  // solver_60k80k and solver_30k60k of the paper's own code, VGG16_for_Faster_RCNN_VOC0712.m; joint: none is published.
  'paper-vgg16-voc0712': { ...VOC07, detector: [60000, [30000], 2, 64, 0.001] },
  // py-faster-rcnn's faster_rcnn_end2end; the stages: the paper, section 4.2.
  'paper-vgg16-coco': {
    joint: [490000, [350000], 2, 128, 0.001],
    rpn: [320000, [240000], 8, 64, 0.003],
    detector: [320000, [240000], 16, 64, 0.003],
  },
};

for (const [preset, { joint, rpn, detector }] of Object.entries(PUBLISHED)) {
  test(`${preset} trains as published, by every schedule`, async () => {
    assert.equal(await numbersOf({ preset }), [joint]);
    assert.equal(await numbersOf({ preset, schedule: 'joint-warp' }), [joint]);
    assert.equal(await numbersOf({ preset, schedule: 'unshared' }), [rpn, detector]);
    assert.equal(await numbersOf({ preset, schedule: 'alternating' }), [rpn, detector, rpn, detector]);
  });
}

test('the paper’s detector has the constants of py-faster-rcnn', () => {
  const detector = detectorFor({ preset: 'paper-vgg16-voc07' }, ['__background__', 'a']);
  const { input, anchors, rpn, head, test: limits } = detector;
  assert.is(detector.convention, 'py-faster-rcnn');
  // lib/fast_rcnn/config.py as experiments/cfgs/faster_rcnn_end2end.yml changes it: TRAIN.SCALES, MAX_SIZE, PIXEL_MEANS,
  assert.equal([input.shorterSide, input.longerSide], [600, 1000]);
  assert.equal([input.channels, input.mean, input.factor], ['bgr', [102.9801, 115.9465, 122.7717], [1, 1, 1]]);
  // RPN_BATCHSIZE, RPN_FG_FRACTION, RPN_POSITIVE_OVERLAP, RPN_NEGATIVE_OVERLAP,
  assert.equal([rpn.batch, rpn.positiveFraction, rpn.positiveOverlap, rpn.negativeOverlap], [256, 0.5, 0.7, 0.3]);
  // RPN_NMS_THRESH, RPN_MIN_SIZE, RPN_PRE_NMS_TOP_N, RPN_POST_NMS_TOP_N in training and in testing,
  assert.equal([rpn.nmsThreshold, rpn.minSize], [0.7, 16]);
  assert.equal(rpn.train, { preNms: 12000, postNms: 2000, without: 'nothing' });
  assert.equal(rpn.test, { preNms: 6000, postNms: 300, without: 'nothing' });
  // BATCH_SIZE, FG_FRACTION, FG_THRESH, BG_THRESH_LO, BG_THRESH_HI, BBOX_NORMALIZE_STDS, TEST.NMS.
  assert.equal([head.batch, head.foregroundFraction, head.foregroundOverlap], [128, 0.25, 0.5]);
  assert.equal([head.backgroundLow, head.backgroundHigh, head.targetStds], [0, 0.5, [0.1, 0.1, 0.2, 0.2]]);
  assert.is(limits.nmsThreshold, 0.3);
  // tools/test_net.py and lib/fast_rcnn/test.py: max_per_image and thresh.
  assert.equal([limits.maxDetections, limits.scoreThreshold], [100, 0.05]);
  // models/pascal_voc/VGG16/faster_rcnn_end2end/train.prototxt: channels, anchors, sigma of both losses, weights, bins.
  assert.equal([rpn.channels, anchors], [512, { sizes: [128, 256, 512], ratios: [0.5, 1, 2] }]);
  assert.equal([rpn.sigma, head.sigma, rpn.lambda, rpn.normalisation, head.pooled], [3, 1, 1, 'examples', 7]);
});

test('COCO: a fourth scale, and background down to an overlap of 0', async () => {
  for (const schedule of ['joint', 'alternating']) {
    const { config } = await configureRun({ preset: 'paper-vgg16-coco', schedule, split: 'train' });
    const { anchors, head } = config.detector;
    assert.equal(anchors, { sizes: [64, 128, 256, 512], ratios: [0.5, 1, 2] });
    assert.equal([head.backgroundLow, head.backgroundHigh], [0, 0.5]);
  }
});

test('other presets: a stage sees 4/7 of the images of joint training, its rate falls after 3/4 of them', async () => {
  const expected: Record<string, [joint: number, stage: number, milestone: number, rois: number, rate: number]> = {
    demo: [3000, 1715, 1286, 64, 0.005],
    digits: [6500, 3715, 2786, 64, 0.005],
    photos: [1300, 743, 557, 128, 0.002],
    bccd: [3500, 2000, 1500, 256, 0.002],
    chess: [2000, 1143, 857, 256, 0.002],
  };
  for (const [preset, [joint, steps, milestone, rois, rate]] of Object.entries(expected)) {
    const stage: Numbers = [steps, [milestone], 1, rois, rate];
    assert.equal(await numbersOf({ preset, schedule: 'alternating' }), [stage, stage, stage, stage], preset);
    assert.equal(
      (await numbersOf({ preset })).map(([steps]) => steps),
      [joint],
      preset,
    );
  }
});

test('--steps are those of joint training: published stages move in proportion, as do derived ones', async () => {
  const scaled = (preset: string, steps: number) => numbersOf({ preset, steps, schedule: 'unshared' });
  assert.equal(await scaled('paper-vgg16-voc0712', 7000), [
    [8000, [6000], 1, 64, 0.001],
    [6000, [3000], 2, 64, 0.001],
  ]);
  assert.equal(await scaled('paper-vgg16-coco', 49), [
    [32, [24], 8, 64, 0.003],
    [32, [24], 16, 64, 0.003],
  ]);
  assert.equal(await scaled('digits', 650), [
    [372, [279], 1, 64, 0.005],
    [372, [279], 1, 64, 0.005],
  ]);
  // A stage never has no steps.
  assert.equal(
    (await scaled('paper-vgg16-voc07', 1)).map(([steps, milestones]) => [steps, milestones]),
    [
      [2, [1]],
      [1, [0]],
    ],
  );
});

test('--learning-rate and single settings of stages', async () => {
  const coco = await numbersOf({ preset: 'paper-vgg16-coco', schedule: 'unshared', learningRate: 0.01 });
  assert.equal(
    coco.map(([, , , , rate]) => rate),
    [0.01, 0.01],
  );
  const set = (...settings: string[]) => numbersOf({ preset: 'demo', schedule: 'unshared', set: settings });
  const derived = await set();
  assert.equal(await set('training.stages.detector.steps=100'), [derived[0], [100, [75], 1, 64, 0.005]]);
  // As many images in larger updates.
  assert.equal(await set('training.stages.rpn.imagesPerStep=4'), [[429, [322], 4, 64, 0.005], derived[1]]);
  assert.equal(await set('training.stages.rpn.milestones=[10,20]'), [[1715, [10, 20], 1, 64, 0.005], derived[1]]);
  // Both stages follow joint training, an RPN with one image an update.
  assert.equal(await set('training.imagesPerStep=2'), [
    [3429, [2572], 1, 64, 0.005],
    [1715, [1286], 2, 64, 0.005],
  ]);
  // Settings that fit together only once all are made.
  assert.equal(
    await numbersOf({
      preset: 'paper-vgg16-voc07',
      schedule: 'unshared',
      set: ['training.stages.detector.steps=1000', 'training.stages.detector.milestones=[500]'],
    }),
    [VOC07.rpn, [1000, [500], 2, 64, 0.001]],
  );
});

test.run();

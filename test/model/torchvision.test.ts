/**
 * torchvision's Faster R-CNNs on feature pyramids, number by number (scripts/goldens/detectors.py, where the file's layout is
 * described): the input, the levels, the RPN's maps, proposals, the head, the detections. All weights are made from their names,
 * with statistics of batch normalisation that are not trivial.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { flooredSize } from '../../src/model/pyramidRcnn.ts';
import { sharedGpu } from '../harness.ts';
import { expectSameDetection } from './detectorParity.ts';
import { picture } from './seeded.ts';
import { torchvisionDetector, torchvisionGolden } from './seededDetectors.ts';

const { cases, tensor } = await torchvisionGolden();

/**
 * Proposals that others may replace. ResNet-50 v2: two anchors have the score 0.9996624 and boxes of IoU 0.857; whichever comes
 * first by the last bits of its logit suppresses the other, which is proposal 46, and with it the box that would suppress 63.
 */
const TIED: Readonly<Record<string, readonly number[]>> = { resnet50_fpn_v2: [46, 63] };

test('images are resized to the sizes of torchvision, 800 and 1333', () => {
  const sizes = [
    [480, 640, 800, 1066],
    [600, 800, 800, 1066],
    [416, 416, 800, 800],
    [333, 500, 799, 1201],
    [375, 500, 799, 1066],
    [427, 640, 799, 1199],
    [1200, 1600, 800, 1066],
    [100, 900, 148, 1333],
    [720, 1280, 749, 1333],
    [50, 3000, 22, 1332],
  ];
  for (const [height, width, ...expected] of sizes) {
    const found = flooredSize({ height: height!, width: width! }, 800, 1333);
    assert.equal([found.height, found.width], expected, `${height}x${width}`);
  }
});

for (const detector of cases) {
  const { name, seed, size } = detector;
  test(`fasterrcnn_${name}`, async () => {
    const model = torchvisionDetector(await sharedGpu(), detector);
    await expectSameDetection(model, picture(seed, ...size), (part) => tensor(`${name}/${part}`), TIED[name]);
    model.dispose();
  });
}

test.run();

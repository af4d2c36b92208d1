/** torchvision's and detectron2's detectors, with the weights of the parity tests, find the same objects in ONNX Runtime. */
import { test } from 'uvu';
import type { DetectorConfig } from '../../src/model/config.ts';
import { sharedGpu } from '../harness.ts';
import { picture } from '../model/seeded.ts';
import {
  detectron2Detector,
  detectron2Golden,
  type TorchvisionCase,
  torchvisionDetector,
  torchvisionGolden,
} from '../model/seededDetectors.ts';
import { expectSameObjects } from './sameObjects.ts';

/** Region layers take most of the time on two cores. */
const few =
  (postNms: number) =>
  ({ rpn, input, ...config }: DetectorConfig): DetectorConfig => ({
    ...config,
    input: { ...input, shorterSide: 112, longerSide: 192 },
    rpn: { ...rpn, test: { ...rpn.test, preNms: 200, postNms } },
  });

const pictures = (...sizes: [height: number, width: number][]) => sizes.map((size, i) => picture(`${i}`, ...size));

const resnet18: TorchvisionCase = { name: 'resnet18_fpn', seed: '5', size: [120, 90], sides: [96, 160] };
const torchvision = [resnet18, ...(await torchvisionGolden()).cases];
const detectron2 = (await detectron2Golden()).cases;

for (const detector of torchvision) {
  test(`torchvision's ${detector.name}`, async () => {
    const model = torchvisionDetector(await sharedGpu(), detector, few(60));
    await expectSameObjects(model, pictures([120, 90], [61, 200], [250, 260]));
  });
}

for (const detector of detectron2) {
  test(`detectron2's ${detector.name}`, async () => {
    const model = detectron2Detector(await sharedGpu(), detector, few(detector.name.endsWith('c4') ? 12 : 60));
    await expectSameObjects(model, pictures([120, 90], [61, 200]));
  });
}

test.run();

/**
 * The detector that is compared: torchvision's fasterrcnn_resnet50_fpn with 91 classes, its weights made from their names
 * (scripts/goldens/seeded.py and test/model/seeded.ts), on a picture made likewise; a detection, and a training step of SGD on one
 * picture with frozen normalisation and the two earliest stages frozen.
 */
import type { LabelledBox } from '../../src/model/detector.ts';
import type { TorchvisionCase } from '../../test/model/seededDetectors.ts';

interface Size {
  height: number;
  width: number;
}

export type DetectionRow = { kind: 'detection' } & Size;
export type DetectorTrainingRow = { kind: 'detector training' } & Size;
export type DetectorRow = DetectionRow | DetectorTrainingRow;

/** The published size, and one that takes seconds. */
const SIZES = [
  { height: 800, width: 1066 },
  { height: 256, width: 341 },
];

export const DETECTOR_ROWS: readonly DetectorRow[] = SIZES.flatMap((size) => [
  { kind: 'detection' as const, ...size },
  { kind: 'detector training' as const, ...size },
]);

/** Of a detection, the scores of so many objects are compared, the best first. */
export const COMPARED_OBJECTS = 20;

export const SEED = '1';
/** What our engine leaves for the others. */
export const DETECTOR_FILE = 'detector.onnx';
/** Factor of the weights of the last layers in training. */
export const TRAINED_HEADS = 0.05;
/** So low that the losses of a few steps are numbers whatever the gradients are. */
export const DETECTOR_LEARNING_RATE = 1e-6;

/** The detector of a row, whose input is the picture as it is. */
export const detectorCase = ({ height, width }: DetectorRow): TorchvisionCase => ({
  name: 'resnet50_fpn',
  seed: SEED,
  size: [height, width],
  sides: [Math.min(height, width), 1333],
});

/** Objects of the training picture. */
export const trainingBoxes = ({ height, width }: DetectorRow): LabelledBox[] =>
  [0, 1, 2, 3].map((k) => ({
    x1: Math.floor((k * width) / 8),
    y1: Math.floor((k * height) / 10),
    x2: Math.floor(((k + 3) * width) / 8) - 1,
    y2: Math.floor(((k + 4) * height) / 10) - 1,
    classIndex: k + 1,
  }));

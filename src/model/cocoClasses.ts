/**
 * The classes of detectors that were trained on COCO. torchvision's networks have COCO's own category numbers, 91 with the
 * background and with ten that no object has (`N/A`); detectron2's have the eighty that are used, without gaps.
 */
import { UserError } from '../engine/errors.ts';

const CATEGORIES: readonly string[] = [
  '__background__',
  'person',
  'bicycle',
  'car',
  'motorcycle',
  'airplane',
  'bus',
  'train',
  'truck',
  'boat',
  'traffic light',
  'fire hydrant',
  'N/A',
  'stop sign',
  'parking meter',
  'bench',
  'bird',
  'cat',
  'dog',
  'horse',
  'sheep',
  'cow',
  'elephant',
  'bear',
  'zebra',
  'giraffe',
  'N/A',
  'backpack',
  'umbrella',
  'N/A',
  'N/A',
  'handbag',
  'tie',
  'suitcase',
  'frisbee',
  'skis',
  'snowboard',
  'sports ball',
  'kite',
  'baseball bat',
  'baseball glove',
  'skateboard',
  'surfboard',
  'tennis racket',
  'bottle',
  'N/A',
  'wine glass',
  'cup',
  'fork',
  'knife',
  'spoon',
  'bowl',
  'banana',
  'apple',
  'sandwich',
  'orange',
  'broccoli',
  'carrot',
  'hot dog',
  'pizza',
  'donut',
  'cake',
  'chair',
  'couch',
  'potted plant',
  'bed',
  'N/A',
  'dining table',
  'N/A',
  'N/A',
  'toilet',
  'N/A',
  'tv',
  'laptop',
  'mouse',
  'remote',
  'keyboard',
  'cell phone',
  'microwave',
  'oven',
  'toaster',
  'sink',
  'refrigerator',
  'N/A',
  'book',
  'clock',
  'vase',
  'scissors',
  'teddy bear',
  'hair drier',
  'toothbrush',
];

/** What numbers without objects are called. */
const UNUSED = 'N/A';

/** `__background__` and COCO's names for as many classes; undefined for another number. */
function cocoClasses(count: number): string[] | undefined {
  if (count === CATEGORIES.length) return [...CATEGORIES];
  const used = CATEGORIES.filter((name) => name !== UNUSED);
  return count === used.length ? used : undefined;
}

/**
 * The classes of a file with `count` outputs, the background among them: the names given, else COCO's, else numbers. Throws a
 * UserError where the names given are not as many.
 */
export function classesOf(count: number, source: string, names?: readonly string[]): string[] {
  if (names === undefined) {
    const numbers = Array.from({ length: count - 1 }, (_, i) => `class ${i + 1}`);
    return cocoClasses(count) ?? ['__background__', ...numbers];
  }
  if (names.length === count - 1) return ['__background__', ...names];
  throw new UserError(`${source}: has ${count - 1} classes besides the background, ${names.length} names were given`);
}

/** Which regions of an image R-CNN's SVMs and its regression of boxes learn from (Girshick et al. 2014, section 2.3, appendix C). */
import { type Box, boxAt, encodeBox, iou } from '../../kernels/boxes.ts';

/** An object, in pixels of the picture. */
interface Labelled {
  x1: number;
  y1: number;
  x2: number;
  y2: number;
  classIndex: number;
}

/** A proposal whose overlap with a class is below this is a negative of its SVM. */
const NEGATIVE_OVERLAP = 0.3;
/** A proposal that overlaps an object by more than this is an example for the regression of its box. */
const REGRESSION_OVERLAP = 0.6;

/** An example for the regression of the boxes of one class. */
export interface RegressionExample {
  /** Index of the proposal. */
  proposal: number;
  classIndex: number;
  /** tx, ty, tw, th to the object. */
  target: Box;
}

const cornersOf = ({ x1, y1, x2, y2 }: Labelled): Box => [x1, y1, x2, y2];

/** The indices of the proposals (x1, y1, x2, y2 of each) that are negatives of a class. */
export function negativesOf(
  classIndex: number,
  proposals: Float32Array,
  objects: readonly Labelled[],
  plusOne: number,
): number[] {
  const own = objects.filter((object) => object.classIndex === classIndex).map(cornersOf);
  return [...Array(proposals.length / 4).keys()].filter((i) => {
    const box = boxAt(proposals, 4 * i);
    return own.every((object) => iou(box, object, plusOne) < NEGATIVE_OVERLAP);
  });
}

/** The proposals that are examples for the regression, each with the object that it overlaps most. */
export function regressionExamples(
  proposals: Float32Array,
  objects: readonly Labelled[],
  plusOne: number,
): RegressionExample[] {
  return [...Array(proposals.length / 4).keys()].flatMap((proposal) => {
    const box = boxAt(proposals, 4 * proposal);
    let best = { overlap: REGRESSION_OVERLAP, object: undefined as Labelled | undefined };
    for (const object of objects) {
      const overlap = iou(box, cornersOf(object), plusOne);
      if (overlap > best.overlap) best = { overlap, object };
    }
    if (!best.object) return [];
    const target = encodeBox(box, cornersOf(best.object), plusOne);
    return [{ proposal, classIndex: best.object.classIndex, target }];
  });
}

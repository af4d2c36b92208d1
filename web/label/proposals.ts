/** Boxes that the network proposes for a picture, from what it detected there. */
import type { Detection } from '../../src/index.ts';
import { overlap } from './geometry.ts';
import type { Edges, LabelBox, ObjectClass } from './project.ts';

export interface Proposal extends Edges {
  /** Negative, so that it is no box's. */
  id: number;
  classId: number;
  score: number;
}

/** Detections with a lower score are not proposed. */
const LEAST_SCORE = 0.4;
/** A proposal that overlaps a box, or a better proposal, by more than this IoU shows the same object. */
const SAME = 0.5;

/**
 * Detections as proposals, the best first. `names` are the network's classes, index 0 being the background, by the names that
 * they had when it was trained; those that the project no longer has are left out. Edges are whole pixels inside the picture.
 */
export function proposalsOf(
  detections: readonly Detection[],
  names: readonly string[],
  classes: readonly ObjectClass[],
  { width, height }: { width: number; height: number },
): Proposal[] {
  const ids = names.map((name) => {
    const known = classes.find((one) => one.name === name) ?? classes.find(({ formerly }) => formerly?.includes(name));
    return known?.id;
  });
  const proposals: Proposal[] = [];
  for (const { x1, y1, x2, y2, score, classIndex } of detections.toSorted((a, b) => b.score - a.score)) {
    const classId = ids[classIndex];
    if (classId === undefined || score < LEAST_SCORE) continue;
    const edges = {
      x1: Math.max(0, Math.round(x1)),
      y1: Math.max(0, Math.round(y1)),
      x2: Math.min(width, Math.round(x2 + 1)),
      y2: Math.min(height, Math.round(y2 + 1)),
    };
    if (edges.x2 - edges.x1 < 2 || edges.y2 - edges.y1 < 2) continue;
    if (proposals.some((better) => overlap(better, edges) > SAME)) continue;
    proposals.push({ id: -1 - proposals.length, classId, score, ...edges });
  }
  return proposals;
}

/**
 * How unsure the network is about a picture, 0 to 1, by the detection whose score says least whether there is an object: the margin
 * between the two (Brust, Kaeding and Denzler, Active Learning for Deep Object Detection, 2019), its largest value in the picture.
 * A picture in which nothing is found is in the middle: it may be empty, or show what the network does not know.
 */
export const doubtOf = (detections: readonly Pick<Detection, 'score'>[]): number =>
  detections.length === 0 ? 0.5 : Math.max(...detections.map(({ score }) => 1 - Math.abs(2 * score - 1)));

/** Those that show an object which has no box yet, of a class that there still is. */
export const stillOpen = (
  proposals: readonly Proposal[],
  boxes: readonly LabelBox[],
  classes: readonly ObjectClass[],
): Proposal[] =>
  proposals.filter(
    (proposal) =>
      classes.some(({ id }) => id === proposal.classId) && !boxes.some((box) => overlap(box, proposal) > SAME),
  );

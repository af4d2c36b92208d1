/**
 * Detections of overlapping tiles as those of one picture, as SAHI merges them (greedy non-maximum merging): the best box takes in
 * every box of its class that it shares most of the smaller one with, and grows to hold both. So the two halves of an object
 * that a border cuts become one, which suppression by IoU would keep apart.
 */
import type { Detection } from './voc.ts';

/** The share of the smaller box's area (IoS) from which on two boxes are of one object. */
const SAME_OBJECT = 0.5;

/** Best first, with the scores of the best of each object. */
export function mergeDetections(detections: readonly Detection[]): Detection[] {
  const waiting = [...detections].sort((a, b) => b.score - a.score);
  const merged: Detection[] = [];
  for (let next = waiting.shift(); next; next = waiting.shift()) {
    const object = { ...next };
    for (let i = 0; i < waiting.length;) {
      const other = waiting[i]!;
      if (other.classIndex !== object.classIndex || overSmaller(object, other) <= SAME_OBJECT) {
        i++;
        continue;
      }
      object.x1 = Math.min(object.x1, other.x1);
      object.y1 = Math.min(object.y1, other.y1);
      object.x2 = Math.max(object.x2, other.x2);
      object.y2 = Math.max(object.y2, other.y2);
      waiting.splice(i, 1);
      i = 0; // now that it is larger, it may share more with one that was passed
    }
    merged.push(object);
  }
  return merged;
}

/** Intersection over the smaller area. */
function overSmaller(a: Detection, b: Detection): number {
  const width = Math.min(a.x2, b.x2) - Math.max(a.x1, b.x1) + 1;
  const height = Math.min(a.y2, b.y2) - Math.max(a.y1, b.y1) + 1;
  if (width <= 0 || height <= 0) return 0;
  const area = ({ x1, y1, x2, y2 }: Detection): number => (x2 - x1 + 1) * (y2 - y1 + 1);
  return (width * height) / Math.min(area(a), area(b));
}

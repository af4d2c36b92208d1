/** MultiBox's priors: where objects usually lie, as the centres of clusters of training boxes (Erhan et al. 2014, section 3). */
import { UserError } from '../../engine/errors.ts';
import { Random } from '../../kernels/rng.ts';

/** Left, top, right and bottom edge as shares of the image's width and height, 0 to 1. */
export type RelativeBox = readonly [left: number, top: number, right: number, bottom: number];

const SIDES = 4;
const MOST_ROUNDS = 100;

/**
 * The centres of `count` clusters of boxes by k-means: started by k-means++ (each next centre is a box drawn in proportion to its
 * squared distance from the nearest centre), moved until no box changes its cluster, for 100 rounds at most.
 *
 * @returns left, top, right, bottom of each
 */
export function kMeansPriors(boxes: readonly RelativeBox[], count: number, seed: number): Float64Array {
  const distinct = new Set(boxes.map(String)).size;
  if (distinct < count) {
    throw new UserError(
      `the data has ${distinct} different boxes of objects, fewer than the ${count} priors; choose ${distinct} priors or fewer, or more images`,
    );
  }
  const centres = firstCentres(boxes, count, new Random(seed));
  const nearest = new Int32Array(boxes.length).fill(-1);
  for (let round = 0; round < MOST_ROUNDS; round++) {
    let moved = false;
    boxes.forEach((box, i) => {
      const centre = nearestCentre(box, centres);
      if (centre !== nearest[i]) moved = true;
      nearest[i] = centre;
    });
    if (!moved) break;
    const sums = new Float64Array(centres.length);
    const sizes = new Int32Array(count);
    boxes.forEach((box, i) => {
      sizes[nearest[i]]++;
      for (let side = 0; side < SIDES; side++) sums[SIDES * nearest[i] + side] += box[side]!;
    });
    // A centre that lost all its boxes stays where it is.
    for (let i = 0; i < sums.length; i++) {
      const size = sizes[Math.floor(i / SIDES)];
      if (size > 0) centres[i] = sums[i] / size;
    }
  }
  return centres;
}

function firstCentres(boxes: readonly RelativeBox[], count: number, random: Random): Float64Array {
  const centres = new Float64Array(SIDES * count);
  const distances = new Float64Array(boxes.length).fill(Infinity);
  let next = random.integer(boxes.length);
  for (let k = 0; k < count; k++) {
    centres.set(boxes[next]!, SIDES * k);
    let total = 0;
    boxes.forEach((box, i) => {
      distances[i] = Math.min(distances[i], squaredDistance(box, centres, k));
      total += distances[i];
    });
    const drawn = random.next() * total;
    next = -1;
    for (let i = 0, sum = 0; i < boxes.length; i++) {
      sum += distances[i];
      if (distances[i] === 0) continue; // already a centre
      next = i;
      if (sum > drawn) break;
    }
  }
  return centres;
}

function nearestCentre(box: RelativeBox, centres: Float64Array): number {
  let best = 0;
  let least = Infinity;
  for (let k = 0; k < centres.length / SIDES; k++) {
    const distance = squaredDistance(box, centres, k);
    if (distance < least) [least, best] = [distance, k];
  }
  return best;
}

function squaredDistance(box: RelativeBox, centres: Float64Array, k: number): number {
  let sum = 0;
  for (let side = 0; side < SIDES; side++) sum += (box[side]! - centres[SIDES * k + side]) ** 2;
  return sum;
}

/**
 * Edge groups and their affinities (Zitnick and Dollar 2014, section 3.1). Groups are nearly straight pieces of outlines; the
 * affinity of two that lie close together says whether one continues the other.
 */
import type { EdgeMap } from './edgeMap.ts';

export interface EdgeGroups {
  count: number;
  /** For each pixel its group, -1 where there is no edge. */
  labels: Int32Array;
  /** The sum over a group's pixels. */
  magnitudes: Float64Array;
  /** A pixel of each group. */
  xs: Int32Array;
  ys: Int32Array;
  /** Group i has affinities with `neighbours[starts[i]]` to `neighbours[starts[i + 1] - 1]`. */
  starts: Int32Array;
  neighbours: Int32Array;
  affinities: Float64Array;
}

/** A pixel of a lower magnitude is no edge. */
const MIN_MAGNITUDE = 0.1;
/** A group grows until its differences of orientation add up to this. */
const MOST_TURN = Math.PI / 2;
/** A group of which the magnitudes add up to no more joins its neighbours. */
const MIN_GROUP = 0.5;
/** Groups are neighbours if pixels of theirs lie this close, in both directions. */
const AFFINITY_RADIUS = 2;
const GAMMA = 2;
/** A lower affinity, or product of affinities along a path, counts as 0. */
export const MIN_AFFINITY = 0.05;

/** The angle between two lines, 0 to pi/2. */
const turn = (a: number, b: number): number => {
  const difference = Math.abs(a - b);
  return difference > Math.PI / 2 ? Math.PI - difference : difference;
};

export function groupEdges(map: EdgeMap): EdgeGroups {
  const labels = growGroups(map);
  dissolveSmallGroups(map, labels);
  const { count, ...groups } = numberGroups(map, labels);
  return { count, labels, ...groups, ...affinitiesOf(map, labels, count) };
}

const UNDECIDED = -2;
const NO_EDGE = -1;

/**
 * From each pixel in turn, column by column, goes on to whichever free pixel that touches the group differs least in orientation
 * from the pixel that it was found from. Border pixels are no edges, so every edge pixel has 8 neighbours.
 */
function growGroups({ width, height, magnitudes, orientations }: EdgeMap): Int32Array {
  const labels = new Int32Array(width * height).fill(NO_EDGE);
  for (let y = 1; y < height - 1; y++) {
    for (let x = 1; x < width - 1; x++) {
      if (magnitudes[y * width + x] > MIN_MAGNITUDE) labels[y * width + x] = UNDECIDED;
    }
  }
  const around = eightNeighbours(width);
  /** The last group for which a pixel was a candidate. */
  const candidateOf = new Int32Array(labels.length).fill(-1);
  let count = 0;
  for (let x = 1; x < width - 1; x++) {
    for (let y = 1; y < height - 1; y++) {
      if (labels[y * width + x] !== UNDECIDED) continue;
      const candidates: { pixel: number; difference: number }[] = [];
      let pixel = y * width + x;
      for (let sum = 0; ;) {
        labels[pixel] = count;
        for (const offset of around) {
          const other = pixel + offset;
          if (labels[other] !== UNDECIDED || candidateOf[other] === count) continue;
          candidateOf[other] = count;
          candidates.push({ pixel: other, difference: turn(orientations[pixel], orientations[other]) });
        }
        let best = -1;
        for (let i = 0; i < candidates.length; i++) {
          if (best < 0 || candidates[i]!.difference < candidates[best]!.difference) best = i;
        }
        if (best < 0) break;
        const [next] = candidates.splice(best, 1);
        sum += next!.difference;
        if (sum > MOST_TURN) break;
        pixel = next!.pixel;
      }
      count++;
    }
  }
  return labels;
}

/** Column by column, as the groups are grown. */
const eightNeighbours = (width: number): number[] =>
  [-1, 0, 1].flatMap((dx) => [-1, 0, 1].map((dy) => dy * width + dx)).filter((offset) => offset !== 0);

/** The pixels of small groups join the neighbouring group of the most similar orientation; without one they are no edges. */
function dissolveSmallGroups({ width, height, magnitudes, orientations }: EdgeMap, labels: Int32Array): void {
  const sums = new Float64Array(labels.reduce((most, label) => Math.max(most, label), -1) + 1);
  for (let i = 0; i < labels.length; i++) if (labels[i] >= 0) sums[labels[i]] += magnitudes[i];
  let free: number[] = [];
  for (let x = 1; x < width - 1; x++) {
    for (let y = 1; y < height - 1; y++) {
      const i = y * width + x;
      if (labels[i] < 0 || sums[labels[i]] > MIN_GROUP) continue;
      labels[i] = UNDECIDED;
      free.push(i);
    }
  }
  const around = eightNeighbours(width);
  for (let joined = true; joined;) {
    const left: number[] = [];
    for (const i of free) {
      let best = Infinity;
      for (const offset of around) {
        const label = labels[i + offset];
        if (label < 0) continue;
        const difference = turn(orientations[i], orientations[i + offset]);
        if (difference >= best) continue;
        best = difference;
        labels[i] = label;
      }
      if (best === Infinity) left.push(i);
    }
    joined = left.length < free.length;
    free = left;
  }
  for (const i of free) labels[i] = NO_EDGE;
}

/** Numbers the groups from 0 without gaps, in `labels` too. */
function numberGroups(
  { width, magnitudes }: EdgeMap,
  labels: Int32Array,
): Pick<EdgeGroups, 'count' | 'magnitudes' | 'xs' | 'ys'> {
  const numbers = new Map<number, number>();
  const first: number[] = [];
  for (let i = 0; i < labels.length; i++) {
    if (labels[i] < 0) continue;
    let number = numbers.get(labels[i]);
    if (number === undefined) {
      number = numbers.size;
      numbers.set(labels[i], number);
      first.push(i);
    }
    labels[i] = number;
  }
  const sums = new Float64Array(first.length);
  for (let i = 0; i < labels.length; i++) if (labels[i] >= 0) sums[labels[i]] += magnitudes[i];
  return {
    count: first.length,
    magnitudes: sums,
    xs: Int32Array.from(first, (i) => i % width),
    ys: Int32Array.from(first, (i) => Math.floor(i / width)),
  };
}

/**
 * |cos(theta_i - theta_ij) cos(theta_j - theta_ij)|^gamma of groups that lie close together: theta are the mean orientations of
 * the groups, theta_ij is the direction across the line through their mean positions. All means are weighted by magnitude.
 */
function affinitiesOf(
  { width, height, magnitudes, orientations }: EdgeMap,
  labels: Int32Array,
  count: number,
): Pick<EdgeGroups, 'starts' | 'neighbours' | 'affinities'> {
  const weights = new Float64Array(count);
  const meanX = new Float64Array(count);
  const meanY = new Float64Array(count);
  // A line has one angle modulo pi: angles are averaged as points on a circle of their doubles.
  const cosines = new Float64Array(count);
  const sines = new Float64Array(count);
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i];
    if (label < 0) continue;
    const weight = magnitudes[i];
    weights[label] += weight;
    meanX[label] += weight * (i % width);
    meanY[label] += weight * Math.floor(i / width);
    cosines[label] += weight * Math.cos(2 * orientations[i]);
    sines[label] += weight * Math.sin(2 * orientations[i]);
  }
  const means = cosines.map((cosine, label) => Math.atan2(sines[label], cosine) / 2);
  for (let label = 0; label < count; label++) {
    meanX[label] /= weights[label];
    meanY[label] /= weights[label];
  }
  const lists = Array.from({ length: count }, () => new Map<number, number>());
  const meet = (a: number, b: number): void => {
    if (lists[a]!.has(b)) return;
    const across = Math.atan2(meanY[a] - meanY[b], meanX[a] - meanX[b]) + Math.PI / 2;
    const affinity = Math.abs(Math.cos(means[a] - across) * Math.cos(means[b] - across)) ** GAMMA;
    lists[a]!.set(b, affinity);
    lists[b]!.set(a, affinity);
  };
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const label = labels[y * width + x];
      if (label < 0) continue;
      // Half of the window: the other half is met from the other pixel.
      for (let dy = 0; dy <= AFFINITY_RADIUS && y + dy < height; dy++) {
        for (let dx = dy === 0 ? 1 : -AFFINITY_RADIUS; dx <= AFFINITY_RADIUS; dx++) {
          if (x + dx < 0 || x + dx >= width) continue;
          const other = labels[(y + dy) * width + x + dx];
          if (other >= 0 && other !== label) meet(label, other);
        }
      }
    }
  }
  const kept = lists.map((list) => [...list].filter(([, affinity]) => affinity >= MIN_AFFINITY));
  const starts = new Int32Array(count + 1);
  kept.forEach((list, label) => (starts[label + 1] = starts[label] + list.length));
  return {
    starts,
    neighbours: Int32Array.from(kept.flatMap((list) => list.map(([label]) => label))),
    affinities: Float64Array.from(kept.flatMap((list) => list.map(([, affinity]) => affinity))),
  };
}

/**
 * The score of a box (Zitnick and Dollar 2014, section 3.2): how many outlines it contains whole.
 *
 *   h    = sum over groups of w m / (2 (bw + bh)^kappa)
 *   h_in = h - the magnitudes in the box of half its size at its centre / (2 (bw + bh)^kappa)
 *
 * m is the magnitude of a group. Its weight w is 0 if the border of the box cuts it or it lies outside; else 1 - the largest product
 * of affinities along a path to it from a group that is cut.
 */
import { type EdgeGroups, MIN_AFFINITY } from './edgeGroups.ts';
import type { EdgeMap } from './edgeMap.ts';

const KAPPA = 1.5;
/** The authors' code has it as 0.01 of a score without the factor 1/2, for half the width and height. */
const MIN_SCORE = 0.01 / (2 * 2 ** KAPPA);

export class BoxScorer {
  readonly width: number;
  readonly height: number;
  readonly #groups: EdgeGroups;
  /** 1 / (2 (bw + bh)^kappa), by bw + bh. */
  readonly #scales: Float64Array;
  /** Sums over all pixels above and to the left, (width + 1) * (height + 1): of groups, each at one of its pixels; of magnitudes. */
  readonly #groupSums: Float64Array;
  readonly #magnitudeSums: Float64Array;
  readonly #rows: Runs;
  readonly #columns: Runs;
  /** The groups that the current box reaches, the product of the best path to each, and where each group is among them. */
  readonly #reached: Int32Array;
  readonly #products: Float64Array;
  readonly #places: Int32Array;
  /** The last box that reached a group. */
  readonly #boxOf: Int32Array;
  #box = 0;

  constructor({ width, height, magnitudes }: EdgeMap, groups: EdgeGroups) {
    this.width = width;
    this.height = height;
    this.#groups = groups;
    this.#scales = Float64Array.from({ length: width + height + 1 }, (_, sides) => 1 / (2 * sides ** KAPPA));
    const atOnePixel = new Float64Array(width * height);
    for (let group = 0; group < groups.count; group++) {
      atOnePixel[groups.ys[group] * width + groups.xs[group]] = groups.magnitudes[group];
    }
    this.#groupSums = integral(atOnePixel, width, height);
    this.#magnitudeSums = integral(
      Float64Array.from(magnitudes, (magnitude, i) => (groups.labels[i] < 0 ? 0 : magnitude)),
      width,
      height,
    );
    this.#rows = runsOf(groups.labels, width, height, false);
    this.#columns = runsOf(groups.labels, width, height, true);
    this.#reached = new Int32Array(groups.count);
    this.#products = new Float64Array(groups.count);
    this.#places = new Int32Array(groups.count);
    this.#boxOf = new Int32Array(groups.count);
  }

  /** h_in of a box inside the image, corners inclusive; 0 if it is too low to be of use. */
  score(x1: number, y1: number, x2: number, y2: number): number {
    const [boxWidth, boxHeight] = [x2 - x1 + 1, y2 - y1 + 1];
    const scale = this.#scales[boxWidth + boxHeight];
    const [halfWidth, halfHeight] = [boxWidth >> 1, boxHeight >> 1];
    const [left, top] = [x1 + ((boxWidth - halfWidth) >> 1), y1 + ((boxHeight - halfHeight) >> 1)];
    let sum =
      this.#sum(this.#groupSums, x1, y1, x2, y2) -
      this.#sum(this.#magnitudeSums, left, top, left + halfWidth - 1, top + halfHeight - 1);
    if (sum * scale < MIN_SCORE) return 0;
    const { xs, ys, starts, neighbours, affinities, magnitudes } = this.#groups;
    const [reached, products, places, boxOf] = [this.#reached, this.#products, this.#places, this.#boxOf];
    const box = ++this.#box;
    let count = this.#cut(this.#rows, y1 * this.width + x1, y1 * this.width + x2, 0);
    count = this.#cut(this.#rows, y2 * this.width + x1, y2 * this.width + x2, count);
    count = this.#cut(this.#columns, x1 * this.height + y1, x1 * this.height + y2, count);
    count = this.#cut(this.#columns, x2 * this.height + y1, x2 * this.height + y2, count);
    for (let i = 0; i < count; i++) {
      const group = reached[i];
      const product = products[i];
      let again = count;
      for (let k = starts[group]; k < starts[group + 1]; k++) {
        const longer = product * affinities[k];
        if (longer < MIN_AFFINITY) continue;
        const other = neighbours[k];
        if (boxOf[other] === box) {
          const place = places[other];
          if (longer <= products[place]) continue;
          products[place] = longer;
          if (place < again) again = place;
        } else if (xs[other] >= x1 && xs[other] <= x2 && ys[other] >= y1 && ys[other] <= y2) {
          boxOf[other] = box;
          places[other] = count;
          reached[count] = other;
          products[count++] = longer;
        }
      }
      if (again <= i) i = again - 1; // a better path to a group already passed: what it leads to is looked at again
    }
    for (let i = 0; i < count; i++) {
      const group = reached[i];
      if (xs[group] >= x1 && xs[group] <= x2 && ys[group] >= y1 && ys[group] <= y2) {
        sum -= products[i] * magnitudes[group];
      }
    }
    const score = sum * scale;
    return score < MIN_SCORE ? 0 : score;
  }

  /** Adds the groups along one side of the box to those reached; returns their number. */
  #cut({ labels, runs }: Runs, from: number, to: number, count: number): number {
    const box = this.#box;
    for (let run = runs[from]; run <= runs[to]; run++) {
      const group = labels[run];
      if (group < 0 || this.#boxOf[group] === box) continue;
      this.#boxOf[group] = box;
      this.#places[group] = count;
      this.#reached[count] = group;
      this.#products[count++] = 1;
    }
    return count;
  }

  #sum(sums: Float64Array, x1: number, y1: number, x2: number, y2: number): number {
    const stride = this.width + 1;
    const [above, below] = [y1 * stride, (y2 + 1) * stride];
    return sums[below + x2 + 1] - sums[below + x1] - sums[above + x2 + 1] + sums[above + x1];
  }
}

function integral(values: Float64Array, width: number, height: number): Float64Array {
  const sums = new Float64Array((width + 1) * (height + 1));
  for (let y = 0; y < height; y++) {
    let row = 0;
    for (let x = 0; x < width; x++) {
      row += values[y * width + x];
      sums[(y + 1) * (width + 1) + x + 1] = sums[y * (width + 1) + x + 1] + row;
    }
  }
  return sums;
}

/** Pixels of one label in a row, as one: the sides of a box are walked by runs. */
interface Runs {
  /** For each pixel, row by row (or column by column), its run. */
  runs: Int32Array;
  /** The label of each run. */
  labels: Int32Array;
}

function runsOf(labels: Int32Array, width: number, height: number, byColumns: boolean): Runs {
  const [lines, length] = byColumns ? [width, height] : [height, width];
  const runs = new Int32Array(labels.length);
  const runLabels: number[] = [];
  for (let line = 0; line < lines; line++) {
    for (let i = 0; i < length; i++) {
      const label = labels[byColumns ? i * width + line : line * width + i];
      if (i === 0 || label !== runLabels.at(-1)) runLabels.push(label);
      runs[line * length + i] = runLabels.length - 1;
    }
  }
  return { runs, labels: Int32Array.from(runLabels) };
}

/**
 * A linear support vector machine in float64, by dual coordinate descent (Hsieh et al. 2008, as in LIBLINEAR):
 *
 *   min  1/2 (|w|^2 + v^2) + sum_i C_i max(0, 1 - y_i (w x_i + s v)),   bias = s v
 *
 * Each dual variable a_i in [0, C_i] is set to its best value in turn, in an order that the seed draws, until no projected gradient is
 * larger than the tolerance. R-CNN (Girshick et al. 2014) trains one for each class.
 */
import { Random } from '../../kernels/rng.ts';

/** Feature vectors of one length, one after the other. */
export interface Rows {
  values: Float32Array | Float64Array;
  /** Numbers in each. */
  length: number;
}

export const rowCount = ({ values, length }: Rows): number => values.length / length;

export interface LinearSvm {
  weights: Float64Array;
  bias: number;
}

export interface SvmOptions {
  /** Cost of a violated margin; R-CNN: 0.001. */
  c?: number;
  /** A positive costs so many times as much; R-CNN: 2. */
  positiveWeight?: number;
  /** s: the larger, the freer the bias; R-CNN: 10. */
  biasScale?: number;
  tolerance?: number;
  /** Passes over all rows at most. */
  maxRounds?: number;
  seed?: number;
}

export interface TrainedSvm extends LinearSvm {
  /** The dual variables, positives first. */
  duals: Float64Array;
  /** Whether the tolerance was reached. */
  converged: boolean;
}

export function trainLinearSvm(positives: Rows, negatives: Rows, options: SvmOptions = {}): TrainedSvm {
  const { c = 0.001, positiveWeight = 2, biasScale = 10, tolerance = 1e-6, maxRounds = 10_000, seed = 0 } = options;
  const { length } = positives;
  const [p, n] = [rowCount(positives), rowCount(negatives)];
  if (p === 0 || n === 0) throw new RangeError(`an SVM needs positives and negatives: there are ${p} and ${n}`);
  if (negatives.length !== length)
    throw new RangeError(`positives have ${length} features, negatives ${negatives.length}`);
  const total = p + n;
  const weights = new Float64Array(length);
  let v = 0;
  const duals = new Float64Array(total);
  const norms = new Float64Array(total);
  const rowOf = (i: number): { values: ArrayLike<number>; start: number; label: number; most: number } =>
    i < p
      ? { values: positives.values, start: i * length, label: 1, most: c * positiveWeight }
      : { values: negatives.values, start: (i - p) * length, label: -1, most: c };
  for (let i = 0; i < total; i++) {
    const { values, start } = rowOf(i);
    let sum = biasScale * biasScale;
    for (let k = 0; k < length; k++) sum += values[start + k]! ** 2;
    norms[i] = sum;
  }
  const random = new Random(seed);
  for (let round = 0; round < maxRounds; round++) {
    let largest = 0;
    for (const i of random.permutation(total)) {
      const { values, start, label, most } = rowOf(i);
      let score = biasScale * v;
      for (let k = 0; k < length; k++) score += weights[k]! * values[start + k]!;
      const gradient = label * score - 1;
      const dual = duals[i]!;
      // At a bound only the way inside counts.
      const projected = dual === 0 ? Math.min(gradient, 0) : dual === most ? Math.max(gradient, 0) : gradient;
      largest = Math.max(largest, Math.abs(projected));
      if (projected === 0) continue;
      const next = Math.min(most, Math.max(0, dual - gradient / norms[i]!));
      const step = (next - dual) * label;
      duals[i] = next;
      for (let k = 0; k < length; k++) weights[k]! += step * values[start + k]!;
      v += step * biasScale;
    }
    if (largest <= tolerance) return { weights, bias: biasScale * v, duals, converged: true };
  }
  return { weights, bias: biasScale * v, duals, converged: false };
}

/** w x + bias of each row. */
export function svmScores({ weights, bias }: LinearSvm, { values, length }: Rows): Float64Array {
  const scores = new Float64Array(values.length / length);
  for (let i = 0; i < scores.length; i++) {
    let score = bias;
    for (let k = 0; k < length; k++) score += weights[k]! * values[i * length + k]!;
    scores[i] = score;
  }
  return scores;
}

/** The mean norm that R-CNN scales features to before its SVMs. */
const FEATURE_NORM = 20;

/** The factor by which features have a mean norm of 20; 1 if all are 0. */
export function featureScale({ values, length }: Rows): number {
  let sum = 0;
  for (let start = 0; start < values.length; start += length) {
    let squares = 0;
    for (let k = start; k < start + length; k++) squares += values[k]! ** 2;
    sum += Math.sqrt(squares);
  }
  return sum > 0 ? (FEATURE_NORM * values.length) / (length * sum) : 1;
}

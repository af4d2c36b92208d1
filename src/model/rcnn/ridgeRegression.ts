/** Ridge regression in float64 by Cholesky's decomposition, as R-CNN regresses boxes (Girshick et al. 2014, appendix C). */
import type { Rows } from './linearSvm.ts';

export interface LinearRegression {
  /** Row-major: for each target its weights. */
  weights: Float64Array;
  /** For each target. */
  biases: Float64Array;
}

/**
 * min sum_i |y_i - mean(y) - W x_i - v|^2 + lambda (|W|^2 + |v|^2): as in the authors' code, targets are centred, and v is the weight of
 * a feature that is always 1. The bias of the result is mean(y) + v.
 *
 * @param features one row for each example @param targets likewise @param lambda R-CNN: 1000 on features of VGG's pool5
 */
export function ridgeRegression(features: Rows, targets: Rows, lambda: number): LinearRegression {
  const count = features.values.length / features.length;
  if (count === 0 || targets.values.length / targets.length !== count) {
    throw new RangeError(
      `ridge regression: ${count} rows of features, ${targets.values.length / targets.length} of targets`,
    );
  }
  const [d, k] = [features.length + 1, targets.length];
  const means = new Float64Array(k);
  for (let i = 0; i < targets.values.length; i++) means[i % k]! += targets.values[i]! / count;
  const centred = Float64Array.from(targets.values, (value, i) => value - means[i % k]!);
  const solve = count < d ? solveByRows : solveByColumns;
  const solution = solve(features, centred, lambda, d, k);
  const weights = new Float64Array(k * features.length);
  const biases = means.slice();
  for (let t = 0; t < k; t++) {
    for (let i = 0; i + 1 < d; i++) weights[t * features.length + i] = solution[i * k + t]!;
    biases[t]! += solution[(d - 1) * k + t]!;
  }
  return { weights, biases };
}

/** (X^T X + lambda) W = X^T Y with as many unknowns as features, the constant one last. @returns W, `d * k` */
function solveByColumns({ values, length }: Rows, y: Float64Array, lambda: number, d: number, k: number): Float64Array {
  const gram = new Float64Array(d * d);
  const right = new Float64Array(d * k);
  const x = new Float64Array(d).fill(1);
  for (let row = 0; row * k < y.length; row++) {
    for (let i = 0; i < length; i++) x[i] = values[row * length + i]!;
    for (let i = 0; i < d; i++) {
      for (let j = 0; j <= i; j++) gram[i * d + j]! += x[i]! * x[j]!;
      for (let t = 0; t < k; t++) right[i * k + t]! += x[i]! * y[row * k + t]!;
    }
  }
  for (let i = 0; i < d; i++) gram[i * d + i]! += lambda;
  return choleskySolve(gram, right, d, k);
}

/** The same W = X^T A from (X X^T + lambda) A = Y, which has as many unknowns as examples. */
function solveByRows({ values, length }: Rows, y: Float64Array, lambda: number, d: number, k: number): Float64Array {
  const count = y.length / k;
  const gram = new Float64Array(count * count);
  for (let i = 0; i < count; i++) {
    for (let j = 0; j <= i; j++) gram[i * count + j] = 1 + dot(values, i * length, j * length, length);
    gram[i * count + i]! += lambda;
  }
  const dual = choleskySolve(gram, y, count, k);
  const solution = new Float64Array(d * k);
  for (let row = 0; row < count; row++) {
    for (let t = 0; t < k; t++) {
      const a = dual[row * k + t]!;
      for (let i = 0; i < length; i++) solution[i * k + t]! += a * values[row * length + i]!;
      solution[length * k + t]! += a;
    }
  }
  return solution;
}

/** Of two rows that begin at `a` and `b`; four sums, which the processor adds up at the same time. */
function dot(values: Rows['values'], a: number, b: number, length: number): number {
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  let i = 0;
  for (; i + 3 < length; i += 4) {
    s0 += values[a + i]! * values[b + i]!;
    s1 += values[a + i + 1]! * values[b + i + 1]!;
    s2 += values[a + i + 2]! * values[b + i + 2]!;
    s3 += values[a + i + 3]! * values[b + i + 3]!;
  }
  for (; i < length; i++) s0 += values[a + i]! * values[b + i]!;
  return s0 + s1 + (s2 + s3);
}

/**
 * Solves A X = B for a symmetric positive definite A.
 *
 * @param a `n * n`, row-major; its lower half is read @param b `n * columns` @returns X, `n * columns`
 */
export function choleskySolve(a: Float64Array, b: Float64Array, n: number, columns: number): Float64Array {
  const lower = a.slice();
  for (let j = 0; j < n; j++) {
    let pivot = lower[j * n + j]!;
    for (let m = 0; m < j; m++) pivot -= lower[j * n + m]! ** 2;
    // A pivot that is only rounding left over of its column is 0.
    if (!(pivot > 1e-14 * Math.abs(a[j * n + j]!))) {
      throw new RangeError('Cholesky: the matrix is not positive definite; a larger lambda makes it so');
    }
    const root = Math.sqrt(pivot);
    lower[j * n + j] = root;
    for (let i = j + 1; i < n; i++) {
      let sum = lower[i * n + j]!;
      for (let m = 0; m < j; m++) sum -= lower[i * n + m]! * lower[j * n + m]!;
      lower[i * n + j] = sum / root;
    }
  }
  const x = b.slice();
  for (let c = 0; c < columns; c++) {
    for (let i = 0; i < n; i++) {
      let sum = x[i * columns + c]!;
      for (let m = 0; m < i; m++) sum -= lower[i * n + m]! * x[m * columns + c]!;
      x[i * columns + c] = sum / lower[i * n + i]!;
    }
    for (let i = n - 1; i >= 0; i--) {
      let sum = x[i * columns + c]!;
      for (let m = i + 1; m < n; m++) sum -= lower[m * n + i]! * x[m * columns + c]!;
      x[i * columns + c] = sum / lower[i * n + i]!;
    }
  }
  return x;
}

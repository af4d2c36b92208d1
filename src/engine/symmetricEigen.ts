/**
 * Eigenvalues and eigenvectors of a symmetric matrix in float64, on the CPU: Householder's reduction to a tridiagonal matrix,
 * then implicit QL iterations (EISPACK's tred2 and tql2; Golub and Van Loan, Matrix Computations, chapter 8).
 */

export interface Eigen {
  /** Largest first. */
  values: Float64Array;
  /** [n, n], row i the unit vector of value i. */
  vectors: Float64Array;
}

/** QL iterations for one value: a handful is usual. */
const MOST_ITERATIONS = 60;

/** @param matrix [n, n], symmetric; it is left as it was */
export function symmetricEigen(matrix: Float64Array, n: number): Eigen {
  if (!matrix.every(Number.isFinite)) throw new Error('symmetricEigen: the matrix is not finite');
  const { diagonal, beside, basis } = tridiagonal(Float64Array.from(matrix), n);
  iterateQl(diagonal, beside, basis, n);
  const order = Array.from(diagonal.keys()).sort((a, b) => diagonal[b]! - diagonal[a]!);
  const vectors = new Float64Array(n * n);
  order.forEach((from, to) => vectors.set(basis.subarray(from * n, (from + 1) * n), to * n));
  return { values: Float64Array.from(order, (i) => diagonal[i]!), vectors };
}

/**
 * T = Q^T A Q with `diagonal` and the values `beside` it; `basis` is Q^T. Step k reflects the rows and columns beyond k so that
 * column k becomes zero below the diagonal but one. Overwrites `a`.
 */
function tridiagonal(a: Float64Array, n: number) {
  const [diagonal, beside] = [new Float64Array(n), new Float64Array(n)];
  const reflectors: { v: Float64Array; beta: number }[] = [];
  for (let k = 0; k < n - 1; k++) {
    diagonal[k] = a[k * n + k]!;
    const v = a.slice(k * n + k + 1, (k + 1) * n);
    const length = Math.sqrt(dot(v, 0, v, 0, v.length));
    const alpha = v[0]! > 0 ? -length : length;
    beside[k] = alpha;
    v[0]! -= alpha;
    const square = dot(v, 0, v, 0, v.length);
    const beta = square === 0 ? 0 : 2 / square;
    reflectors.push({ v, beta });
    if (beta === 0) continue;
    // The block beyond k becomes H A H = A - v w^T - w v^T.
    const w = new Float64Array(v.length);
    for (let i = 0; i < v.length; i++) w[i] = beta * dot(a, (k + 1 + i) * n + k + 1, v, 0, v.length);
    const half = (beta * dot(v, 0, w, 0, v.length)) / 2;
    for (let i = 0; i < v.length; i++) w[i]! -= half * v[i]!;
    for (let i = 0; i < v.length; i++) {
      const row = (k + 1 + i) * n + k + 1;
      const [vi, wi] = [v[i]!, w[i]!];
      for (let j = 0; j < v.length; j++) a[row + j]! -= vi * w[j]! + wi * v[j]!;
    }
  }
  diagonal[n - 1] = a[n * n - 1]!;
  return { diagonal, beside, basis: productOf(reflectors, n) };
}

/** (H_0 H_1 ...)^T, where H_k = I - beta v v^T acts on what lies beyond k. */
function productOf(reflectors: readonly { v: Float64Array; beta: number }[], n: number): Float64Array {
  const q = new Float64Array(n * n);
  for (let i = 0; i < n; i++) q[i * n + i] = 1;
  for (let k = reflectors.length - 1; k >= 0; k--) {
    const { v, beta } = reflectors[k]!;
    if (beta === 0) continue;
    const row = new Float64Array(v.length);
    for (let i = 0; i < v.length; i++) addScaled(row, 0, beta * v[i]!, q, (k + 1 + i) * n + k + 1, v.length);
    for (let i = 0; i < v.length; i++) addScaled(q, (k + 1 + i) * n + k + 1, -v[i]!, row, 0, v.length);
  }
  const transposed = new Float64Array(n * n);
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) transposed[j * n + i] = q[i * n + j]!;
  return transposed;
}

/** Makes `d` the eigenvalues of the tridiagonal matrix of `d` and `e`, and turns the rows of `z` with it. */
function iterateQl(d: Float64Array, e: Float64Array, z: Float64Array, n: number): void {
  for (let l = 0; l < n; l++) {
    for (let iteration = 0; ; iteration++) {
      let m = l;
      while (m < n - 1 && Math.abs(e[m]!) > Number.EPSILON * (Math.abs(d[m]!) + Math.abs(d[m + 1]!))) m++;
      if (m === l) break;
      if (iteration === MOST_ITERATIONS) throw new Error('symmetricEigen: does not converge');
      const step = (d[l + 1]! - d[l]!) / (2 * e[l]!);
      let g = d[m]! - d[l]! + e[l]! / (step + (step < 0 ? -1 : 1) * Math.hypot(step, 1));
      let [sine, cosine, shift] = [1, 1, 0];
      let i = m - 1;
      for (; i >= l; i--) {
        const [f, b] = [sine * e[i]!, cosine * e[i]!];
        const r = Math.hypot(f, g);
        e[i + 1] = r;
        if (r === 0) {
          d[i + 1]! -= shift;
          e[m] = 0;
          break;
        }
        [sine, cosine] = [f / r, g / r];
        g = d[i + 1]! - shift;
        const t = (d[i]! - g) * sine + 2 * cosine * b;
        shift = sine * t;
        d[i + 1] = g + shift;
        g = cosine * t - b;
        rotate(z, i * n, (i + 1) * n, sine, cosine, n);
      }
      if (i >= l) continue;
      d[l]! -= shift;
      e[l] = g;
      e[m] = 0;
    }
  }
}

function rotate(z: Float64Array, low: number, high: number, sine: number, cosine: number, n: number): void {
  for (let k = 0; k < n; k++) {
    const [a, b] = [z[low + k]!, z[high + k]!];
    z[high + k] = sine * a + cosine * b;
    z[low + k] = cosine * a - sine * b;
  }
}

/** The sum of a[i] b[i] over `count` values from the two offsets. */
export function dot(a: Float64Array, fromA: number, b: Float64Array, fromB: number, count: number): number {
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  let i = 0;
  for (; i + 3 < count; i += 4) {
    s0 += a[fromA + i]! * b[fromB + i]!;
    s1 += a[fromA + i + 1]! * b[fromB + i + 1]!;
    s2 += a[fromA + i + 2]! * b[fromB + i + 2]!;
    s3 += a[fromA + i + 3]! * b[fromB + i + 3]!;
  }
  for (; i < count; i++) s0 += a[fromA + i]! * b[fromB + i]!;
  return s0 + s1 + (s2 + s3);
}

/** y += factor x, over `count` values from the two offsets. */
export function addScaled(
  y: Float64Array,
  fromY: number,
  factor: number,
  x: Float64Array,
  fromX: number,
  count: number,
): void {
  for (let i = 0; i < count; i++) y[fromY + i]! += factor * x[fromX + i]!;
}

/**
 * The largest singular values of a matrix and their vectors, by randomised subspace iteration (Halko, Martinsson and Tropp
 * 2011, algorithm 4.4): a random basis is multiplied by A A^T and made orthonormal again until the share of the matrix that it
 * holds no longer grows; within it, the eigenvectors of the small matrix Z A A^T Z^T are the singular vectors (Rayleigh-Ritz).
 *
 * Everything is float64 except the products with A, which the owner of the matrix computes. Vectors are rows throughout.
 */
import { gaussian } from './initializers.ts';
import { addScaled, dot, symmetricEigen } from './symmetricEigen.ts';

/** A matrix [rows, columns], known by its products with a few vectors. */
export interface MatrixProducts {
  readonly rows: number;
  readonly columns: number;
  /** x [k, rows] -> x A [k, columns] */
  times(x: Float64Array, k: number): Promise<Float64Array> | Float64Array;
  /** y [k, columns] -> y A^T [k, rows] */
  timesTransposed(y: Float64Array, k: number): Promise<Float64Array> | Float64Array;
}

export interface TruncatedSvd {
  /** Singular values, largest first. */
  values: Float64Array;
  /** [rank, rows]: the left singular vectors. */
  left: Float64Array;
  /** [rank, columns]: each right singular vector times its singular value; A ~ left^T scaledRight. */
  scaledRight: Float64Array;
}

export interface TruncatedSvdOptions {
  /** The seed of the random basis; default 1. */
  seed?: number;
  /** The iteration ends once the squares that the basis holds grow by a smaller share; default 1e-5. */
  tolerance?: number;
  onIteration?(iteration: number): void;
}

/** Vectors beyond the rank, as a share of it and at least: they let the iteration converge where values fall slowly. */
const EXTRA = { share: 1 / 8, least: 16 };
const MOST_ITERATIONS = 16;

/** @param rank 1 to the smaller side of the matrix */
export async function truncatedSvd(
  a: MatrixProducts,
  rank: number,
  { seed = 1, tolerance = 1e-5, onIteration }: TruncatedSvdOptions = {},
): Promise<TruncatedSvd> {
  const { rows } = a;
  const most = Math.min(rows, a.columns);
  if (!(Number.isInteger(rank) && rank >= 1 && rank <= most))
    throw new Error(`truncatedSvd: rank ${rank} of a matrix ${rows} x ${a.columns}; expected 1 to ${most}`);
  const k = Math.min(most, rank + Math.max(EXTRA.least, Math.ceil(rank * EXTRA.share)));
  let z: Float64Array = Float64Array.from(gaussian(1, seed)([k, rows]));
  orthonormalise(z, k, rows);
  let held = 0;
  for (let iteration = 1; ; iteration++) {
    const product = await a.timesTransposed(await a.times(z, k), k);
    onIteration?.(iteration);
    const before = held;
    held = dot(product, 0, z, 0, k * rows);
    // A basis of the whole space needs no iteration.
    if (k === rows || held - before <= tolerance * held || iteration === MOST_ITERATIONS) {
      z = ritzVectors(z, product, { k, rows, rank });
      break;
    }
    z = product;
    orthonormalise(z, k, rows);
  }
  const scaledRight = await a.times(z, rank);
  const values = Float64Array.from({ length: rank }, (_, i) => {
    const from = i * a.columns;
    return Math.sqrt(dot(scaledRight, from, scaledRight, from, a.columns));
  });
  return { values, left: z, scaledRight };
}

/** The `rank` best vectors in the span of the rows of z: eigenvectors of Z A A^T Z^T, of which `product` is Z A A^T. */
function ritzVectors(
  z: Float64Array,
  product: Float64Array,
  { k, rows, rank }: { k: number; rows: number; rank: number },
): Float64Array {
  const small = new Float64Array(k * k);
  for (let i = 0; i < k; i++) {
    for (let j = 0; j <= i; j++) {
      small[i * k + j] = small[j * k + i] = dot(product, i * rows, z, j * rows, rows);
    }
  }
  const { vectors } = symmetricEigen(small, k);
  const best = new Float64Array(rank * rows);
  for (let i = 0; i < rank; i++) {
    for (let j = 0; j < k; j++) addScaled(best, i * rows, vectors[i * k + j]!, z, j * rows, rows);
  }
  return best;
}

/** Gram and Schmidt's method, modified: each row loses its share of every row before it, one after the other. */
function orthonormalise(z: Float64Array, k: number, length: number): void {
  for (let i = 0; i < k; i++) {
    // Twice: what a nearly dependent row has left after the first time is mostly rounding.
    for (let time = 0; time < 2; time++) {
      const before = Math.sqrt(dot(z, i * length, z, i * length, length));
      for (let j = 0; j < i; j++) {
        addScaled(z, i * length, -dot(z, i * length, z, j * length, length), z, j * length, length);
      }
      const after = Math.sqrt(dot(z, i * length, z, i * length, length));
      const factor = after > 0 ? 1 / after : 0;
      for (let c = 0; c < length; c++) z[i * length + c]! *= factor;
      if (after > before / 2) break;
    }
  }
}

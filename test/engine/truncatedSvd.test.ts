/** Eigenvalues and singular values against known ones and numpy's. */
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { symmetricEigen } from '../../src/engine/symmetricEigen.ts';
import { type MatrixProducts, truncatedSvd } from '../../src/engine/truncatedSvd.ts';
import { Random } from '../../src/kernels/rng.ts';
import { expectClose } from '../harness.ts';

interface Case {
  rows: number;
  columns: number;
  rank: number;
  values: number[];
  error: number;
  corner: number[];
}
const file = new URL('../golden/numpy-svd.json', import.meta.url);
const { cases } = JSON.parse(readFileSync(file, 'utf8')) as { cases: Case[] };

/** The matrices of scripts/goldens/svd.py. */
const matrixOf = ({ rows, columns }: Pick<Case, 'rows' | 'columns'>): Float64Array =>
  Float64Array.from({ length: rows * columns }, (_, n) => {
    const [i, j] = [Math.floor(n / columns), n % columns];
    return Math.fround(Math.sin(3 * i + 7 * j) + 0.5 * Math.cos(i * j) + 1 / (1 + i + j));
  });

function products(a: Float64Array, rows: number, columns: number): MatrixProducts {
  const times = (x: Float64Array, k: number) =>
    Float64Array.from({ length: k * columns }, (_, n) => {
      const [row, j] = [Math.floor(n / columns) * rows, n % columns];
      let sum = 0;
      for (let i = 0; i < rows; i++) sum += x[row + i]! * a[i * columns + j]!;
      return sum;
    });
  const timesTransposed = (y: Float64Array, k: number) =>
    Float64Array.from({ length: k * rows }, (_, n) => {
      const [row, i] = [Math.floor(n / rows) * columns, n % rows];
      let sum = 0;
      for (let j = 0; j < columns; j++) sum += y[row + j]! * a[i * columns + j]!;
      return sum;
    });
  return { rows, columns, times, timesTransposed };
}

/** left^T scaledRight */
const approximation = (left: Float64Array, right: Float64Array, rows: number, columns: number): Float64Array =>
  Float64Array.from({ length: rows * columns }, (_, n) => {
    const [i, j] = [Math.floor(n / columns), n % columns];
    let sum = 0;
    for (let r = 0; r * rows < left.length; r++) sum += left[r * rows + i]! * right[r * columns + j]!;
    return sum;
  });

const distance = (a: Float64Array, b: Float64Array): number => Math.hypot(...a.map((value, i) => value - b[i]!));

test('eigenvalues of matrices that are known, largest first, and their vectors', () => {
  assert.equal([...symmetricEigen(Float64Array.of(7), 1).values], [7]);
  expectClose(symmetricEigen(Float64Array.of(2, 1, 1, 2), 2).values, [3, 1], { atol: 1e-14, rtol: 0, what: '2 x 2' });
  const diagonal = new Float64Array(25);
  [3, -1, 0, 3, 8].forEach((value, i) => (diagonal[6 * i] = value));
  assert.equal([...symmetricEigen(diagonal, 5).values], [8, 3, 3, 0, -1]);
  assert.equal([...symmetricEigen(new Float64Array(16), 4).values], [0, 0, 0, 0]);
  // The Laplacian of a path of n points: 2 - 2 cos(pi k / n).
  const n = 60;
  const path = Float64Array.from({ length: n * n }, (_, at) => {
    const [i, j] = [Math.floor(at / n), at % n];
    if (i !== j) return Math.abs(i - j) === 1 ? -1 : 0;
    return i === 0 || i === n - 1 ? 1 : 2;
  });
  const before = Float64Array.from(path);
  const expected = Array.from({ length: n }, (_, k) => 2 - 2 * Math.cos((Math.PI * (n - 1 - k)) / n));
  expectClose(symmetricEigen(path, n).values, expected, { atol: 1e-13, rtol: 0, what: 'path' });
  assert.equal(path, before);
});

test('A v = lambda v, and the vectors are orthonormal', () => {
  const n = 40;
  const random = new Random(3, 1);
  const a = new Float64Array(n * n);
  for (let i = 0; i < n; i++) for (let j = 0; j <= i; j++) a[i * n + j] = a[j * n + i] = random.normal();
  const { values, vectors } = symmetricEigen(a, n);
  const row = (i: number) => vectors.subarray(i * n, (i + 1) * n);
  const dot = (x: Float64Array, y: Float64Array) => x.reduce((sum, value, i) => sum + value * y[i]!, 0);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) assert.ok(Math.abs(dot(row(i), row(j)) - Number(i === j)) < 1e-12);
    for (let j = 0; j < n; j++) {
      const product = dot(a.subarray(j * n, (j + 1) * n), row(i));
      assert.ok(Math.abs(product - values[i]! * row(i)[j]!) < 1e-12);
    }
  }
  assert.equal(
    [...values],
    [...values].sort((x, y) => y - x),
  );
  assert.throws(() => symmetricEigen(Float64Array.of(1, NaN, NaN, 1), 2), /symmetricEigen: the matrix is not finite/);
});

for (const golden of cases) {
  const { rows, columns, rank } = golden;
  test(`singular values and the best approximation of rank ${rank} of ${rows} x ${columns}, as numpy has them`, async () => {
    const a = matrixOf(golden);
    const { values, left, scaledRight } = await truncatedSvd(products(a, rows, columns), rank);
    expectClose(values, golden.values.slice(0, rank), { atol: 0, rtol: 1e-5, what: 'values' });
    const near = approximation(left, scaledRight, rows, columns);
    assert.ok(Math.abs(distance(a, near) - golden.error) < 1e-5 * golden.error);
    const corner = [0, 1, 2].flatMap((j) => [near[j]!, near[columns + j]!]);
    const expected = [0, 1, 2].flatMap((j) => [golden.corner[j]!, golden.corner[3 + j]!]);
    // The distance is only second order in the error of the singular vectors, the entries are first order: 3e-3 = sqrt(1e-5).
    expectClose(corner, expected, { atol: 3e-3, rtol: 0, what: 'corner' });
  });
}

test('with all values the matrix is what it was, and a matrix of low rank needs no more', async () => {
  const all = cases[1]!;
  const a = matrixOf(all);
  const whole = await truncatedSvd(products(a, all.rows, all.columns), all.rows);
  expectClose(whole.values, all.values, { atol: 1e-10, rtol: 0, what: 'all values' });
  assert.ok(distance(a, approximation(whole.left, whole.scaledRight, all.rows, all.columns)) < 1e-10);
  // Rank 3: an outer product of small random matrices.
  const random = new Random(5, 1);
  const [u, v] = [50, 80].map((length) => Float64Array.from({ length: 3 * length }, () => random.normal()));
  const low = approximation(u!, v!, 50, 80);
  const found = await truncatedSvd(products(low, 50, 80), 6);
  assert.ok(distance(low, approximation(found.left, found.scaledRight, 50, 80)) < 1e-10 * Math.hypot(...low));
  assert.ok(found.values[3]! < 1e-6 * found.values[0]!);
});

test('the same seed gives the same bits; a rank that there is not is named', async () => {
  const a = products(matrixOf(cases[2]!), 40, 60);
  assert.equal(await truncatedSvd(a, 7), await truncatedSvd(a, 7));
  for (const rank of [0, 41, 1.5]) {
    try {
      await truncatedSvd(a, rank);
      assert.unreachable();
    } catch (error) {
      assert.match((error as Error).message, /^truncatedSvd: rank .* of a matrix 40 x 60; expected 1 to 40$/);
    }
  }
});

test.run();

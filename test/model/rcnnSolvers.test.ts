/** R-CNN's solvers: the SVM and ridge regression against numpy and their conditions of optimality, mining against all negatives. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Random } from '../../src/kernels/rng.ts';
import { trainWithHardNegatives } from '../../src/model/rcnn/hardNegatives.ts';
import { featureScale, type Rows, rowCount, svmScores, trainLinearSvm } from '../../src/model/rcnn/linearSvm.ts';
import { negativesOf, regressionExamples } from '../../src/model/rcnn/regionExamples.ts';
import { choleskySolve, ridgeRegression } from '../../src/model/rcnn/ridgeRegression.ts';
import { expectClose } from '../harness.ts';

const rows = (...values: number[][]): Rows => ({ values: Float64Array.from(values.flat()), length: values[0]!.length });

const gaussianRows = (count: number, length: number, mean: number, random: Random): Rows => ({
  values: Float64Array.from({ length: count * length }, () => mean + random.normal()),
  length,
});

/** w and the bias of the next test: the numbers that numpy's converge to. */
const GOLDEN_SVM = [3 / 7, 10 / 21, -1 / 3];
/** numpy.linalg.solve of the normal equations. */
const GOLDEN_RIDGE = [
  [0.44634913196339093, 0.06172272956346456, -0.2696024642260716],
  [-0.15535908112179012, 0.4231018368218093, 0.20748920199239898],
];
const GOLDEN_BIASES = [-0.09217886621179737, 0.24846003542757997];

test('the SVM of numpy, by projected gradient on the dual', () => {
  const positives = rows([2, 1], [1, 2.5], [0.2, 0.3]);
  const negatives = rows([-1, -0.5], [-2, 0.4], [0.5, -1], [0.6, 0.8]);
  const options = { c: 0.5, positiveWeight: 2, biasScale: 1, tolerance: 1e-12 };
  const { weights, bias, converged } = trainLinearSvm(positives, negatives, options);
  assert.ok(converged);
  expectClose([...weights, bias], GOLDEN_SVM, { atol: 1e-9, rtol: 0, what: 'w, bias' });
});

test('two points: the widest margin, until C bounds it', () => {
  const [a, b] = [rows([1, 0]), rows([-1, 0])];
  const free = trainLinearSvm(a, b, { c: 10, positiveWeight: 1, biasScale: 1, tolerance: 1e-12 });
  expectClose([...free.weights, free.bias], [1, 0, 0], { atol: 1e-9, rtol: 0, what: 'free' });
  const bound = trainLinearSvm(a, b, { c: 0.1, positiveWeight: 1, biasScale: 1, tolerance: 1e-12 });
  expectClose([...bound.weights, bound.bias], [0.2, 0, 0], { atol: 1e-9, rtol: 0, what: 'bounded' });
});

test('primal and dual objective meet on overlapping clouds', () => {
  const random = new Random(4);
  const [positives, negatives] = [gaussianRows(30, 8, 0.4, random), gaussianRows(200, 8, -0.2, random)];
  const [c, positiveWeight, biasScale] = [0.05, 2, 10];
  const svm = trainLinearSvm(positives, negatives, { c, positiveWeight, biasScale, tolerance: 1e-9 });
  assert.ok(svm.converged);
  const hinge = (data: Rows, label: number): number =>
    svmScores(svm, data).reduce((sum, score) => sum + Math.max(0, 1 - label * score), 0);
  const norm = svm.weights.reduce((sum, w) => sum + w * w, 0) + (svm.bias / biasScale) ** 2;
  const primal = norm / 2 + c * positiveWeight * hinge(positives, 1) + c * hinge(negatives, -1);
  const dual = svm.duals.reduce((sum, a) => sum + a, 0) - norm / 2;
  expectClose([primal], [dual], { atol: 0, rtol: 1e-7, what: 'objective' });
  assert.equal(
    trainLinearSvm(positives, negatives, { c, positiveWeight, biasScale, tolerance: 1e-9 }).weights,
    svm.weights,
  );
});

test('what an SVM cannot be trained on is said', () => {
  assert.throws(() => trainLinearSvm({ values: new Float64Array(0), length: 2 }, rows([1, 2])), /there are 0 and 1/);
  assert.throws(() => trainLinearSvm(rows([1, 2, 3]), rows([1, 2])), /positives have 3 features, negatives 2/);
});

test('features of mean norm 20', () => {
  assert.is(featureScale(rows([3, 4], [0, 15])), 2);
  assert.is(featureScale(rows([0, 0])), 1);
});

test('hard negatives give the SVM of all negatives, with few of them in memory', async () => {
  const random = new Random(6);
  const positives = gaussianRows(20, 5, 1.5, random);
  const images = Array.from({ length: 30 }, (_, i) => gaussianRows(40, 5, i % 3 ? -2 : -0.6, random));
  const length = 5;
  const all = { values: Float64Array.from(images.flatMap(({ values }) => [...values])), length };
  const options = { c: 0.1, tolerance: 1e-9 };
  const whole = trainLinearSvm(positives, all, options);
  const mined = await trainWithHardNegatives(positives, () => images, { ...options, retrainAfter: 5, passes: 20 });
  expectClose([...mined.weights, mined.bias], [...whole.weights, whole.bias], { atol: 1e-4, rtol: 0, what: 'SVM' });
  assert.ok(mined.negatives < rowCount(all) / 3, `${mined.negatives} of ${rowCount(all)}`);
  assert.ok(mined.trainings > 2);
  const once = await trainWithHardNegatives(positives, () => images, { ...options, retrainAfter: 5 });
  const errors = (svm: { weights: Float64Array; bias: number }): number =>
    svmScores(svm, all).filter((score) => score > 0).length +
    svmScores(svm, positives).filter((score) => score < 0).length;
  assert.ok(Math.abs(errors(once) - errors(whole)) <= 5, `${errors(once)} and ${errors(whole)} errors`);
  let error: Error | undefined;
  await trainWithHardNegatives(positives, () => []).catch((reason: Error) => (error = reason));
  assert.match(error!.message, /there is no negative in any image/);
});

test('the ridge regression of numpy', () => {
  const features = rows(
    [1, 2, 0.5],
    [0.3, -1, 2],
    [2, 0.1, -0.7],
    [-1.2, 0.4, 1.1],
    [0.9, 1.3, -0.2],
    [-0.4, -0.8, 0.6],
  );
  const targets = rows([0.2, 1], [-0.5, 0.3], [1.1, -0.4], [-0.9, 0.8], [0.6, 0.9], [-0.7, -0.1]);
  const { weights, biases } = ridgeRegression(features, targets, 0.7);
  expectClose(weights, GOLDEN_RIDGE.flat(), { atol: 1e-12, rtol: 0, what: 'weights' });
  expectClose(biases, GOLDEN_BIASES, { atol: 1e-12, rtol: 0, what: 'biases' });
});

test('with more features than examples the normal equations of the examples give the same', () => {
  const random = new Random(12);
  const [count, length, lambda] = [5, 9, 0.3];
  const [features, targets] = [gaussianRows(count, length, 0.5, random), gaussianRows(count, 2, 1, random)];
  const { weights, biases } = ridgeRegression(features, targets, lambda);
  const means = [0, 1].map((t) => [...targets.values].reduce((sum, y, i) => sum + (i % 2 === t ? y / count : 0), 0));
  const x = (row: number, i: number): number => (i < length ? features.values[row * length + i]! : 1);
  const sumOf = (of: (row: number) => number): number => [0, 1, 2, 3, 4].reduce((sum, row) => sum + of(row), 0);
  const d = length + 1;
  const gram = Float64Array.from({ length: d * d }, (_, at) => {
    const [i, j] = [Math.floor(at / d), at % d];
    return sumOf((row) => x(row, i) * x(row, j)) + (i === j ? lambda : 0);
  });
  const right = Float64Array.from({ length: 2 * d }, (_, at) =>
    sumOf((row) => x(row, at >> 1) * (targets.values[2 * row + (at & 1)]! - means[at & 1]!)),
  );
  const solution = choleskySolve(gram, right, d, 2);
  const expected = [0, 1].map((t) => Array.from({ length: d }, (_, i) => solution[2 * i + t]!));
  expectClose(weights, expected.flatMap((row) => row.slice(0, length)), { atol: 1e-12, rtol: 0, what: 'weights' }); // prettier-ignore
  expectClose(biases, expected.map((row, t) => row[length]! + means[t]!), { atol: 1e-12, rtol: 0, what: 'biases' }); // prettier-ignore
});

test('a linear function is found again where lambda is small; what is wrong is said', () => {
  const random = new Random(9);
  const features = gaussianRows(50, 4, 0, random);
  const y = Float64Array.from(
    { length: 50 },
    (_, i) => 3 + [1, -2, 0.5, 4].reduce((sum, w, k) => sum + w * features.values[4 * i + k]!, 0),
  );
  const { weights, biases } = ridgeRegression(features, { values: y, length: 1 }, 1e-10);
  expectClose([...weights, ...biases], [1, -2, 0.5, 4, 3], { atol: 1e-8, rtol: 0, what: 'coefficients' });
  const doubled = rows(...Array.from({ length: 6 }, (_, i) => [i, 2 * i]));
  assert.throws(
    () => ridgeRegression(doubled, { values: new Float64Array(6).fill(1), length: 1 }, 0),
    /not positive definite; a larger lambda/,
  );
  assert.throws(
    () => ridgeRegression(doubled, { values: new Float64Array(5), length: 1 }, 1),
    /6 rows of features, 5 of targets/,
  );
});

test('negatives overlap every object of their class by less than 0.3, examples of the regression one by more than 0.6', () => {
  const object = (classIndex: number, x1: number) => ({ x1, y1: 0, x2: x1 + 9, y2: 9, classIndex });
  const objects = [object(1, 0), object(2, 20)];
  // 10 columns of 10 pixels each, moved to the right: an IoU of (10 - d) / (10 + d).
  const moved = (...by: number[]) => Float32Array.from(by.flatMap((x) => [x, 0, x + 9, 9]));
  // 4 columns off: 6 / 14 = 0.43; 5: 5 / 15 = 0.33; 6: 4 / 16 = 0.25.
  assert.equal(negativesOf(1, moved(4, 5, 6, 20), objects, 1), [2, 3]);
  assert.equal(negativesOf(2, moved(4, 15, 14, 20), objects, 1), [0, 2]);
  assert.equal(negativesOf(3, moved(0, 20), objects, 1), [0, 1], 'of a class without objects all are');
  // 2 columns off: 8 / 12 = 0.67; 3: 7 / 13 = 0.54.
  const examples = regressionExamples(moved(2, 3, 22, 50), objects, 1);
  assert.equal(
    examples.map(({ proposal, classIndex }) => [proposal, classIndex]),
    [
      [0, 1],
      [2, 2],
    ],
  );
  assert.equal([...examples[0]!.target], [-0.2, 0, 0, 0]);
  // Of two objects it learns to reach the one that it overlaps more.
  const [nearer] = regressionExamples(moved(1), [object(1, 2.5), object(2, 0)], 1);
  assert.is(nearer!.classIndex, 2);
});

test('Cholesky solves what it is given', () => {
  expectClose(choleskySolve(Float64Array.of(4, 2, 2, 3), Float64Array.of(8, 7, 10, 9), 2, 2), [0.5, 0.375, 3, 2.75], {
    atol: 1e-12,
    rtol: 0,
    what: 'X',
  });
});

test.run();

/**
 * Fits the scorer of R-CNN and SPP-net to a trained network (Girshick et al. 2014, section 2.3 and appendix C):
 *
 *   SVMs         one for each class, on the vectors of regions scaled to a mean norm of 20. Positives are the objects
 *                themselves; negatives are proposals that overlap every object of the class, difficult ones too, by less
 *                than 0.3, of which the hard ones are kept in one pass over the images
 *   regression   for each class from the pooled values of proposals that overlap an object of it by more than 0.6
 *
 * Everything is a function of the network, the data and the seed. No features are kept: after an abort it begins anew.
 */
import type { Dataset, Sample } from '../../data/types.ts';
import { countedBoxes } from '../../data/boxes.ts';
import { UserError } from '../../engine/errors.ts';
import { wholeParameters, writeWhole } from '../../engine/shards.ts';
import type { DecodedImage } from '../../kernels/imagePrepare.ts';
import { Random } from '../../kernels/rng.ts';
import { CONVENTIONS } from '../../model/conventions.ts';
import { capable, type Detector } from '../../model/detector.ts';
import { HardNegatives } from '../../model/rcnn/hardNegatives.ts';
import { featureScale, type Rows } from '../../model/rcnn/linearSvm.ts';
import { negativesOf, type RegressionExample, regressionExamples } from '../../model/rcnn/regionExamples.ts';
import { ridgeRegression } from '../../model/rcnn/ridgeRegression.ts';
import { RIDGE_LAYER, SVM_LAYER } from '../../model/svmScorer.ts';
import { eachImage } from '../evaluation/eachImage.ts';

/** R-CNN's weight of the squares of the regression's coefficients. */
const LAMBDA = 1000;
/** Examples for the regression of a class at most, drawn at random. */
const MOST_EXAMPLES = 2000;
/** Numbers of all examples together at most: 1 GiB. */
const MOST_VALUES = 2 ** 28;
/** Images, evenly spaced, and the proposals of each, from which the mean norm of vectors is taken. */
const NORM_IMAGES = 200;
const NORM_PROPOSALS = 16;
/** The projected gradient, in units of the margin, at which an SVM counts as trained. */
const SVM_OPTIONS = { tolerance: 1e-3, maxRounds: 1000 };
/** The value of an SVM for a class without objects: a score of 2e-9. */
const NEVER = -20;

export type FitPart = 'objects' | 'negatives';

export interface FitReport {
  classes: {
    name: string;
    positives: number;
    /** Hard negatives in memory at the end. */
    negatives: number;
    /** Proposals that the regression of boxes was fitted to. */
    examples: number;
  }[];
}

export interface FitOptions {
  seed: number;
  signal?: AbortSignal | undefined;
  onImage?(part: FitPart, done: number, total: number): void;
}

/** Null after an abort; the model's scorer is then as it was. */
export async function fitScorer(
  model: Detector,
  dataset: Dataset,
  { seed, signal, onImage }: FitOptions,
): Promise<FitReport | null> {
  const { classes, head, convention, rpn } = model.config;
  const { plusOne } = CONVENTIONS[convention];
  const { samples } = dataset;
  const parameters = wholeParameters(model.parameters);
  const lengthOf = (layer: string): number => parameters[`${layer}.weight`]!.shape[1]!;
  const [length, pooledLength] = [lengthOf(SVM_LAYER), lengthOf(RIDGE_LAYER)];
  const boxesOf = ({ proposals }: Sample): Float32Array => proposals!.boxes.subarray(0, 4 * rpn.train.postNms);
  const pass = (part: FitPart, work: (sample: Sample, picture: DecodedImage, index: number) => Promise<void>) =>
    eachImage(samples, work, { signal, onImage: (done, total) => onImage?.(part, done, total) });

  // One pass over the objects and the examples of the regression, which are few.
  const most = Math.min(MOST_EXAMPLES, Math.floor(MOST_VALUES / pooledLength / (classes.length - 1)));
  const chosen = drawExamples(samples, boxesOf, { plusOne, classes: classes.length, most, seed });
  const positives = classes.map((): Float32Array[] => []);
  const pooled = classes.map((): Float32Array[] => []);
  const norms: Float32Array[] = [];
  const first = await pass('objects', async (sample, picture, index) => {
    const objects = countedBoxes(sample.boxes);
    const proposals = boxesOf(sample);
    const measured = isSpaced(index, samples.length, NORM_IMAGES) ? proposals.subarray(0, 4 * NORM_PROPOSALS) : [];
    const regions = Float32Array.from([...objects.flatMap(({ x1, y1, x2, y2 }) => [x1, y1, x2, y2]), ...measured]);
    const values = await valuesOf(model, picture, regions, 'vector');
    objects.forEach(({ classIndex }, i) => positives[classIndex]!.push(values.slice(i * length, (i + 1) * length)));
    norms.push(values.subarray(objects.length * length));
    const examples = chosen[index]!;
    const corners = Float32Array.from(examples.flatMap(({ proposal: i }) => [...proposals.subarray(4 * i, 4 * i + 4)]));
    const rows = await valuesOf(model, picture, corners, 'pooled');
    examples.forEach(({ classIndex }, i) =>
      pooled[classIndex]!.push(rows.slice(i * pooledLength, (i + 1) * pooledLength)),
    );
  });
  if (first === null) return null;

  const scale = featureScale({ values: joined(norms), length });
  const scaled = (values: Float32Array): Rows => ({ values: values.map((value) => value * scale), length });
  const miners = positives.map((rows, classIndex) =>
    classIndex > 0 && rows.length > 0
      ? new HardNegatives(scaled(joined(rows)), { ...SVM_OPTIONS, seed: seed + classIndex })
      : null,
  );
  const second = await pass('negatives', async (sample, picture, index) => {
    const proposals = boxesOf(sample);
    const { values } = scaled(await valuesOf(model, picture, proposals, 'vector'));
    for (const [classIndex, miner] of miners.entries()) {
      if (!miner) continue;
      const rows = negativesOf(classIndex, proposals, sample.boxes, plusOne);
      const own = new Float32Array(rows.length * length);
      rows.forEach((from, to) => own.set(values.subarray(from * length, (from + 1) * length), to * length));
      miner.see(index, { values: own, length });
      await nextTurn();
    }
  });
  if (second === null) return null;

  const svm = { weight: new Float32Array(classes.length * length), bias: new Float32Array(classes.length) };
  const ridge = {
    weight: new Float32Array(4 * classes.length * pooledLength),
    bias: new Float32Array(4 * classes.length),
  };
  const report: FitReport = { classes: [] };
  for (let classIndex = 1; classIndex < classes.length; classIndex++) {
    const name = classes[classIndex]!;
    let negatives = 0;
    svm.bias[classIndex] = NEVER;
    const miner = miners[classIndex];
    if (miner) {
      miner.settle();
      const fitted = resultOf(miner, name);
      svm.weight.set(
        fitted.weights.map((weight) => weight * scale),
        classIndex * length,
      );
      svm.bias[classIndex] = fitted.bias;
      negatives = fitted.negatives;
    }
    await nextTurn();
    const targets = chosen.flatMap((examples) => examples.filter((example) => example.classIndex === classIndex));
    if (targets.length > 0) {
      const { weights, biases } = ridgeRegression(
        { values: joined(pooled[classIndex]!), length: pooledLength },
        {
          values: Float64Array.from(targets.flatMap(({ target }) => target.map((t, k) => t / head.targetStds[k]!))),
          length: 4,
        },
        LAMBDA,
      );
      ridge.weight.set(weights, 4 * classIndex * pooledLength);
      ridge.bias.set(biases, 4 * classIndex);
    }
    await nextTurn();
    report.classes.push({ name, positives: positives[classIndex]!.length, negatives, examples: targets.length });
  }
  for (const [layer, { weight, bias }] of [
    [SVM_LAYER, svm],
    [RIDGE_LAYER, ridge],
  ] as const) {
    writeWhole(parameters[`${layer}.weight`]!, weight);
    writeWhole(parameters[`${layer}.bias`]!, bias);
  }
  return report;
}

/** An SVM or a regression may compute for seconds: between two, heartbeats to other processes and Ctrl-C have their turn. */
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Whether an image is one of at most `most`, evenly spaced. */
const isSpaced = (index: number, count: number, most: number): boolean =>
  count <= most || (index * most) % count < most;

/** For each image the examples of the regression: of each class at most `most`, drawn at random from those of all images. */
function drawExamples(
  samples: readonly Sample[],
  boxesOf: (sample: Sample) => Float32Array,
  { plusOne, classes, most, seed }: { plusOne: number; classes: number; most: number; seed: number },
): RegressionExample[][] {
  const all = samples.map((sample) => regressionExamples(boxesOf(sample), countedBoxes(sample.boxes), plusOne));
  const kept = new Set<RegressionExample>();
  for (let classIndex = 1; classIndex < classes; classIndex++) {
    const own = all.flat().filter((example) => example.classIndex === classIndex);
    const order = new Random(seed + classIndex).permutation(own.length);
    for (const i of order.slice(0, most)) kept.add(own[i]!);
  }
  return all.map((examples) => examples.filter((example) => kept.has(example)));
}

/** What the scorer sees of regions of a picture, row after row. */
async function valuesOf(
  model: Detector,
  picture: DecodedImage,
  boxes: Float32Array,
  of: 'pooled' | 'vector',
): Promise<Float32Array> {
  if (boxes.length === 0) return new Float32Array(0);
  const rows = model.gpu.scope(() => {
    const image = model.prepare(picture);
    return capable(model, 'regionValues').regionValues(model.convolve(image), image, boxes, of);
  });
  const values = (await rows.read()) as Float32Array;
  rows.dispose();
  return values;
}

function resultOf(miner: HardNegatives, name: string) {
  try {
    return miner.result();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new UserError(
      `class ${name}: every proposal overlaps one of its objects, so there is no negative for its SVM; give more proposals`,
    );
  }
}

function joined(rows: readonly Float32Array[]): Float32Array {
  const values = new Float32Array(rows.reduce((sum, row) => sum + row.length, 0));
  let at = 0;
  for (const row of rows) {
    values.set(row, at);
    at += row.length;
  }
  return values;
}

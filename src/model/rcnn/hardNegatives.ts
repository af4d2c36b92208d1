/**
 * Hard negative mining (Felzenszwalb et al. 2010, as R-CNN does it): of the very many negatives only those are kept in memory that
 * the SVM so far gets wrong or nearly so. It is trained again whenever enough new ones were found.
 */
import { type LinearSvm, type Rows, rowCount, type SvmOptions, svmScores, trainLinearSvm } from './linearSvm.ts';

export interface MiningOptions extends SvmOptions {
  /** A negative with a higher score is hard: it lies within the margin, which begins at -1. */
  hardAbove?: number;
  /** After training, negatives with a lower score leave the cache. */
  evictBelow?: number;
  /** The SVM is trained again after so many new negatives. */
  retrainAfter?: number;
  /** Passes over the images; R-CNN: 1. It ends earlier if a pass finds no new negative. */
  passes?: number;
}

export interface MinedSvm extends LinearSvm {
  /** Negatives in the cache at the end. */
  negatives: number;
  /** How often it was trained. */
  trainings: number;
}

/**
 * @param images gives the negatives of each image, and is called once for each pass; of the first image that has any, all are taken
 */
export async function trainWithHardNegatives(
  positives: Rows,
  images: () => AsyncIterable<Rows> | Iterable<Rows>,
  options: MiningOptions = {},
): Promise<MinedSvm> {
  const { hardAbove = -1.0001, evictBelow = -1.2, retrainAfter = 2000, passes = 1, ...svmOptions } = options;
  const { length } = positives;
  let cache = new Map<string, Float64Array>();
  let svm: LinearSvm | undefined;
  let trainings = 0;
  let added = 0;
  const train = (): void => {
    const kept = [...cache.keys()];
    const rows = { values: joined([...cache.values()], length), length };
    svm = trainLinearSvm(positives, rows, svmOptions);
    trainings++;
    added = 0;
    const scores = svmScores(svm, rows);
    kept.forEach((key, i) => scores[i]! < evictBelow && cache.delete(key));
  };
  for (let pass = 0; pass < passes; pass++) {
    let found = 0;
    let image = -1;
    for await (const negatives of images()) {
      image++;
      const scores = svm && svmScores(svm, negatives);
      for (let i = 0; i < rowCount(negatives); i++) {
        const key = `${image} ${i}`;
        if (cache.has(key) || (scores && scores[i]! <= hardAbove)) continue;
        cache.set(key, Float64Array.from(negatives.values.subarray(i * length, (i + 1) * length)));
        added++;
        found++;
      }
      if (added >= retrainAfter || (!svm && cache.size > 0)) train();
    }
    if (added > 0) train();
    if (found === 0) break;
  }
  if (!svm) throw new RangeError('hard negatives: there is no negative in any image');
  const { weights, bias } = svm as LinearSvm;
  const result = { weights, bias, negatives: cache.size, trainings };
  cache = new Map();
  return result;
}

function joined(rows: readonly Float64Array[], length: number): Float64Array {
  const values = new Float64Array(rows.length * length);
  rows.forEach((row, i) => values.set(row, i * length));
  return values;
}

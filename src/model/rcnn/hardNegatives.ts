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

/** The SVM of one class while it meets the negatives of one image after the other. */
export class HardNegatives {
  private readonly positives: Rows;
  private readonly options: MiningOptions;
  /** By image and row. */
  private readonly cache = new Map<string, Float64Array>();
  private svm: LinearSvm | undefined;
  private trainings = 0;
  private added = 0;

  constructor(positives: Rows, options: MiningOptions = {}) {
    this.positives = positives;
    this.options = options;
  }

  /** Keeps the hard ones among the negatives of an image; of the first image that has any, all. Returns how many are new. */
  see(image: number, negatives: Rows): number {
    const { hardAbove = -1.0001, retrainAfter = 2000 } = this.options;
    const { length } = this.positives;
    const scores = this.svm && svmScores(this.svm, negatives);
    let found = 0;
    for (let i = 0; i < rowCount(negatives); i++) {
      const key = `${image} ${i}`;
      if (this.cache.has(key) || (scores && scores[i]! <= hardAbove)) continue;
      this.cache.set(key, Float64Array.from(negatives.values.subarray(i * length, (i + 1) * length)));
      found++;
    }
    this.added += found;
    if (this.added >= retrainAfter || (!this.svm && this.cache.size > 0)) this.train();
    return found;
  }

  /** Trains on what was found since the last training. */
  settle(): void {
    if (this.added > 0) this.train();
  }

  /** Throws a RangeError if it has seen no negative. */
  result(): MinedSvm {
    if (!this.svm) throw new RangeError('hard negatives: there is no negative in any image');
    const { weights, bias } = this.svm;
    return { weights, bias, negatives: this.cache.size, trainings: this.trainings };
  }

  private train(): void {
    const { evictBelow = -1.2 } = this.options;
    const { length } = this.positives;
    const kept = [...this.cache.keys()];
    const rows = { values: joined([...this.cache.values()], length), length };
    this.svm = trainLinearSvm(this.positives, rows, this.options);
    this.trainings++;
    this.added = 0;
    const scores = svmScores(this.svm, rows);
    kept.forEach((key, i) => scores[i]! < evictBelow && this.cache.delete(key));
  }
}

/**
 * @param images gives the negatives of each image, and is called once for each pass; of the first image that has any, all are taken
 */
export async function trainWithHardNegatives(
  positives: Rows,
  images: () => AsyncIterable<Rows> | Iterable<Rows>,
  options: MiningOptions = {},
): Promise<MinedSvm> {
  const svm = new HardNegatives(positives, options);
  for (let pass = 0; pass < (options.passes ?? 1); pass++) {
    let found = 0;
    let image = 0;
    for await (const negatives of images()) found += svm.see(image++, negatives);
    svm.settle();
    if (found === 0) break;
  }
  return svm.result();
}

function joined(rows: readonly Float64Array[], length: number): Float64Array {
  const values = new Float64Array(rows.length * length);
  rows.forEach((row, i) => values.set(row, i * length));
  return values;
}

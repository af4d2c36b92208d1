/**
 * The order of training.
 *
 * Step t takes pair t mod m of the permutation of epoch floor(t / m) over the m = 2n pairs (image, mirrored or not), as
 * py-faster-rcnn doubles its roidb; m = n if mirroring is off. A permutation is a pure function of (seed, epoch), so a resumed
 * run needs only the step.
 */
import { Random } from '../kernels/rng.ts';
import type { DecodedImage } from '../kernels/imagePrepare.ts';
import type { Picture } from '../kernels/placePicture.ts';
import { augment, type Augmentation, augmentationRandom, drawsMosaic } from './augmentation.ts';
import type { Sample } from './types.ts';

/** Keeps the permutations apart from other uses of the run's seed; the stream of an epoch is this plus its number. */
const ORDER_STREAM = 0x0de50000;

export interface OrderOptions {
  /** Whether mirrored copies take part. */
  flip: boolean;
  /** The indices of the samples, each as often as an epoch has it; by default once. */
  repeated?: readonly number[];
}

export class TrainingOrder {
  readonly seed: number;
  readonly samples: number;
  private readonly repeated: readonly number[] | undefined;
  /** Steps in an epoch: each image once, and once mirrored if mirroring is on. */
  readonly length: number;
  #epoch = -1;
  #permutation: number[] = [];

  constructor(seed: number, samples: number, { flip, repeated }: OrderOptions) {
    this.seed = seed;
    this.samples = repeated?.length ?? samples;
    this.repeated = repeated;
    this.length = flip ? 2 * this.samples : this.samples;
  }

  /** The sample of step 0, 1, 2... and whether it is mirrored. */
  at(step: number): { index: number; flip: boolean } {
    const epoch = Math.floor(step / this.length);
    if (epoch !== this.#epoch) {
      this.#permutation = new Random(this.seed, ORDER_STREAM + epoch).permutation(this.length);
      this.#epoch = epoch;
    }
    const pair = this.#permutation[step % this.length]!;
    const place = pair % this.samples;
    return { index: this.repeated ? this.repeated[place]! : place, flip: pair >= this.samples };
  }

  /** The samples of the first `steps` steps. */
  drawn(steps: number): Set<number> {
    return new Set(Array.from({ length: Math.min(steps, this.length) }, (_, step) => this.at(step).index));
  }
}

export interface LoadedSample<S = Sample> {
  step: number;
  /** The index of the sample in the data set. */
  index: number;
  sample: S;
  /** As stored; the caller mirrors it when preparing it, with its boxes (`flipBoxes`). */
  picture: DecodedImage;
  flip: boolean;
}

/** A sample with a picture that may be composed of several. */
export type TrainingSample = Omit<LoadedSample, 'picture'> & { picture: Picture };

/** As `inTrainingOrder`, with every sample augmented: its picture is a composition, which has its boxes and is not mirrored. */
export function inAugmentedOrder(
  samples: readonly Sample[],
  order: TrainingOrder,
  augmentation: Augmentation,
): (step: number) => Promise<TrainingSample> {
  const load = inTrainingOrder(samples, order);
  return async (step) => {
    const loaded = await load(step);
    const random = augmentationRandom(order.seed, step, loaded.index);
    const originals = [loaded, ...(drawsMosaic(random, augmentation) ? await others() : [])];
    const { picture, boxes, proposals } = augment(random, originals, augmentation);
    const { width, height } = picture;
    const sample = { ...loaded.sample, width, height, boxes, ...(proposals && { proposals }) };
    return { ...loaded, sample, picture, flip: false };

    /** Three more images of a mosaic. */
    function others() {
      const drawn = [0, 1, 2].map(() => samples[random.integer(samples.length)]!);
      return Promise.all(drawn.map(async (sample) => ({ sample, picture: await sample.load(), flip: loaded.flip })));
    }
  };
}

/** Returns a function that loads the sample of a step in this order, for a `Prefetcher`. */
export const inTrainingOrder =
  <S extends { load(): Promise<DecodedImage> }>(samples: readonly S[], order: TrainingOrder) =>
  async (step: number): Promise<LoadedSample<S>> => {
    const { index, flip } = order.at(step);
    const sample = samples[index]!;
    return { step, index, sample, flip, picture: await sample.load() };
  };

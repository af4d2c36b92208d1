/**
 * The order of training.
 *
 * Step t takes pair t mod m of the permutation of epoch floor(t / m) over the m = 2n pairs (image, mirrored or not), as
 * py-faster-rcnn doubles its roidb; m = n if mirroring is off. A permutation is a pure function of (seed, epoch), so a resumed
 * run needs only the step.
 *
 * Where images go through the network several at a time, those of a batch have similar shapes: an epoch's permutation is dealt to
 * groups, and each `size` images of a group follow one another as soon as the group has them (torchvision's GroupedBatchSampler).
 * Every pair still comes once an epoch: what is left of the groups ends it, group by group.
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
  /** The group of each sample, and the images of a batch, the first of which is at a step that is a multiple of `size`. */
  groups?: { of: readonly number[]; size: number };
}

export class TrainingOrder {
  readonly seed: number;
  readonly samples: number;
  private readonly repeated: readonly number[] | undefined;
  private readonly groups: OrderOptions['groups'];
  /** Steps in an epoch: each image once, and once mirrored if mirroring is on. */
  readonly length: number;
  #epoch = -1;
  #permutation: number[] = [];

  constructor(seed: number, samples: number, { flip, repeated, groups }: OrderOptions) {
    this.seed = seed;
    this.samples = repeated?.length ?? samples;
    this.repeated = repeated;
    this.groups = groups;
    this.length = flip ? 2 * this.samples : this.samples;
  }

  /** The sample of step 0, 1, 2... and whether it is mirrored. */
  at(step: number): { index: number; flip: boolean } {
    const epoch = Math.floor(step / this.length);
    if (epoch !== this.#epoch) {
      this.#permutation = this.inGroups(new Random(this.seed, ORDER_STREAM + epoch).permutation(this.length), epoch);
      this.#epoch = epoch;
    }
    const pair = this.#permutation[step % this.length]!;
    return { index: this.indexOf(pair), flip: pair >= this.samples };
  }

  private indexOf(pair: number): number {
    const place = pair % this.samples;
    return this.repeated ? this.repeated[place]! : place;
  }

  private inGroups(permutation: number[], epoch: number): number[] {
    if (!this.groups) return permutation;
    const { of, size } = this.groups;
    // The first images of an epoch complete the last batch of the one before.
    const begun = (epoch * this.length) % size;
    const head = begun === 0 ? 0 : size - begun;
    const arranged = permutation.slice(0, head);
    const waiting = new Map<number, number[]>();
    for (const pair of permutation.slice(head)) {
      const group = of[this.indexOf(pair)]!;
      const own = waiting.get(group) ?? [];
      own.push(pair);
      waiting.set(group, own);
      if (own.length === size) arranged.push(...own.splice(0));
    }
    const left = [...waiting].sort(([a], [b]) => a - b);
    return [...arranged, ...left.flatMap(([, pairs]) => pairs)];
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

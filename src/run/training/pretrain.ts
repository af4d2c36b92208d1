/**
 * Training of a backbone as an image classifier before it becomes part of a detector (the paper does so on ImageNet), and
 * its accuracy. Pictures may have any shape: a training image is a square of 7/8 of the shorter side at a random place,
 * mirrored or not; validation takes the square in the middle (224 of 256 pixels, as the paper's networks were trained).
 */
import { crop } from '../../data/crop.ts';
import type { LabelledImage, LabelledImages } from '../../data/types.ts';
import type { DecodedImage } from '../../kernels/imagePrepare.ts';
import { inTrainingOrder, type LoadedSample, TrainingOrder } from '../../data/loader.ts';
import { Prefetcher } from '../../data/prefetcher.ts';
import { ALONE, CommonError, type Processes } from '../../distributed/processes.ts';
import { ShardedOptimizer } from '../../distributed/shardedOptimizer.ts';
import { shareTensors } from '../../distributed/sharing.ts';
import type { Gpu } from '../../engine/gpu.ts';
import { GradientSums } from '../../engine/gradientSums.ts';
import { Sgd, sgdRule } from '../../engine/sgd.ts';
import { sumsAtATime } from '../../engine/treeSum.ts';
import { WarmUp } from '../../engine/warmUp.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { rankOfLabel } from '../../eval/accuracy.ts';
import { eachImage } from '../evaluation/eachImage.ts';
import { Random, seedOf } from '../../kernels/rng.ts';
import { Classifier } from '../../model/classifier.ts';
import type { WholeImage } from '../../model/wholeImage.ts';
import { type InitReport, loadCheckpoint, loadInitialWeights, type Progress } from '../storage/checkpoint.ts';
import { NO_PROGRESS } from '../storage/checkpointFormat.ts';
import { blankPicture } from './blankPicture.ts';
import { parameterGroups } from './makeOptimizer.ts';
import { disposingOnError } from './disposing.ts';
import { keptTogether } from './keptTogether.ts';
import { type LoopEvents, runLoop } from './loop.ts';
import { PRETRAIN_TERMS, type PretrainConfig, type PretrainDirectory } from '../config/pretrainConfig.ts';

const CROP = 7 / 8;
/** Divides values of 0..255 minus a mean, which are then about one. */
const NORMAL_DIVISOR = 64;
/** Keeps the random squares apart from other uses of the run's seed; an image's own stream is this plus its number. */
const CROP_STREAM = 0x60000000;

export interface PretrainOptions extends LoopEvents<(typeof PRETRAIN_TERMS)[number]> {
  gpu: Gpu;
  data: LabelledImages;
  directory: PretrainDirectory;
  config: PretrainConfig;
  /** Goes on from the directory's checkpoint, or from the start where there is none yet; otherwise the directory is made. */
  resume: boolean;
  signal?: AbortSignal;
  /** Those that train together; only the first uses the directory and the file of initial weights. */
  processes?: Processes | undefined;
  onInit?(report: InitReport): void;
  /** The most bytes of GPU memory that a step needs, weights included. */
  onMemory?(bytes: number): void;
  /** Before the first step of this session, which compiles the shaders. */
  onStart?(progress: Progress, model: Classifier): void;
}

export interface PretrainResult {
  model: Classifier;
  progress: Progress;
  /** Whether all steps are done; false after an abort. */
  finished: boolean;
}

export async function pretrain(options: PretrainOptions): Promise<PretrainResult> {
  const { processes = ALONE, config } = options;
  const { classifier, training } = config;
  const passes = passesOf(config);
  if (processes.size > passes) {
    throw new CommonError(
      `--distributed: ${processes.size} processes cannot share ${passes} pass${passes === 1 ? '' : 'es'} of ${training.imagesPerStep / passes} images a batch; start at most ${passes}, or a new run with a smaller --micro-batch`,
    );
  }
  const model = new Classifier(options.gpu, classifier, training.seed);
  return disposingOnError(model, async () => {
    const groups = parameterGroups(model.parameters, training, await normaliseFirstLayer(model));
    const optimizer =
      processes.size === 1
        ? new Sgd(groups, training)
        : new ShardedOptimizer(groups, sgdRule(training), training, passes, processes);
    try {
      return await train(options, model, optimizer);
    } finally {
      optimizer.dispose();
    }
  });
}

async function train(
  options: PretrainOptions,
  model: Classifier,
  optimizer: Sgd | ShardedOptimizer,
): Promise<PretrainResult> {
  const { gpu, data, directory, config, resume, processes = ALONE } = options;
  const { training } = config;
  const progress = await processes.lead(async () => {
    let progress: Progress = NO_PROGRESS;
    if (resume) {
      if (directory.hasCheckpoint) progress = await loadCheckpoint(directory.checkpointPath, model, optimizer);
      directory.truncateMetrics(progress.step);
    }
    if (config.init && progress.step === 0) {
      const report = await loadInitialWeights(config.init, model);
      options.onInit?.(report);
    }
    return progress;
  });
  await shareTensors(processes, Object.values(model.parameters));
  if (optimizer instanceof ShardedOptimizer) await optimizer.share();

  const passes = passesOf(config);
  const images = training.imagesPerStep / passes;
  const { first, end } = processes.places(passes);
  const sums = new GradientSums(optimizer.slots.map(({ parameter }) => parameter));
  options.onMemory?.(measureStep(model, images, sumsAtATime(first, end)));
  await processes.lead(() => {
    if (!resume) directory.create(config);
  });
  options.onStart?.(progress, model);

  const order = new TrainingOrder(training.seed, data.train.length, { flip: training.flip });
  const load = inTrainingOrder(data.train, order);
  const own = (end - first) * images;
  const prefetcher = new Prefetcher(
    (n) => load(Math.floor(n / own) * training.imagesPerStep + first * images + (n % own)),
    { start: progress.step * own, end: training.steps * own, ahead: own },
  );
  const warmUp = new WarmUp(gpu);
  try {
    const done = await runLoop({
      gpu,
      optimizer,
      training,
      progress,
      task: {
        terms: PRETRAIN_TERMS,
        rows: end - first,
        advice: 'check the images',
        waitedMs: () => prefetcher.waitedMs,
        update() {
          // The loss of a pass is the mean over its images.
          if (optimizer instanceof ShardedOptimizer) return optimizer.step(sums.nodes(), passes);
          sums.finish();
          return optimizer.step(passes);
        },
        async passes(step, keep) {
          for (let place = first; place < end; place++) {
            const batch: WholeImage[] = [];
            const labels: number[] = [];
            for (let i = 0; i < images; i++) {
              const loaded = await prefetcher.next();
              batch.push({ pixels: trainingPart(loaded, data, training.seed), flip: loaded.flip });
              labels.push(loaded.sample.label);
            }
            const seed = seedOf(training.seed, step * passes + place);
            await warmUp.before(
              'a batch',
              () => {
                batchPasses(model, batch, labels, seed);
                if (passes > 1) sums.rehearse();
                if (optimizer instanceof Sgd) optimizer.rehearse();
              },
              options.onCompiled,
            );
            sums.add(place, (recorded) => {
              const last = optimizer instanceof ShardedOptimizer && place === end - 1;
              const onGradient = last ? optimizer.early(recorded) : undefined;
              gpu.scope(() => {
                const loss = batchPasses(model, batch, labels, seed, onGradient);
                keep({ classes: loss }, `a batch of ${images} images`);
              });
            });
          }
        },
      },
      storage: keptTogether(processes, directory, config, model, optimizer),
      events: options,
      signal: options.signal,
      processes,
    });
    return { model, progress: done, finished: done.step >= training.steps };
  } finally {
    sums.dispose();
  }
}

/**
 * Draws and trains the first layer as though the network's input were divided by 64, as that of `small` is. He's rule and the
 * usual rates assume values of about one; the inputs of Caffe's networks (0..255 minus a mean) would make the first losses,
 * and every layer's gradients, larger by the same factor. With w = w' / s the same steps result from 1/s² times the rate and
 * s² times the decay: these multipliers are returned.
 */
async function normaliseFirstLayer({ backbone, config }: Classifier) {
  const weight = Object.values(backbone.featureParameters)[0]!;
  const scale = NORMAL_DIVISOR * config.input.factor[0];
  weight.write((await weight.read()).map((value) => value / scale) as Float32Array);
  return { [weight.name]: { rateMultiplier: 1 / scale ** 2, decayMultiplier: scale ** 2 } };
}

/** The forward and backward passes of a batch. Returns its mean loss. */
function batchPasses(
  model: Classifier,
  images: readonly WholeImage[],
  labels: readonly number[],
  seed: number,
  onGradient?: (leaf: Tensor) => void,
): Tensor {
  const loss = model.loss(model.prepare(images), labels, seed);
  loss.backward({ free: true, ...(onGradient && { onGradient }) });
  return loss;
}

/** Forward and backward passes of an update. */
const passesOf = ({ training, microBatch = training.imagesPerStep }: PretrainConfig): number =>
  training.imagesPerStep / microBatch;

/**
 * The most bytes of GPU memory that a step needs whose passes have `batch` images, with `sums` gradients waiting at a time;
 * computes nothing. A batch too large for the device throws here.
 */
function measureStep(model: Classifier, batch: number, sums: number): number {
  const { size } = model.config.input;
  const pixels = blankPicture({ width: size, height: size });
  const images = Array.from({ length: batch }, () => ({ pixels, flip: false }));
  const labels = images.map(() => 0);
  const bytes = model.gpu.measure(() => void batchPasses(model, images, labels, 0));
  return bytes + (sums - 1) * 4 * Object.values(model.parameters).reduce((sum, { size }) => sum + size, 0);
}

/** The square of a picture that this draw trains on. */
function trainingPart(
  { step, picture }: LoadedSample<LabelledImage>,
  data: LabelledImages,
  seed: number,
): DecodedImage {
  if (!data.augment) return picture;
  const random = new Random(seed, CROP_STREAM + step);
  return square(picture, random.next(), random.next());
}

/** The square with CROP times the shorter side; its place is given as two fractions of the room that it has. */
function square(picture: DecodedImage, across: number, down: number): DecodedImage {
  const side = Math.max(1, Math.round(CROP * Math.min(picture.width, picture.height)));
  const left = Math.floor(across * (picture.width - side + 1));
  const top = Math.floor(down * (picture.height - side + 1));
  return crop(picture, { left, top, side });
}

export interface Accuracy {
  images: number;
  top1: number;
  /** Null where there are no more than five classes. */
  top5: number | null;
}

/** The shares of the validation images whose class is ranked first, and among the first five. */
export async function validate(
  model: Classifier,
  data: LabelledImages,
  batch: number,
  onImages?: (done: number) => void,
  processes?: Processes,
): Promise<Accuracy> {
  const { gpu } = model;
  const classes = data.classes.length;
  const images = data.val.length;
  const right = { top1: 0, top5: 0 };
  const batches = Array.from({ length: Math.ceil(images / batch) }, (_, i) => ({
    first: i * batch,
    load: () => load(data, i * batch, batch),
  }));
  const ranks = await eachImage(
    batches,
    async ({ first }, pixels) => {
      const logits = gpu.scope(() =>
        gpu.withoutGradients(() =>
          model.logits(model.prepare(pixels.map((one) => ({ pixels: one, flip: false }))), null),
        ),
      );
      const scores = await logits.read();
      logits.dispose();
      return pixels.map((_, i) =>
        rankOfLabel(scores.subarray(i * classes, (i + 1) * classes), data.val[first + i]!.label),
      );
    },
    { processes, onImage: (done) => onImages?.(Math.min(done * batch, images)) },
  );
  for (const rank of ranks!.flat()) {
    right.top1 += Number(rank < 1);
    right.top5 += Number(rank < 5);
  }
  return { images, top1: right.top1 / images, top5: classes > 5 ? right.top5 / images : null };
}

const load = ({ val, augment }: LabelledImages, first: number, count: number): Promise<DecodedImage[]> =>
  Promise.all(
    val.slice(first, first + count).map(async (sample) => {
      const picture = await sample.load();
      return augment ? square(picture, 0.5, 0.5) : picture;
    }),
  );

/**
 * A detector that classifies regions, composed of four parts: a feature extractor (the convolutions), a proposal source, the
 * features of a region, and the detection head that scores them. A kind of detector says which parts it has (fasterRcnn.ts).
 *
 * A step uploads an image and its boxes and records one sequence of dispatches; nothing is read back in between.
 */
import { UserError } from '../engine/errors.ts';
import type { Gpu } from '../engine/gpu.ts';
import { add } from '../engine/ops/arithmetic.ts';
import { concat, slice } from '../engine/ops/axes.ts';
import { Plans } from '../engine/plans.ts';
import { wholeName } from '../engine/shards.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { ScoredBoxes } from '../kernels/boxes.ts';
import type { DetectorConfig } from './config.ts';
import type {
  Detections,
  Detector,
  GroundTruth,
  ImageGeometry,
  LabelledBox,
  Losses,
  Part,
  PreparedImage,
  Proposals,
  Sampling,
  TrainingImage,
} from './detector.ts';
import type { FeatureExtractor } from './featureExtractor.ts';
import type { DetectionHead, RoiBatch } from './head.ts';
import type { Picture } from '../kernels/placePicture.ts';
import { batchOf } from './imageBatch.ts';
import { inputSize, shorterSides } from './inputScales.ts';
import { prepareImage } from './prepareImage.ts';
import type { ProposalSource } from './proposalSource.ts';
import type { RegionFeatures } from './regionFeatures.ts';

/** The rows of a ground-truth buffer are rounded up to a multiple of this, so that few sizes occur. */
const TRUTH_ROWS = 16;

type Size = Pick<ImageGeometry, 'height' | 'width'>;

export interface DetectorParts<F, S> {
  extractor: FeatureExtractor<F>;
  source: ProposalSource<F, S>;
  regions: RegionFeatures<F>;
  head: DetectionHead<F>;
  /** The size to which a picture is resized, in pixels, and its one scale; without it the configuration's `input` says that. */
  sizeOf?(picture: Size): Size & { scale: number };
  /** Whether it is trained on every scale of an image at once, and not on one that is drawn. */
  trainsOnAllScales?: boolean;
  /** Parameters by name of what no stage of alternating training trains alone: an RPN's own convolutional layers. */
  others?: Readonly<Record<string, Tensor>>;
  /** Tensors besides the parameters that the detector owns. */
  constants?: readonly Tensor[];
}

/** The results of a detection's convolutions. */
export interface Maps<F, S> {
  features: F;
  /** What the proposal source computed. */
  state: S;
}

export class RegionDetector<F, S> implements Detector<Maps<F, S>> {
  readonly gpu: Gpu;
  readonly config: DetectorConfig;
  readonly plans: Plans;
  readonly parameters: Readonly<Record<string, Tensor>>;
  readonly head: DetectionHead<F>;
  protected readonly extractor: FeatureExtractor<F>;
  protected readonly source: ProposalSource<F, S>;
  private readonly constants: readonly Tensor[];
  private readonly sizeOf: DetectorParts<F, S>['sizeOf'];
  private readonly trainsOnAllScales: boolean;
  private readonly partsByName = new Map<string, Part>();

  constructor(gpu: Gpu, config: DetectorConfig, parts: DetectorParts<F, S>) {
    const { extractor, source, regions, head, others = {}, constants = [], trainsOnAllScales = false } = parts;
    this.gpu = gpu;
    this.config = config;
    this.plans = new Plans(gpu.plans.device);
    this.extractor = extractor;
    this.source = source;
    this.head = head;
    this.constants = constants;
    this.sizeOf = parts.sizeOf;
    this.trainsOnAllScales = trainsOnAllScales;
    this.parameters = {
      ...extractor.parameters,
      ...regions.parameters,
      ...others,
      ...source.parameters,
      ...head.parameters,
    };
    const byPart: Record<Part, Readonly<Record<string, Tensor>>> = {
      features: extractor.parameters,
      regions: regions.parameters,
      rpn: source.parameters,
      head: head.parameters,
    };
    for (const [part, parameters] of Object.entries(byPart)) {
      for (const name of Object.keys(parameters)) this.partsByName.set(wholeName(name), part as Part);
    }
  }

  partOf(name: string): Part | undefined {
    return this.partsByName.get(wholeName(name));
  }

  prepare(pixels: Picture, flip = false, proposals?: ScoredBoxes, scale?: number): PreparedImage {
    const all = shorterSides(this.config.input).map((_, k) => k);
    const chosen = scale === undefined || this.trainsOnAllScales ? all : [scale];
    const images = chosen.map((k) => this.prepareScale(pixels, flip, k));
    const [first] = images as [PreparedImage, ...PreparedImage[]];
    return {
      ...first,
      ...(images.length > 1 && { scales: images }),
      ...(proposals && { proposals: onInput(proposals, first.scale, flip ? pixels.width - 1 : undefined) }),
    };
  }

  private prepareScale(pixels: Picture, flip: boolean, which: number): PreparedImage {
    const { input } = this.config;
    const { width, height, scale } = this.sizeOf?.(pixels) ?? inputSize(pixels, input, which);
    const placement = { height, width, perY: 1 / scale, perX: 1 / scale, flip };
    const whole = prepareImage(this.gpu, pixels, placement, input);
    return {
      tensor: this.stored(whole),
      height,
      width,
      scale,
      original: { height: pixels.height, width: pixels.width },
    };
  }

  /** The pixels of an image in the type that the network takes. Takes `pixels` over. */
  protected stored(pixels: Tensor): Tensor {
    if (this.config.precision !== 'f16') return pixels;
    const half = pixels.inDtype('f16');
    pixels.dispose();
    return half;
  }

  truth(boxes: readonly LabelledBox[], image: ImageGeometry): GroundTruth {
    const rows = Math.max(1, Math.ceil(boxes.length / TRUTH_ROWS)) * TRUTH_ROWS;
    const data = new Float32Array(rows * 5);
    boxes.forEach(({ x1, y1, x2, y2, classIndex }, i) => {
      data.set([x1 * image.scale, y1 * image.scale, x2 * image.scale, y2 * image.scale, classIndex], i * 5);
    });
    return { boxes: this.gpu.tensor(data, [rows, 5], 'ground truth'), count: boxes.length };
  }

  losses(image: PreparedImage, truth: GroundTruth, sampling: Sampling): Losses {
    return this.batchLosses([{ image, truth, sampling }])[0]!;
  }

  batchLosses(batch: readonly TrainingImage[]): Losses[] {
    return this.planned(() => {
      const together = batchOf(batch.map(({ image }) => image));
      const features = this.extractor.features(together);
      return this.lossesOn(
        features,
        this.source.forward(together, () => features),
        batch,
      );
    });
  }

  /** Each term has weight 1, and lambda is inside the RPN's box term. */
  total(losses: Losses): Tensor {
    return add(losses.rpn_cls, losses.rpn_box, losses.head_cls, losses.head_box);
  }

  validate(image: PreparedImage, truth: GroundTruth, seed: number): Detections & { losses: Losses } {
    return this.infer(() => {
      const maps = this.maps(image);
      const sampling = { random: true, seed, dropout: false };
      const losses = this.lossesOn(maps.features, [maps.state], [{ image, truth, sampling }])[0]!;
      return { ...this.classify(maps, this.proposeOn(maps, image, seed), image), losses };
    });
  }

  detect(image: PreparedImage, seed = 0): Detections {
    return this.infer(() => {
      const maps = this.maps(image);
      return this.classify(maps, this.proposeOn(maps, image, seed), image);
    });
  }

  convolve(image: PreparedImage): Maps<F, S> {
    return this.infer(() => this.maps(image));
  }

  proposeOn({ state }: Maps<F, S>, image: PreparedImage, seed = 0): Proposals {
    return this.infer(() => this.source.propose(state, image, this.config.rpn.test, seed));
  }

  /** The RoIs' own scores are not used again. */
  classify({ features }: Maps<F, S>, proposals: Proposals, image: PreparedImage): Detections {
    return this.infer(() => this.head.detections(this.head.score(features, proposals.rois), proposals, image));
  }

  /** The terms of the detection head on given proposals; the others are zero. */
  detectorLosses(
    image: PreparedImage,
    truth: GroundTruth,
    proposals: Pick<Proposals, 'rois' | 'count'>,
    sampling: Sampling,
  ): Losses {
    return this.planned(() => {
      const features = this.extractor.features(image);
      const batch = this.head.sample(proposals, truth, sampling);
      return { ...this.noLosses(), ...this.headLosses(features, [{ batch, rois: batch.rois }], sampling)[0]! };
    });
  }

  regionValues({ features }: Maps<F, S>, image: PreparedImage, boxes: Float32Array, of: 'pooled' | 'vector'): Tensor {
    const count = boxes.length / 4;
    const rois = new Float32Array(5 * count);
    for (let i = 0; i < 4 * count; i++) rois[Math.floor(i / 4) * 5 + 1 + (i % 4)] = boxes[i]! * image.scale;
    return this.infer(() => this.head.values(features, this.gpu.tensor(rois, [count, 5], 'regions'), of));
  }

  dispose(): void {
    for (const tensor of [...Object.values(this.parameters), ...this.constants]) tensor.dispose();
  }

  /** With this detector's own kernels. */
  protected planned<T>(fn: () => T): T {
    return this.gpu.withPlans(this.plans, fn);
  }

  /** The same without gradients. */
  protected infer<T>(fn: () => T): T {
    return this.planned(() => this.gpu.withoutGradients(fn));
  }

  protected noLosses(): Losses {
    const zero = this.gpu.zeros([], 'no loss');
    return { rpn_cls: zero, rpn_box: zero, head_cls: zero, head_box: zero };
  }

  private maps(image: PreparedImage): Maps<F, S> {
    const features = this.extractor.features(image);
    return { features, state: this.source.forward(image, () => features)[0]! };
  }

  /** The losses of each image of a batch, with the maps of all and what the source computed of each. */
  private lossesOn(features: F, states: readonly S[], images: readonly TrainingImage[]): Losses[] {
    const sampled = images.map(({ image, truth, sampling }, k) => {
      const state = states[k]!;
      const proposed = this.source.losses(state, image, truth, sampling);
      const proposals = this.source.propose(state, image, this.config.rpn.train, sampling.seed);
      const batch = this.head.sample(proposals, truth, sampling);
      return { proposed, batch, rois: this.source.connect(batch, proposals, state, image) };
    });
    return this.headLosses(features, sampled, images[0]!.sampling).map((losses, k) => {
      const { proposed } = sampled[k]!;
      if (proposed === null) return { ...this.noLosses(), ...losses };
      return { rpn_cls: proposed.cls, rpn_box: proposed.box, ...losses };
    });
  }

  /** The losses of each image's mini-batch; the RoIs of all images go through the region layers together. */
  private headLosses(
    features: F,
    sampled: readonly { batch: RoiBatch; rois: Tensor }[],
    sampling: Sampling,
  ): Pick<Losses, 'head_cls' | 'head_box'>[] {
    const all = sampled.map(({ rois }, k) => this.ofImage(rois, k));
    const rois = all.length === 1 ? all[0]! : concat(all, 0);
    const output = this.head.forward(features, rois, (sampling.dropout ?? sampling.random) ? sampling : null);
    const rows = (x: Tensor, k: number): Tensor =>
      all.length === 1 ? x : slice(x, 0, k * all[0]!.shape[0]!, (k + 1) * all[0]!.shape[0]!);
    return sampled.map(({ batch }, k) => {
      const { cls, box } = this.head.losses({ logits: rows(output.logits, k), deltas: rows(output.deltas, k) }, batch);
      return { head_cls: cls, head_box: box };
    });
  }

  /** RoIs of an image, whose image index is 0, as those of image `k` of a batch. */
  private ofImage(rois: Tensor, k: number): Tensor {
    return k === 0 ? rois : add(rois, this.gpu.tensor([k, 0, 0, 0, 0], [1, 5], 'image index'));
  }
}

/** Boxes of a picture as they lie in the network's input. `mirror`: the last column of the picture, if it is mirrored. */
function onInput({ boxes, scores }: ScoredBoxes, scale: number, mirror: number | undefined): ScoredBoxes {
  const moved = boxes.map((value) => value * scale);
  if (mirror !== undefined) {
    for (let i = 0; i < boxes.length; i += 4) {
      moved[i] = (mirror - boxes[i + 2]!) * scale;
      moved[i + 2] = (mirror - boxes[i]!) * scale;
    }
  }
  return { boxes: moved, scores };
}

/** Throws a UserError where the device cannot compute in the precision of a configuration. */
export function assertPrecision(gpu: Gpu, { precision }: DetectorConfig): void {
  if (precision !== 'f16' || gpu.hasHalf) return;
  throw new UserError(
    `--precision f16: ${gpu.adapter.description} does not have it (WebGPU's feature shader-f16); use --precision f32`,
  );
}

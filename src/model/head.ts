/**
 * The Fast R-CNN detection head (Girshick 2015; paper, section 3.2): from the features of a region to class scores [R, K] and
 * box deltas [R, 4K], of which only the region's own class is used.
 */
import type { Gpu } from '../engine/gpu.ts';
import type { Bindable } from '../engine/memory.ts';
import { linear } from '../engine/ops/linear.ts';
import { sigmoid } from '../engine/ops/pointwise.ts';
import { reshape } from '../engine/ops/reshape.ts';
import { classWeightedLogLoss, smoothL1Loss, softmaxLogLoss } from '../engine/ops/losses.ts';
import { concat, softmax } from '../engine/ops/axes.ts';
import { scratch } from '../engine/scratch.ts';
import type { Tensor } from '../engine/tensor.ts';
import { copyFromSlice, sliceLayout } from '../kernels/concat.ts';
import { type DetectionParams, detectionsScratch, recordDetections } from '../kernels/detections.ts';
import { stageVariant } from '../kernels/planner.ts';
import { recordRoiTargets, roiTargetsScratch } from '../kernels/roiTargets.ts';
import { type Layer, ParameterStore } from './backbones/backbone.ts';
import type { DetectorConfig } from './config.ts';
import { CONVENTIONS, SMALLEST_DETECTION } from './conventions.ts';
import type { Detections, GroundTruth, ImageGeometry, Proposals, Sampling } from './detector.ts';
import type { RegionFeatures } from './regionFeatures.ts';
import { SvmScorer } from './svmScorer.ts';

const ROI_STREAM = 0x20a1;
/** RoIs that pass through the region layers at once at test time: more could occupy a slow GPU longer than drivers allow. */
const TEST_ROIS = 512;
/** Rows for detections that tie with the last one kept. */
const TIED_DETECTIONS = 28;

/** A mini-batch of RoIs: always `batch` rows; absent ones have label -1 and weight 0. */
export interface RoiBatch {
  rois: Tensor;
  /** i32 [batch]: the candidate of each row, counting proposals first and then ground truth; -1 for an absent row. */
  selected: Tensor;
  labels: Tensor;
  targets: Tensor;
  insideWeights: Tensor;
  outsideWeights: Tensor;
}

/** `F`: the maps that regions are taken from. */
export class DetectionHead<F> {
  readonly parameters: Readonly<Record<string, Tensor>>;
  private readonly gpu: Gpu;
  private readonly config: DetectorConfig;
  private readonly regions: RegionFeatures<F>;
  private readonly layers: { cls: Layer; box: Layer | null };
  /** What scores regions at test time in place of the layers. */
  private readonly svm: SvmScorer | null;

  /** `movesBoxes`: whether it regresses boxes; without that a detection is the region itself. */
  constructor(
    gpu: Gpu,
    config: DetectorConfig,
    regions: RegionFeatures<F>,
    seed: number,
    { movesBoxes = true }: { movesBoxes?: boolean } = {},
  ) {
    this.gpu = gpu;
    this.config = config;
    this.regions = regions;
    const store = new ParameterStore(gpu, seed);
    const classes = config.classes.length;
    this.layers = {
      cls: store.layer('head.cls_score', [classes, regions.length], { gaussian: { std: 0.01, fanIn: 4096 } }),
      box: movesBoxes
        ? store.layer('head.bbox_pred', [4 * classes, regions.length], { gaussian: { std: 0.001, fanIn: 4096 } })
        : null,
    };
    this.svm = config.head.scorer === 'svm' ? new SvmScorer(gpu, classes, regions) : null;
    this.parameters = { ...store.parameters, ...this.svm?.parameters };
  }

  /**
   * logits [R, K] and deltas [R, 4K]; the deltas are in units of the target standard deviations. `training` holds the seed
   * of the dropout masks; null at test time.
   */
  forward(features: F, rois: Tensor, training: { seed: number } | null): { logits: Tensor; deltas: Tensor } {
    const { cls, box } = this.layers;
    const x = this.regions.vector(this.regions.pool(features, rois), training);
    return {
      logits: linear(x, cls.weight, cls.bias, { dtype: 'f32' }),
      deltas: box
        ? linear(x, box.weight, box.bias, { dtype: 'f32' })
        : this.gpu.zeros([rois.shape[0]!, 4 * this.config.classes.length], 'no deltas'),
    };
  }

  /**
   * What the scorer gives at test time, some RoIs at a time, so that all anchors of an image need no more memory than proposals:
   * `forward`, or the values of the SVMs and the deltas of their regression.
   */
  score(features: F, rois: Tensor): { logits: Tensor; deltas: Tensor } {
    const { regions, svm } = this;
    if (!svm) return this.inParts(rois, (part) => this.forward(features, part, null));
    return this.inParts(rois, (part) => {
      const pooled = regions.pool(features, part);
      return svm.score(pooled, regions.vector(pooled, null));
    });
  }

  /** What a scorer sees of RoIs at test time: their pooled values, or the vectors that the region layers make of them; a row each. */
  values(features: F, rois: Tensor, of: 'pooled' | 'vector'): Tensor {
    const { regions } = this;
    return this.inParts(rois, (part) => {
      const pooled = regions.pool(features, part);
      return { rows: of === 'vector' ? regions.vector(pooled, null) : reshape(pooled, [part.shape[0]!, -1]) };
    }).rows;
  }

  /** What `compute` gives for the RoIs, some at a time. */
  private inParts<Name extends string>(
    rois: Tensor,
    compute: (part: Tensor) => Record<Name, Tensor>,
  ): Record<Name, Tensor> {
    const { gpu } = this;
    const atOnce = Math.min(TEST_ROIS, this.regions.atOnce ?? TEST_ROIS);
    const [rows, columns] = rois.shape as [number, number];
    if (rows <= atOnce) return compute(rois);
    const parts: Record<Name, Tensor>[] = [];
    for (let from = 0; from < rows; from += atOnce) {
      const count = Math.min(atOnce, rows - from);
      parts.push(
        gpu.scope(() => {
          const part = gpu.empty([count, columns], 'f32', 'rois');
          const { form, uniforms } = sliceLayout(1, rows, columns, from, count);
          gpu.run(copyFromSlice(form), { whole: rois, part }, uniforms);
          return compute(part);
        }),
      );
    }
    const whole = (name: Name): Tensor =>
      concat(
        parts.map((part) => part[name]),
        0,
      );
    return Object.fromEntries((Object.keys(parts[0]!) as Name[]).map((name) => [name, whole(name)])) as Record<
      Name,
      Tensor
    >;
  }

  /** Samples proposals and ground truth into a mini-batch with labels and regression targets. */
  sample(proposals: Pick<Proposals, 'rois' | 'count'>, truth: GroundTruth, sampling: Sampling): RoiBatch {
    const { gpu } = this;
    const { head, convention } = this.config;
    const classes = this.config.classes.length;
    const capacity = proposals.rois.shape[0]!;
    const wide = [head.batch, 4 * classes];
    const batch: RoiBatch = {
      rois: gpu.empty([head.batch, 5], 'f32', 'sampled rois'),
      selected: gpu.empty([head.batch], 'i32', 'selected rois'),
      labels: gpu.empty([head.batch], 'i32', 'roi labels'),
      targets: gpu.empty(wide, 'f32', 'roi targets'),
      insideWeights: gpu.empty(wide, 'f32', 'roi inside weights'),
      outsideWeights: gpu.empty(wide, 'f32', 'roi outside weights'),
    };
    const working = scratch(gpu, roiTargetsScratch({ capacity, g: truth.boxes.shape[0]!, batch: head.batch }));
    const { rois: sampledRois, ...outputs } = batch;
    recordRoiTargets<Bindable>(
      gpu.run.bind(gpu),
      {
        ...working.tensors,
        ...outputs,
        sampledRois,
        rois: proposals.rois,
        roiCount: proposals.count,
        gt: truth.boxes,
      },
      {
        capacity,
        g: truth.count,
        classes,
        plusOne: CONVENTIONS[convention].plusOne,
        foregroundOverlap: head.foregroundOverlap,
        backgroundLow: head.backgroundLow,
        backgroundHigh: head.backgroundHigh,
        batch: head.batch,
        foregroundFraction: head.foregroundFraction,
        random: sampling.random,
        seed: sampling.seed,
        stream: ROI_STREAM,
        targetStds: head.targetStds,
      },
    );
    working.dispose();
    return batch;
  }

  private classLoss(logits: Tensor, labels: Tensor): Tensor {
    const { classes, head } = this.config;
    if (!head.classWeights) return softmaxLogLoss(logits, labels, { ignoreLabel: -1 });
    const weights = Float32Array.from(classes, (name) => head.classWeights?.[name] ?? 1);
    return classWeightedLogLoss(logits, labels, this.gpu.tensor(weights, [classes.length], 'class weights'));
  }

  losses(output: { logits: Tensor; deltas: Tensor }, batch: RoiBatch): { cls: Tensor; box: Tensor } {
    const { targets, insideWeights, outsideWeights } = batch;
    const cls = this.classLoss(output.logits, batch.labels);
    if (!this.layers.box) return { cls, box: this.gpu.zeros([], 'no box loss') };
    return {
      cls,
      box: smoothL1Loss(output.deltas, targets, { sigma: this.config.head.sigma, insideWeights, outsideWeights }),
    };
  }

  /**
   * Detections from what `score` gives: score threshold, suppression per class, the best of all classes. The score of an SVM is
   * the sigmoid of its value, so that 0.5 is its decision.
   */
  detections(output: { logits: Tensor; deltas: Tensor }, proposals: Proposals, image: ImageGeometry): Detections {
    const { gpu } = this;
    const { test, head, convention } = this.config;
    const params: DetectionParams = {
      roiCapacity: proposals.rois.shape[0]!,
      classes: this.config.classes.length,
      scale: image.scale,
      imageHeight: image.original.height,
      imageWidth: image.original.width,
      ...CONVENTIONS[convention],
      scoreThreshold: test.scoreThreshold,
      minSize: SMALLEST_DETECTION[convention],
      nmsThreshold: test.nmsThreshold,
      targetStds: head.targetStds,
      maxDetections: test.maxDetections,
      outputRows: test.maxDetections + TIED_DETECTIONS,
      variant: stageVariant(gpu.plans.device),
    };
    const rows = gpu.empty([params.outputRows, 6], 'f32', 'detections');
    const count = gpu.empty([1], 'i32', 'detection count');
    const working = scratch(gpu, detectionsScratch(params));
    recordDetections<Bindable>(
      gpu.run.bind(gpu),
      {
        ...working.tensors,
        rois: proposals.rois,
        roiCount: proposals.count,
        probabilities: this.svm ? sigmoid(output.logits) : softmax(output.logits, 1),
        deltas: output.deltas,
        detections: rows,
        count,
      },
      params,
    );
    working.dispose();
    return { rows, count };
  }
}

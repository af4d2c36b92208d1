/** The two losses of the paper, the log loss of a sigmoid, and the squared error; each is a single number. */
import {
  classWeightedLogLossBackward,
  classWeightedLogLossFinal,
  classWeightedLogLossRows,
} from '../../kernels/classWeightedLogLoss.ts';
import { sharesPositions } from '../../kernels/planner.ts';
import { partialCount, sumFinal } from '../../kernels/reduce.ts';
import { sigmoidLogLossBackward, sigmoidLogLossPartial } from '../../kernels/sigmoidLogLoss.ts';
import { smoothL1Backward, smoothL1Partial } from '../../kernels/smoothL1Loss.ts';
import {
  softmaxLogLossBackward,
  softmaxLogLossBackwardRows,
  softmaxLogLossFinal,
  softmaxLogLossPartial,
  softmaxLogLossRows,
  type LogLossView,
} from '../../kernels/softmaxLogLoss.ts';
import { flagLabels } from '../../kernels/finite.ts';
import { operation, onTape } from '../autograd.ts';
import type { Tensor } from '../tensor.ts';
import { multiply, subtract } from './binary.ts';
import { softplus } from './pointwise.ts';
import { expectDtype, expectShape, resolveAxis, axisView } from './shapes.ts';
import { mean } from './sums.ts';

type LogLossSaved = { logits: Tensor; labels: Tensor; count: Tensor; view: LogLossView };

export const softmaxLogLossOperation = operation<LogLossSaved>(
  'softmaxLogLoss',
  ({ dy }, { logits, labels, count, view }) => {
    const dx = dy.gpu.empty(logits.shape, 'f32', 'dx softmaxLogLoss');
    const shared = sharesPositions(dy.gpu.plans.device, view);
    const kernel = shared ? softmaxLogLossBackwardRows : softmaxLogLossBackward;
    dy.gpu.run(kernel, { x: logits, labels, count, dloss: dy, dx }, { ...view });
    return [dx];
  },
);

export interface SoftmaxLogLossOptions {
  /** Rows with this label do not count; default -1. */
  ignoreLabel?: number;
  /** The class axis; default 1. */
  axis?: number;
  /** Bounds the loss of each row at -log FLT_MIN = 87.3, as Caffe does; default false. The gradient is never bounded. */
  clip?: boolean;
}

/**
 * Mean of -log softmax(logits)[label] over the rows whose label is not `ignoreLabel`; 0 if there are none (PyTorch: NaN). Any
 * other label that is not a class is ignored too: a shader cannot throw. With `gpu.nanCheck` the next read does.
 * @param logits [R, K] or, with more axes, classes along `axis`   @param labels i32, the shape of logits without that axis
 */
export function softmaxLogLoss(logits: Tensor, labels: Tensor, options: SoftmaxLogLossOptions = {}): Tensor {
  const { ignoreLabel = -1, clip = false } = options;
  const axis = resolveAxis('softmaxLogLoss', options.axis ?? 1, logits.shape.length);
  expectDtype('softmaxLogLoss', 'labels', labels, 'i32');
  expectShape(
    'softmaxLogLoss',
    'labels',
    labels,
    logits.shape.filter((_, i) => i !== axis),
  );
  const view: LogLossView = { ...axisView(logits.shape, axis), ignoreLabel };
  const { gpu } = logits;
  if (gpu.nanCheck) {
    const { channels } = view;
    const classes = `0 to ${channels - 1}, nor ${ignoreLabel}, which is ignored`;
    const problem = `softmaxLogLoss: ${labels.name} [${labels.shape}] has a label that is none of ${classes}`;
    gpu.checks.flag(flagLabels, { labels }, { n: labels.size, channels, ignoreLabel }, problem);
  }
  const positions = view.outer * view.inner;
  const shared = sharesPositions(gpu.plans.device, view);
  const parts = shared ? positions : partialCount(positions);
  const losses = gpu.empty([parts], 'f32', 'softmaxLogLoss partials');
  const counts = gpu.empty([parts], 'i32', 'softmaxLogLoss counts');
  const loss = gpu.empty([], 'f32', 'softmaxLogLoss');
  const count = gpu.empty([1], 'i32', 'softmaxLogLoss count');
  const first = shared ? softmaxLogLossRows : softmaxLogLossPartial;
  gpu.run(first, { x: logits, labels, losses, counts }, { ...view, clip: Number(clip) });
  gpu.run(softmaxLogLossFinal, { losses, counts, loss, count }, { n: parts });
  losses.dispose();
  counts.dispose();
  return onTape(softmaxLogLossOperation, [logits], loss, { logits, labels, count, view }, [count]);
}

type ClassWeightedSaved = { logits: Tensor; labels: Tensor; weights: Tensor; total: Tensor };

export const classWeightedLogLossOperation = operation<ClassWeightedSaved>(
  'classWeightedLogLoss',
  ({ dy, needs }, { logits, labels, weights, total }) => {
    if (!needs[0]) return [null];
    const [rows, channels] = logits.shape as [number, number];
    const dx = dy.gpu.empty(logits.shape, 'f32', 'dx classWeightedLogLoss');
    const buffers = { x: logits, labels, weights, total, dloss: dy, dx };
    dy.gpu.run(classWeightedLogLossBackward, buffers, { rows, channels });
    return [dx];
  },
);

/**
 * The mean of -log softmax(logits)[label], each row with the weight of its label: PyTorch's cross_entropy with `weight`. Rows whose
 * label is not a class do not count; 0 if none does, or none with a weight above 0.
 * @param logits [R, K]   @param labels i32 [R]   @param weights [K], constants   @returns shape []
 */
export function classWeightedLogLoss(logits: Tensor, labels: Tensor, weights: Tensor): Tensor {
  const operation = 'classWeightedLogLoss';
  const [rows = 0, channels = 0] = logits.shape;
  expectShape(operation, 'logits', logits, [rows, channels]);
  expectDtype(operation, 'logits', logits, 'f32');
  expectDtype(operation, 'labels', labels, 'i32');
  expectShape(operation, 'labels', labels, [rows]);
  expectDtype(operation, 'weights', weights, 'f32');
  expectShape(operation, 'weights', weights, [channels]);
  const { gpu } = logits;
  const losses = gpu.empty([rows], 'f32', 'losses of rows');
  const rowWeights = gpu.empty([rows], 'f32', 'weights of rows');
  const loss = gpu.empty([], 'f32', operation);
  const total = gpu.empty([1], 'f32', 'sum of the weights');
  gpu.run(classWeightedLogLossRows, { x: logits, labels, weights, losses, rowWeights }, { rows, channels });
  gpu.run(classWeightedLogLossFinal, { losses, rowWeights, loss, total }, { n: rows });
  losses.dispose();
  rowWeights.dispose();
  return onTape(classWeightedLogLossOperation, [logits], loss, { logits, labels, weights, total }, [total]);
}

type SigmoidLogLossSaved = { logits: Tensor; labels: Tensor; count: Tensor };

export const sigmoidLogLossOperation = operation<SigmoidLogLossSaved>(
  'sigmoidLogLoss',
  ({ dy }, { logits, labels, count }) => {
    const dx = dy.gpu.empty(logits.shape, 'f32', 'dx sigmoidLogLoss');
    dy.gpu.run(sigmoidLogLossBackward, { x: logits, labels, count, dloss: dy, dx }, { n: logits.size });
    return [dx];
  },
);

/**
 * Binary cross entropy of logits: the mean over the elements whose label is 0 or 1; the others are ignored.
 * @param labels i32, of the same shape   @returns shape []
 */
export function sigmoidLogLoss(logits: Tensor, labels: Tensor): Tensor {
  expectDtype('sigmoidLogLoss', 'labels', labels, 'i32');
  expectShape('sigmoidLogLoss', 'labels', labels, logits.shape);
  const { gpu, size: n } = logits;
  const parts = partialCount(n);
  const losses = gpu.empty([parts], 'f32', 'sigmoidLogLoss partials');
  const counts = gpu.empty([parts], 'i32', 'sigmoidLogLoss counts');
  const loss = gpu.empty([], 'f32', 'sigmoidLogLoss');
  const count = gpu.empty([1], 'i32', 'sigmoidLogLoss count');
  gpu.run(sigmoidLogLossPartial, { x: logits, labels, losses, counts }, { n });
  gpu.run(softmaxLogLossFinal, { losses, counts, loss, count }, { n: parts });
  losses.dispose();
  counts.dispose();
  return onTape(sigmoidLogLossOperation, [logits], loss, { logits, labels, count }, [count]);
}

export interface SmoothL1Options {
  /** The loss is quadratic up to 1 / sigma^2; default 1. */
  sigma?: number;
  /** Factor of pred - target, elementwise: which coordinates count. */
  insideWeights?: Tensor;
  /** Factor of the loss, elementwise: the normalisation. */
  outsideWeights?: Tensor;
}

type SmoothL1Saved = { buffers: Record<string, Tensor>; inside: boolean; outside: boolean; sigma: number };

export const smoothL1Operation = operation<SmoothL1Saved>(
  'smoothL1Loss',
  ({ dy }, { buffers, inside, outside, sigma }) => {
    const pred = buffers['pred']!;
    const dpred = dy.gpu.empty(pred.shape, 'f32', 'dx smoothL1Loss');
    dy.gpu.run(smoothL1Backward(inside, outside), { ...buffers, dloss: dy, dpred }, { n: pred.size, sigma });
    return [dpred];
  },
);

/** Sum of outside * smoothL1(inside * (pred - target)) over all elements. The target gets no gradient. */
export function smoothL1Loss(pred: Tensor, target: Tensor, options: SmoothL1Options = {}): Tensor {
  const { sigma = 1, insideWeights, outsideWeights } = options;
  expectShape('smoothL1Loss', 'target', target, pred.shape);
  if (insideWeights) expectShape('smoothL1Loss', 'insideWeights', insideWeights, pred.shape);
  if (outsideWeights) expectShape('smoothL1Loss', 'outsideWeights', outsideWeights, pred.shape);
  const { gpu } = pred;
  const inside = insideWeights !== undefined;
  const outside = outsideWeights !== undefined;
  const buffers: Record<string, Tensor> = { pred, targets: target };
  if (insideWeights) buffers['insideWeights'] = insideWeights;
  if (outsideWeights) buffers['outsideWeights'] = outsideWeights;
  const parts = partialCount(pred.size);
  const partials = gpu.empty([parts], 'f32', 'smoothL1Loss partials');
  const loss = gpu.empty([], 'f32', 'smoothL1Loss');
  gpu.run(smoothL1Partial(inside, outside), { ...buffers, partials }, { n: pred.size, sigma });
  gpu.run(sumFinal, { partials, y: loss }, { n: parts });
  partials.dispose();
  return onTape(smoothL1Operation, [pred], loss, { buffers, inside, outside, sigma });
}

/** Mean of (pred - target)^2 over all elements; both have the same shape. */
export function meanSquaredError(pred: Tensor, target: Tensor): Tensor {
  expectShape('meanSquaredError', 'target', target, pred.shape);
  const difference = subtract(pred, target);
  return mean(multiply(difference, difference));
}

/**
 * Binary cross entropy of logits with targets from 0 to 1, both of one shape: the mean of softplus(x) - t x. Targets that are i32
 * labels, some of them ignored: `sigmoidLogLoss`.
 */
export function binaryCrossEntropyWithLogits(logits: Tensor, targets: Tensor): Tensor {
  expectShape('binaryCrossEntropyWithLogits', 'targets', targets, logits.shape);
  return mean(subtract(softplus(logits), multiply(targets, logits)));
}

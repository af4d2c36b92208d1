/** Batch normalisation. */
import {
  batchNormBackward,
  batchNormBackwardFixed,
  batchNormFold,
  batchNormFoldBackward,
  batchNormForward,
  batchNormStatistics,
  batchNormSums,
  batchNormTrack,
} from '../../kernels/batchNorm.ts';
import { type GradientRequest, operation, onTape } from '../autograd.ts';
import { floatOf } from '../precision.ts';
import type { Tensor } from '../tensor.ts';
import { axisView, expectShape } from './shapes.ts';

export interface BatchNormOptions {
  /** True: normalise by the mean and variance of x, and update the running ones. False: normalise by the running ones. */
  training: boolean;
  /** The weight of a new batch in the running values; default 0.1. */
  momentum?: number;
  /** Added to the variance; default 1e-5. */
  epsilon?: number;
}

/** Mean and variance over earlier batches, [C] each: made with `gpu.parameter`, saved with the weights, not trained. */
export interface RunningStatistics {
  mean: Tensor;
  variance: Tensor;
}

interface Saved {
  x: Tensor;
  mean: Tensor;
  variance: Tensor;
  weight: Tensor;
  training: boolean;
  epsilon: number;
}

export const batchNormOperation = operation<Saved>('batchNorm', normalisationGradient, true);

function normalisationGradient({ dy, needs }: GradientRequest, saved: Saved): (Tensor | null)[] {
  const { x, mean, variance, weight, training, epsilon } = saved;
  const { gpu } = dy;
  const view = axisView(x.shape, 1);
  const { channels, inner } = view;
  const vectors = inner % 4 === 0;
  const dweight = gpu.empty([channels], 'f32', 'dweight batchNorm');
  const dbias = gpu.empty([channels], 'f32', 'dbias batchNorm');
  const sums = needs[1] || needs[2] || training;
  if (sums) gpu.run(batchNormSums(vectors), { x, dy, mean, variance, dweight, dbias }, { ...view, epsilon });
  const dx = needs[0] ? gpu.empty(x.shape, floatOf(x), 'dx batchNorm') : null;
  const size = { n: x.size, channels, inner, epsilon };
  if (dx && training) {
    const count = view.outer * inner;
    gpu.run(batchNormBackward(vectors), { x, dy, mean, variance, weight, dweight, dbias, dx }, { ...size, count });
  } else if (dx) {
    gpu.run(batchNormBackwardFixed(vectors), { dy, variance, weight, dx }, size);
  }
  if (!needs[1]) dweight.dispose();
  if (!needs[2]) dbias.dispose();
  return [dx, needs[1] ? dweight : null, needs[2] ? dbias : null];
}

/**
 * weight (x - mean) / sqrt(variance + epsilon) + bias for each channel (Ioffe and Szegedy 2015), with PyTorch's defaults.
 * Without `training` the gradient reads the running statistics again: leave them unchanged between the two passes.
 * The running variance divides by one less than the number of values of a channel, as in PyTorch.
 * @param x [N, C, ...]   @param weight [C]   @param bias [C]   @param running changed by training
 */
export function batchNorm(
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  running: RunningStatistics,
  options: BatchNormOptions,
): Tensor {
  const { training, momentum = 0.1, epsilon = 1e-5 } = options;
  if (x.shape.length < 2) throw new Error(`batchNorm: x has shape [${x.shape}], expected [N,C,...]`);
  const view = axisView(x.shape, 1);
  const { outer, channels, inner } = view;
  expectShape('batchNorm', 'weight', weight, [channels]);
  expectShape('batchNorm', 'bias', bias, [channels]);
  expectShape('batchNorm', 'running.mean', running.mean, [channels]);
  expectShape('batchNorm', 'running.variance', running.variance, [channels]);
  const { gpu } = x;
  const vectors = inner % 4 === 0;
  const statistics = training
    ? {
        mean: gpu.empty([channels], 'f32', 'batchNorm mean'),
        variance: gpu.empty([channels], 'f32', 'batchNorm variance'),
      }
    : running;
  const { mean, variance } = statistics;
  if (training) {
    gpu.run(batchNormStatistics(vectors), { x, mean, variance }, { ...view });
    const { mean: runningMean, variance: runningVariance } = running;
    const track = { mean, variance, runningMean, runningVariance };
    gpu.run(batchNormTrack, track, { n: channels, momentum, count: outer * inner });
    runningMean.changed();
    runningVariance.changed();
  }
  const y = gpu.empty(x.shape, floatOf(x), `batchNorm ${weight.name}`);
  gpu.run(batchNormForward(vectors), { x, mean, variance, weight, bias, y }, { n: x.size, channels, inner, epsilon });
  const saved = { x, mean, variance, weight, training, epsilon };
  return onTape(batchNormOperation, [x, weight, bias], y, saved, training ? [mean, variance] : []);
}

type FoldSaved = { variance: Tensor; weight: Tensor; uniforms: Record<'n' | 'per' | 'epsilon', number> };

export const foldOperation = operation<FoldSaved>('foldBatchNorm', ({ dy }, { variance, weight, uniforms }) => {
  const dw = dy.gpu.empty(dy.shape, 'f32', 'dw foldBatchNorm');
  dy.gpu.run(batchNormFoldBackward, { dfolded: dy, variance, weight, dw }, uniforms);
  return [dw];
});

type FoldBiasSaved = { variance: Tensor; epsilon: number };

/** On the tape only where it is traced: nothing that it is computed from is trained. */
export const foldBiasOperation = operation<FoldBiasSaved>('foldBatchNormBias', ({ needs }) => needs.map(() => null));

/**
 * Filters and bias of a convolution that does what a convolution without bias and batch normalisation by fixed statistics do one
 * after the other: a pass over the weights instead of one over the map. The filters get their gradient; `weight`, `bias` and the
 * statistics are constants.
 * @param filters [K, ...]   @param weight [K]   @param bias [K]   @returns [filters, bias]
 */
export function foldBatchNorm(
  filters: Tensor,
  weight: Tensor,
  bias: Tensor,
  { mean, variance }: RunningStatistics,
  epsilon = 1e-5,
): [filters: Tensor, bias: Tensor] {
  const channels = filters.shape[0]!;
  const constants = { weight, bias, mean, variance };
  for (const [name, tensor] of Object.entries(constants)) expectShape('foldBatchNorm', name, tensor, [channels]);
  const { gpu } = filters;
  const folded = gpu.empty(filters.shape, 'f32', `folded ${filters.name}`);
  const shift = gpu.empty([channels], 'f32', `folded ${bias.name}`);
  const uniforms = { n: filters.size, per: filters.size / channels, epsilon };
  gpu.run(batchNormFold, { w: filters, ...constants, folded, shift }, uniforms);
  return [
    onTape(foldOperation, [filters], folded, { variance, weight, uniforms }),
    onTape(foldBiasOperation, [weight, bias, mean], shift, { variance, epsilon }),
  ];
}

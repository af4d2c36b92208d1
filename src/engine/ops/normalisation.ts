/** Normalisation of each example by itself: over its last axes, or over groups of its channels. */
import { batchNormBackward, batchNormForward, batchNormStatistics, batchNormSums } from '../../kernels/batchNorm.ts';
import { operation, onTape } from '../autograd.ts';
import { elementCount, type Tensor } from '../tensor.ts';
import { add } from './arithmetic.ts';
import { multiply } from './binary.ts';
import { reshape } from './reshape.ts';
import { expectShape } from './shapes.ts';

type Saved = {
  x: Tensor;
  mean: Tensor;
  variance: Tensor;
  view: { outer: 1; channels: number; inner: number };
  epsilon: number;
};

/** A row is to these kernels what a channel is to batch normalisation, of weight 1 and bias 0. */
export const normaliseOperation = operation<Saved>('normalise', ({ dy }, { x, mean, variance, view, epsilon }) => {
  const { gpu } = dy;
  const { channels, inner } = view;
  const vectors = inner % 4 === 0;
  const [dweight, dbias] = [gpu.empty([channels], 'f32', 'sums'), gpu.empty([channels], 'f32', 'sums')];
  gpu.run(batchNormSums(vectors), { x, dy, mean, variance, dweight, dbias }, { ...view, epsilon });
  const weight = gpu.filled([channels], 1, 'ones');
  const dx = gpu.empty(x.shape, 'f32', 'dx normalise');
  const uniforms = { n: x.size, channels, inner, epsilon, count: inner };
  gpu.run(batchNormBackward(vectors), { x, dy, mean, variance, weight, dweight, dbias, dx }, uniforms);
  [dweight, dbias, weight].forEach((tensor) => tensor.dispose());
  return [dx];
});

/** (x - mean) / sqrt(variance + epsilon) of each run of `inner` consecutive elements. */
function normalised(x: Tensor, inner: number, epsilon: number): Tensor {
  if (x.size === 0) return reshape(x, x.shape);
  const { gpu } = x;
  const channels = x.size / inner;
  const view = { outer: 1, channels, inner } as const;
  const vectors = inner % 4 === 0;
  const made = (name: string): Tensor => gpu.empty([channels], 'f32', name);
  const [mean, variance] = [made('means'), made('variances')];
  const [weight, bias] = [gpu.filled([channels], 1, 'ones'), gpu.zeros([channels])];
  gpu.run(batchNormStatistics(vectors), { x, mean, variance }, view);
  const y = gpu.empty(x.shape, 'f32', `normalised ${x.name}`);
  gpu.run(batchNormForward(vectors), { x, mean, variance, weight, bias, y }, { n: x.size, channels, inner, epsilon });
  [weight, bias].forEach((tensor) => tensor.dispose());
  return onTape(normaliseOperation, [x], y, { x, mean, variance, view, epsilon }, [mean, variance]);
}

const transformed = (y: Tensor, weight: Tensor | null, bias: Tensor | null): Tensor => {
  const scaled = weight ? multiply(y, weight) : y;
  return bias ? add(scaled, bias) : scaled;
};

/**
 * weight (x - mean) / sqrt(variance + epsilon) + bias, with mean and variance over the last axes, those of the weight (Ba, Kiros and
 * Hinton 2016). `null` leaves the weight and the bias out; then it is the last axis.
 * @param x [.., D]   @param weight [D], or the shape of several last axes   @param bias of the same shape
 */
export function layerNorm(x: Tensor, weight: Tensor | null, bias: Tensor | null, epsilon = 1e-5): Tensor {
  const axes = weight?.shape.length ?? 1;
  const shape = x.shape.slice(-axes);
  if (x.shape.length < axes || axes === 0) throw new Error(`layerNorm: x has shape [${x.shape}], expected [..,D]`);
  if (weight) expectShape('layerNorm', 'weight', weight, shape);
  if (bias) expectShape('layerNorm', 'bias', bias, shape);
  return transformed(normalised(x, elementCount(shape), epsilon), weight, bias);
}

/**
 * The same with mean and variance over each of `groups` runs of channels of an image (Wu and He 2018).
 * @param x [N, C, ...]   @param weight [C]   @param bias [C]
 */
export function groupNorm(
  x: Tensor,
  groups: number,
  weight: Tensor | null,
  bias: Tensor | null,
  epsilon = 1e-5,
): Tensor {
  if (x.shape.length < 2) throw new Error(`groupNorm: x has shape [${x.shape}], expected [N,C,...]`);
  const [images, channels, ...rest] = x.shape as [number, number, ...number[]];
  if (!(Number.isInteger(groups) && groups >= 1 && channels % groups === 0)) {
    throw new Error(`groupNorm: ${channels} channels do not divide into ${groups} groups`);
  }
  if (weight) expectShape('groupNorm', 'weight', weight, [channels]);
  if (bias) expectShape('groupNorm', 'bias', bias, [channels]);
  const perChannel = (parameter: Tensor | null) => parameter && reshape(parameter, [channels, ...rest.map(() => 1)]);
  const y = normalised(x, x.size / (images * groups), epsilon);
  return transformed(y, perChannel(weight), perChannel(bias));
}

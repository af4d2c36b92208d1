/** Checks of batch normalisation. */
import {
  batchNormBackward,
  batchNormBackwardFixed,
  batchNormBackwardReference,
  batchNormFold,
  batchNormFoldBackward,
  batchNormFoldReference,
  batchNormForward,
  batchNormReference,
  batchNormStatistics,
  batchNormStatisticsReference,
  batchNormSums,
  batchNormTrack,
} from '../batchNorm.ts';
import type { Kernel } from '../kernel.ts';
import type { ChannelView } from '../channelView.ts';
import type { KernelCheck } from './check.ts';
import { doubles, held, normals, rounded, uniforms } from './inputs.ts';

const viewName = ({ outer, channels, inner }: ChannelView) => `${outer}x${channels}x${inner}`;

/** A batch far from mean 0, whose variance a difference of sums would lose, and what the backward pass needs of it. */
function batchNormInputs(view: ChannelView) {
  const { outer, channels, inner } = view;
  const x = held(normals(outer * channels * inner, 1, 0.5).map((value) => value + 30));
  const [mean, variance] = [new Float32Array(channels), new Float32Array(channels)];
  const statistics = batchNormStatisticsReference(doubles(x), view);
  mean.set(rounded(statistics.mean));
  variance.set(rounded(statistics.variance));
  const weight = uniforms(channels, 2, 0.5, 2);
  const stored = { mean: doubles(mean), variance: doubles(variance) };
  const size = { n: x.length, channels, inner, epsilon: 1e-3 };
  return { x, mean, variance, weight, bias: normals(channels, 3), dy: normals(x.length, 4), statistics, stored, size };
}

const vectorsOf = ({ inner }: ChannelView): boolean => inner % 4 === 0;

/** x - mean loses some bits if both are about 30. */
const CENTRED = { atol: 5e-5, rtol: 2e-5 };

export function batchNormStatisticsCheck(view: ChannelView): KernelCheck {
  const { x, statistics } = batchNormInputs(view);
  const { channels } = view;
  return {
    name: `batch_norm_statistics ${viewName(view)}`,
    kernel: batchNormStatistics(vectorsOf(view)) as Kernel,
    buffers: { x, mean: new Float32Array(channels), variance: new Float32Array(channels) },
    uniforms: { ...view },
    expected: { ...statistics },
    ...CENTRED,
  };
}

export function batchNormTrackCheck(channels: number, count: number): KernelCheck {
  const momentum = 0.25;
  const [mean, variance] = [normals(channels, 1), uniforms(channels, 2, 0, 2)];
  const [runningMean, runningVariance] = [normals(channels, 3), uniforms(channels, 4, 0, 2)];
  const unbiased = doubles(variance).map((value) => (value * count) / Math.max(1, count - 1));
  const moved = (running: Float32Array, batch: ArrayLike<number>) =>
    doubles(running).map((value, c) => value + momentum * (batch[c]! - value));
  return {
    name: `batch_norm_track ${channels} of ${count}`,
    kernel: batchNormTrack,
    buffers: { mean, variance, runningMean, runningVariance },
    uniforms: { n: channels, momentum, count },
    expected: { runningMean: moved(runningMean, mean), runningVariance: moved(runningVariance, unbiased) },
    atol: 1e-6,
    rtol: 1e-6,
  };
}

export function batchNormForwardCheck(view: ChannelView): KernelCheck {
  const { x, mean, variance, weight, bias, stored, size } = batchNormInputs(view);
  return {
    name: `batch_norm_forward ${viewName(view)}`,
    kernel: batchNormForward(vectorsOf(view)) as Kernel,
    buffers: { x, mean, variance, weight, bias, y: new Float32Array(x.length) },
    uniforms: size,
    expected: { y: batchNormReference(doubles(x), stored, doubles(weight), doubles(bias), view, size.epsilon) },
    ...CENTRED,
  };
}

export function batchNormSumsCheck(view: ChannelView): KernelCheck {
  const { x, dy, mean, variance, weight, stored, size } = batchNormInputs(view);
  const { channels } = view;
  const { dweight, dbias } = batchNormBackwardReference(
    doubles(x),
    doubles(dy),
    stored,
    doubles(weight),
    view,
    size.epsilon,
  );
  return {
    name: `batch_norm_sums ${viewName(view)}`,
    kernel: batchNormSums(vectorsOf(view)) as Kernel,
    buffers: { x, dy, mean, variance, dweight: new Float32Array(channels), dbias: new Float32Array(channels) },
    uniforms: { ...view, epsilon: size.epsilon },
    expected: { dweight, dbias },
    atol: 2e-4,
    rtol: 2e-5,
  };
}

export function batchNormBackwardCheck(view: ChannelView, fixed: boolean): KernelCheck {
  const { x, dy, mean, variance, weight, stored, size } = batchNormInputs(view);
  const inputs = [doubles(x), doubles(dy), stored, doubles(weight), view, size.epsilon] as const;
  const { dx, dweight, dbias } = batchNormBackwardReference(...inputs, fixed);
  const written = new Float32Array(x.length);
  const common = { expected: { dx }, ...CENTRED };
  if (fixed) {
    const buffers = { dy, variance, weight, dx: written };
    const kernel = batchNormBackwardFixed(vectorsOf(view)) as Kernel;
    return { name: `batch_norm_backward_fixed ${viewName(view)}`, kernel, buffers, uniforms: size, ...common };
  }
  return {
    name: `batch_norm_backward ${viewName(view)}`,
    kernel: batchNormBackward(vectorsOf(view)) as Kernel,
    buffers: { x, dy, mean, variance, weight, dweight: rounded(dweight), dbias: rounded(dbias), dx: written },
    uniforms: { ...size, count: view.outer * view.inner },
    ...common,
  };
}

function foldInputs(channels: number, per: number) {
  const [mean, variance] = [normals(channels, 1), uniforms(channels, 2, 0.1, 2)];
  const [weight, bias] = [uniforms(channels, 3, 0.5, 2), normals(channels, 4)];
  const w = normals(channels * per, 5);
  const statistics = { mean: doubles(mean), variance: doubles(variance) };
  const reference = batchNormFoldReference(doubles(w), statistics, doubles(weight), doubles(bias), 1e-3);
  return { w, mean, variance, weight, bias, reference, uniforms: { n: w.length, per, epsilon: 1e-3 } };
}

export function batchNormFoldCheck(channels: number, per: number): KernelCheck {
  const { reference, uniforms: size, ...inputs } = foldInputs(channels, per);
  return {
    name: `batch_norm_fold ${channels}x${per}`,
    kernel: batchNormFold,
    buffers: { ...inputs, folded: new Float32Array(channels * per), shift: new Float32Array(channels) },
    uniforms: size,
    expected: reference,
    atol: 2e-6,
    rtol: 2e-6,
  };
}

/** The gradient is scaled as the filters are. */
export function batchNormFoldBackwardCheck(channels: number, per: number): KernelCheck {
  const { reference, uniforms: size, w, variance, weight } = foldInputs(channels, per);
  return {
    name: `batch_norm_fold_backward ${channels}x${per}`,
    kernel: batchNormFoldBackward,
    buffers: { dfolded: w, variance, weight, dw: new Float32Array(channels * per) },
    uniforms: size,
    expected: { dw: reference.folded },
    atol: 2e-6,
    rtol: 2e-6,
  };
}

/**
 * Checks of sums, softmax and the losses. A sum of m terms is allowed a few roundings of its largest partial sum; WGSL's exp
 * and log may be off by some units in the last place, more for larger arguments.
 */
import type { ChannelView } from '../channelView.ts';
import type { Kernel } from '../kernel.ts';
import { reluBackwardReference } from '../relu.ts';
import {
  axisSum,
  axisSumPart,
  axisSumReference,
  channelSum,
  channelSumPart,
  channelSumReference,
  partialCount,
  partialsReference,
  sumFinal,
  sumPartial,
  sumReference,
} from '../reduce.ts';
import {
  sigmoidLogLossBackward,
  sigmoidLogLossBackwardReference,
  sigmoidLogLossPartial,
  sigmoidLogLossPartialReference,
  sigmoidLogLossReference,
} from '../sigmoidLogLoss.ts';
import {
  smoothL1Backward,
  smoothL1BackwardReference,
  smoothL1Partial,
  smoothL1Reference,
  type SmoothL1Inputs,
} from '../smoothL1Loss.ts';
import {
  softmaxBackward,
  softmaxBackwardReference,
  softmaxBackwardRows,
  softmaxForward,
  softmaxForwardRows,
  softmaxReference,
} from '../softmax.ts';
import {
  countsReference,
  softmaxLogLossBackward,
  softmaxLogLossBackwardReference,
  softmaxLogLossBackwardRows,
  softmaxLogLossFinal,
  softmaxLogLossPartial,
  softmaxLogLossReference,
  softmaxLogLossRows,
} from '../softmaxLogLoss.ts';
import type { KernelCheck } from './check.ts';
import { doubles, integers, normals, uniforms } from './inputs.ts';

const SUMMED = { atol: 2e-4, rtol: 1e-5 };
const TRANSCENDENTAL = { atol: 2e-6, rtol: 2e-5 };

export function sumPartialCheck(n: number): KernelCheck {
  const x = normals(n, 1);
  return {
    name: `sum_partial ${n}`,
    kernel: sumPartial,
    buffers: { x, partials: new Float32Array(partialCount(n)) },
    uniforms: { n },
    expected: { partials: partialsReference(doubles(x)) },
    ...SUMMED,
  };
}

export function sumFinalCheck(n: number): KernelCheck {
  const partials = normals(n, 1);
  return {
    name: `sum_final ${n}`,
    kernel: sumFinal,
    buffers: { partials, y: new Float32Array(1) },
    uniforms: { n },
    expected: { y: Float64Array.of(sumReference(doubles(partials))) },
    ...SUMMED,
  };
}

const viewName = ({ outer, channels, inner }: ChannelView) => `${outer}x${channels}x${inner}`;

export function channelSumCheck(view: ChannelView, add = true): KernelCheck {
  const { outer, channels, inner } = view;
  const dy = normals(outer * channels * inner, 1);
  const db = normals(channels, 2);
  const sums = channelSumReference(doubles(dy), outer, channels, inner);
  return {
    name: `channel_sum ${viewName(view)}${add ? ', added' : ''}`,
    kernel: channelSum(inner % 4 === 0, add),
    buffers: { dy, db },
    uniforms: { ...view },
    expected: { db: add ? sums.map((sum, c) => sum + db[c]!) : sums },
    ...SUMMED,
  };
}

/** y is positive in half of the places, zero in some. */
export function reluBackwardChannelSumCheck(view: ChannelView, add = true): KernelCheck {
  const { outer, channels, inner } = view;
  const { buffers, expected, ...rest } = channelSumCheck(view, add);
  const dy = buffers['dy'] as Float32Array;
  const y = normals(dy.length, 3).map((value) => Math.max(0, value));
  const dx = reluBackwardReference(doubles(y), doubles(dy));
  const before = buffers['db']!;
  const sums = channelSumReference(dx, outer, channels, inner);
  return {
    ...rest,
    name: `relu_backward_${rest.name}`,
    kernel: channelSum(inner % 4 === 0, add, true),
    buffers: { y, dy, dx: normals(dy.length, 4), db: before },
    expected: { ...expected, dx, db: add ? sums.map((sum, c) => sum + before[c]!) : sums },
  };
}

export function axisSumCheck(view: ChannelView, add = true): KernelCheck {
  const { outer, channels, inner } = view;
  const x = normals(outer * channels * inner, 1);
  const y = normals(outer * inner, 2);
  const sums = axisSumReference(doubles(x), outer, channels, inner);
  return {
    name: `axis_sum ${viewName(view)}${add ? ', added' : ''}`,
    kernel: axisSum(add) as Kernel,
    buffers: { x, y },
    uniforms: { ...view },
    expected: { y: add ? sums.map((sum, i) => sum + y[i]!) : sums },
    ...SUMMED,
  };
}

/** Sums of the parts, which have equal lengths except for the last ones, [parts, channels]. */
export function channelSumPartCheck(view: ChannelView, parts: number): KernelCheck {
  const { outer, channels, inner } = view;
  const dy = normals(outer * channels * inner, 1);
  const unit = inner % 4 === 0 ? 4 : 1;
  const size = unit * Math.ceil((outer * inner) / unit / parts);
  const partial = new Float64Array(parts * channels);
  dy.forEach((value, at) => {
    const term = Math.floor(at / (channels * inner)) * inner + (at % inner);
    partial[Math.floor(term / size) * channels + (Math.floor(at / inner) % channels)]! += value;
  });
  return {
    name: `channel_sum_part ${viewName(view)} in ${parts}`,
    kernel: channelSumPart(inner % 4 === 0),
    buffers: { dy, partial: normals(parts * channels, 2) },
    uniforms: { ...view, parts },
    expected: { partial },
    ...SUMMED,
  };
}

/** The same along the middle axis, [parts, outer, inner]. */
export function axisSumPartCheck(view: ChannelView, parts: number): KernelCheck {
  const { outer, channels, inner } = view;
  const x = normals(outer * channels * inner, 1);
  const size = Math.ceil(channels / parts);
  const partial = new Float64Array(parts * outer * inner);
  x.forEach((value, at) => {
    const part = Math.floor((Math.floor(at / inner) % channels) / size);
    partial[part * outer * inner + Math.floor(at / (channels * inner)) * inner + (at % inner)]! += value;
  });
  return {
    name: `axis_sum_part ${viewName(view)} in ${parts}`,
    kernel: axisSumPart,
    buffers: { x, partial: normals(parts * outer * inner, 2) },
    uniforms: { ...view, parts },
    expected: { partial },
    ...SUMMED,
  };
}

/** `check` with the kernel that takes a workgroup for each position. */
const byRows = (check: KernelCheck, kernel: Kernel<string, string>): KernelCheck => ({
  ...check,
  name: check.name.replace(check.kernel.name, kernel.name),
  kernel,
});

export const softmaxForwardRowsCheck = (view: ChannelView, spread = 3): KernelCheck =>
  byRows(softmaxForwardCheck(view, spread), softmaxForwardRows);
export const softmaxBackwardRowsCheck = (view: ChannelView): KernelCheck =>
  byRows(softmaxBackwardCheck(view), softmaxBackwardRows);
export const softmaxLogLossBackwardRowsCheck = (view: ChannelView, spread = 3): KernelCheck =>
  byRows(softmaxLogLossBackwardCheck(view, spread), softmaxLogLossBackwardRows);

export function softmaxForwardCheck(view: ChannelView, spread = 3): KernelCheck {
  const x = normals(view.outer * view.channels * view.inner, 1, spread);
  return {
    name: `softmax_forward ${viewName(view)}`,
    kernel: softmaxForward,
    buffers: { x, y: new Float32Array(x.length) },
    uniforms: { ...view },
    expected: { y: softmaxReference(doubles(x), view) },
    ...TRANSCENDENTAL,
  };
}

export function softmaxBackwardCheck(view: ChannelView): KernelCheck {
  const x = normals(view.outer * view.channels * view.inner, 1, 3);
  const y = Float32Array.from(softmaxReference(doubles(x), view));
  const dy = normals(x.length, 2);
  return {
    name: `softmax_backward ${viewName(view)}`,
    kernel: softmaxBackward,
    buffers: { y, dy, dx: normals(x.length, 3) },
    uniforms: { ...view },
    expected: { dx: softmaxBackwardReference(doubles(y), doubles(dy), view) },
    ...TRANSCENDENTAL,
  };
}

/** Labels from -2 to one past the last channel: -1 is the ignored label, the two outermost are not channels. */
function logLossInputs(view: ChannelView, spread: number) {
  const x = normals(view.outer * view.channels * view.inner, 1, spread);
  return { x, labels: integers(view.outer * view.inner, 2, -2, view.channels + 1), view: { ...view, ignoreLabel: -1 } };
}

export function softmaxLogLossPartialCheck(view: ChannelView, spread = 3): KernelCheck {
  const { x, labels, view: lossView } = logLossInputs(view, spread);
  const n = partialCount(labels.length);
  return {
    name: `softmax_log_loss_partial ${viewName(view)}`,
    kernel: softmaxLogLossPartial,
    buffers: { x, labels, losses: new Float32Array(n), counts: new Int32Array(n) },
    uniforms: { ...lossView, clip: 0 },
    expected: {
      losses: partialsReference(softmaxLogLossReference(doubles(x), labels, lossView).losses),
      counts: countsReference(labels, lossView),
    },
    ...SUMMED,
  };
}

export function softmaxLogLossRowsCheck(view: ChannelView, spread = 3): KernelCheck {
  const { x, labels, view: lossView } = logLossInputs(view, spread);
  const one = { ...lossView, outer: 1, inner: 1 };
  return {
    name: `softmax_log_loss_rows ${viewName(view)}`,
    kernel: softmaxLogLossRows,
    buffers: { x, labels, losses: new Float32Array(labels.length), counts: new Int32Array(labels.length).fill(7) },
    uniforms: { ...lossView, clip: 0 },
    expected: {
      losses: softmaxLogLossReference(doubles(x), labels, lossView).losses,
      counts: labels.map((label) => countsReference(Int32Array.of(label), one)[0]!),
    },
    ...SUMMED,
  };
}

/** Labels 0, 1 and, ignored, -1; some logits so large that exp would overflow. */
function sigmoidLogLossInputs(n: number): { x: Float32Array; labels: Int32Array } {
  const x = normals(n, 1, 3);
  [100, -100, 20, -20].forEach((extreme, i) => (x[7 * i] = extreme));
  return { x, labels: integers(n, 2, -1, 2) };
}

export function sigmoidLogLossPartialCheck(n: number): KernelCheck {
  const { x, labels } = sigmoidLogLossInputs(n);
  const { losses, counts } = sigmoidLogLossPartialReference(doubles(x), labels);
  return {
    name: `sigmoid_log_loss_partial ${n}`,
    kernel: sigmoidLogLossPartial,
    buffers: { x, labels, losses: new Float32Array(losses.length), counts: new Int32Array(counts.length) },
    uniforms: { n },
    expected: { losses, counts },
    ...SUMMED,
  };
}

export function sigmoidLogLossBackwardCheck(n: number): KernelCheck {
  const { x, labels } = sigmoidLogLossInputs(n);
  const { count } = sigmoidLogLossReference(doubles(x), labels);
  return {
    name: `sigmoid_log_loss_backward ${n}`,
    kernel: sigmoidLogLossBackward,
    buffers: { x, labels, count: Int32Array.of(count), dloss: Float32Array.of(1.5), dx: new Float32Array(n).fill(7) },
    uniforms: { n },
    expected: { dx: sigmoidLogLossBackwardReference(doubles(x), labels, 1.5) },
    atol: 1e-8,
    rtol: 2e-5,
  };
}

export function softmaxLogLossFinalCheck(n: number, largestCount = 2049): KernelCheck {
  const losses = uniforms(n, 1, 0, 3);
  const counts = integers(n, 2, 0, largestCount);
  const count = counts.reduce((sum, value) => sum + value, 0);
  return {
    name: `softmax_log_loss_final ${n} count ${count}`,
    kernel: softmaxLogLossFinal,
    buffers: { losses, counts, loss: new Float32Array(1), count: new Int32Array(1) },
    uniforms: { n },
    expected: {
      loss: Float64Array.of(sumReference(doubles(losses)) / Math.max(1, count)),
      count: Int32Array.of(count),
    },
    ...SUMMED,
  };
}

export function softmaxLogLossBackwardCheck(view: ChannelView, spread = 3): KernelCheck {
  const { x, labels, view: lossView } = logLossInputs(view, spread);
  const { count } = softmaxLogLossReference(doubles(x), labels, lossView);
  const dloss = 2.5;
  return {
    name: `softmax_log_loss_backward ${viewName(view)}`,
    kernel: softmaxLogLossBackward,
    buffers: {
      x,
      labels,
      count: Int32Array.of(count),
      dloss: Float32Array.of(dloss),
      dx: normals(x.length, 3),
    },
    uniforms: lossView,
    expected: { dx: softmaxLogLossBackwardReference(doubles(x), labels, lossView, dloss) },
    ...TRANSCENDENTAL,
  };
}

/** Weights as the network has them: many zeros inside, small numbers outside. */
function smoothL1Inputs(n: number, sigma: number, inside: boolean, outside: boolean) {
  const buffers = {
    pred: normals(n, 1),
    targets: normals(n, 2),
    ...(inside && { insideWeights: Float32Array.from(integers(n, 3, 0, 2)) }),
    ...(outside && { outsideWeights: uniforms(n, 4, 0, 0.25) }),
  };
  const inputs: SmoothL1Inputs = {
    pred: doubles(buffers.pred),
    targets: doubles(buffers.targets),
    insideWeights: buffers.insideWeights && doubles(buffers.insideWeights),
    outsideWeights: buffers.outsideWeights && doubles(buffers.outsideWeights),
    sigma,
  };
  return { buffers, inputs };
}

export function smoothL1PartialCheck(n: number, sigma: number, inside: boolean, outside: boolean): KernelCheck {
  const { buffers, inputs } = smoothL1Inputs(n, sigma, inside, outside);
  const kernel = smoothL1Partial(inside, outside);
  return {
    name: `${kernel.name} ${n} sigma ${sigma}`,
    kernel,
    buffers: { ...buffers, partials: new Float32Array(partialCount(n)) },
    uniforms: { n, sigma },
    expected: { partials: partialsReference(smoothL1Reference(inputs)) },
    ...SUMMED,
  };
}

export function smoothL1BackwardCheck(n: number, sigma: number, inside: boolean, outside: boolean): KernelCheck {
  const { buffers, inputs } = smoothL1Inputs(n, sigma, inside, outside);
  const kernel = smoothL1Backward(inside, outside);
  const dloss = 1.5;
  return {
    name: `${kernel.name} ${n} sigma ${sigma}`,
    kernel,
    buffers: { ...buffers, dloss: Float32Array.of(dloss), dpred: normals(n, 5) },
    uniforms: { n, sigma },
    expected: { dpred: smoothL1BackwardReference(inputs, dloss) },
    atol: 2e-6,
    rtol: 1e-5,
  };
}

/** Checks of the kernels that choose values (bounds, conditions, extrema, indices), add them up to a place, or mix neighbours. */
import { causalMask, causalMaskReference } from '../causalMask.ts';
import type { ChannelView } from '../channelView.ts';
import { clip, clipBackward, clipBackwardReference, clipReference } from '../clip.ts';
import { cumulativeSum, cumulativeSumReference } from '../cumulativeSum.ts';
import {
  type Extremum,
  extremum,
  extremumBackward,
  extremumBackwardReference,
  topChannels,
  topReference,
} from '../extremum.ts';
import {
  embedding,
  embeddingBackward,
  embeddingKeys,
  gather,
  gatherBackward,
  gatherBackwardReference,
  gatherReference,
  type GatherShape,
} from '../gather.ts';
import {
  logSoftmaxBackward,
  logSoftmaxBackwardReference,
  logSoftmaxForward,
  logSoftmaxReference,
} from '../logSoftmax.ts';
import { mergeAxes, repeatedStrides, strideValues } from '../strides.ts';
import {
  upsampleBilinear,
  upsampleBilinearBackward,
  upsampleBilinearBackwardReference,
  upsampleBilinearReference,
} from '../upsampleBilinear.ts';
import type { UpsampleShape } from '../upsampleNearest.ts';
import { where, whereBackward, whereBackwardReference, whereReference } from '../where.ts';
import { EXACT, type KernelCheck } from './check.ts';
import { doubles, integers, normals, rounded } from './inputs.ts';

const SUMS = { atol: 1e-5, rtol: 1e-5 };
const sizeOf = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1);
const viewName = ({ outer, channels, inner }: ChannelView): string => `${outer}x${channels}x${inner}`;
/** Few different numbers, so that some are equal. */
const ties = (n: number, seed: number): Float32Array => Float32Array.from(integers(n, seed, -9, 10));

export const clipChecks = (n: number): KernelCheck[] => {
  const [x, dy] = [ties(n, 1), normals(n, 2)];
  const uniforms = { n, low: -3, high: 4 };
  return [
    {
      name: `clip ${n}`,
      kernel: clip,
      buffers: { x, y: new Float32Array(n) },
      uniforms,
      expected: { y: clipReference(doubles(x), -3, 4) },
      ...EXACT,
    },
    {
      name: `clip_backward ${n}`,
      kernel: clipBackward,
      buffers: { x, dy, dx: new Float32Array(n) },
      uniforms,
      expected: { dx: clipBackwardReference(doubles(x), doubles(dy), -3, 4) },
      ...EXACT,
    },
  ];
};

/** Three shapes of as many axes, each with extents of 1 where it is repeated. */
export function whereChecks(condition: readonly number[], a: readonly number[], b: readonly number[]): KernelCheck[] {
  const shape = a.map((n, axis) => Math.max(n, b[axis]!, condition[axis]!));
  const all = { extents: shape, strides: [condition, a, b].map((of) => repeatedStrides(of, shape)) };
  const own = { extents: shape, strides: [repeatedStrides(condition, shape)] };
  const [merged, mergedOwn] = [mergeAxes(all), mergeAxes(own)];
  const chosen = Float32Array.from(integers(sizeOf(condition), 1, 0, 2));
  const [x, z, dy] = [normals(sizeOf(a), 2), normals(sizeOf(b), 3), normals(sizeOf(shape), 4)];
  const name = `[${condition}] [${a}] [${b}]`;
  return [
    {
      name: `where ${name}`,
      kernel: where(merged.extents.length),
      buffers: { condition: chosen, a: x, b: z, y: new Float32Array(dy.length) },
      uniforms: strideValues(merged, ['condition', 'a', 'b']),
      expected: { y: whereReference(doubles(chosen), doubles(x), doubles(z), all) },
      ...EXACT,
    },
    ...(['a', 'b'] as const).map((side) => ({
      name: `where_backward_${side} ${name}`,
      kernel: whereBackward(side, mergedOwn.extents.length),
      buffers: { condition: chosen, dy, dx: new Float32Array(dy.length) },
      uniforms: strideValues(mergedOwn, ['condition']),
      expected: { dx: whereBackwardReference(side, doubles(chosen), doubles(dy), own) },
      ...EXACT,
    })),
  ];
}

export function extremumChecks(of: Extremum, view: ChannelView): KernelCheck[] {
  const { outer, channels, inner } = view;
  const x = ties(outer * channels * inner, 1);
  const { y, index } = topReference(of, doubles(x), view, 1);
  const dy = normals(y.length, 2);
  return [
    ...[false, true].map((shared) => ({
      name: `${of}${shared ? '_rows' : ''} ${viewName(view)}`,
      kernel: extremum(of, shared),
      buffers: { x, y: new Float32Array(y.length), index: new Int32Array(y.length) },
      uniforms: { ...view },
      expected: { y, index },
      ...EXACT,
    })),
    {
      name: `extremum_backward of ${of} ${viewName(view)}`,
      kernel: extremumBackward,
      buffers: { x, y: rounded(y), dy, dx: new Float32Array(x.length) },
      uniforms: { ...view },
      expected: { dx: extremumBackwardReference(doubles(x), y, doubles(dy), view) },
      ...SUMS,
    },
  ];
}

export function topChannelsCheck(view: ChannelView, k: number): KernelCheck {
  const x = ties(view.outer * view.channels * view.inner, 1);
  const { y, index } = topReference('max', doubles(x), view, k);
  return {
    name: `top_channels ${k} of ${viewName(view)}`,
    kernel: topChannels,
    buffers: { x, y: new Float32Array(y.length), index: new Int32Array(y.length) },
    uniforms: { ...view, k },
    expected: { y, index },
    ...EXACT,
  };
}

/** Some indices do not exist. */
export function gatherChecks(shape: GatherShape): KernelCheck[] {
  const { outer, channels, picks, inner } = shape;
  const x = normals(outer * channels * inner, 1);
  const index = integers(outer * picks * inner, 2, -1, channels + 1);
  const dy = normals(index.length, 3);
  const name = `${viewName(shape)} by ${picks}`;
  return [
    {
      name: `gather ${name}`,
      kernel: gather,
      buffers: { x, index, y: new Float32Array(index.length) },
      uniforms: shape,
      expected: { y: gatherReference(doubles(x), index, shape) },
      ...EXACT,
    },
    {
      name: `gather_backward ${name}`,
      kernel: gatherBackward,
      buffers: { dy, index, dx: normals(x.length, 4) },
      uniforms: shape,
      expected: { dx: gatherBackwardReference(doubles(dy), index, shape) },
      ...SUMS,
    },
  ];
}

/** n rows of a table, in each column the same index. */
export function embeddingChecks(n: number, rows: number, columns: number): KernelCheck[] {
  const table = normals(rows * columns, 1);
  const index = integers(n, 2, -1, rows + 1);
  const order = Uint32Array.from([...index.keys()].sort((i, j) => (index[i]! >>> 0) - (index[j]! >>> 0) || i - j));
  const keys = Uint32Array.from(order, (i) => index[i]!);
  const dy = normals(n * columns, 3);
  const shape = { outer: 1, channels: rows, picks: n, inner: columns };
  const repeated = Int32Array.from({ length: n * columns }, (_, i) => index[Math.floor(i / columns)]!);
  const uniforms = { n, rows, columns };
  return [
    {
      name: `embedding ${n} of ${rows}x${columns}`,
      kernel: embedding,
      buffers: { table, index, y: new Float32Array(n * columns) },
      uniforms,
      expected: { y: gatherReference(doubles(table), repeated, shape) },
      ...EXACT,
    },
    {
      name: `embedding_keys ${n}`,
      kernel: embeddingKeys,
      buffers: { index, keys: new Uint32Array(n), order: new Uint32Array(n) },
      uniforms: { n },
      expected: { keys: Uint32Array.from(index), order: Uint32Array.from(index.keys()) },
      ...EXACT,
    },
    {
      name: `embedding_backward ${n} of ${rows}x${columns}`,
      kernel: embeddingBackward,
      buffers: { dy, keys, order, dtable: normals(rows * columns, 4) },
      uniforms,
      expected: { dtable: gatherBackwardReference(doubles(dy), repeated, shape) },
      ...SUMS,
    },
  ];
}

export const cumulativeSumChecks = (view: ChannelView): KernelCheck[] =>
  [false, true].map((reversed) => {
    const x = normals(view.outer * view.channels * view.inner, 1);
    return {
      name: `cumulative_sum${reversed ? '_reversed' : ''} ${viewName(view)}`,
      kernel: cumulativeSum(reversed),
      buffers: { x, y: new Float32Array(x.length) },
      uniforms: { ...view },
      expected: { y: cumulativeSumReference(doubles(x), view, reversed) },
      ...SUMS,
    };
  });

export function upsampleBilinearChecks(shape: UpsampleShape): KernelCheck[] {
  const { planes, h, w, outH, outW } = shape;
  const [x, dy] = [normals(planes * h * w, 1), normals(planes * outH * outW, 2)];
  const name = `${planes}x${h}x${w} to ${outH}x${outW}`;
  return [
    {
      name: `upsample_bilinear ${name}`,
      kernel: upsampleBilinear,
      buffers: { x, y: new Float32Array(dy.length) },
      uniforms: shape,
      expected: { y: upsampleBilinearReference(doubles(x), shape) },
      ...SUMS,
    },
    {
      name: `upsample_bilinear_backward ${name}`,
      kernel: upsampleBilinearBackward,
      buffers: { dy, dx: normals(x.length, 3) },
      uniforms: shape,
      expected: { dx: upsampleBilinearBackwardReference(doubles(dy), shape) },
      ...SUMS,
    },
  ];
}

export function logSoftmaxChecks(view: ChannelView): KernelCheck[] {
  const x = normals(view.outer * view.channels * view.inner, 1, 3);
  const y = rounded(logSoftmaxReference(doubles(x), view));
  const dy = normals(x.length, 2);
  return [
    {
      name: `log_softmax_forward ${viewName(view)}`,
      kernel: logSoftmaxForward,
      buffers: { x, y: new Float32Array(x.length) },
      uniforms: { ...view },
      expected: { y: doubles(y) },
      ...SUMS,
    },
    {
      name: `log_softmax_backward ${viewName(view)}`,
      kernel: logSoftmaxBackward,
      buffers: { y, dy, dx: new Float32Array(x.length) },
      uniforms: { ...view },
      expected: { dx: logSoftmaxBackwardReference(doubles(y), doubles(dy), view) },
      ...SUMS,
    },
  ];
}

export function causalMaskCheck(slices: number, rows: number, columns: number): KernelCheck {
  const x = normals(slices * rows * columns, 1);
  return {
    name: `causal_mask ${slices}x${rows}x${columns}`,
    kernel: causalMask,
    buffers: { x, y: new Float32Array(x.length) },
    uniforms: { n: x.length, rows, columns, value: -Infinity },
    expected: { y: causalMaskReference(doubles(x), rows, columns, -Infinity) },
    ...EXACT,
  };
}

const SMALL = { outer: 3, channels: 13, inner: 5 };
const LONG = { outer: 2, channels: 151, inner: 3 };

export const choiceChecks: readonly (() => KernelCheck)[] = [
  ...clipChecks(1999),
  ...whereChecks([3, 1, 7], [3, 5, 1], [1, 5, 7]),
  ...whereChecks([31], [31], [31]),
  ...extremumChecks('max', SMALL),
  ...extremumChecks('min', LONG),
  topChannelsCheck(LONG, 7),
  topChannelsCheck({ outer: 4, channels: 5, inner: 1 }, 5),
  ...gatherChecks({ ...SMALL, picks: 4 }),
  ...embeddingChecks(97, 31, 6),
  ...cumulativeSumChecks(SMALL),
  ...upsampleBilinearChecks({ planes: 2, h: 5, w: 4, outH: 11, outW: 13 }),
  ...upsampleBilinearChecks({ planes: 1, h: 9, w: 7, outH: 4, outW: 7 }),
  ...upsampleBilinearChecks({ planes: 1, h: 1, w: 2, outH: 3, outW: 8 }),
  ...logSoftmaxChecks(SMALL),
  causalMaskCheck(3, 5, 7),
].map((check) => () => check);

/**
 * Operations of the engine as nodes of ONNX. A converter sees the operation's inputs by the names of their values and what its
 * forward pass saved. Extents may be free: it is called for several traces in which they differ, and the nodes must be the same.
 */
import type { Operation } from '../engine/autograd.ts';
import { UserError } from '../engine/errors.ts';
import { addOperation, scaleOperation } from '../engine/ops/arithmetic.ts';
import { causalOperation } from '../engine/ops/attention.ts';
import {
  addBroadcastOperation,
  COMPARISON_OPERATIONS,
  divideOperation,
  maximumOperation,
  minimumOperation,
  multiplyOperation,
  powOperation,
  subtractOperation,
} from '../engine/ops/binary.ts';
import { broadcastToOperation } from '../engine/ops/broadcastTo.ts';
import { castOperation } from '../engine/ops/cast.ts';
import { clipOperation } from '../engine/ops/clip.ts';
import { logSoftmaxOperation } from '../engine/ops/logSoftmax.ts';
import { concatOperation, permuteOperation, sliceOperation, softmaxOperation } from '../engine/ops/axes.ts';
import { batchNormOperation, foldBiasOperation, foldOperation } from '../engine/ops/batchNorm.ts';
import { conv2dOperation, groupedConv2dOperation } from '../engine/ops/conv2d.ts';
import { convTranspose2dOperation } from '../engine/ops/convTranspose2d.ts';
import { cumsumOperation } from '../engine/ops/cumulativeSum.ts';
import { EXTREMUM_OPERATIONS, PLACE_OPERATIONS, topKOperation, topKPlacesOperation } from '../engine/ops/extrema.ts';
import { embeddingOperation, gatherOperation } from '../engine/ops/gather.ts';
import { padOperation } from '../engine/ops/joining.ts';
import { linearOperation } from '../engine/ops/linear.ts';
import { lrnOperation } from '../engine/ops/localResponseNorm.ts';
import {
  classWeightedLogLossOperation,
  sigmoidLogLossOperation,
  smoothL1Operation,
  softmaxLogLossOperation,
} from '../engine/ops/losses.ts';
import { matmulOperation } from '../engine/ops/matmul.ts';
import { normaliseOperation } from '../engine/ops/normalisation.ts';
import { addReluOperation, dropoutOperation, reluOperation, UNARY_OPERATIONS } from '../engine/ops/pointwise.ts';
import { averagePoolOperation, maxPoolOperation } from '../engine/ops/pooling.ts';
import { reshapeOperation } from '../engine/ops/reshape.ts';
import {
  nmsOperation,
  pyramidPoolOperation,
  roiAlignOperation,
  roiPoolOperation,
  roiWarpOperation,
} from '../engine/ops/rois.ts';
import { meanOperation, sumOperation } from '../engine/ops/sums.ts';
import { upsampleBilinearOperation, upsampleNearestOperation } from '../engine/ops/upsample.ts';
import { whereOperation } from '../engine/ops/where.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { GroupedConvShape } from '../kernels/groupedConv.ts';
import type { UnaryName } from '../kernels/unary.ts';
import { filledOperation, type TracedOperation, valuesOperation, viewOperation } from '../engine/trace.ts';
import type { OnnxGraph, Value } from './graph.ts';

/** An axis of an input that may have another extent than in the trace. */
export interface FreeAxis {
  symbol: string;
  /** The input. */
  value: Value;
  axis: number;
  /** In each trace. */
  extents: readonly number[];
}

type Traced<S> = Omit<TracedOperation<S>, 'operation'>;

/** An operation as a converter sees it, in one of the traces. */
export interface Converting<S> {
  graph: OnnxGraph;
  /** The names of the inputs. */
  values: readonly Value[];
  inputs: readonly Tensor[];
  output: Tensor;
  saved: S;
  /** The name of the value that a tensor is. */
  valueOf(tensor: Tensor): Value;
  /** A number of this operation in every trace. */
  across(of: (traced: Traced<S>) => number): readonly number[];
  /** Of the inputs of the network. */
  freeAxes: readonly FreeAxis[];
}

type Converter = (converting: Converting<never>) => Value;

/** No limit. */
const ALL = 2 ** 31 - 1;

const CONVERTERS = new Map<Operation<never>, Converter>();

function convert<S>(operation: Operation<S>, converter: (converting: Converting<S>) => Value): void {
  CONVERTERS.set(operation as Operation<never>, converter as Converter);
}

/** An operation that no network for ONNX should need, and why. */
function refuse<S>(operation: Operation<S>, why: string): void {
  convert(operation, () => {
    throw new UserError(`the operation ${operation.name} ${why}`);
  });
}

/** Whether it is known what an operation is in ONNX, or why it is nothing. */
export const isKnown = (operation: Operation<never>): boolean => CONVERTERS.has(operation);

/**
 * Adds the node or nodes of an operation, of which each of several traces has its variant: this is the one in trace `own`. Throws a
 * UserError for an operation that has none.
 */
export function convertOperation(
  graph: OnnxGraph,
  variants: readonly TracedOperation[],
  own: number,
  freeAxes: readonly FreeAxis[],
  valueOf: (tensor: Tensor) => Value,
): Value {
  const { operation, inputs, saved, output } = variants[own]!;
  const converter = CONVERTERS.get(operation as Operation<never>);
  if (!converter) {
    throw new UserError(`the operation ${operation.name} has no form in ONNX yet, so this network cannot be exported`);
  }
  const across = (of: (traced: Traced<never>) => number): number[] =>
    variants.map(({ saved, ...traced }) => of({ ...traced, saved: saved as never }));
  const values = inputs.map(valueOf);
  const result = converter({ graph, values, inputs, output, saved: saved as never, valueOf, across, freeAxes });
  return output.dtype === 'f16' ? rounded(graph, result) : result;
}

/** Half precision is float32 of fewer bits: operations compute in float32 and round their results. */
const rounded = (graph: OnnxGraph, x: Value): Value => graph.cast(graph.cast(x, 'float16'), 'float');

/** The inputs of a layer: where x is in half precision its weight is rounded too. */
const operands = ({ graph, values: [x, weight, ...bias], inputs }: Converting<unknown>): Value[] => [
  x!,
  inputs[0]!.dtype === 'f16' ? rounded(graph, weight!) : weight!,
  ...bias,
];

const isFixed = (numbers: readonly number[]): boolean => numbers.every((number) => number === numbers[0]);

/** Extent `axis` of a value, as a vector of one number. */
const extentOf = (graph: OnnxGraph, x: Value, axis: number): Value =>
  graph.gather(graph.node('Shape', [x]), graph.ints([axis]), 0);

/** An extent as a number if it is fixed, as a vector of one number if it is one of the operation's inputs or of the network's; else null. */
function resolve<S>(converting: Converting<S>, of: (traced: Traced<S>) => number): number | Value | null {
  const { graph, inputs, values, across, freeAxes } = converting;
  const extents = across(of);
  if (isFixed(extents)) return extents[0]!;
  const isIt = (others: readonly number[]): boolean => others.every((other, i) => other === extents[i]);
  for (const [i, { shape }] of inputs.entries()) {
    const axis = shape.findIndex((_, axis) => isIt(across(({ inputs }) => inputs[i]!.shape[axis]!)));
    if (axis >= 0) return extentOf(graph, values[i]!, axis);
  }
  const free = freeAxes.find((other) => isIt(other.extents));
  return free ? extentOf(graph, free.value, free.axis) : null;
}

/** One vector of extents, each a number or a vector of one. */
function join(graph: OnnxGraph, extents: readonly (number | Value)[]): Value {
  if (extents.every((extent) => typeof extent === 'number')) return graph.ints(extents);
  const parts = extents.map((extent) => (typeof extent === 'number' ? graph.ints([extent]) : extent));
  return parts.length === 1 ? parts[0]! : graph.node('Concat', parts, { axis: 0 });
}

/** The shape of the result; an extent that cannot be told stays that of the trace. */
const shapeOf = <S>(converting: Converting<S>): Value =>
  join(
    converting.graph,
    converting.output.shape.map((extent, axis) => resolve(converting, ({ output }) => output.shape[axis]!) ?? extent),
  );

const rectified = (graph: OnnxGraph, y: Value, does: boolean): Value => (does ? graph.node('Relu', [y]) : y);

convert(conv2dOperation, (converting) => {
  const { graph, saved } = converting;
  const y = convolution(graph, operands(converting), { ...saved.shape, groups: 1, dilation: 1 });
  return rectified(graph, y, saved.rectified !== null);
});

convert(groupedConv2dOperation, (converting) => {
  const { graph, saved } = converting;
  return rectified(graph, convolution(graph, operands(converting), saved.shape), saved.rectified !== null);
});

function convolution(
  graph: OnnxGraph,
  values: readonly Value[],
  { R, S, stride, pad, groups, dilation }: GroupedConvShape,
): Value {
  return graph.node('Conv', values, {
    kernel_shape: [R, S],
    strides: [stride, stride],
    pads: [pad, pad, pad, pad],
    dilations: [dilation, dilation],
    group: groups,
  });
}

convert(linearOperation, (converting) => {
  const { graph, saved } = converting;
  return rectified(graph, graph.node('Gemm', operands(converting), { transB: 1 }), saved.rectified !== null);
});

convert(reluOperation, ({ graph, values }) => graph.node('Relu', values));

const UNARY: Readonly<Record<UnaryName, (graph: OnnxGraph, x: Value) => Value>> = {
  sigmoid: (graph, x) => graph.node('Sigmoid', [x]),
  tanh: (graph, x) => graph.node('Tanh', [x]),
  softplus: (graph, x) => graph.node('Softplus', [x]),
  exp: (graph, x) => graph.node('Exp', [x]),
  log: (graph, x) => graph.node('Log', [x]),
  sqrt: (graph, x) => graph.node('Sqrt', [x]),
  abs: (graph, x) => graph.node('Abs', [x]),
  hardSigmoid: (graph, x) => graph.node('HardSigmoid', [x], { alpha: { float: 1 / 6 }, beta: { float: 0.5 } }),
  hardSwish: (graph, x) => graph.node('HardSwish', [x]),
  gelu: (graph, x) => {
    const below = graph.node('Erf', [graph.multiply(x, graph.float(Math.SQRT1_2))]);
    return graph.multiply(graph.multiply(x, graph.float(0.5)), graph.add(below, graph.float(1)));
  },
  silu: (graph, x) => graph.multiply(x, graph.node('Sigmoid', [x])),
  reciprocal: (graph, x) => graph.node('Reciprocal', [x]),
};
for (const [name, own] of Object.entries(UNARY_OPERATIONS) as [UnaryName, Operation<unknown>][])
  convert(own, ({ graph, values }) => UNARY[name](graph, values[0]!));

convert(addReluOperation, ({ graph, values }) => graph.node('Relu', [graph.add(values[0]!, values[1]!)]));
convert(addOperation, ({ graph, values }) => values.reduce(graph.add));
convert(addBroadcastOperation, ({ graph, values }) => values.reduce(graph.add));
convert(subtractOperation, ({ graph, values }) => graph.subtract(values[0]!, values[1]!));
convert(multiplyOperation, ({ graph, values }) => graph.multiply(values[0]!, values[1]!));
convert(divideOperation, ({ graph, values }) => graph.divide(values[0]!, values[1]!));
convert(maximumOperation, ({ graph, values }) => graph.node('Max', values));
convert(minimumOperation, ({ graph, values }) => graph.node('Min', values));
convert(powOperation, ({ graph, values }) => graph.node('Pow', values));
convert(clipOperation, ({ graph, values, saved: { bounds } }) =>
  graph.node('Clip', [values[0]!, graph.float(bounds.low), graph.float(bounds.high)]),
);
convert(softmaxOperation, ({ graph, values, saved: { axis } }) => graph.node('Softmax', values, { axis }));
convert(logSoftmaxOperation, ({ graph, values, saved: { axis } }) => graph.node('LogSoftmax', values, { axis }));
convert(scaleOperation, ({ graph, values, saved }) => graph.multiply(values[0]!, graph.float(saved.factor)));

convert(maxPoolOperation, ({ graph, values, saved: { window } }) => {
  const { kernel, stride, padding, ceilMode } = window;
  // Caffe drops a last window that would begin beyond the map; runtimes differ there, so only windows that never do.
  if (ceilMode && padding + stride - 1 >= kernel) {
    throw new UserError(
      `the operation maxPool2d, ${kernel}x${kernel}, stride ${stride}, padding ${padding}, rounded up, has no exact form in ONNX`,
    );
  }
  return graph.node('MaxPool', values, {
    kernel_shape: [kernel, kernel],
    strides: [stride, stride],
    pads: [padding, padding, padding, padding],
    ceil_mode: Number(ceilMode),
  });
});

convert(averagePoolOperation, ({ graph, values, saved: { window } }) => {
  const { kernel, stride, padding, ceilMode } = window;
  if (ceilMode)
    throw new UserError('the operation averagePool2d has no exact form in ONNX where it rounds up (ceilMode)');
  return averagePool(graph, values[0]!, kernel, stride, padding);
});

const averagePool = (graph: OnnxGraph, x: Value, kernel: number, stride: number, padding: number): Value =>
  graph.node('AveragePool', [x], {
    kernel_shape: [kernel, kernel],
    strides: [stride, stride],
    pads: [padding, padding, padding, padding],
    count_include_pad: 1,
  });

convert(lrnOperation, ({ graph, values, saved: { mode, uniforms } }) => {
  const { size, alpha, beta, k } = uniforms;
  const x = values[0]!;
  if (mode === 'across') {
    return graph.node('LRN', [x], { size, alpha: { float: alpha }, beta: { float: beta }, bias: { float: k } });
  }
  const squares = averagePool(graph, graph.multiply(x, x), size, 1, (size - 1) / 2);
  const scale = graph.add(graph.multiply(squares, graph.float(alpha)), graph.float(k));
  return graph.multiply(x, graph.node('Pow', [scale, graph.float(-beta)]));
});

convert(batchNormOperation, ({ graph, values: [x, weight, bias], saved, valueOf }) => {
  if (saved.training)
    throw new UserError(
      'the operation batchNorm by the statistics of a batch is for training: call train(false) on the network',
    );
  const { mean, variance, epsilon } = saved;
  return graph.node('BatchNormalization', [x!, weight!, bias!, valueOf(mean), valueOf(variance)], {
    epsilon: { float: epsilon },
  });
});

/** weight / sqrt(variance + epsilon) */
const foldedScale = (graph: OnnxGraph, weight: Value, variance: Value, epsilon: number): Value =>
  graph.divide(weight, graph.node('Sqrt', [graph.add(variance, graph.float(epsilon))]));

convert(foldOperation, ({ graph, values, output, saved: { variance, weight, uniforms }, valueOf }) => {
  const scale = foldedScale(graph, valueOf(weight), valueOf(variance), uniforms.epsilon);
  return graph.multiply(values[0]!, graph.reshape(scale, [-1, ...output.shape.slice(1).map(() => 1)]));
});

convert(foldBiasOperation, ({ graph, values: [weight, bias, mean], saved: { variance, epsilon }, valueOf }) =>
  graph.subtract(bias!, graph.multiply(mean!, foldedScale(graph, weight!, valueOf(variance), epsilon))),
);

convert(sumOperation, ({ graph, values, output, saved: { axes, shape } }) =>
  axes.length === 0
    ? values[0]!
    : graph.node('ReduceSum', [values[0]!, graph.ints(axes)], { keepdims: keeps(output, shape) }),
);

convert(meanOperation, ({ graph, values, output, saved: { axes, shape } }) =>
  axes.length === 0 ? values[0]! : graph.node('ReduceMean', [values[0]!], { axes, keepdims: keeps(output, shape) }),
);

/** Whether the axes of a reduction of `shape` stay. */
const keeps = (output: Tensor, shape: readonly number[]): number => Number(output.shape.length === shape.length);

convert(concatOperation, ({ graph, values, inputs, output }) => {
  const axis = output.shape.findIndex((extent, i) => extent !== inputs[0]!.shape[i]);
  return axis < 0 ? values[0]! : graph.node('Concat', values, { axis });
});

convert(permuteOperation, ({ graph, values, saved }) => graph.transpose(values[0]!, saved.order));

function reshaped<S>(converting: Converting<S>): Value {
  const { graph, values, output, across } = converting;
  // 0 copies the extent of that axis of x; a single -1 is whatever remains.
  let dims = output.shape.map((extent, axis): number | Value | null => {
    const extents = across((traced) => traced.output.shape[axis]!);
    const stays = across(({ inputs }) => inputs[0]!.shape[axis] ?? -1).every((other, i) => other === extents[i]);
    return isFixed(extents) ? extent : stays ? 0 : null;
  });
  if (dims.filter((dim) => dim === null).length > 1)
    dims = dims.map((dim, axis) => dim ?? resolve(converting, (traced) => traced.output.shape[axis]!));
  const rest = dims.indexOf(null);
  const shape = dims.map((dim, axis) => dim ?? (axis === rest ? -1 : output.shape[axis]!));
  return graph.node('Reshape', [values[0]!, join(graph, shape)]);
}

convert(reshapeOperation, reshaped);
convert(viewOperation, reshaped);
convert(valuesOperation, ({ graph, output, saved }) => graph.constant(saved, output.shape));

convert(filledOperation, (converting) => {
  const { graph, output, saved } = converting;
  const value = graph.float(saved.value);
  return output.shape.length === 0 ? value : graph.node('Expand', [value, shapeOf(converting)]);
});

convert(broadcastToOperation, (converting) => {
  const { graph, values } = converting;
  return graph.node('Expand', [values[0]!, shapeOf(converting)]);
});

convert(sliceOperation, ({ graph, values, inputs, saved: { axis, from, to }, across }) => {
  // Counted from the end where it lies a fixed distance away from that.
  const place = (end: 'from' | 'to', own: number): number => {
    const fromEnd = across(({ inputs, saved }) => saved[end] - inputs[0]!.shape[axis]!);
    return isFixed(across(({ saved }) => saved[end])) || !isFixed(fromEnd) ? own : own - inputs[0]!.shape[axis]!;
  };
  const [start, end] = [place('from', from), place('to', to)];
  const bounds = [start, end === 0 ? ALL : end].map((bound) => graph.ints([bound]));
  return graph.node('Slice', [values[0]!, ...bounds, graph.ints([axis])]);
});

convert(padOperation, ({ graph, values, saved: { widths, value } }) => {
  const ends = [0, 1].flatMap((end) => widths.map((width) => width[end]!));
  return graph.node('Pad', [values[0]!, graph.ints(ends), graph.float(value)]);
});

convert(castOperation, ({ values }) => values[0]!); // it is rounded as every result in half precision

convert(matmulOperation, ({ graph, values, inputs, saved: { transposeA, transposeB } }) => {
  const turned = [transposeA, transposeB];
  const factors = values.map((value, i) => {
    const axes = inputs[i]!.shape.map((_, axis) => axis);
    const [row, column] = axes.slice(-2) as [number, number];
    return turned[i] ? graph.transpose(value, [...axes.slice(0, -2), column, row]) : value;
  });
  return graph.node('MatMul', factors);
});

/** Scores [.., L, S] of the keys that come after a query become minus infinity. */
convert(causalOperation, ({ graph, values, output }) => {
  const [rows, columns] = [-2, -1].map((axis) =>
    graph.node('Range', [graph.int(0), graph.extent(values[0]!, output.shape.length + axis), graph.int(1)]),
  );
  const seen = graph.node('LessOrEqual', [columns!, graph.node('Unsqueeze', [rows!, graph.ints([1])])]);
  return graph.node('Where', [seen, values[0]!, graph.float(-Infinity)]);
});

convert(whereOperation, ({ graph, values, saved: { condition }, valueOf }) =>
  graph.node('Where', [graph.cast(valueOf(condition), 'bool'), ...values]),
);

const COMPARISONS = {
  equal: 'Equal',
  notEqual: 'Equal',
  less: 'Less',
  lessEqual: 'LessOrEqual',
  greater: 'Greater',
  greaterEqual: 'GreaterOrEqual',
};
for (const [name, own] of Object.entries(COMPARISON_OPERATIONS) as [keyof typeof COMPARISONS, Operation<null>][])
  convert(own, ({ graph, values }) => {
    const is = graph.node(COMPARISONS[name], values);
    return graph.cast(name === 'notEqual' ? graph.node('Not', [is]) : is, 'float');
  });

/**
 * Indices for ONNX, which counts negative ones from the end and refuses those that are too large: 0 in place of one that does not
 * exist below `limit`. What is taken there becomes NaN.
 */
function checkedIndices(graph: OnnxGraph, indices: Value, limit: number | Value): { at: Value; exists: Value } {
  const [zero, end] = [graph.int32(0), typeof limit === 'number' ? graph.int32(limit) : graph.cast(limit, 'int32')];
  const exists = graph.node('And', [graph.node('GreaterOrEqual', [indices, zero]), graph.node('Less', [indices, end])]);
  return { at: graph.node('Where', [exists, indices, zero]), exists };
}

convert(gatherOperation, (converting) => {
  const { graph, values, saved, valueOf } = converting;
  const { axis, x, indices } = saved;
  const limit = resolve(converting, ({ inputs }) => inputs[0]!.shape[axis]!) ?? x.shape[axis]!;
  const { at, exists } = checkedIndices(graph, valueOf(indices), limit);
  const picked = graph.node('GatherElements', [values[0]!, at], { axis });
  return graph.node('Where', [exists, picked, graph.float(NaN)]);
});

convert(embeddingOperation, (converting) => {
  const { graph, values, saved, valueOf } = converting;
  const { table, indices } = saved;
  const limit = resolve(converting, ({ inputs }) => inputs[0]!.shape[0]!) ?? table.shape[0]!;
  const { at, exists } = checkedIndices(graph, valueOf(indices), limit);
  const rows = graph.gather(values[0]!, at, 0);
  return graph.node('Where', [graph.node('Unsqueeze', [exists, graph.ints([-1])]), rows, graph.float(NaN)]);
});

convert(cumsumOperation, ({ graph, values, saved: { axis } }) => graph.node('CumSum', [values[0]!, graph.int(axis)]));

for (const [name, own] of Object.entries(EXTREMUM_OPERATIONS))
  convert(own, ({ graph, values, inputs, output, saved: { axes } }) => {
    const type = name === 'max' ? 'ReduceMax' : 'ReduceMin';
    return axes.length === 0
      ? values[0]!
      : graph.node(type, [values[0]!], { axes, keepdims: keeps(output, inputs[0]!.shape) });
  });

for (const [name, own] of Object.entries(PLACE_OPERATIONS))
  convert(own, ({ graph, values, saved: { axis } }) => {
    const type = name === 'argMax' ? 'ArgMax' : 'ArgMin';
    return graph.cast(graph.node(type, [values[0]!], { axis, keepdims: 0 }), 'int32');
  });

convert(topKOperation, ({ graph, values, saved: { k, axis } }) => graph.topK(values[0]!, graph.int(k), axis)[0]);
convert(topKPlacesOperation, ({ graph, values, saved: { k, axis } }) =>
  graph.cast(graph.topK(values[0]!, graph.int(k), axis)[1], 'int32'),
);

convert(normaliseOperation, ({ graph, values, inputs, saved: { view, epsilon } }) => {
  const { shape, size } = inputs[0]!;
  const rowsOf = (axes: number): number => shape.slice(-axes).reduce((product, extent) => product * extent, 1);
  const last = shape.findIndex((_, i) => rowsOf(i + 1) === view.inner) + 1;
  // Over last axes, or else over groups of channels, which are made an axis of their own.
  const x = last > 0 ? values[0]! : graph.reshape(values[0]!, [0, size / view.inner / shape[0]!, -1]);
  const axes = Array.from({ length: Math.max(1, last) }, (_, i) => -1 - i).reverse();
  const average = (x: Value): Value => graph.node('ReduceMean', [x], { axes, keepdims: 1 });
  const difference = graph.subtract(x, average(x));
  const variance = average(graph.node('Pow', [difference, graph.float(2)]));
  const y = graph.divide(difference, graph.node('Sqrt', [graph.add(variance, graph.float(epsilon))]));
  return last > 0 ? y : graph.node('Reshape', [y, graph.node('Shape', [values[0]!])]);
});

convert(convTranspose2dOperation, ({ graph, values, saved: { shape } }) => {
  const { H, W, OH, OW, R, S, stride, pad } = shape;
  return graph.node('ConvTranspose', values, {
    kernel_shape: [R, S],
    strides: [stride, stride],
    pads: [pad, pad, pad, pad],
    output_padding: [H - (OH - 1) * stride + 2 * pad - R, W - (OW - 1) * stride + 2 * pad - S],
  });
});

/** A size that is no extent of a map is written as a multiple of that of x. */
function resize<S extends { like: Tensor | null }>(
  converting: Converting<S>,
  attributes: Readonly<Record<string, string>>,
): Value {
  const { graph, values, inputs, output, saved, across, valueOf } = converting;
  const x = values[0]!;
  const side = (axis: number): number | Value => {
    if (saved.like) return extentOf(graph, valueOf(saved.like), axis);
    const own = output.shape[axis]!;
    if (isFixed(across(({ output }) => output.shape[axis]!))) return own;
    const times = own / inputs[0]!.shape[axis]!;
    const isMultiple = isFixed(across(({ inputs, output }) => output.shape[axis]! / inputs[0]!.shape[axis]!));
    if (isMultiple && Number.isInteger(times)) return graph.multiply(extentOf(graph, x, axis), graph.ints([times]));
    return resolve(converting, ({ output }) => output.shape[axis]!) ?? own;
  };
  const planes = graph.gather(graph.node('Shape', [x]), graph.ints([0, 1]), 0);
  const size = graph.node('Concat', [planes, join(graph, [side(2), side(3)])], { axis: 0 });
  return graph.node('Resize', [x, '', '', size], attributes);
}

convert(upsampleNearestOperation, (converting) =>
  resize(converting, { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' }),
);

convert(upsampleBilinearOperation, (converting) =>
  resize(converting, { mode: 'linear', coordinate_transformation_mode: 'half_pixel' }),
);

convert(roiPoolOperation, ({ graph, values, saved: { rois, uniforms }, valueOf }) => {
  const [first, ...others] = uniforms;
  if (!first || others.length > 0) throw new UserError('the operation roiPool of several maps has no form in ONNX');
  const { pooledH, pooledW, scale } = first;
  // Caffe's rounding in both.
  return graph.node('MaxRoiPool', [values[0]!, valueOf(rois)], {
    pooled_shape: [pooledH, pooledW],
    spatial_scale: { float: scale },
  });
});

convert(roiAlignOperation, ({ graph, values, saved: { rois, passes }, valueOf }) => {
  const [pass, ...others] = passes;
  if (!pass || others.length > 0)
    throw new UserError('the operation roiAlign of maps by their number has no form in ONNX');
  const { levels, bounds, pooledH, pooledW, sampling, aligned } = pass.shape;
  const [images, corners] = graph.split(valueOf(rois), 1, [1, 4]) as [Value, Value];
  const batch = graph.cast(graph.reshape(images, [-1]), 'int64');
  const align = (level: number, boxes: Value, of: Value): Value =>
    graph.node('RoiAlign', [values[level]!, boxes, of], {
      mode: 'avg',
      output_height: pooledH,
      output_width: pooledW,
      sampling_ratio: sampling,
      spatial_scale: { float: levels[level]!.scale },
      coordinate_transformation_mode: aligned ? 'half_pixel' : 'output_half_pixel',
    });
  if (levels.length === 1) return align(0, corners, batch);

  // The regions of each level by themselves, one level after another, and then in their own order again.
  const [corner, opposite] = graph.split(corners, 1, [2, 2]) as [Value, Value];
  const [widths, heights] = graph.split(graph.subtract(opposite, corner), 1, [1, 1]) as [Value, Value];
  const area = graph.reshape(graph.multiply(widths, heights), [-1]);
  const reaches = bounds.map((bound) => graph.node('GreaterOrEqual', [area, graph.float(bound)]));
  const places = levels.map((_, level) => {
    const least = reaches[level - 1];
    const above = reaches[level] && graph.node('Not', [reaches[level]]);
    const isHere = least && above ? graph.node('And', [least, above]) : (least ?? above)!;
    return graph.reshape(graph.node('NonZero', [isHere]), [-1]);
  });
  const pooled = places.map((at, level) => align(level, graph.gather(corners, at, 0), graph.gather(batch, at, 0)));
  const order = graph.node('Concat', places, { axis: 0 });
  const numbers = graph.node('Range', [graph.int(0), graph.extent(order, 0), graph.int(1)]);
  const inverse = graph.node('ScatterElements', [order, order, numbers], { axis: 0 });
  return graph.gather(graph.node('Concat', pooled, { axis: 0 }), inverse, 0);
});

for (const loss of [softmaxLogLossOperation, classWeightedLogLossOperation, sigmoidLogLossOperation, smoothL1Operation])
  refuse(loss as Operation<never>, 'is a loss: export the network without it');
refuse(dropoutOperation, 'is for training: export the network without it');
refuse(nmsOperation, 'has no form in ONNX with the count of its result: export what comes before it');
refuse(pyramidPoolOperation, "has no form in ONNX: no operator there pools by SPP-net's rule");
refuse(roiWarpOperation, 'has no form in ONNX: no operator there samples a region by its rule');

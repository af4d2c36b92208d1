/**
 * Operations of the engine as nodes of ONNX. A converter sees the operation's inputs by the names of their values and what its
 * forward pass saved; the extents of the maps are free, so none may become a constant.
 */
import type { Operation } from '../engine/autograd.ts';
import { UserError } from '../engine/errors.ts';
import { addOperation, scaleOperation } from '../engine/ops/arithmetic.ts';
import {
  addBroadcastOperation,
  divideOperation,
  maximumOperation,
  minimumOperation,
  multiplyOperation,
  powOperation,
  subtractOperation,
} from '../engine/ops/binary.ts';
import { clipOperation } from '../engine/ops/clip.ts';
import { logSoftmaxOperation } from '../engine/ops/logSoftmax.ts';
import { concatOperation, permuteOperation, softmaxOperation } from '../engine/ops/axes.ts';
import { batchNormOperation, foldBiasOperation, foldOperation } from '../engine/ops/batchNorm.ts';
import { conv2dOperation, groupedConv2dOperation } from '../engine/ops/conv2d.ts';
import { linearOperation } from '../engine/ops/linear.ts';
import { lrnOperation } from '../engine/ops/localResponseNorm.ts';
import { addReluOperation, reluOperation, UNARY_OPERATIONS } from '../engine/ops/pointwise.ts';
import { averagePoolOperation, maxPoolOperation } from '../engine/ops/pooling.ts';
import { reshapeOperation } from '../engine/ops/reshape.ts';
import { roiAlignOperation, roiPoolOperation } from '../engine/ops/rois.ts';
import { meanOperation, sumOperation } from '../engine/ops/sums.ts';
import { upsampleBilinearOperation, upsampleNearestOperation } from '../engine/ops/upsample.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { GroupedConvShape } from '../kernels/groupedConv.ts';
import type { UnaryName } from '../kernels/unary.ts';
import type { TracedOperation } from '../engine/trace.ts';
import type { OnnxGraph, Value } from './graph.ts';

export interface Converting<S> {
  graph: OnnxGraph;
  /** The names of the inputs. */
  values: readonly Value[];
  inputs: readonly Tensor[];
  output: Tensor;
  saved: S;
  /** The name of the value that a tensor is. */
  valueOf(tensor: Tensor): Value;
}

type Converter = (converting: Converting<never>) => Value;

const CONVERTERS = new Map<Operation<never>, Converter>();

function convert<S>(operation: Operation<S>, converter: (converting: Converting<S>) => Value): void {
  CONVERTERS.set(operation as Operation<never>, converter as Converter);
}

/** Adds the node or nodes of an operation. Throws a UserError for an operation that has none. */
export function convertOperation(
  graph: OnnxGraph,
  { operation, inputs, saved, output }: TracedOperation,
  valueOf: (tensor: Tensor) => Value,
): Value {
  const converter = CONVERTERS.get(operation as Operation<never>);
  if (!converter) {
    throw new UserError(`the operation ${operation.name} has no form in ONNX yet, so this network cannot be exported`);
  }
  return converter({ graph, values: inputs.map(valueOf), inputs, output, saved: saved as never, valueOf });
}

const rectified = (graph: OnnxGraph, y: Value, does: boolean): Value => (does ? graph.node('Relu', [y]) : y);

convert(conv2dOperation, ({ graph, values, saved: { shape, rectified: relu } }) =>
  rectified(graph, convolution(graph, values, { ...shape, groups: 1, dilation: 1 }), relu !== null),
);

convert(groupedConv2dOperation, ({ graph, values, saved: { shape, rectified: relu } }) =>
  rectified(graph, convolution(graph, values, shape), relu !== null),
);

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

convert(linearOperation, ({ graph, values, saved }) =>
  rectified(graph, graph.node('Gemm', values, { transB: 1 }), saved.rectified !== null),
);

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
      `max pooling ${kernel}x${kernel}, stride ${stride}, padding ${padding}, rounded up, has no exact form in ONNX`,
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
  if (ceilMode) throw new UserError('average pooling that rounds up has no exact form in ONNX');
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
  if (saved.training) throw new UserError('batch normalisation by the statistics of a batch is for training only');
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

convert(reshapeOperation, ({ graph, values, inputs, output }) => {
  // The first extent (images, regions) stays free: 0 copies it. The others are those of a region, which are fixed.
  const [first, ...rest] = output.shape;
  if (first !== inputs[0]!.shape[0]) {
    throw new UserError(`reshape from [${inputs[0]!.shape}] to [${output.shape}] changes the first axis`);
  }
  return graph.reshape(values[0]!, [0, ...rest]);
});

/** A size that is given in cells belongs to the image that was traced, which others need not have. */
function resize(
  { graph, values, output, saved: { like }, valueOf }: Converting<{ like: Tensor | null }>,
  attributes: { mode: string; coordinate_transformation_mode: string; nearest_mode?: string },
): Value {
  if (!like) {
    throw new UserError(
      `${output.name} to a size in cells has no form in ONNX; give it the map whose size it takes in place of the size`,
    );
  }
  const sizes = [values[0]!, valueOf(like)].map((x) => graph.node('Shape', [x]));
  const [planes, cells] = sizes.map((size, k) => graph.gather(size, graph.ints(k === 0 ? [0, 1] : [2, 3]), 0));
  const size = graph.node('Concat', [planes!, cells!], { axis: 0 });
  return graph.node('Resize', [values[0]!, '', '', size], attributes);
}

convert(upsampleNearestOperation, (converting) =>
  resize(converting, { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' }),
);

convert(upsampleBilinearOperation, (converting) =>
  resize(converting, { mode: 'linear', coordinate_transformation_mode: 'half_pixel' }),
);

convert(roiPoolOperation, ({ graph, values, saved: { rois, uniforms }, valueOf }) => {
  const [first, ...others] = uniforms;
  if (!first || others.length > 0) throw new UserError('RoI pooling of several maps has no counterpart in ONNX');
  const { pooledH, pooledW, scale } = first;
  // Caffe's rounding in both.
  return graph.node('MaxRoiPool', [values[0]!, valueOf(rois)], {
    pooled_shape: [pooledH, pooledW],
    spatial_scale: { float: scale },
  });
});

convert(roiAlignOperation, ({ graph, values, saved: { rois, passes }, valueOf }) => {
  const [pass, ...others] = passes;
  if (!pass || others.length > 0) throw new UserError('RoIAlign of maps by their number has no counterpart in ONNX');
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
